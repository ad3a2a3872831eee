"""The scripted candidate."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mockint.errors import ContentError
from mockint.interview.interviewers import OfflineInterviewer
from mockint.interview.room import Listening, Room
from mockint.interview.script import NO_MORE, Lines, ScriptedCandidate, load_script
from mockint.store import Log
from mockint.transcript import fold
from tests.builders import Shown, planned, session, started
from tests.conftest import StandingClock


def heard(*said: tuple[str, str]) -> tuple[str | None, float]:
    part = fold(session(*said)).parts[0]
    candidate = ScriptedCandidate({"kettle": Lines(answer="one two three", probes=("four",), took_seconds=30)})
    listening = Listening(part, 1, 1, 300, 900, "")
    found = asyncio.run(candidate.listen(listening, save=lambda text, seconds: None))
    return found.text, found.seconds


def test_place_in_the_script_follows_from_the_transcript() -> None:
    opening = ("question", "How?")
    assert heard(opening) == ("one two three", 30)
    first = (opening, ("answer", "one two three"), ("probe", "boiling: And?"))
    assert heard(*first)[0] == "four"
    assert heard(*first, ("answer", "four"), ("probe", "pouring: And?"))[0] == NO_MORE


def test_question_that_the_script_lacks_is_skipped() -> None:
    part = fold(session(("question", "How?"))).parts[0]
    listening = Listening(part, 1, 1, 300, 900, "")
    assert asyncio.run(ScriptedCandidate({}).listen(listening, save=lambda text, seconds: None)).text == "/skip"


def test_broken_script_is_told_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("hybrid-search:\n  answr: x\n  took_seconds: -1\n")
    with pytest.raises(ContentError) as caught:
        load_script(path)
    assert "did you mean 'answer'?" in caught.value.what
    assert f"{path}:3" in caught.value.what


@pytest.mark.parametrize("line", ["/help", "? how many users"])
def test_script_that_holds_a_command_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"hybrid-search:\n  answer: '{line}'\n")
    with pytest.raises(ContentError, match="is a command"):
        load_script(path)


@pytest.mark.parametrize("answer", ["Is it because of the boiling?", "help", "one\n/pause"])
def test_script_holds_answers_whatever_they_look_like(tmp_path: Path, answer: str) -> None:
    with Log(tmp_path / "s" / "events.jsonl") as log:
        candidate = ScriptedCandidate({"kettle": Lines(answer=answer)})
        room = Room(log, clock=StandingClock(), candidate=candidate, screen=Shown())
        room.begin(started(planned("kettle")))
        asyncio.run(room.run(OfflineInterviewer()))
    assert room.now.parts[0].answers[0].text == answer
    assert room.now.outcome == "completed"
