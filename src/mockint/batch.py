"""The only place that grades answers which mockint did not record: one JSON object a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from mockint.bank import Bank
from mockint.clock import Clock
from mockint.content import Frozen
from mockint.errors import ContentError, MockintError, UsageError
from mockint.events import Planned
from mockint.grading import Grader
from mockint.grading.grader import Calls, grade_parts
from mockint.rubric import TargetLevel
from mockint.transcript import Part, Turn


class Said(Frozen):
    role: Literal["interviewer", "candidate"]
    text: str


class Answer(Frozen):
    """One line of an answers file."""

    id: str
    question: str
    answer: str | None = None
    turns: tuple[Said, ...] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.answer is None) == (self.turns is None):
            raise ValueError("give either an answer or turns")
        return self


def read_lines(path: Path) -> list[str]:
    """Raises UsageError when the file cannot be read."""
    return read_text(path).split("\n")  # not splitlines: a line separator inside a JSON string ends no line


def read_text(path: Path) -> str:
    """Raises UsageError when the file cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}", hint="Give a JSON-lines file, in UTF-8.") from exc


async def grade_answers(
    lines: Sequence[str],
    source: str,
    bank: Bank,
    *,
    level: TargetLevel,
    maker: Callable[[Calls], Grader],
    clock: Clock,
) -> list[dict[str, Any]]:
    """Returns a grade for each line, as JSON data; a line that cannot be graded gets `error`, with its number in `source`."""
    return [
        await _one(source, number, line, bank, level, maker, clock)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


async def _one(
    source: str, number: int, line: str, bank: Bank, level: TargetLevel, maker: Callable[[Calls], Grader], clock: Clock
) -> dict[str, Any]:
    name = f"{source}:{number}"
    try:
        answer = Answer.model_validate_json(line)
        name = answer.id
        part = part_of(answer.question, answer.answer, answer.turns, bank)
        made = await grade_parts(name, [part], level=level, scale=bank.scale, grader_for=maker, clock=clock)
        return made.model_dump(mode="json")
    except ValidationError as exc:
        first = exc.errors()[0]
        message = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
        return {"id": name, "error": {"code": ContentError.exit_code, "message": f"{source}:{number}: {message}"}}
    except MockintError as exc:
        return {"id": name, "error": {"code": exc.exit_code, "message": f"{source}:{number}: {exc.what}"}}


def part_of(name: str, answer: str | None, said_turns: Sequence[Said] | None, bank: Bank) -> Part:
    """Returns an answer, or a conversation, as if it had been given here.

    Raises:
        UsageError: there is no such question.
        ContentError: the candidate says nothing.
    """
    question = bank.question(name)
    planned = Planned.of(question, bank.rubric(question))
    if said_turns is None:
        turns = [Turn(1, "interviewer", "question", question.ask), Turn(2, "candidate", "answer", answer or "")]
    else:
        turns = []
        for number, said in enumerate(said_turns, 1):
            kind = "answer" if said.role == "candidate" else "probe" if turns else "question"
            turns.append(Turn(number, said.role, kind, said.text))  # type: ignore[arg-type]
    if not any(turn.text.strip() for turn in turns if turn.speaker == "candidate"):
        raise ContentError("the answer is empty", hint="Give the candidate's words.")
    return Part(question, planned.rubric, planned.rubric_hash, tuple(turns), began=0.0)
