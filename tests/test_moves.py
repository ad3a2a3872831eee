from __future__ import annotations

from typing import Any

from mockint.events import SessionFinished, Skipped
from mockint.interview.moves import Ask, Finish, Listen, Probe, React, Reading, follow_up, next_move
from mockint.transcript import Transcript, fold
from tests.builders import AT, planned, session, started

ALL = dict.fromkeys(("boiling", "pouring", "holding", "cleaning"), "shown")


def after_answer(*, t: float = 30, **changes: Any) -> Transcript:
    return fold(session(("question", "How?"), ("answer", "So.", t), **changes))


def probe_for(now: Transcript, reading: Reading) -> Probe | None:
    return follow_up(now, now.parts[0], reading)


def test_session_opens_with_its_first_question() -> None:
    assert isinstance(next_move(fold([started()])), Ask)


def test_word_is_with_the_candidate_after_a_question_and_with_the_interviewer_after_an_answer() -> None:
    assert isinstance(next_move(fold(session(("question", "How?")))), Listen)
    assert isinstance(next_move(after_answer()), React)


def test_missing_criterion_of_most_weight_is_probed_first() -> None:
    reading = Reading({"boiling": "shown", "pouring": "partial", "holding": "absent", "cleaning": "shown"})
    assert probe_for(after_answer(), reading) == Probe("holding", "missing")


def test_touched_criterion_is_deepened_when_none_is_missing() -> None:
    assert probe_for(after_answer(), Reading({**ALL, "pouring": "partial"})) == Probe("pouring", "deepen")  # type: ignore[dict-item]


def test_wrong_claim_is_challenged_first_and_once() -> None:
    assert probe_for(after_answer(), Reading({}, ("cold",))) == Probe("cold", "challenge")


def test_nothing_is_asked_when_all_is_shown() -> None:
    assert probe_for(after_answer(), Reading(ALL)) is None  # type: ignore[arg-type]


def test_candidate_who_gives_up_is_left_in_peace() -> None:
    assert probe_for(after_answer(), Reading({}, gave_up=True)) is None


def test_no_probe_when_the_time_of_the_question_is_spent() -> None:
    assert probe_for(after_answer(t=271), Reading({})) is None
    assert probe_for(after_answer(t=200), Reading({})) is not None


def test_probes_are_counted_and_never_about_the_same_thing() -> None:
    said = [("question", "How?"), ("answer", "So.", 9), ("probe", "boiling: And?"), ("answer", "Well.", 12)]
    now = fold(session(*said))  # type: ignore[arg-type]
    assert follow_up(now, now.parts[0], Reading({})) == Probe("pouring", "missing")
    now = fold(session(*said, probes=1))  # type: ignore[arg-type]
    assert follow_up(now, now.parts[0], Reading({})) is None


def test_session_ends_completed_or_expired() -> None:
    skipped = Skipped(seq=3, at=AT, t=5, question="kettle")
    assert next_move(fold([*session(("question", "How?")), skipped])) == Finish("completed")
    events = session(("question", "How?"), minutes=1)
    events[0] = started(planned("kettle"), planned("pot"), minutes=1)
    late = Skipped(seq=3, at=AT, t=61, question="kettle")
    assert next_move(fold([*events, late])) == Finish("expired")
    done = SessionFinished(seq=4, at=AT, t=61, outcome="expired")
    assert fold([*events, late, done]).outcome == "expired"
