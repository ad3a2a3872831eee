"""Grading: graders give an opinion, code checks it (`judge`, `offline`) and does the arithmetic (`tally`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from mockint.transcript import Part


@dataclass(frozen=True)
class Words:
    """A quote that stands verbatim in a candidate's turn."""

    turn: int
    quote: str


@dataclass(frozen=True)
class Rated:
    criterion: str
    level: str
    words: tuple[Words, ...]
    reason: str
    votes: tuple[str, ...] = ()
    """The level of each vote, if there were several."""


@dataclass(frozen=True)
class Unrated:
    """The grader could not rate it, and why."""

    criterion: str
    why: str


@dataclass(frozen=True)
class Flagged:
    id: str
    words: Words


@dataclass(frozen=True)
class Opinion:
    """What a grader says of one answer: for every criterion one rating or the reason for none."""

    ratings: tuple[Rated | Unrated, ...]
    flags: tuple[Flagged, ...] = ()
    note: str | None = None


class Grader(Protocol):
    @property
    def kind(self) -> Literal["judge", "offline"]: ...
    @property
    def model(self) -> str: ...
    @property
    def prompt(self) -> str:
        """The hash of what it goes by."""

    @property
    def votes(self) -> int:
        """How often it is asked about an answer."""

    async def opinion(self, part: Part) -> Opinion:
        """Rates one question's answers; `part` holds at least one."""
