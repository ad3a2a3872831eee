"""The loop of an interview, played by a candidate who says what the test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mockint.events import AnswerGiven, ClarificationGiven, HintGiven
from mockint.interview.interviewers import OfflineInterviewer, Spoken
from mockint.interview.moves import Probe, Reading
from mockint.interview.room import STANDS_IN, Heard, Interrupted, Left, Listening, Room, SaveDraft, clock_time
from mockint.llm import OnText
from mockint.store import Log, read_log
from mockint.transcript import Part, Transcript, TurnKind
from tests.builders import planned, started
from tests.conftest import StandingClock

T = TypeVar("T")
PRICE = "(From here on, what you say on this question earns 40% of its points.) "


@dataclass
class Says:
    """Says one thing after the other, each after ten seconds; None leaves the room."""

    lines: list[str | None]
    heard: list[Listening] = field(default_factory=list)
    ratings: list[int | None] = field(default_factory=list)

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        self.heard.append(listening)
        line = self.lines.pop(0) if self.lines else "/quit"
        if line is None:
            save("half a thou", 5.0)
            raise Left
        return Heard(line, 10.0)

    async def rate(self, part: Part) -> int | None:
        return self.ratings.pop(0)


@dataclass
class Written:
    """A screen that keeps what it showed, and checks that what was said is on the disk by then."""

    log: Log
    shown: list[str] = field(default_factory=list)

    def turn(self, kind: TurnKind, text: str, *, heading: str = "") -> None:
        assert text.removeprefix(PRICE) in (self.log.path.read_text() + self.log.events[0].model_dump_json())
        self.shown.append(text)

    def piece(self, text: str) -> None:
        raise AssertionError("nothing is streamed offline")

    def note(self, text: str) -> None:
        self.shown.append(text)

    def hide(self) -> None:
        self.shown.append("(hidden)")

    async def attend(self, work: Coroutine[Any, Any, T]) -> T:
        return await work


def interview(path: Path, *lines: str | None, **changes: Any) -> tuple[Transcript, Written, Says]:
    with Log(path) as log:
        candidate, screen = Says(list(lines)), Written(log)
        room = Room(log, clock=StandingClock(), candidate=candidate, screen=screen)
        if not log.events:
            room.begin(started(*(planned(name) for name in ("kettle", "pot")), **changes))
        asyncio.run(room.run(OfflineInterviewer()))
        return room.now, screen, candidate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s" / "events.jsonl"


def test_whole_interview_is_asked_probed_and_completed(path: Path) -> None:
    now, screen, _ = interview(path, "Well.", "Hm.", "Yes.", "So.", "And so.", "Yes.")
    assert now.outcome == "completed"
    assert [len(part.probes) for part in now.parts] == [2, 2]
    assert [part.answered for part in now.parts] == [True, True]
    assert screen.shown[0] == "How would you build a kettle?"


def test_clock_counts_only_what_was_listened_to(path: Path) -> None:
    now, _, candidate = interview(path, "I don't know", "/pause", "", "/time", "I don't know")
    assert now.t == 40  # four times ten seconds; the pause is free
    assert [heard.paused for heard in candidate.heard] == [False, False, True, False, False]


def test_hint_says_its_price_and_marks_what_follows(path: Path) -> None:
    now, screen, _ = interview(path, "/hint", "/hint", "/hint", "I don't know")
    assert f"{PRICE}Think of heat." in screen.shown
    assert "There is no further hint for this question." in screen.shown
    assert now.parts[0].hints == 2
    assert [type(event) for event in read_log(path).events].count(HintGiven) == 2


def test_clarifying_question_gets_its_fact_and_is_in_the_transcript(path: Path) -> None:
    now, _, _ = interview(path, "? how many users are there", "I don't know")
    asked = [turn for turn in now.parts[0].turns if turn.kind in ("asked", "clarification")]
    assert [turn.text for turn in asked] == ["how many users are there", "About a thousand users."]
    assert sum(isinstance(event, ClarificationGiven) for event in read_log(path).events) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("/help", "/skip", id="help"),
        pytest.param("/time", "Left for this question: 4:50. Left in the session: 29:50.", id="time"),
        pytest.param("/nonsense", "There is no command /nonsense. See /help.", id="no such command"),
        pytest.param("  ", "Nothing was said.", id="nothing"),
        pytest.param("?", "Ask the interviewer something after it", id="a question mark alone"),
        pytest.param("Help", "Did you mean /help?", id="a command without its stroke"),
        pytest.param("/TIME please", "Left for this question: 4:50.", id="a command and more"),
        pytest.param("How many users are there?", "About a thousand users.", id="a question and nothing else"),
        pytest.param("/repeat", "How would you build a kettle?", id="repeat"),
    ],
)
def test_command_is_no_answer(path: Path, line: str, told: str) -> None:
    now, screen, _ = interview(path, line, "/quit")
    assert any(told in shown for shown in screen.shown[1:]), screen.shown
    assert not now.parts[0].answered


def test_path_that_begins_with_a_slash_is_an_answer(path: Path) -> None:
    now, _, _ = interview(path, "/etc/hosts would list it, I think.", "/quit")
    assert now.parts[0].answered


def test_skip_goes_on_and_quit_ends_with_what_there_is(path: Path) -> None:
    now, _, _ = interview(path, "/skip", "Well.", "/quit")
    assert now.outcome == "quit"
    assert (now.parts[0].skipped, now.parts[1].answered) == (True, True)


def test_session_whose_time_is_up_asks_nothing_more(path: Path) -> None:
    now, _, _ = interview(path, *["Well, so."] * 6, minutes=1)
    assert now.outcome == "completed"
    late, _, _ = interview(path.parent.parent / "other" / "events.jsonl", *["/time"] * 6, "I don't know", minutes=1)
    assert (late.outcome, late.parts[1].asked) == ("expired", False)
    assert late.parts[0].late


def test_candidate_who_leaves_comes_back_to_the_same_question_with_the_draft(path: Path) -> None:
    with pytest.raises(Left):
        interview(path, "Well.", None)
    now, screen, candidate = interview(path, "Because of boiling.", "/quit")
    assert screen.shown[0] == "How would you build a kettle?"
    assert candidate.heard[0].draft == "half a thou"
    assert candidate.heard[0].question_seconds_left == 300 - 15
    assert [event.text for event in read_log(path).events if isinstance(event, AnswerGiven)] == [
        "Well.",
        "Because of boiling.",
    ]
    assert now.outcome == "quit"


@pytest.mark.parametrize(("seconds", "told"), [(245, "4:05"), (0.4, "0:00"), (-0.4, "0:00"), (-30, "−0:30")])
def test_clock_time(seconds: float, told: str) -> None:
    assert clock_time(seconds) == told


def test_pause_hides_the_question_and_leaves_no_draft(path: Path) -> None:
    _, screen, candidate = interview(path, "/pause", "", "/quit")
    assert "(hidden)" in screen.shown
    assert screen.shown[screen.shown.index("(hidden)") :].count("How would you build a kettle?") == 1
    assert [heard.draft for heard in candidate.heard] == ["", "", ""]


def test_what_is_said_during_a_pause_ends_it_and_counts(path: Path) -> None:
    now, _, _ = interview(path, "/pause", "Because of boiling.", "/quit")
    assert [turn.text for turn in now.parts[0].answers] == ["Because of boiling."]
    assert now.t == 20  # the pause itself was free


def test_byte_that_is_no_text_loses_no_answer(path: Path) -> None:
    now, _, _ = interview(path, "caf\udce9 is my answer", "/quit")
    assert [turn.text for turn in now.parts[0].answers] == ["caf? is my answer"]


def test_repeat_shows_what_was_asked_since_the_last_answer(path: Path) -> None:
    _, screen, _ = interview(path, "Well.", "/hint", "/repeat", "/quit")
    probe = screen.shown[1]
    assert screen.shown[-4:-1] == ["How would you build a kettle?", probe, "Think of heat."]
    assert screen.shown[-1] == "The interview ends here."


def test_command_is_never_saved_as_a_draft(path: Path) -> None:
    @dataclass
    class Slow(Says):
        async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
            if self.lines:
                save(self.lines[0] or "", 3.0)
            return await super().listen(listening, save=save)

    with Log(path) as log:
        candidate = Slow(["/hint", "/pause", "", "/time", "half an answer", "/quit"])
        room = Room(log, clock=StandingClock(), candidate=candidate, screen=Written(log))
        room.begin(started(planned()))
        asyncio.run(room.run(OfflineInterviewer()))
    assert [heard.draft for heard in candidate.heard] == [""] * 6


def test_interview_is_closed_as_a_person_would(path: Path) -> None:
    _, screen, _ = interview(path, "I don't know", "I don't know")
    assert screen.shown[-1] == "That was the last question. Thank you; the interview ends here."


def test_ratings_are_asked_for_each_answer_before_the_end(path: Path) -> None:
    with Log(path) as log:
        candidate = Says(["Well.", "Hm.", "Yes.", "/skip"], ratings=[4])
        room = Room(log, clock=StandingClock(), candidate=candidate, screen=Written(log))
        room.begin(started(planned("kettle"), planned("pot"), self_rate=True))
        asyncio.run(room.run(OfflineInterviewer()))
    assert [part.rating for part in room.now.parts] == [4, None], "nobody rates what they did not answer"
    assert [event.kind for event in read_log(path).events[-2:]] == ["self_rated", "session_finished"]


@pytest.mark.parametrize(
    ("typed", "answered"), [("Half a sen", True), ("", False), ("/ski", False), ("? how ma", False)]
)
def test_what_stands_when_the_clock_cuts_in_is_the_answer_unless_it_is_a_command(
    path: Path, typed: str, answered: bool
) -> None:
    class Cut(Says):
        async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
            assert listening.strict
            assert listening.seconds_left == listening.question_seconds_left
            return Heard(typed, listening.seconds_left, cut=True)

    with Log(path) as log:
        room = Room(log, clock=StandingClock(), candidate=Cut([]), screen=Written(log))
        room.begin(started(planned("kettle"), strict_time=True))
        asyncio.run(room.run(OfflineInterviewer()))
    part = room.now.parts[0]
    assert (part.answered, part.skipped, part.late) == (answered, not answered, False)
    assert room.now.outcome == "completed"


def test_interviewer_that_is_not_waited_for_is_stood_in_for(path: Path) -> None:
    class Impatient(Written):
        async def attend(self, work: Coroutine[Any, Any, T]) -> T:
            work.close()
            raise Interrupted

    with Log(path) as log:
        screen = Impatient(log)
        room = Room(log, clock=StandingClock(), candidate=Says(["Well.", None]), screen=screen)
        room.begin(started(planned("kettle")))
        with pytest.raises(Left):
            asyncio.run(room.run(OfflineInterviewer()))
    probe = room.now.parts[0].turns[-1]
    assert probe.kind == "probe"
    assert probe.text in screen.shown
    assert any(event.kind == "probe_asked" and event.authored for event in read_log(path).events)
    assert screen.shown.count(STANDS_IN) == 1


class Calls(OfflineInterviewer):
    """Notes what it is asked to do; its reading is not waited for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def read(self, part: Part) -> Reading:
        self.asked.append("read")
        raise Interrupted

    async def probe(self, part: Part, probe: Probe, *, show: OnText) -> Spoken:
        self.asked.append("probe")
        return Spoken("Words of a model.")


