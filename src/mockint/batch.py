"""The only place that grades answers which mockint did not record: one JSON object a line, as many as there are.

Lines are read as there is room for them, and what is known of the grades lies on the disk (`results`): memory does not grow with their
number. Who does the grading is an `Engine`'s matter: this process, others of this machine, or a cluster (`workers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import ValidationError, model_validator

from mockint.bank import Bank
from mockint.clock import Clock
from mockint.content import Frozen
from mockint.errors import ContentError, MockintError, UsageError
from mockint.events import Planned
from mockint.grading import Grader
from mockint.grading.grader import AT_ONCE, Calls, grade_parts
from mockint.grading.tally import rubric_digest
from mockint.llm import Usage, tokens
from mockint.prompts import Prompt
from mockint.results import Line, Memory, Results, key_of
from mockint.rubric import Scale, TargetLevel
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


class Questions:
    """A bank's questions with their rubrics, each read and hashed once. A whole copy can be sent to another process."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._known: dict[str, Planned] = {}
        self._digests: dict[str, str] = {}

    def planned(self, name: str) -> Planned:
        """Raises UsageError when there is no such question, ContentError when its rubric is broken."""
        if name not in self._known:
            question = self._bank.question(name)
            self._known[name] = Planned.of(question, self._bank.rubric(question))
        return self._known[name]

    def rubric_digest(self, part: Part) -> str:
        """Returns the hash of all that the points of this one question's grade rest on."""
        name = part.question.id
        if name not in self._digests:
            self._digests[name] = rubric_digest([part], self.scale)
        return self._digests[name]

    @property
    def scale(self) -> Scale:
        return self._bank.scale

    def read_all(self) -> Self:
        """Reads every rubric that can be read: whoever gets a copy has no files to read them from."""
        for name in self._bank.questions:
            with suppress(ContentError):
                self.planned(name)
        self.scale  # noqa: B018  (the bank keeps it)
        return self


@dataclass(frozen=True)
class Item:
    """One line of answers, and where it came from."""

    source: str
    number: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.source}:{self.number}"


@dataclass(frozen=True)
class By:
    """Who makes a grade, as its stamp says."""

    prompt: str
    grader: str
    model: str
    votes: int

    @classmethod
    def of(cls, grader: Grader) -> By:
        return cls(grader.prompt, grader.kind, grader.model, grader.votes)


class Engine(Protocol):
    """What grades: it takes so many chunks at once, of so many lines."""

    @property
    def chunk(self) -> int: ...
    @property
    def at_once(self) -> int: ...
    @property
    def by(self) -> tuple[By, ...]:
        """Those whose grades it makes, the likeliest first."""

    async def grade(self, items: Sequence[Item]) -> list[Line]:
        """Returns a line for each item, in their order; one that cannot be graded has an `error`. Raises for none of them."""


@dataclass(frozen=True)
class Desk:
    """All that grading a line takes, in whatever process it is done."""

    questions: Questions
    level: TargetLevel
    maker: Callable[[Calls], Grader]
    clock: Clock
    at: datetime | None = None
    """When the grades say that they were made; by default when they were."""

    async def grade(self, item: Item) -> Line:
        try:
            name, part = parsed(item, self.questions)
        except Ungradable as exc:
            return exc.line
        scale = self.questions.scale
        try:
            made = await grade_parts(
                name, [part], level=self.level, scale=scale, grader_for=self.maker, clock=self.clock, at=self.at
            )
        except MockintError as exc:
            return error_line(name, exc.exit_code, f"{item.place}: {exc.what}")
        return made.model_dump(mode="json")


class Here:
    """Grades in this process: for graders that wait for others."""

    chunk = 1

    def __init__(self, desk: Desk, *, at_once: int = AT_ONCE) -> None:
        self._desk, self.at_once = desk, at_once
        self.by = (By.of(desk.maker(Calls())),)

    async def grade(self, items: Sequence[Item]) -> list[Line]:
        return [await self._desk.grade(item) for item in items]


class Tiers:
    """Grades with one grader first, and with another what the first is unsure of."""

    def __init__(self, first: Engine, second: Engine, *, unsure: float) -> None:
        self._first, self._second, self._unsure = first, second, unsure
        self._gate = asyncio.Semaphore(second.at_once)
        self.chunk, self.by = first.chunk, first.by + second.by
        self.passed_on = 0

    @property
    def at_once(self) -> int:
        return max(self._first.at_once, self._second.at_once)

    async def grade(self, items: Sequence[Item]) -> list[Line]:
        lines = await self._first.grade(items)
        return list(await asyncio.gather(*map(self._surely, items, lines)))

    async def _surely(self, item: Item, line: Line) -> Line:
        if doubt(line) < self._unsure:
            return line
        self.passed_on += 1
        async with self._gate:
            (surer,) = await self._second.grade([item])
        return line if "error" in surer and "error" not in line else surer


