"""Killed with SIGKILL at any moment, a session goes on with every answer that was sent."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mockint.clock import SystemClock
from mockint.events import AnswerGiven, Event
from mockint.interview.interviewers import OfflineInterviewer
from mockint.interview.room import Heard, Listening, Room, SaveDraft
from mockint.store import Log, read_log
from mockint.transcript import Part, fold
from tests.builders import Shown, planned, started

PLAN = tuple(planned(name) for name in ("kettle", "pot", "pan"))
ANSWERS = [f"Answer number {n}: it holds because of {n} things that I would name." for n in range(9)]


class Speaker:
    """Types each answer in four drafts, notes in a file of its own that it was sent, then sends it."""

    def __init__(self, sent: Path, pause: float = 0.0) -> None:
        self.sent, self.pause = sent, pause

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        said = self.sent.read_text().count("\n") if self.sent.exists() else 0
        text = ANSWERS[said % len(ANSWERS)]
        for part in range(1, 4):
            save(text[: part * len(text) // 4], part * 1.0)
            time.sleep(self.pause)
        return Heard(text, 4.0)

    async def rate(self, part: Part) -> int | None:
        raise AssertionError("nobody asked for ratings")


class KilledAfter(Log):
    """Kills its own process once the event of that number is on the disk."""

    last = 0

    def append(self, event: Event) -> None:
        super().append(event)
        if event.seq == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


class Noting(Log):
    """Notes each answer as sent as soon as its event is written, as a screen would show it."""

    def append(self, event: Event) -> None:
        super().append(event)
        if isinstance(event, AnswerGiven):
            with (self.path.parent / "sent").open("a") as file:
                file.write(event.text + "\n")
                file.flush()


def play(path: Path, kind: type[Log], pause: float = 0.0) -> None:
    with kind(path) as log:
        speaker = Speaker(path.parent / "sent", pause)
        room = Room(log, clock=SystemClock(), candidate=speaker, screen=Shown())
        if not log.events:
            room.begin(started(*PLAN, probes=1))
        asyncio.run(room.run(OfflineInterviewer()))


def in_a_child(path: Path, kind: type[Log], pause: float = 0.0) -> int:
    child = os.fork()
    if not child:
        try:
            play(path, kind, pause)
        finally:
            os._exit(0)
    return child


def answers(path: Path) -> list[str]:
    return [event.text for event in read_log(path).events if isinstance(event, AnswerGiven)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Event, ...]:
    path = tmp_path_factory.mktemp("whole") / "events.jsonl"
    play(path, Noting)
    return read_log(path).events


def test_killed_after_every_event(whole: tuple[Event, ...], tmp_path: Path) -> None:
    assert len(whole) > 20
    for last in range(1, len(whole)):
        path = tmp_path / str(last) / "events.jsonl"
        _, status = os.waitpid(in_a_child(path, type("Killed", (KilledAfter,), {"last": last})), 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        before = answers(path)
        (path.parent / "sent").write_text("".join(f"{text}\n" for text in before))
        play(path, Noting)
        after = answers(path)
        assert after[: len(before)] == before
        assert fold(read_log(path).events).outcome == "completed"
        assert len(after) == len([event for event in whole if isinstance(event, AnswerGiven)])


def test_killed_at_random_moments(tmp_path: Path) -> None:
    moments = random.Random(20261124)
    killed = 0
    for run in range(50):
        path = tmp_path / str(run) / "events.jsonl"
        child = in_a_child(path, Noting, pause=0.002)
        time.sleep(moments.uniform(0.001, 0.08))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        sent = (path.parent / "sent").read_text().splitlines() if (path.parent / "sent").exists() else []
        if path.exists() and path.stat().st_size:
            with Log(path) as log:
                assert [e.text for e in log.events if isinstance(e, AnswerGiven)][: len(sent)] == sent
        if not (path.exists() and path.stat().st_size and fold(read_log(path).events).outcome):
            (path.parent).mkdir(exist_ok=True)
            play(path, Noting)
        assert answers(path)[: len(sent)] == sent
        assert fold(read_log(path).events).outcome == "completed"
    assert killed > 25


def test_killed_program_resumes_with_its_answer_and_its_draft(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mockint"]
    home = ["--home", str(tmp_path)]
    process = subprocess.Popen(
        [*command, "start", "--question", "hybrid-search", *home],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin
    process.stdin.write(b"Both retrievers run and I merge their lists by rank.\n\n")
    process.stdin.flush()
    log = wait_for(tmp_path, b"probe_asked")
    process.kill()
    process.wait()
    process.stdin.close()
    assert answers(log) == ["Both retrievers run and I merge their lists by rank."]
    resumed = subprocess.run([*command, "resume", *home], input=b"/skip\n", capture_output=True, check=True)
    assert b"Going on with" in resumed.stderr
    assert answers(log) == ["Both retrievers run and I merge their lists by rank."]
    assert fold(read_log(log).events).outcome == "completed"


def wait_for(home: Path, what: bytes) -> Path:
    for _ in range(200):
        for log in home.glob("sessions/*/events.jsonl"):
            if what in log.read_bytes():
                return log
        time.sleep(0.05)
    raise AssertionError(f"no {what!r} within 10 seconds")
