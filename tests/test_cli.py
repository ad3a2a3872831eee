"""The commands, run as a user runs them: what they print where, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Any

import pytest

from tests.builders import judged_well
from tests.conftest import ROOT, ChatServer, Run

CANDIDATE = ROOT / "examples" / "candidate.yaml"
ONE = ("start", "--question", "hybrid-search", "--answers", CANDIDATE)


def test_start_prints_the_id_and_leaves_log_grade_and_report(run: Run, tmp_path: Path) -> None:
    done = run(*ONE)
    name = done.out.strip()
    folder = tmp_path / "home" / "sessions" / name
    assert done.code == 0
    assert {"events.jsonl", "grades", "report.md"} <= {path.name for path in folder.iterdir()}
    assert "Interviewer:" in done.err
    assert "You: Embeddings catch paraphrases" in done.err


def test_json_result_is_one_document_and_nothing_else(run: Run) -> None:
    done = run(*ONE, "--json")
    assert done.json["signal"] in ("hire", "strong hire")
    assert Path(done.json["report"]).is_file()


def test_quotes_in_the_report_stand_in_the_transcript(run: Run) -> None:
    name = run(*ONE).out.strip()
    graded = run("report", name, "--format", "json").json["grade"]
    said = {turn["turn"]: turn["text"] for turn in run("replay", name, "--json").json}
    quotes = [quote for answer in graded["answers"] for v in answer["verdicts"] for quote in v["evidence"]]
    report = run("report", name).out
    assert quotes
    for quote in quotes:
        assert quote["quote"] in said[quote["turn"]]
        assert " ".join(quote["quote"].split()) in report


def test_paragraphs_from_standard_input_are_turns_and_its_end_ends_the_session(run: Run) -> None:
    done = run("start", "--question", "reranking", stdin="A cross-encoder reads both together.\n\nIt is slower.\n\n")
    assert done.code == 0
    turns = run("replay", "last", "--json").json
    assert [turn["text"] for turn in turns if turn["speaker"] == "candidate"] == [
        "A cross-encoder reads both together.",
        "It is slower.",
    ]


def test_unanswered_session_ends_in_good_order_with_insufficient_evidence(run: Run) -> None:
    done = run("start", "--question", "reranking", "--json")
    assert (done.code, done.json["signal"], done.json["score"]) == (0, "insufficient evidence", None)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        pytest.param(["start", "--track", "ragg"], 2, "did you mean 'rag'", id="track"),
        pytest.param(["start", "--question", "hybrid-serch"], 2, "did you mean 'hybrid-search'", id="question"),
        pytest.param(["start", "--minutes", "1"], 2, "fits 1 minutes", id="too short"),
        pytest.param(["start", "--level", "chief"], 2, "'chief' is not one of them", id="level"),
        pytest.param(["start", "--nonsense"], 2, "No such option", id="flag"),
        pytest.param(["report", "2020"], 4, "no session", id="session"),
        pytest.param(["resume"], 4, "unfinished", id="nothing to resume"),
        pytest.param(["report", "--format", "docx"], 2, "'docx'", id="format"),
        pytest.param(["start", "--config", "none.toml"], 2, "'none.toml'", id="config"),
        pytest.param(["bank", "lint", "--content", "nowhere"], 3, "does not exist", id="content"),
        pytest.param(["start", "--answers", "none.yaml"], 3, "none.yaml", id="answers"),
        pytest.param(["start", "--model", "openai/gpt-5-mini"], 5, "no API key", id="key"),
    ],
)
def test_error_has_its_exit_code_and_names_the_cause(run: Run, words: list[str], code: int, told: str) -> None:
    done = run(*words)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert "Traceback" not in done.err


def test_error_is_two_lines(run: Run) -> None:
    assert len(run("report", "2020").err.strip().splitlines()) == 2


def test_failed_start_leaves_no_session(run: Run, tmp_path: Path) -> None:
    run("start", "--model", "openai/gpt-5-mini")
    run("start", "--answers", "none.yaml")
    assert not list((tmp_path / "home").rglob("events.jsonl"))


def test_grade_adds_and_compare_shows_the_difference_in_stamps_first(run: Run) -> None:
    name = run(*ONE).out.strip()
    assert run("grade", name, "--level", "senior").code == 0
    told = run("compare", name).out
    assert told.index("mid") < told.index("hybrid-search")
    assert run("compare", name, "--json").json["grades"] == [1, 2]
    assert [row["session"] for row in run("history", "--json").json] == [name]


def test_grades_of_a_folder_and_of_answers_from_elsewhere(run: Run, tmp_path: Path) -> None:
    run(*ONE)
    (tmp_path / "a.jsonl").write_text(
        '{"id": "a-1", "question": "hybrid-search", "answer": "BM25 matches the literal term, error codes for example."}\n'
        '{"id": "a-2", "question": "hybrid-serch", "answer": "x"}\n'
        "not json\n"
        '{"id": "a-4", "question": "reranking", "answer": "  "}\n'
    )
    done = run("grade", tmp_path / "home", tmp_path / "a.jsonl", "--json", "--out", "out.jsonl")
    assert done.code == 0
    assert ["error" in line for line in done.json] == [False, False, True, True, True]
    assert "did you mean 'hybrid-search'" in done.json[2]["error"]["message"]
    assert "3" in done.json[3]["error"]["message"]
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()][1] == "a-1"


def test_nothing_gradable_exits_6(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "question": "nope", "answer": "x"}\n')
    assert run("grade", "a.jsonl").code == 6


@pytest.mark.parametrize("command", [["--help"], ["bank", "list"], ["history"], ["config", "show"]])
def test_commands_that_need_no_model_load_no_model_library(command: list[str], tmp_path: Path) -> None:
    look = "import sys, mockint.cli\ntry:\n    mockint.cli.main()\nexcept SystemExit: pass\n"
    look += "print('LOADED', sorted(set(sys.modules) & {'openai', 'litellm'}))"
    environment = {**os.environ, "MOCKINT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", look, *command], capture_output=True, text=True, env=environment)
    assert "LOADED []" in done.stdout, done.stderr


def test_offline_interview_report_and_replay_load_no_model_library(run: Run, tmp_path: Path) -> None:
    words = [["start", "--question", "hybrid-search", "--answers", str(CANDIDATE)], ["report"], ["replay", "--verify"]]
    look = "import sys, mockint.cli\nfor words in " + repr(words) + ":\n    sys.argv = ['mockint', *words]\n"
    look += "    try:\n        mockint.cli.main()\n    except SystemExit as exc:\n        assert not exc.code, words\n"
    look += "print('LOADED', sorted(set(sys.modules) & {'openai', 'litellm'}))"
    environment = {**os.environ, "MOCKINT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, env=environment)
    assert "LOADED []" in done.stdout, done.stderr


def test_importing_mockint_prints_and_creates_nothing(tmp_path: Path) -> None:
    look = "import mockint.cli, mockint.config, mockint.store, mockint.bank, mockint.interview.room"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr, list(tmp_path.iterdir())) == (0, "", "", [])


def test_bank_show_keeps_the_answer_back_unless_asked(run: Run) -> None:
    assert "model answer" not in run("bank", "show", "hybrid-search").out
    assert "model answer" in run("bank", "show", "hybrid-search", "--answer").out
    assert run("bank", "stats", "--json").json["questions"]["all"] >= 30
    assert run("doctor").code == 0


def test_history_lists_the_sound_sessions_and_names_the_damaged_one(run: Run, tmp_path: Path) -> None:
    name = run(*ONE).out.strip()
    damaged = tmp_path / "home" / "sessions" / "20200101-0000-rag-aaaa" / "events.jsonl"
    damaged.parent.mkdir()
    damaged.write_text("garbage\n")
    done = run("history")
    assert (done.code, name in done.out) == (0, True)
    assert "20200101-0000-rag-aaaa" in done.err


def test_report_of_the_last_is_of_the_last_that_was_graded(run: Run) -> None:
    name = run(*ONE).out.strip()
    run("start", "--question", "reranking", "--no-grade", stdin="")
    assert name in run("report").out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["bank", "list", "--track", "ragg"], 2, id="track of a list"),
        pytest.param(["calibrate", "--track", "ragg"], 2, id="track of a calibration"),
        pytest.param(["grade", "empty.jsonl"], 2, id="nothing to grade"),
        pytest.param(["start", "--home", "/dev/null"], 4, id="a home that is no folder"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, tmp_path: Path, words: list[str], code: int) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    done = run(*words)
    assert (done.code, done.out) == (code, "")
    assert done.err


def test_one_damaged_session_does_not_lose_the_others_grades(run: Run, tmp_path: Path) -> None:
    name = run(*ONE).out.strip()
    damaged = tmp_path / "home" / "sessions" / "20200101-0000-rag-aaaa" / "events.jsonl"
    damaged.parent.mkdir()
    damaged.write_text("garbage\n")
    done = run("grade", tmp_path / "home", "--json")
    assert done.code == 0
    assert {line["id"]: "error" in line for line in done.json} == {name: False, "20200101-0000-rag-aaaa": True}


def test_control_characters_of_a_file_reach_no_terminal(run: Run, tmp_path: Path) -> None:
    line = {"id": "\u001b[31mred\u0007", "question": "hybrid-search", "answer": "BM25 matches the literal term."}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    assert "\x1b" not in run("grade", "a.jsonl").out


def test_what_a_session_wrote_is_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    run(*ONE)
    written = list((tmp_path / "home" / "sessions").glob("**/*"))
    assert len(written) > 4
    for path in written:
        assert path.stat().st_mode & 0o077 == 0, path


def test_session_whose_money_is_spent_is_graded_offline_too_if_that_is_allowed(
    run: Run, tmp_path: Path, chat_server: ChatServer
) -> None:
    chat_server.replies = lambda request: "{}"
    file = tmp_path / "m.toml"
    limits = "[limits]\nusd_per_session = 0\n"
    file.write_text(f'[models]\ngrader = "lab/m"\n[providers.lab]\nbase_url = "{chat_server.url}"\n{limits}')
    name = run(*ONE, "--no-grade").out.strip()
    assert run("grade", name, "--config", file).code == 6
    assert chat_server.requests == [], "nothing was paid for"
    file.write_text(file.read_text() + "offline_when_spent = true\n")
    done = run("grade", name, "--config", file, "--json")
    assert done.code == 0
    assert "graded offline as well" in done.err
    assert done.json[0]["stamp"]["grader"] == "offline"
    grades = sorted((tmp_path / "home" / "sessions" / name / "grades").iterdir())
    assert len(grades) == 3


def test_sessions_are_graded_at_the_same_time_and_no_more_answers_than_is_allowed(
    run: Run, chat_server: ChatServer, tmp_path: Path
) -> None:
    at_once, seen, lock = 0, [], Lock()

    def replies(asked: dict[str, Any]) -> str:
        nonlocal at_once
        with lock:
            at_once += 1
            seen.append(at_once)
        sleep(0.05)
        with lock:
            at_once -= 1
        return judged_well(asked)

    chat_server.replies = replies
    (tmp_path / "m.toml").write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    words = ("start", "--question", "hybrid-search", "--question", "agent-versus-chain", "--answers", CANDIDATE)
    names = {run(*words).out.strip() for _ in range(5)}
    done = run("grade", *names, "--model", "lab/m", "--config", "m.toml", "--concurrency", "3", "--json")
    assert {grade["id"] for grade in done.json} == names
    assert all(grade["coverage"] == 1 for grade in done.json)
    assert len(chat_server.requests) == 10
    assert max(seen) == 3
    for name in names:
        assert run("replay", name, "--verify", "--grade", "2").code == 0
