from __future__ import annotations

import pytest

from mockint.events import DraftSaved, Event, SessionFinished, Skipped
from mockint.transcript import fold
from tests.builders import AT, planned, session, started


def test_turns_are_numbered_and_keep_their_words() -> None:
    part = fold(session(("question", "How?"), ("answer", "So.", 40))).parts[0]
    assert [(turn.number, turn.speaker, turn.text) for turn in part.turns] == [
        (1, "interviewer", "How?"),
        (2, "candidate", "So."),
    ]
    assert part.seconds == 40


def test_late_answer_is_kept_and_marked() -> None:
    part = fold(session(("question", "How?"), ("answer", "At last.", 301))).parts[0]
    assert part.answers[0].text == "At last."
    assert part.late


def test_answer_on_the_dot_is_not_late() -> None:
    assert not fold(session(("question", "How?"), ("answer", "Just.", 300))).parts[0].late


def test_answer_after_the_session_is_late() -> None:
    events = session(("question", "How?", 0), ("answer", "Late.", 61), minutes=1)
    assert fold(events).parts[0].late


def test_draft_is_there_until_it_is_sent() -> None:
    events = session(("question", "How?"))
    events.append(DraftSaved(seq=3, at=AT, t=7, question="kettle", text="half a th"))
    assert fold(events).draft == "half a th"
    assert fold(events).t == 7


def test_skipped_question_is_asked_and_not_answered() -> None:
    events = [*session(("question", "How?")), Skipped(seq=3, at=AT, t=3, question="kettle")]
    part = fold(events).parts[0]
    assert part.asked
    assert not part.answered
    assert not fold(events).awaits_answer


def test_question_not_reached_is_not_asked() -> None:
    events: list[Event] = [
        started(planned("kettle"), planned("pot")),
        SessionFinished(seq=2, at=AT, t=0, outcome="quit"),
    ]
    assert [part.asked for part in fold(events).parts] == [False, False]


def test_log_must_begin_with_its_start() -> None:
    with pytest.raises(TypeError):
        fold(session(("question", "How?"))[1:])
