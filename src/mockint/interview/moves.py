"""The only place that decides what the interviewer does next: pure decisions over the transcript and a reading of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mockint.events import Outcome, ProbeKind
from mockint.transcript import Part, Transcript

Mark = Literal["absent", "partial", "shown"]

GAP: dict[Mark, float] = {"absent": 1.0, "partial": 0.5, "shown": 0.0}
NO_PROBE_AFTER = 0.9
"""Share of a question's budget after which nothing more is asked about it."""


@dataclass(frozen=True)
class Reading:
    """What an interviewer makes of the answers to one question so far."""

    marks: Mapping[str, Mark]
    """By criterion; one that is not there is absent."""
    wrong: tuple[str, ...] = ()
    """Red flags that the candidate's words raise."""
    gave_up: bool = False


@dataclass(frozen=True)
class Listen:
    part: Part


@dataclass(frozen=True)
class React:
    """The candidate has answered: read the answer, then see `follow_up`."""

    part: Part


@dataclass(frozen=True)
class Ask:
    part: Part


@dataclass(frozen=True)
class Probe:
    about: str
    kind: ProbeKind


@dataclass(frozen=True)
class Finish:
    outcome: Outcome


def next_move(now: Transcript) -> Listen | React | Ask | Finish:
    """Returns what is next, before the last answer (if it was one) has been read."""
    part = now.part
    if part and now.awaits_answer:
        return Listen(part)
    if part and not part.skipped and part.answered and part.turns[-1].kind == "answer":
        return React(part)
    return after(now)


def after(now: Transcript) -> Ask | Finish:
    """Returns what is next when nothing more is to be said about the current question."""
    waiting = next((part for part in now.parts if not part.asked), None)
    if waiting is None:
        return Finish("completed")
    return Finish("expired") if now.t >= now.budget_seconds else Ask(waiting)


def follow_up(now: Transcript, part: Part, reading: Reading) -> Probe | None:
    """Returns the probe that is worth most, or None when it is time to move on.

    A wrong claim is challenged first, once a question. Then the criterion with the widest gap, by its weight, among those that
    the target level expects; each criterion is probed once.
    """
    started = now.started
    spent = part.seconds >= NO_PROBE_AFTER * part.budget_seconds or now.t >= now.budget_seconds
    if reading.gave_up or spent or len(part.probes) >= started.probes:
        return None
    probed = {turn.about for turn in part.probes}
    if reading.wrong and not any(turn.probe == "challenge" for turn in part.probes):
        return Probe(reading.wrong[0], "challenge")
    gaps = [
        (criterion.weight * GAP[reading.marks.get(criterion.id, "absent")], criterion.id)
        for criterion in part.rubric.expected(started.level)
        if criterion.id not in probed
    ]
    widest, about = max(gaps, key=lambda gap: gap[0], default=(0.0, ""))
    if not widest:
        return None
    return Probe(about, "missing" if reading.marks.get(about, "absent") == "absent" else "deepen")
