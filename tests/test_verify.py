"""`replay --verify`: it passes on what was recorded, with the network shut, and fails on anything that was altered."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mockint.bank import load_bank
from mockint.content import roots
from tests.conftest import ROOT, ChatServer, Run

CANDIDATE = ROOT / "examples" / "candidate.yaml"
QUOTE = "because it matches the literal token"


def judged(request: dict[str, Any]) -> str:
    """Replies as a model would to each of the prompts: notes, words of a probe, or a ruling with a real quote."""
    asked = request.get("response_format", {}).get("json_schema", {}).get("name")
    told = request["messages"][0]["content"] + request["messages"][1]["content"]
    if asked == "Notes":
        return json.dumps({"criteria": [], "wrong": [], "gave_up": False})
    if asked == "Ruling":
        names = ["lexical-strength", "dense-strength", "runs-both-and-merges", "fusion-by-rank", "when-to-leave-out"]
        assert all(name in told for name in names)
        turn = 2
        met = [
            {"criterion": name, "quote": QUOTE, "turn": turn, "reason": "Said so.", "level": "met"} for name in names
        ]
        met.append(
            {"criterion": "measures-the-gain", "quote": None, "turn": None, "reason": "Nothing.", "level": "missed"}
        )
        return json.dumps({"verdicts": met, "red_flags": []})
    return "And what would you measure to know that it helped?"


@pytest.fixture
def session(run: Run, chat_server: ChatServer, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, Path]:
    adapter = getattr(request, "param", "openai")
    (tmp_path / "mockint.toml").write_text(
        f'[models]\ninterviewer = "lab/tiny"\ngrader = "lab/tiny"\n'
        f'[providers.lab]\nbase_url = "{chat_server.url}"\nadapter = "{adapter}"\n'
    )
    chat_server.replies = judged
    done = run("start", "--question", "hybrid-search", "--answers", CANDIDATE)
    assert done.code == 0, done.err
    name = done.out.strip()
    return name, tmp_path / "home" / "sessions" / name


@pytest.mark.parametrize("session", ["openai", "litellm"], indirect=True)
def test_whole_session_over_http_with_either_adapter(
    session: tuple[str, Path], chat_server: ChatServer, run: Run
) -> None:
    name, folder = session
    graded = json.loads((folder / "grades" / "0001.json").read_text())
    assert graded["stamp"]["model"] == "lab/tiny"
    assert graded["answers"][0]["verdicts"][0]["evidence"][0]["quote"] == QUOTE
    assert [request.get("stream", False) for request in chat_server.requests].count(True) == 2
    turns = run("replay", name, "--json").json
    assert [t["text"] for t in turns if t["kind"] == "probe"] == [
        "And what would you measure to know that it helped?"
    ] * 2
    assert "lab/tiny" in run("report", name).out


def test_verification_passes_with_the_network_shut(
    session: tuple[str, Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shut(*_: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", shut)
    monkeypatch.setattr(socket, "getaddrinfo", shut)
    done = run("replay", session[0], "--verify", "--json")
    assert (done.code, done.json["verified"]) == (0, True)


def alter(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param("grades/0001.json", "Said so.", "Said it.", id="a reason in the grade"),
        pytest.param("grades/0001.json", r"\"level\": \"met\"", r"\"level\": \"partial\"", id="a recorded reply"),
        pytest.param(
            "grades/0001.json", f'"quote": "{QUOTE}"', '"quote": "it matches the literal token"', id="a quote"
        ),
        pytest.param("grades/0001.json", '"level": "met"', '"level": "partial"', id="a level"),
        pytest.param("grades/0001.json", '"points": 1.0', '"points": 0.5', id="points"),
        pytest.param("grades/0001.json", '"signal": "', '"signal": "strong hire", "x": "', id="an unknown key"),
        pytest.param("events.jsonl", "blur exact strings", "blur all the strings", id="an answer"),
        pytest.param("events.jsonl", '"weight":3', '"weight":4', id="the rubric's snapshot"),
    ],
)
def test_verification_fails_when_something_was_altered(
    session: tuple[str, Path], run: Run, file: str, old: str, new: str
) -> None:
    alter(session[1] / file, old, new)
    done = run("replay", session[0], "--verify")
    assert done.code == 4, done.out + done.err


def test_altered_signal_fails(session: tuple[str, Path], run: Run) -> None:
    path = session[1] / "grades" / "0001.json"
    path.write_text(re.sub(r'"signal": ?"[a-z ]+"', '"signal": "no hire"', path.read_text(), count=1))
    assert run("replay", session[0], "--verify").code == 4


def test_offline_grade_is_verified_too(run: Run, tmp_path: Path) -> None:
    name = run("start", "--question", "hybrid-search", "--answers", CANDIDATE).out.strip()
    assert run("replay", name, "--verify").code == 0
    alter(tmp_path / "home" / "sessions" / name / "events.jsonl", "blur exact strings", "blur all the strings")
    assert run("replay", name, "--verify").code == 4


def test_server_that_goes_away_leaves_a_session_that_resumes(run: Run, chat_server: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "mockint.toml").write_text(
        f'[models]\ninterviewer = "lab/tiny"\n[providers.lab]\nbase_url = "{chat_server.url}"\n[limits]\ntries = 1\n'
    )
    chat_server.replies = lambda request: (503, {})
    gone = run("start", "--question", "hybrid-search", "--answers", CANDIDATE)
    assert gone.code == 5
    assert "mockint resume" in gone.err
    chat_server.replies = judged
    done = run("resume", "--answers", CANDIDATE)
    assert done.code == 0
    said = [turn for turn in run("replay", "last", "--json").json if turn["kind"] == "answer"]
    assert said[0]["text"].startswith("Embeddings catch paraphrases")


def test_keys_reach_neither_log_nor_grade_nor_screen(
    run: Run, chat_server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-planted-key")
    (tmp_path / "mockint.toml").write_text(
        f'[models]\ninterviewer = "lab/tiny"\ngrader = "lab/tiny"\n'
        f'[providers.lab]\nbase_url = "{chat_server.url}"\napi_key_env = "LAB_KEY"\n'
    )
    chat_server.replies = judged
    done = run("start", "--question", "hybrid-search", "--answers", CANDIDATE)
    shown = run("config", "show")
    kept = "".join(path.read_text() for path in (tmp_path / "home").rglob("*.*") if path.is_file())
    assert chat_server.headers[0]["authorization"] == "Bearer sk-planted-key"
    assert "sk-planted-key" not in kept + done.out + done.err + shown.out + shown.err


def test_offline_grade_does_not_depend_on_the_order_of_sets(run: Run, tmp_path: Path) -> None:
    name = run("start", "--loop", "wished-for", "--answers", everything(tmp_path)).out.strip()
    command = [sys.executable, "-m", "mockint", "replay", name, "--verify"]
    for seed in (0, 13, 15, 24):  # some of these once gave another quote
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr


def everything(folder: Path) -> Path:
    bank = load_bank(roots())
    lines = {
        question.id: {"answer": sample.text, "probes": [bank.rubric(question).answer]}
        for question in bank.questions.values()
        for sample in bank.samples(question)
        if sample.name == "strong"
    }
    path = folder / "all.yaml"
    path.write_text(yaml.safe_dump(lines, allow_unicode=True), encoding="utf-8")
    return path
