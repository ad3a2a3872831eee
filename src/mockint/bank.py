"""The only place for what a question is, and for finding one in the content folders."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from mockint.content import Frozen, load, load_all, near
from mockint.errors import UsageError
from mockint.rubric import (
    Conversation,
    Rubric,
    Samples,
    Scale,
    Slug,
    TargetLevel,
    Text,
    load_conversation,
    load_rubric,
    load_samples,
    load_scale,
)

Track = Literal[
    "rag",
    "agents",
    "fine-tuning",
    "llm-fundamentals",
    "evaluation",
    "ml-fundamentals",
    "python-swe",
    "infrastructure",
    "cost-latency",
    "safety",
    "research",
    "behavioural",
]
Kind = Literal["concept", "design", "debugging", "estimation", "coding", "experience", "behavioural"]

TRACKS: tuple[Track, ...] = get_args(Track)
NEVER: Mapping[str, datetime] = MappingProxyType({})


class Fact(Frozen):
    """Something that the interviewer may tell a candidate who asks."""

    about: Text
    say: Text


class Question(Frozen):
    id: Slug
    track: Track
    title: Text
    kind: Kind
    levels: tuple[TargetLevel, ...] = Field(min_length=1)
    """The target levels that it is asked at."""
    minutes: int = Field(ge=1, le=60)
    topics: tuple[Text, ...] = Field(min_length=1)
    ask: Text
    """The question as an interviewer says it aloud."""
    facts: tuple[Fact, ...] = ()
    hints: tuple[Text, ...] = Field(default=(), max_length=3)
    """From vague to plain."""
    origins: tuple[Slug, ...] = ()
    """Ids of `bank/origins.tsv`: where candidates reported it."""


class Round(Frozen):
    """One interview of a loop: either these questions, or a draw."""

    title: Text
    minutes: int = Field(ge=5, le=120)
    questions: tuple[Slug, ...] = ()
    tracks: tuple[Track, ...] = ()
    topics: tuple[Text, ...] = ()
    kinds: tuple[Kind, ...] = ()
    count: int | None = Field(default=None, ge=1)
    """Draws at most so many; by default as many as fit the minutes."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.questions) == bool(self.tracks or self.topics or self.kinds):
            raise ValueError("give either questions, or tracks, topics or kinds to draw from")
        return self

    def pool(self, bank: Bank) -> list[Question]:
        """Returns the questions that it names, or all that it may draw from. Raises UsageError for an unknown one."""
        if self.questions:
            return [bank.question(name) for name in self.questions]
        return [
            question
            for question in bank.questions.values()
            if (not self.tracks or question.track in self.tracks)
            and (not self.topics or set(self.topics) & set(question.topics))
            and (not self.kinds or question.kind in self.kinds)
        ]


class Loop(Frozen):
    """The interviews that a company or a role holds one after the other."""

    name: Slug
    about: Text
    sources: tuple[Slug, ...] = ()
    """Keys of `bank/sources.yaml`."""
    rounds: tuple[Round, ...] = Field(min_length=1)

    @property
    def minutes(self) -> int:
        return sum(one.minutes for one in self.rounds)


class Source(Frozen):
    title: Text
    address: Text


@dataclass(frozen=True)
class Origin:
    id: str
    group: str
    mark: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Bank:
    """The questions of all content folders, by id; rubrics and samples are read when they are asked for."""

    folders: tuple[Path, ...]
    questions: dict[str, Question]
    overridden: tuple[Path, ...] = ()
    """Files that a later folder's file of the same name replaced."""

    def question(self, name: str) -> Question:
        """Raises UsageError when there is no such question."""
        if name in self.questions:
            return self.questions[name]
        raise UsageError(f"There is no question {name!r}{near(name, self.questions)}", hint="See: mockint bank list")

    def rubric(self, question: Question) -> Rubric:
        return load_rubric(self.folders, question.track, question.id)

    def samples(self, question: Question) -> Samples:
        return load_samples(self.folders, question.track, question.id)

    @cached_property
    def scale(self) -> Scale:
        return load_scale(self.folders)

    @cached_property
    def conversation(self) -> Conversation:
        return load_conversation(self.folders)


def load_bank(folders: Sequence[Path], *, cache: Path | None = None) -> Bank:
    """Returns the questions of the folders; `cache` is a file that makes it quick the next time.

    Raises:
        ContentError: with every problem of the first broken file.
    """
    files: dict[tuple[str, str], Path] = {}
    overridden: list[Path] = []
    for path in question_files(folders):
        name = (path.parent.name, path.name)
        if name in files:
            overridden.append(files[name])
        files[name] = path
    questions = load_all([path for _, path in sorted(files.items())], Question, cache=cache)
    return Bank(tuple(folders), {question.id: question for question in questions}, tuple(overridden))


