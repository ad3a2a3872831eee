"""The only place for what a rubric is: criteria with levels, red flags, samples, and the scale of the signal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, StringConstraints, model_validator

from mockint.content import Frozen, digest, find, load
from mockint.errors import ContentError

TargetLevel = Literal["junior", "mid", "senior", "staff"]
Signal = Literal["strong no hire", "no hire", "hire", "strong hire", "insufficient evidence"]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]

SENIORITY: tuple[TargetLevel, ...] = get_args(TargetLevel)


def reaches(target: TargetLevel, least: TargetLevel) -> bool:
    """Whether a candidate for `target` is at `least` or above it."""
    return SENIORITY.index(target) >= SENIORITY.index(least)


class Criterion(Frozen):
    id: Slug
    asks: Text
    """One observable thing, as a question about the candidate's answer."""
    weight: int = Field(ge=1, le=5)
    expected_from: TargetLevel
    """Below this target level the criterion is a bonus, never a loss."""
    unprompted_from: TargetLevel | None = None
    """From this target level on, evidence that came only after a probe or a hint earns less."""
    levels: dict[Slug, Text] = Field(min_length=2, max_length=4)
    """What the rater sees at each level, from lowest to highest."""
    probe: Text
    cues: tuple[Text, ...] = ()
    """What is said when it is met. Without any, the offline grader reads the highest level's sentence."""

    def points(self, level: str) -> float:
        """Returns 0 for the lowest level, 1 for the highest, evenly spaced between.

        Raises:
            KeyError: the criterion has no such level.
        """
        names = tuple(self.levels)
        if level not in self.levels:
            raise KeyError(level)
        return names.index(level) / (len(names) - 1)

    @property
    def lowest(self) -> str:
        return next(iter(self.levels))

    def next_level(self, level: str) -> str | None:
        names = tuple(self.levels)
        above = names.index(level) + 1
        return names[above] if above < len(names) else None


class RedFlag(Frozen):
    id: Slug
    asks: Text
    """A misconception, as a question about the candidate's answer."""
    cost: float = Field(ge=0, le=5)
    """Taken off the question's weighted points."""
    gate: bool = False
    """Whether raising it caps the signal at no hire."""
    cues: tuple[Text, ...] = Field(min_length=1)


class Study(Frozen):
    title: Text
    about: Text


class Rubric(Frozen):
    question: Slug
    version: int = Field(ge=1)
    competency: Text
    criteria: tuple[Criterion, ...] = Field(min_length=1, max_length=20)
    """The bank's own have four to eight (lint); one made from a reference answer, or by a panel, may have fewer or more."""
    red_flags: tuple[RedFlag, ...] = ()
    answer: Text
    study: tuple[Study, ...] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [*(criterion.id for criterion in self.criteria), *(flag.id for flag in self.red_flags)]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"more than one criterion or red flag is called {', '.join(map(repr, twice))}")
        return self

    @cached_property
    def by_id(self) -> dict[str, Criterion]:
        return {criterion.id: criterion for criterion in self.criteria}

    @cached_property
    def digest(self) -> str:
        """The hash of what it asks, in whatever order its criteria stand: a review asks for those that are due first."""
        ordered = sorted(self.criteria, key=lambda criterion: criterion.id)
        return digest(self.model_copy(update={"criteria": tuple(ordered)}).model_dump(mode="json"))

    def expected(self, level: TargetLevel) -> tuple[Criterion, ...]:
        """Returns what is expected of a candidate for this level; of one below all of it, what the question's lowest level expects."""
        lowest = min(self.criteria, key=lambda criterion: SENIORITY.index(criterion.expected_from)).expected_from
        held = level if reaches(level, lowest) else lowest
        return tuple(criterion for criterion in self.criteria if reaches(held, criterion.expected_from))

    def stated_score(self, levels: Mapping[str, str], flags: Iterable[str] = ()) -> float:
        """Returns the score, from 0 to 1, of levels given by a person, with every criterion expected.

        A criterion that is not named counts as missed.

        Raises:
            KeyError: a criterion has no such level.
        """
        raised = set(flags)
        earned = sum(c.weight * c.points(levels[c.id]) for c in self.criteria if c.id in levels)
        cost = sum(flag.cost for flag in self.red_flags if flag.id in raised)
        return round(max(0.0, earned - cost) / sum(c.weight for c in self.criteria), 4)


class Sample(Frozen):
    """A sample answer with the level of every criterion as a careful reader rates it: the rubric's own test."""

    name: Slug
    text: Text
    levels: dict[Slug, Slug]
    red_flags: tuple[Slug, ...] = ()


Samples = tuple[Sample, ...]


class Anchors(Frozen):
    poor: Text
    mixed: Text
    good: Text
    excellent: Text


class Manner(Frozen):
    """A criterion of the whole conversation, with four anchors."""

    id: Slug
    asks: Text
    anchors: Anchors


class Conversation(Frozen):
    version: int
    criteria: tuple[Manner, ...]


class Band(Frozen):
    signal: Signal
    from_score: float = Field(ge=0, le=1)


class Scale(Frozen):
    """How points become a signal."""

    version: int
    least_coverage: float = Field(ge=0, le=1)
    """Below this share of criteria graded, the signal is insufficient evidence."""
    prompted: float = Field(ge=0, le=1)
    """What evidence earns that came only after a probe, where it was expected unprompted."""
    hinted: float = Field(ge=0, le=1)
    """What evidence earns that came only after a hint."""
    bands: tuple[Band, ...] = Field(min_length=2)
    """From the lowest to the highest."""

    @model_validator(mode="after")
    def _bands_rise_from_zero(self) -> Self:
        starts = [band.from_score for band in self.bands]
        if starts[0] != 0 or sorted(set(starts)) != starts:
            raise ValueError("the bands' from_score must start at 0 and rise")
        return self

    def signal(self, score: float) -> Signal:
        return next(band.signal for band in reversed(self.bands) if score >= band.from_score)


def load_rubric(folders: Sequence[Path], track: str, question: str) -> Rubric:
    """Raises ContentError when the question has no rubric, or a broken one."""
    return load(_existing(folders, track, f"{question}.yaml"), Rubric)


def load_samples(folders: Sequence[Path], track: str, question: str) -> Samples:
    """Raises ContentError when the question has no sample answers, or broken ones."""
    return load(_existing(folders, track, f"{question}.answers.yaml"), Samples)


def load_scale(folders: Sequence[Path]) -> Scale:
    return load(_existing(folders, "scale.yaml"), Scale)


def load_conversation(folders: Sequence[Path]) -> Conversation:
    return load(_existing(folders, "conversation.yaml"), Conversation)


def _existing(folders: Sequence[Path], *parts: str) -> Path:
    if path := find(folders, "rubrics", *parts):
        return path
    name = "/".join(("rubrics", *parts))
    raise ContentError(f"There is no {name}.", hint="Add the file, then check it with: mockint bank lint")