def test_interviewer_whose_reading_was_stopped_is_not_asked_again_in_that_turn(path: Path) -> None:
    with Log(path) as log:
        screen, interviewer = Written(log), Calls()
        room = Room(log, clock=StandingClock(), candidate=Says(["Well.", "Hm.", None]), screen=screen)
        room.begin(started(planned("kettle")))
        with pytest.raises(Left):
            asyncio.run(room.run(interviewer))
    assert interviewer.asked == ["read", "read"], "one call in each of two turns"
    probes = [event for event in read_log(path).events if event.kind == "probe_asked"]
    assert [probe.authored for probe in probes] == [True, True]
    assert "Words of a model." not in screen.shown


class Dies(OfflineInterviewer):
    async def read(self, part: Part) -> Reading:
        raise ConnectionError("the server is gone")


def leaves_off(path: Path, *lines: str | None, typed: str = "") -> None:
    """Plays until the interviewer dies over an answer; what was typed ahead by then is kept."""
    with Log(path) as log:
        room = Room(log, clock=StandingClock(), candidate=Says(list(lines)), screen=Written(log))
        if not log.events:
            room.begin(started(planned("kettle"), planned("pot")))
        with pytest.raises((ConnectionError, Left)):
            asyncio.run(room.run(Dies()))
        room.keep_unread(typed)


