"""Answers from elsewhere: each line stands for itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mockint.bank import load_bank
from mockint.batch import grade_answers, read_lines
from mockint.content import roots
from mockint.errors import UsageError
from mockint.grading import Opinion
from mockint.grading.grader import offline
from mockint.grading.offline import OfflineGrader
from mockint.llm import DOWN_AFTER
from mockint.transcript import Part
from tests.builders import judged_well
from tests.conftest import ChatServer, Run, StandingClock

BM25 = "BM25 matches the literal term, so product codes and error codes are found that the embedding blurs."


def collected(work: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [line async for line in work]

    return asyncio.run(collect())


def graded(*lines: Any) -> list[dict[str, Any]]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    bank = load_bank(roots())
    work = grade_answers(texts, "a.jsonl", bank, level="mid", maker=offline, clock=StandingClock())
    return collected(work)


def test_answer_is_graded_with_a_quote_from_its_own_words() -> None:
    (grade,) = graded({"id": "a-1", "question": "hybrid-search", "answer": BM25})
    evidence = [e for v in grade["answers"][0]["verdicts"] for e in v["evidence"]]
    assert grade["id"] == "a-1"
    assert evidence
    assert all(e["quote"] in BM25 for e in evidence)
    assert grade["stamp"]["grader"] == "offline"


def test_only_the_candidates_turns_are_evidence() -> None:
    turns = [
        {"role": "interviewer", "text": BM25},
        {"role": "candidate", "text": "Yes."},
        {"role": "interviewer", "text": "Why?"},
        {"role": "candidate", "text": "Rare words and names, such as part numbers, need an exact match."},
    ]
    (grade,) = graded({"id": "a-1", "question": "hybrid-search", "turns": turns})
    evidence = [e for v in grade["answers"][0]["verdicts"] for e in v["evidence"]]
    assert {e["turn"] for e in evidence} == {4}
    assert {e["prompted"] for e in evidence} == {"probe"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("{", "a.jsonl:1: Invalid JSON", id="no JSON"),
        pytest.param({"id": "x", "question": "nope", "answer": "y"}, "no question 'nope'", id="unknown question"),
        pytest.param({"id": "x", "question": "hybrid-search", "answer": " "}, "the answer is empty", id="empty"),
        pytest.param({"id": "x", "question": "hybrid-search"}, "either an answer or turns", id="neither"),
        pytest.param({"id": "x", "question": "hybrid-search", "answr": "y"}, "answr", id="unknown key"),
    ],
)
def test_line_that_cannot_be_graded_is_told_and_the_rest_goes_on(line: Any, told: str) -> None:
    bad, good = graded(line, {"id": "a-2", "question": "hybrid-search", "answer": BM25})
    assert told in bad["error"]["message"]
    assert "answers" not in bad
    assert good["answers"][0]["state"] == "graded"


def test_file_that_cannot_be_read_is_named(tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl"):
        read_lines(tmp_path / "none.jsonl")


def test_rubric_made_from_a_reference_sentence_without_cues_tells_answers_apart(tmp_path: Path) -> None:
    (tmp_path / "bank" / "rag").mkdir(parents=True)
    (tmp_path / "rubrics" / "rag").mkdir(parents=True)
    (tmp_path / "bank" / "rag" / "pitch.yaml").write_text(
        "id: pitch\ntrack: rag\ntitle: Pitch\nkind: concept\nlevels: [junior]\nminutes: 4\ntopics: [sound]\n"
        "ask: Darla plucked a string that she had pulled tighter. What did she hear?\n"
    )
    (tmp_path / "rubrics" / "rag" / "pitch.yaml").write_text(
        "question: pitch\nversion: 1\ncompetency: Sound\nanswer: When the string is tighter the pitch is higher.\ncriteria:\n"
        "  - {id: higher, asks: Does the candidate say that the pitch is higher?, weight: 1, expected_from: junior,\n"
        "     levels: {missed: Something else., met: When the string is tighter the pitch will be higher.}, probe: And then?}\n"
    )
    bank = load_bank(roots([tmp_path]))
    answers = {"right": "The tighter string has a higher pitch.", "wrong": "It swings back and forth for a while."}
    lines = [json.dumps({"id": name, "question": "pitch", "answer": text}) for name, text in answers.items()]
    work = grade_answers(lines, "a", bank, level="junior", maker=offline, clock=StandingClock())
    assert {grade["id"]: grade["score"] for grade in collected(work)} == {"right": 1.0, "wrong": 0.0}


def answers_file(path: Path, count: int) -> Path:
    rows = [
        {"id": f"a-{n}", "question": "hybrid-search", "answer": f"{BM25} This is number {n}."} for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_batch_goes_on_from_its_out_file_and_pays_nothing_twice(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "grades.jsonl"
    run("grade", answers_file(tmp_path / "a.jsonl", 3), "--out", out)
    before = out.read_text(encoding="utf-8")
    out.write_text(before + '{"id": "a-3", "sta', encoding="utf-8")  # the next write was cut off by a kill
    done = run("grade", answers_file(tmp_path / "a.jsonl", 5), "--out", out)
    assert done.code == 0
    assert done.out.split("\n")[0].startswith("a-3")
    assert "3 of" in done.err
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["a-0", "a-1", "a-2", "a-3", "a-4"]
    assert out.read_text(encoding="utf-8").startswith(before)
    assert out.stat().st_mode & 0o077 == 0
    assert run("grade", tmp_path / "a.jsonl", "--out", out).out == ""


def test_changed_answer_or_level_is_graded_again_and_its_old_line_goes(run: Run, tmp_path: Path) -> None:
    out, source = tmp_path / "grades.jsonl", answers_file(tmp_path / "a.jsonl", 2)
    run("grade", source, "--out", out)
    source.write_text(source.read_text().replace("number 1", "another"), encoding="utf-8")
    assert run("grade", source, "--out", out).out.startswith("a-1")
    assert len(run("grade", source, "--out", out, "--level", "junior", "--json").json) == 2
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(line["id"] for line in lines) == ["a-0", "a-1"]
    assert {line["target_level"] for line in lines} == {"junior"}


def test_what_could_not_be_graded_is_tried_again(run: Run, tmp_path: Path) -> None:
    out, source = tmp_path / "grades.jsonl", tmp_path / "a.jsonl"
    source.write_text('{"id": "x", "question": "nope", "answer": "y"}\n')
    assert run("grade", source, "--out", out).code == 6
    source.write_text(json.dumps({"id": "x", "question": "hybrid-search", "answer": BM25}) + "\n")
    assert run("grade", source, "--out", out).code == 0
    assert ["error" in json.loads(line) for line in out.read_text().splitlines()] == [False]


def test_no_more_than_so_many_are_graded_at_once() -> None:
    class Counted(OfflineGrader):
        now = most = 0

        async def opinion(self, part: Part) -> Opinion:
            Counted.now += 1
            Counted.most = max(Counted.most, Counted.now)
            await asyncio.sleep(0.001)
            Counted.now -= 1
            return await super().opinion(part)

    texts = [json.dumps({"id": str(n), "question": "hybrid-search", "answer": f"{BM25} {n}"}) for n in range(12)]
    bank, taken = load_bank(roots()), 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for text in texts:
            taken += 1
            yield text

    async def work() -> list[int]:
        graded = grade_answers(
            lines(), "a", bank, level="mid", maker=lambda _: Counted(), clock=StandingClock(), at_once=3
        )
        return [taken async for _ in graded]

    ahead = asyncio.run(work())
    assert Counted.most == 3
    assert ahead[0] <= 4, "lines are read as there is room for them"
    assert len(ahead) == 12


def test_dry_run_says_what_it_would_take_and_grades_nothing(run: Run, tmp_path: Path) -> None:
    source = answers_file(tmp_path / "a.jsonl", 3)
    told = run("grade", source, "--dry-run", "--json", "--model", "openai/gpt-5-mini").json
    assert told["answers"] == 3
    assert told["prompt_tokens"] > 1000
    assert 0 < told["usd"] < 1
    assert run("grade", source, "--dry-run", "--json", "--model", "lab/unknown").json["usd"] is None
    assert run("grade", source, "--dry-run", "--json").json["usd"] == 0
    assert "Nothing was graded" in run("grade", source, "--dry-run").out
    assert not list((tmp_path / "home").rglob("grades"))


def test_batch_waits_for_a_provider_that_is_down_rather_than_leave_all_ungraded(
    run: Run, chat_server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mockint.llm.LEFT_ALONE", 0.2)
    chat_server.replies = lambda asked: (503, {}) if len(chat_server.requests) <= DOWN_AFTER else judged_well(asked)
    (tmp_path / "m.toml").write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n[limits]\ntries = 1\n')
    source = answers_file(tmp_path / "a.jsonl", 12)
    words = ("grade", source, "--model", "lab/m", "--config", "m.toml", "--concurrency", "1", "--out", "g.jsonl")
    done = run(*words)
    assert done.code == 0
    assert done.err.count("it is asked again in") == 1
    graded = [json.loads(line) for line in (tmp_path / "g.jsonl").read_text().splitlines()]
    assert sum(line["score"] is None for line in graded) == DOWN_AFTER
    assert run(*words).code == 0
    assert all(json.loads(line)["coverage"] == 1 for line in (tmp_path / "g.jsonl").read_text().splitlines())


def test_wrong_key_is_not_sent_for_every_answer(run: Run, chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.replies = lambda asked: (401, {})
    (tmp_path / "m.toml").write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    source = answers_file(tmp_path / "a.jsonl", 12)
    done = run("grade", source, "--model", "lab/m", "--config", "m.toml", "--concurrency", "1", "--out", "g.jsonl")
    assert done.code == 6
    assert "status 401" in done.err
    assert len(chat_server.requests) == DOWN_AFTER
    lines = (tmp_path / "g.jsonl").read_text().splitlines()
    whys = [json.loads(line)["answers"][0]["verdicts"][0]["why"] for line in lines]
    assert len(whys) == 12
    assert all("status 401" in why for why in whys)


def test_error_of_a_line_that_was_mended_goes(run: Run, tmp_path: Path) -> None:
    source, out = answers_file(tmp_path / "a.jsonl", 2), tmp_path / "g.jsonl"
    good = source.read_text()
    source.write_text(good.replace('{"id": "a-1"', '{"id": "a-1'))
    done = run("grade", source, "--out", out)
    assert "1 of 2 could not be graded; the same command tries them again." in done.err
    assert {json.loads(line)["id"] for line in out.read_text().splitlines()} == {"a-0", "a.jsonl:2"}
    source.write_text(good)
    done = run("grade", source, "--out", out)
    assert "could not be graded" not in done.err
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["a-0", "a-1"]


def test_grades_that_give_way_to_another_level_s_are_told(run: Run, tmp_path: Path) -> None:
    source, out = answers_file(tmp_path / "a.jsonl", 3), tmp_path / "g.jsonl"
    assert "gave way" not in run("grade", source, "--out", out).err
    done = run("grade", source, "--out", out, "--level", "senior")
    assert f"3 of {out} by another grader, or for another level, gave way. Another --out keeps both." in done.err


def test_answer_that_a_model_left_ungraded_says_why_and_not_that_there_was_no_evidence(
    run: Run, chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.replies = lambda asked: (400, {})
    (tmp_path / "m.toml").write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    done = run("grade", answers_file(tmp_path / "a.jsonl", 2), "--model", "lab/m", "--config", "m.toml")
    assert done.out.count("not graded: lab/m: Error code: 400") + done.out.count("status 400") >= 2
    assert "insufficient evidence" not in done.out
    assert "2 of 2 could not be graded." in done.err


def test_limit_that_cannot_be_kept_is_said_before_the_first_call(
    run: Run, chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.replies = judged_well
    (tmp_path / "m.toml").write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    source = answers_file(tmp_path / "a.jsonl", 1)
    words = ("grade", source, "--model", "lab/m", "--config", "m.toml")
    told = "The price of lab/m is not known: the limit on what may be spent cannot be kept."
    assert run(*words, "--usd", "1").err.startswith(told)
    assert "price" not in run(*words).err
