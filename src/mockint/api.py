"""Grading from a program: what `from mockint import …` gives, and all of it that is promised to stay.

from mockint import grade, load_bank, table

bank = load_bank()
made = grade("hybrid-search", "I would run both and merge the two lists by rank.", bank=bank)
print(made.signal, made.score)
rows = table([made])  # pandas.DataFrame(rows)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from mockint.bank import Bank
from mockint.bank import load_bank as load_folders
from mockint.batch import Said, part_of
from mockint.clock import SystemClock
from mockint.config import OFFLINE, Config, load_config
from mockint.content import near, roots
from mockint.errors import MockintError, UsageError
from mockint.files import lines
from mockint.grades import AnswerGrade, Grade, Scored
from mockint.grading.grader import grade_parts, judges, offline
from mockint.grading.judge import PROMPT
from mockint.llm import Connections
from mockint.prompts import load_prompt
from mockint.rubric import SENIORITY, TargetLevel

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One criterion of one graded answer: a line of a table."""

    id: str
    question: str
    state: str
    """Of the answer: graded, not_asked, not_answered or ungraded."""
    criterion: str | None
    """None for an answer without verdicts."""
    level: str | None
    """None when it could not be scored."""
    points: float | None
    """0 to 1; None when it could not be scored."""
    quote: str | None
    """The candidate's own words, verbatim, that it rests on."""
    prompted: str | None
    """unprompted, probe or hint."""
    why: str | None
    """The grader's reason, or why there is no verdict."""
    score: float | None
    """The answer's, 0 to 1."""
    signal: str
    """The whole grade's."""
    grader: str
    model: str


def load_bank(*content: str | Path) -> Bank:
    """Returns mockint's questions, with those of content folders of your own; a later folder's file of the same name wins.

    Raises:
        ContentError: a question is broken, or a folder is not there.
    """
    return load_folders(roots([Path(folder) for folder in content]))


def grade(
    question: str,
    answer: str | Sequence[Said],
    *,
    bank: Bank | None = None,
    model: str = OFFLINE,
    level: TargetLevel = "mid",
    votes: int = 1,
    name: str = "answer",
    config: Path | None = None,
) -> Grade:
    """Grades one answer, or a conversation about one question. Works in a notebook too, where an event loop runs already.

    Args:
        question: its id in the bank.
        answer: the candidate's words; or the turns, as `Said(role=…, text=…)`, of which the interviewer has the first.
        bank: by default mockint's own, read anew each time.
        model: `offline`, or PROVIDER/MODEL; providers and keys come from `config`, else from where the command line looks.
        level: the target level that it is held to.
        votes: how often a model is asked.
        name: the grade's id.

    Raises:
        UsageError: there is no such question, or no such level.
        ContentError: the answer is empty, the rubric is broken, or the model's key is missing.

    A model that fails raises nothing: the criteria that it left are `Unscored`, with the reason.
    """
    work = grade_async(question, answer, bank=bank, model=model, level=level, votes=votes, name=name, config=config)
    return _done(work)


async def grade_async(
    question: str,
    answer: str | Sequence[Said],
    *,
    bank: Bank | None = None,
    model: str = OFFLINE,
    level: TargetLevel = "mid",
    votes: int = 1,
    name: str = "answer",
    config: Path | None = None,
) -> Grade:
    """As `grade`, for a service that has an event loop."""
    if level not in SENIORITY:
        raise UsageError(
            f"There is no level {level!r}{near(level, SENIORITY)}", hint=f"Give one of {', '.join(SENIORITY)}."
        )
    bank = bank or load_bank()
    whole = isinstance(answer, str)
    part = part_of(question, answer if whole else None, None if whole else answer, bank)  # type: ignore[arg-type]
    settings, clock = load_config(file=config, flags={"models": {"grader": model}}), SystemClock()
    connections = Connections(settings, clock)
    maker = _maker(settings, connections, model, votes)
    work = grade_parts(name, [part], level=level, scale=bank.scale, grader_for=maker, clock=clock)
    return await connections.closing(work)


def _maker(settings: Config, connections: Connections, model: str, votes: int) -> Any:
    if model == OFFLINE:
        return offline
    connections.connect(model)
    prompt = load_prompt(settings.folders, PROMPT)

    def recorder(keep: Any) -> Any:
        return connections.recorder(model, role="grader", keep=keep)

    return judges(recorder, prompt, votes=votes)


def read_grades(place: str | Path) -> Iterator[Grade]:
    """Yields the grades of a file that `mockint grade --out` wrote, as they are read; lines that say what could not be graded are left out.

    Raises:
        UsageError: the file cannot be read.
    """
    for line in lines(place):
        if line.strip() and "error" not in json.loads(line):
            yield Grade.model_validate_json(line)


def table(grades: Iterable[Grade]) -> list[dict[str, Any]]:
    """Returns a row for each criterion of each grade, as `Row` has them: `pandas.DataFrame(table(grades))`."""
    return [asdict(row) for made in grades for answer in made.answers for row in _rows(made, answer)]


def _rows(made: Grade, answer: AnswerGrade) -> Iterator[Row]:
    about: dict[str, Any] = {"id": made.id, "question": answer.question, "state": answer.state, "score": answer.score}
    by: dict[str, Any] = {"signal": made.signal, "grader": made.stamp.grader, "model": made.stamp.model}
    if not answer.verdicts:
        yield Row(**about, **by, criterion=None, level=None, points=None, quote=None, prompted=None, why=answer.why)
    for verdict in answer.verdicts:
        evidence = verdict.evidence[0] if verdict.evidence else None
        yield Row(
            **about,
            **by,
            criterion=verdict.criterion,
            level=verdict.level,
            points=verdict.points,
            quote=evidence.quote if evidence else None,
            prompted=evidence.prompted if evidence else None,
            why=verdict.reason if isinstance(verdict, Scored) else verdict.why,
        )


def _done(work: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end, in a thread of its own where an event loop runs in this one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


__all__ = ["Grade", "MockintError", "Row", "Said", "grade", "grade_async", "load_bank", "read_grades", "table"]