def doubt(line: Line) -> float:
    """Returns how unsure a grade is, from 0 to 1: 1 where something could not be scored, or a vote is contested; else how far the score lies
    from both ends, where a grader is surest (tests/bench/tiers.py measures what that finds).
    """
    if "error" in line:
        return 1.0
    verdicts = [verdict for answer in line["answers"] for verdict in answer["verdicts"]]
    if any(verdict["state"] == "unscored" or _contested(verdict["votes"]) for verdict in verdicts):
        return 1.0
    return max(
        (1 - abs(2 * answer["score"] - 1) for answer in line["answers"] if answer["score"] is not None), default=0.0
    )


def _contested(votes: Mapping[str, int] | None) -> bool:
    return votes is not None and 2 * max(votes.values()) <= sum(votes.values())


class Ungradable(Exception):
    """A line that cannot be graded, with the line that says so."""

    def __init__(self, line: Line) -> None:
        super().__init__(line["error"]["message"])
        self.line = line


def error_line(name: str, code: int, message: str) -> Line:
    return {"id": name, "error": {"code": code, "message": message}}


def parsed(item: Item, questions: Questions) -> tuple[str, Part]:
    """Returns the id and the part of a line. Raises Ungradable."""
    name = item.place
    try:
        answer = Answer.model_validate_json(item.text)
        name = answer.id
        return name, part(questions.planned(answer.question), answer.answer, answer.turns)
    except ValidationError as exc:
        first = exc.errors()[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
        raise Ungradable(error_line(name, ContentError.exit_code, f"{item.place}: {told}")) from exc
    except MockintError as exc:
        raise Ungradable(error_line(name, exc.exit_code, f"{item.place}: {exc.what}")) from exc


def items(lines: Iterable[str], source: str) -> Iterator[Item]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Item(source, number, line)


class Batch:
    """One run over many lines: what is graded already is left out, the same words are graded once, and no id twice.

    Args:
        results: where grades from before lie, and where each line is written.
        held: called for each line that is left out.
    """

    def __init__(
        self,
        engine: Engine,
        results: Results,
        *,
        questions: Questions,
        level: TargetLevel,
        held: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine, self._results, self._questions, self._level, self._held = engine, results, questions, level, held
        self._waiting: dict[asyncio.Task[list[Line]], list[str]] = {}
        """The chunks that are being graded, with their ids."""
        self._chunk: list[Item] = []
        self._names: list[str] = []
        self._under_way: dict[str, bytes] = {}
        """The key of each id whose line is being graded."""
        self._transcripts: dict[str, str] = {}
        """The hash of what was said, of each id whose line is not written yet."""
        self._like: dict[bytes, list[str]] = {}
        """The ids of the answers that are word for word like the one of this key, which is being graded."""

    async def grade(self, items: Iterable[Item]) -> AsyncIterator[Line]:
        """Yields a line for each item that has no grade yet, as JSON data, as it is made and when it is written."""
        async for line in self._graded(items):
            self._results.add(line, transcript=self._transcripts.pop(line["id"], None))
            yield line

    async def _graded(self, items: Iterable[Item]) -> AsyncIterator[Line]:
        most = self._engine.at_once * self._engine.chunk
        try:
            for item in items:
                line = self._take(item)
                if line is not None:
                    yield line
                if len(self._chunk) >= self._engine.chunk:
                    self._send()
                while len(self._waiting) >= self._engine.at_once or len(self._under_way) > 4 * most:
                    if not self._waiting:
                        self._send()
                    for made in await self._finished():
                        yield made
            self._send()
            while self._waiting:
                for made in await self._finished():
                    yield made
        finally:
            for task in self._waiting:
                task.cancel()

    def _take(self, item: Item) -> Line | None:
        """Puts a line into the chunk that is sent next; returns it when there is nothing to send, None too when it is held."""
        try:
            name, said = parsed(item, self._questions)
        except Ungradable as exc:
            return exc.line
        transcript = grading_digest([said])
        keys = self._keys(said, transcript)
        if any(self._results.holds(name, key) for key in keys):
            self._held()
            return None
        if name in self._under_way or self._results.added(name):
            told = f"{item.place}: another answer before it has the id {name!r}"
            return error_line(item.place, ContentError.exit_code, told)
        if found := next((found for key in keys if (found := self._results.same(key))), None):
            return _again(found, name)
        self._under_way[name], self._transcripts[name] = keys[0], transcript
        if keys[0] in self._like:
            self._like[keys[0]].append(name)
        else:
            self._like[keys[0]] = []
            self._chunk.append(item)
            self._names.append(name)
        return None

    def _keys(self, said: Part, transcript: str) -> list[bytes]:
        rubric = self._questions.rubric_digest(said)
        return [
            key_of(
                transcript=transcript,
                rubric=rubric,
                prompt=by.prompt,
                grader=by.grader,
                model=by.model,
                votes=by.votes,
                level=self._level,
            )
            for by in self._engine.by
        ]

    def _send(self) -> None:
        if self._chunk:
            self._waiting[asyncio.create_task(_all(self._engine.grade(self._chunk)))] = self._names
            self._chunk, self._names = [], []

    async def _finished(self) -> list[Line]:
        """Waits for a chunk, and returns what was made, with what is word for word like it."""
        done, _ = await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
        lines: list[Line] = []
        for task in done:
            for name, made in zip(self._waiting.pop(task), task.result(), strict=True):
                line = made | {"id": name}
                lines.append(line)
                for other in self._like.pop(self._under_way.pop(name)):
                    del self._under_way[other]
                    lines.append(_again(line, other))
        return lines


async def _all(work: Awaitable[list[Line]]) -> list[Line]:
    return await work


async def grade_answers(
    lines: Iterable[str],
    source: str,
    bank: Bank,
    *,
    level: TargetLevel,
    maker: Callable[[Calls], Grader],
    clock: Clock,
    at_once: int = AT_ONCE,
) -> AsyncIterator[Line]:
    """Yields a grade for each line, in this process, and keeps none; a line that cannot be graded gets `error`, with its number in `source`."""
    questions, results = Questions(bank), Results(Memory())
    engine = Here(Desk(questions, level, maker, clock), at_once=at_once)
    try:
        async for line in Batch(engine, results, questions=questions, level=level).grade(items(lines, source)):
            yield line
    finally:
        results.close()


def _again(line: Line, name: str) -> Line:
    """Returns the line for another answer of the same words: the same grade and the same recorded replies, and nothing spent."""
    if "error" in line:
        return line | {"id": name}
    return line | {"id": name, "usage": Usage().model_dump(mode="json")}


def estimate(lines: Iterable[str], questions: Questions, prompt: Prompt) -> Usage:
    """Returns what grading these answers may take: the tokens sent, at four characters a token, those expected back, and the calls.

    A line that cannot be graded takes nothing.
    """
    sent = back = calls = 0
    for item in items(lines, ""):
        with suppress(Ungradable):
            _, said = parsed(item, questions)
            told = prompt.render(question=said.question, rubric=said.rubric, turns=said.turns)
            sent += tokens(text for _, text in told)
            back += REPLY_TOKENS * len(said.rubric.criteria)
            calls += 1
    return Usage(prompt_tokens=sent, completion_tokens=back, calls=calls)


def part_of(name: str, answer: str | None, said_turns: Sequence[Said] | None, bank: Bank) -> Part:
    """Returns an answer, or a conversation, as if it had been given here.

    Raises:
        UsageError: there is no such question.
        ContentError: the candidate's words are empty; a conversation without any is one that was not answered.
    """
    return part(Questions(bank).planned(name), answer, said_turns)


def part(planned: Planned, answer: str | None, said_turns: Sequence[Said] | None) -> Part:
    """As `part_of`, of a question whose rubric has been read. Raises ContentError."""
    question = planned.question
    if said_turns is None:
        turns = [Turn(1, "interviewer", "question", question.ask), Turn(2, "candidate", "answer", answer or "")]
    else:
        turns = []
        for number, said in enumerate(said_turns, 1):
            kind = "answer" if said.role == "candidate" else "probe" if turns else "question"
            turns.append(Turn(number, said.role, kind, said.text))  # type: ignore[arg-type]
    theirs = [turn.text.strip() for turn in turns if turn.speaker == "candidate"]
    if not any(theirs) and (
        theirs or not turns
    ):  # where only the interviewer speaks, the question was asked and not answered
        raise ContentError("the answer is empty", hint="Give the candidate's words.")
    return Part(question, planned.rubric, planned.rubric_hash, tuple(turns), began=0.0)
