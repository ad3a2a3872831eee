"""Grades whole interviews: asks a grader about each question that was answered, tallies, and stamps the result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mockint import __version__
from mockint.clock import Clock
from mockint.content import digest
from mockint.errors import SessionError
from mockint.grades import Grade, Stamp
from mockint.grading import Grader
from mockint.grading.judge import Judge
from mockint.grading.offline import OfflineGrader
from mockint.grading.tally import rubric_digest, signal, tally, total
from mockint.llm import Exchange, Model, Recorder, Usage
from mockint.llm.recorded import RecordedAdapter
from mockint.prompts import Prompt
from mockint.rubric import Scale, TargetLevel
from mockint.transcript import Part, grading_digest

AT_ONCE = 4
"""Questions of one interview that are graded at the same time."""


@dataclass
class Calls:
    """The exchanges of a grading, in the order of the questions, whatever order the replies came in."""

    exchanges: list[Exchange] = field(default_factory=list)


async def grade_parts(
    name: str,
    parts: Sequence[Part],
    *,
    level: TargetLevel,
    scale: Scale,
    grader_for: Callable[[Calls], Grader],
    clock: Clock,
    events: int | None = None,
    log_hash: str | None = None,
    at: datetime | None = None,
    gate: asyncio.Semaphore | None = None,
    done: Callable[[], None] = lambda: None,
) -> Grade:
    """Returns the grade of an interview, or of one answer from elsewhere.

    Args:
        name: the session's id, or the answer's.
        grader_for: makes a grader that keeps its exchanges in the given place; called once a question.
        events: how many events of the log were read; None without a log.
        log_hash: the hash of those events; by default the hash of what was said.
        at: when the grade says that it was made; by default now.
        gate: lets through each answer that is graded; by default `AT_ONCE` of these at a time.
        done: called after each question.
    """
    kept = [Calls() for _ in parts]
    graders = [grader_for(calls) for calls in kept]
    gated = gate or asyncio.Semaphore(AT_ONCE)

    async def one(part: Part, grader: Grader) -> object:
        async with gated:
            opinion = await grader.opinion(part) if part.answered else None
        done()
        return opinion

    opinions = await asyncio.gather(*(one(part, grader) for part, grader in zip(parts, graders, strict=True)))
    answers = tuple(tally(p, o, level=level, scale=scale) for p, o in zip(parts, opinions, strict=True))  # type: ignore[arg-type]
    exchanges = tuple(exchange for calls in kept for exchange in calls.exchanges)
    reached, coverage = total(answers)
    return Grade(
        id=name,
        stamp=Stamp(
            transcript=log_hash or grading_digest(parts),
            rubric=rubric_digest(parts, scale),
            prompt=graders[0].prompt,
            grader=graders[0].kind,
            model=graders[0].model,
            votes=graders[0].votes,
            app=__version__,
            at=at or clock.now(),
            events=events,
            replies=replies_digest(exchanges) if exchanges else None,
        ),
        target_level=level,
        signal=signal(answers, {part.question.id: part.rubric for part in parts}, scale=scale),
        score=reached,
        coverage=coverage,
        answers=answers,
        usage=sum((exchange.usage for exchange in exchanges), Usage()),
        calls=exchanges,
    )


def judges(
    recorder: Callable[[Callable[[Exchange], None]], Recorder], prompt: Prompt, *, votes: int = 1
) -> Callable[[Calls], Grader]:
    """Returns what makes a judge; `recorder` makes its model, given where the exchanges are kept."""
    return lambda calls: Judge(recorder(calls.exchanges.append), prompt, votes=votes)


def offline(_: Calls) -> Grader:
    return OfflineGrader()


def replies_digest(exchanges: Sequence[Exchange]) -> str:
    return digest([exchange.model_dump(mode="json") for exchange in exchanges])


def regrader(grade: Grade, *, prompt: Prompt, clock: Clock) -> Callable[[Calls], Grader]:
    """Returns what makes the grade again from its own recorded replies, without a network.

    Raises:
        SessionError: the replies, or the prompt, are not those that the stamp names.
    """
    if grade.stamp.grader == "offline":
        return offline
    if replies_digest(grade.calls) != grade.stamp.replies:
        raise SessionError(
            f"A recorded reply of the grade of {grade.id!r} was altered.", hint="Grade the session again."
        )
    if prompt.digest != grade.stamp.prompt:
        raise SessionError(
            "The judge's prompt has changed since the grade was made.",
            hint="Verify with the version of mockint that made it, or grade the session again.",
        )
    model = Model(RecordedAdapter(grade.calls, name=grade.stamp.model), clock, tries=1)
    return judges(lambda keep: Recorder(model, role="grader", keep=keep), prompt, votes=grade.stamp.votes)


def differences(before: Grade, after: Grade) -> list[str]:
    """Returns in words what is not the same in two grades that should be; nothing about when they were made."""
    told = []
    for name in ("transcript", "rubric", "prompt", "grader", "model"):
        old, new = getattr(before.stamp, name), getattr(after.stamp, name)
        if old != new:
            told.append(f"{name}: {old} was stamped, and {new} is there now")
    for old_answer, new_answer in zip(before.answers, after.answers, strict=False):
        if old_answer == new_answer:
            continue
        new_verdicts = {verdict.criterion: verdict for verdict in new_answer.verdicts}
        moved = [v.criterion for v in old_answer.verdicts if new_verdicts.get(v.criterion) != v]
        told.append(f"{old_answer.question}: {', '.join(moved) or 'its score, state or red flags'} came out otherwise")
    for name in ("target_level", "signal", "score", "coverage", "usage"):
        if getattr(before, name) != getattr(after, name):
            told.append(f"{name}: {getattr(before, name)} was written, and {getattr(after, name)} comes out")
    if len(before.answers) != len(after.answers):
        told.append(f"{len(before.answers)} questions were graded, and the session has {len(after.answers)}")
    return told