def question_files(folders: Sequence[Path]) -> list[Path]:
    """Returns every question's file, folder by folder."""
    return [path for root in folders for track in TRACKS for path in sorted((root / "bank" / track).glob("[!.]*.yaml"))]


def loop_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Returns the file of each loop, by name; a later folder's wins."""
    return {path.stem: path for root in folders for path in sorted((root / "bank" / "loops").glob("[!.]*.yaml"))}


def load_loop(folders: Sequence[Path], name: str) -> Loop:
    """Raises UsageError when there is no such loop, ContentError when it is broken."""
    files = loop_files(folders)
    if name not in files:
        raise UsageError(f"There is no loop {name!r}{near(name, files)}", hint="See: mockint bank stats")
    return load(files[name], Loop)


def load_origins(folders: Sequence[Path]) -> dict[str, Origin]:
    """Returns where candidates reported each question, from the `bank/origins.tsv` of all folders."""
    origins: dict[str, Origin] = {}
    for path in (root / "bank" / "origins.tsv" for root in folders):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                    sources = tuple(row["sources"].replace(",", " ").split())
                    origins[row["id"]] = Origin(row["id"], row["group"], row["mark"], sources)
    return origins


def choose(
    bank: Bank,
    *,
    tracks: Iterable[str],
    level: TargetLevel,
    minutes: int,
    count: int | None,
    seed: int,
    asked: Mapping[str, datetime] = NEVER,
) -> tuple[Question, ...]:
    """Draws questions for the level that fit the minutes: the same seed over the same bank draws the same ones.

    Tracks are taken in turn, so that each is asked about.

    Args:
        count: the most that are drawn.
        asked: when questions were asked before: these come last, those of longest ago first.

    Raises:
        UsageError: nothing fits.
    """
    wanted = tuple(dict.fromkeys(tracks)) or tuple(dict.fromkeys(q.track for q in bank.questions.values()))
    pool = [q for q in bank.questions.values() if q.track in wanted and level in q.levels]
    chance = random.Random(seed)  # noqa: S311 (a repeatable draw)
    chosen = _draw(pool, minutes=minutes, count=count, chance=chance, asked=asked)
    if not chosen:
        shortest = min((q.minutes for q in pool), default=None)
        needs = f" The shortest takes {shortest}." if shortest else ""
        raise UsageError(
            f"No question on {', '.join(wanted)} at level {level} fits {minutes} minutes.{needs}",
            hint="Give more --minutes, another --level, or see: mockint bank list",
        )
    return tuple(chosen)


def choose_loop(
    bank: Bank, loop: Loop, *, level: TargetLevel, seed: int, asked: Mapping[str, datetime] = NEVER
) -> tuple[Question, ...]:
    """Draws the questions of a loop, round by round, as `choose` draws; none is asked twice.

    Raises:
        UsageError: a round finds no question at this level.
    """
    chance = random.Random(seed)  # noqa: S311 (a repeatable draw)
    chosen: list[Question] = []
    for one in loop.rounds:
        pool = [q for q in one.pool(bank) if q not in chosen and (one.questions or level in q.levels)]
        drawn = pool if one.questions else _draw(pool, minutes=one.minutes, count=one.count, chance=chance, asked=asked)
        if not drawn:
            raise UsageError(
                f"The round {one.title!r} of the loop {loop.name!r} has no question at level {level}.",
                hint="Give another --level.",
            )
        chosen += drawn
    return tuple(chosen)


def _draw(
    pool: Sequence[Question],
    *,
    minutes: int,
    count: int | None,
    chance: random.Random,
    asked: Mapping[str, datetime],
) -> list[Question]:
    """Returns questions that fit the minutes together, from each track in turn."""
    piles: list[list[Question]] = []
    for track in sorted({question.track for question in pool}):
        pile = [question for question in pool if question.track == track]
        chance.shuffle(pile)
        pile.sort(key=lambda question: asked[question.id].timestamp() if question.id in asked else 0.0)
        piles.append(pile)
    chance.shuffle(piles)
    chosen: list[Question] = []
    left = minutes
    while any(piles) and (count is None or len(chosen) < count):
        for pile in piles:
            fitting = next((q for q in pile if q.minutes <= left), None)
            pile[:] = [q for q in pile if q is not fitting] if fitting else []
            if fitting and (count is None or len(chosen) < count):
                chosen.append(fitting)
                left -= fitting.minutes
    return chosen