def test_session_that_broke_off_after_an_answer_shows_the_question_and_the_answer_first(path: Path) -> None:
    leaves_off(path, "Well.")
    _, screen, _ = interview(path, "/quit")
    asked = next(event.text for event in read_log(path).events if event.kind == "probe_asked")
    assert screen.shown[:3] == ["How would you build a kettle?", "Well.", asked]


def test_what_was_typed_ahead_is_the_draft_of_the_answer_that_is_due(path: Path) -> None:
    leaves_off(path, "Well.", typed="And because\nof boi\n")
    now, _, candidate = interview(path, "And because of boiling.", "/quit")
    assert candidate.heard[0].draft == "And because\nof boi"
    assert now.t == 10 + 10 + 10, "typing ahead takes no time"


def test_what_was_typed_ahead_goes_below_the_draft_that_stands(path: Path) -> None:
    leaves_off(path, None, typed="more")
    _, _, candidate = interview(path, "/quit")
    assert candidate.heard[0].draft == "half a thou\nmore"


def test_what_was_typed_ahead_during_a_pause_goes_below_the_draft_once(path: Path) -> None:
    class Pauses(Says):
        async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
            if listening.paused:
                raise Left
            return Heard("half a thou\n/pause", 1.0)

    with Log(path) as log:
        room = Room(log, clock=StandingClock(), candidate=Pauses([]), screen=Written(log))
        room.begin(started(planned("kettle")))
        with pytest.raises(Left):
            asyncio.run(room.run(OfflineInterviewer()))
        assert room.now.paused
        room.keep_unread("more")
        assert room.now.draft == "half a thou\nmore"


