"""The only place that grades answers which mockint did not record: one JSON object a line."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from mockint.bank import Bank
from mockint.clock import Clock
from mockint.content import Frozen
from mockint.errors import ContentError, MockintError, UsageError
from mockint.events import Planned
from mockint.grade import Grade
from mockint.grading import Grader
from mockint.grading.grader import AT_ONCE, Calls, grade_parts
from mockint.grading.tally import rubric_digest
from mockint.llm import Usage, tokens
from mockint.prompts import Prompt
from mockint.rubric import TargetLevel
from mockint.store import write
from mockint.transcript import Part, Turn, grading_digest

REPLY_TOKENS = 60
"""Tokens that a verdict on one criterion takes: what an estimate rests on, beside what is sent."""


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


Key = tuple[str, ...]
"""What a grade of an answer rests on: the same key, the same grade."""


class Results:
    """The file of a batch's grades, one JSON object a line, each on the disk as soon as it is made.

    What it holds from before is not graded again while its key is the same; what was not gradable then is tried again.

    Args:
        path: the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys: set[Key] = set()
        self._file: int | None = None
        self.reused = 0
        if path is None:
            return
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._read(path)
        except OSError as exc:
            raise UsageError(f"{path} cannot be written: {exc.strerror}.", hint="Name another --out.") from exc

    @property
    def begun(self) -> bool:
        """Whether there are grades from before."""
        return bool(self._keys)

    def holds(self, key: Key) -> bool:
        held = key in self._keys
        self.reused += held
        return held

    def add(self, grade: dict[str, Any]) -> None:
        if self._file is not None:
            os.write(self._file, (json.dumps(grade, ensure_ascii=False) + "\n").encode())
            if grade.get("calls"):  # paid for
                os.fsync(self._file)

    def close(self) -> None:
        """Leaves one line for each id, the newest."""
        if self._file is None or self._path is None:
            return
        os.close(self._file)
        last = {name: number for number, (name, _) in enumerate(_lines_of(self._path))}
        write(
            self._path, (line for number, (name, line) in enumerate(_lines_of(self._path)) if last.get(name) == number)
        )

    def _read(self, path: Path) -> None:
        assert self._file is not None
        whole = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):  # a write that was cut off
                    os.ftruncate(self._file, whole)
                    break
                whole += len(line)
                with suppress(ValidationError):
                    if key := _key_of(Grade.model_validate_json(line)):
                        self._keys.add(key)


def _lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yields the id and the line of each result."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            with suppress(ValueError):
                yield str(json.loads(line).get("id")), line


def _key_of(grade: Grade) -> Key | None:
    """Returns the key of a grade; None when something of it could not be scored, since that may go better."""
    if any(verdict.state == "unscored" for answer in grade.answers for verdict in answer.verdicts):
        return None
    made = grade.stamp
    by = (made.prompt, made.grader, made.model, str(made.votes))
    return (grade.id, made.transcript, made.rubric, *by, grade.target_level)


def _key_to_be(name: str, part: Part, grader: Grader, bank: Bank, level: TargetLevel) -> Key:
    """Returns the key that the grade of an answer will have."""
    by = (grader.prompt, grader.kind, grader.model, str(grader.votes))
    return (name, grading_digest([part]), rubric_digest([part], bank.scale), *by, level)


async def grade_answers(
    lines: Iterable[str],
    source: str,
    bank: Bank,
    *,
    level: TargetLevel,
    maker: Callable[[Calls], Grader],
    clock: Clock,
    at_once: int = AT_ONCE,
    held: Callable[[Key], bool] | None = None,
) -> AsyncIterator[dict[str, Any]]:
    """Yields a grade for each line, as JSON data, as it is made; a line that cannot be graded gets `error`, with its number in
    `source`. Lines are read as there is room for them, so that no more than `at_once` are in memory.

    Args:
        held: whether a grade of this key is there already; then the line is left out.
    """
    waiting: list[asyncio.Task[dict[str, Any] | None]] = []

    async def finished(most: int) -> list[dict[str, Any]]:
        """Waits until no more than so many are under way, and returns what was made, in the order of the lines."""
        made: list[dict[str, Any]] = []
        while len(waiting) > most:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            made += [grade for task in waiting if task in done and (grade := task.result()) is not None]
            waiting[:] = [task for task in waiting if task not in done]
        return made

    try:
        for number, line in enumerate(lines, 1):
            if line.strip():
                waiting.append(asyncio.create_task(_one(source, number, line, bank, level, maker, clock, held)))
                for made in await finished(at_once - 1):
                    yield made
        while waiting:
            for made in await finished(len(waiting) - 1):
                yield made
    finally:
        for task in waiting:
            task.cancel()


async def _one(
    source: str,
    number: int,
    line: str,
    bank: Bank,
    level: TargetLevel,
    maker: Callable[[Calls], Grader],
    clock: Clock,
    held: Callable[[Key], bool] | None,
) -> dict[str, Any] | None:
    name = f"{source}:{number}"
    try:
        answer = Answer.model_validate_json(line)
        name = answer.id
        part = part_of(answer.question, answer.answer, answer.turns, bank)
        if held and held(_key_to_be(name, part, maker(Calls()), bank, level)):
            return None
        made = await grade_parts(name, [part], level=level, scale=bank.scale, grader_for=maker, clock=clock)
        return made.model_dump(mode="json")
    except ValidationError as exc:
        first = exc.errors()[0]
        message = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
        return {"id": name, "error": {"code": ContentError.exit_code, "message": f"{source}:{number}: {message}"}}
    except MockintError as exc:
        return {"id": name, "error": {"code": exc.exit_code, "message": f"{source}:{number}: {exc.what}"}}


def estimate(lines: Iterable[str], bank: Bank, prompt: Prompt) -> Usage:
    """Returns what grading these answers may take: the tokens sent, at four characters a token, those expected back, and the calls.

    A line that cannot be graded takes nothing.
    """
    total = Usage()
    for line in lines:
        with suppress(ValidationError, MockintError):
            answer = Answer.model_validate_json(line)
            part = part_of(answer.question, answer.answer, answer.turns, bank)
            sent = prompt.render(question=part.question, rubric=part.rubric, turns=part.turns)
            back = REPLY_TOKENS * len(part.rubric.criteria)
            total += Usage(prompt_tokens=tokens(text for _, text in sent), completion_tokens=back, calls=1)
    return total


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