@pytest.mark.parametrize("typed", ["", " \n", "/skip\n"], ids=["nothing", "blank", "a command"])
def test_nothing_and_a_command_that_were_typed_ahead_are_no_draft(path: Path, typed: str) -> None:
    leaves_off(path, "Well.", typed=typed)
    assert not any(event.kind == "draft_saved" for event in read_log(path).events)


def test_what_is_typed_when_no_question_is_open_is_written_nowhere(path: Path) -> None:
    with Log(path) as log:
        room = Room(log, clock=StandingClock(), candidate=Says(["/quit"]), screen=Written(log))
        room.begin(started(planned("kettle")))
        room.keep_unread("too early")
        asyncio.run(room.run(OfflineInterviewer()))
        room.keep_unread("too late")
    assert "too " not in path.read_text()


def test_time_that_was_listened_counts_when_the_candidate_leaves(path: Path) -> None:
    class Leaves(Says):
        async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
            raise Left(25.0)

    with Log(path) as log:
        room = Room(log, clock=StandingClock(), candidate=Leaves([]), screen=Written(log))
        room.begin(started(planned("kettle")))
        with pytest.raises(Left):
            asyncio.run(room.run(OfflineInterviewer()))
    assert room.now.t == 25


def test_rating_at_the_end_adds_no_time_to_its_question(path: Path) -> None:
    with Log(path) as log:
        candidate = Says(["I don't know", "I don't know"], ratings=[1, 2])
        room = Room(log, clock=StandingClock(), candidate=candidate, screen=Written(log))
        room.begin(started(planned("kettle"), planned("pot"), self_rate=True))
        asyncio.run(room.run(OfflineInterviewer()))
    assert [part.seconds for part in room.now.parts] == [10, 10]
    assert [part.rating for part in room.now.parts] == [1, 2]
