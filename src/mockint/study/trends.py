"""The only place that says how one's interviews go over time, and how far that can be believed. Pure: sittings in, a document out.

A grader is off by so much: its mean absolute error of one answer's score (`noise`). The mean of n answers is taken to be off by
noise / sqrt(n), and the difference of two means by the root of the sum of their squares; a change within that is no change that the
grader could see. What one grader gave is never joined to what another gave, except where `graders` names them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import hypot, sqrt
from statistics import fmean, median
from typing import Any, Literal

from mockint.grades import Prompted, earned
from mockint.rubric import Band, Signal, TargetLevel, reaches
from mockint.study import Answered, Rating, Sitting

POINTS = 30
"""Newest sittings of a line that the document lists."""
WINDOW = 5
"""Sittings on each side of a change, at most; and those that readiness rests on."""
LEAST_ANSWERS = 8
"""Graded answers in the last sittings from which readiness is spoken of."""
LEAST_TRACKS = 3
"""Tracks in the last sittings from which readiness is spoken of."""
LEAST_RATED = 3
"""Answers that were rated by the candidate and graded from which these are compared."""
SHARE_HIRED = 0.5
"""The share of the last sittings whose signal is at least a hire that "ready" must be above."""

HIRES: tuple[Signal, ...] = ("hire", "strong hire")

Change = Literal["up", "down", "no change that the grader could see", "one sitting only"]
Word = Literal["ready", "nearly", "not yet", "not enough to say"]
Leaning = Literal["over-rates", "under-rates", "no difference that the grader could see", "not enough to say"]


@dataclass(frozen=True)
class Mean:
    """A mean score of answers, each 0 to 1."""

    score: float
    answers: int
    band: float
    """How far the grader may be off, up or down."""


@dataclass(frozen=True)
class Point:
    """One sitting's mean on one line."""

    session: str
    on: str
    """The day in UTC, as 2026-11-24."""
    mean: Mean


@dataclass(frozen=True)
class Line:
    """The scores of one track or competency as one grader gave them, over time."""

    name: str
    grader: str
    sittings: int
    points: tuple[Point, ...]
    """The newest of them, oldest first."""
    before: Mean | None
    """Of up to WINDOW sittings before those of `now`; None when there is one sitting."""
    now: Mean
    """Of the newer half, WINDOW sittings at most."""
    change: Change


@dataclass(frozen=True)
class Weak:
    """A criterion that cost points that were expected."""

    id: str
    """`question/criterion`."""
    lost: float
    """Weighted points that were there to be had, over all the times."""
    missed: int
    """Times without any points."""
    times: int
    """Times that it was expected and scored."""
    last: str
    """The day on which it was last scored."""
    graders: tuple[str, ...]


@dataclass(frozen=True)
class TimeUse:
    """The time that answers took, over their budgets."""

    answers: int
    median: float
    over: float
    """The share of answers that took longer than their budget."""


@dataclass(frozen=True)
class Prompting:
    """How the evidence of criteria came that earned points."""

    unprompted: int
    probe: int
    hint: int
    graders: tuple[str, ...]

    @property
    def total(self) -> int:
        return self.unprompted + self.probe + self.hint


@dataclass(frozen=True)
class SelfRating:
    """The candidate's own ratings, 1 to 5 taken as 0 to 1, less the grades of the same answers."""

    answers: int
    difference: float
    band: float
    leaning: Leaning
    graders: tuple[str, ...]


@dataclass(frozen=True)
class Readiness:
    """A word for the target level, and what it rests on."""

    level: TargetLevel
    word: Word
    why: str
    sittings: int
    answers: int
    tracks: tuple[str, ...]
    score: Mean | None
    hire_from: float
    hired: int
    """How many of the sittings have a signal of hire or better."""
    graders: tuple[str, ...]


@dataclass(frozen=True)
class Trends:
    sittings: int
    first: str | None
    last: str | None
    noise: float
    graders: tuple[tuple[str, int], ...]
    """Each with its sittings."""
    tracks: tuple[Line, ...]
    competencies: tuple[Line, ...]
    weak: tuple[Weak, ...]
    """The most lost points first."""
    time: TimeUse | None
    prompting: Prompting
    self_rating: SelfRating | None
    """None when no graded answer was rated."""
    readiness: Readiness

    def as_data(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return asdict(self)


def trends(sittings: Sequence[Sitting], *, noise: float, level: TargetLevel, bands: Sequence[Band]) -> Trends:
    """Returns what the sittings, in any order, amount to.

    Args:
        noise: the grader's mean absolute error of one answer's score.
        level: the one that readiness is asked about.
        bands: of the hire signal, from the lowest to the highest.
    """
    ordered = sorted(sittings, key=lambda sitting: (sitting.at, sitting.session))
    counts = {name: sum(sitting.grader == name for sitting in ordered) for name in _graders(ordered)}
    return Trends(
        len(ordered),
        _day(ordered[0]) if ordered else None,
        _day(ordered[-1]) if ordered else None,
        noise,
        tuple(counts.items()),
        _lines(ordered, lambda answer: answer.track, noise),
        _lines(ordered, lambda answer: answer.competency, noise),
        weak(ordered),
        time_use(ordered),
        prompting(ordered),
        self_rating(ordered, noise=noise),
        readiness(ordered, noise=noise, level=level, bands=bands),
    )


def change(before: Mean, now: Mean) -> Change:
    """Returns whether the grader could see a difference."""
    moved = round(now.score - before.score, 6)
    if abs(moved) <= hypot(before.band, now.band):
        return "no change that the grader could see"
    return "up" if moved > 0 else "down"


def weak(sittings: Sequence[Sitting]) -> tuple[Weak, ...]:
    """Returns the criteria that cost expected points, the most lost points first."""
    seen: dict[str, list[tuple[Sitting, Rating]]] = {}
    for sitting in sittings:
        for answer in sitting.answers:
            for rating in answer.ratings:
                if rating.expected and rating.points is not None:
                    seen.setdefault(f"{answer.question}/{rating.criterion}", []).append((sitting, rating))
    found = [
        Weak(
            name,
            round(sum(rating.weight * (1 - _points(rating)) for _, rating in times), 4),
            sum(rating.points == 0 for _, rating in times),
            len(times),
            _day(max((sitting for sitting, _ in times), key=lambda sitting: sitting.at)),
            _graders(sitting for sitting, _ in times),
        )
        for name, times in seen.items()
    ]
    return tuple(sorted((one for one in found if one.lost > 0), key=lambda one: (-one.lost, one.id)))


def time_use(sittings: Sequence[Sitting]) -> TimeUse | None:
    """Returns how the time of answered questions was used; None when nothing was answered."""
    shares = [
        answer.took_seconds / answer.budget_seconds
        for sitting in sittings
        for answer in sitting.answers
        if answer.state in ("graded", "ungraded") and answer.budget_seconds > 0
    ]
    if not shares:
        return None
    over = sum(share > 1 for share in shares) / len(shares)
    return TimeUse(len(shares), round(median(shares), 4), round(over, 4))


def prompting(sittings: Sequence[Sitting]) -> Prompting:
    """Returns how often the evidence of criteria that earned points came by itself, after a probe, after a hint.

    It counts as the report does.
    """
    counts: dict[Prompted, int] = {"unprompted": 0, "probe": 0, "hint": 0}
    graders: list[Sitting] = []
    for sitting in sittings:
        for answer in sitting.answers:
            for rating in answer.ratings:
                if rating.prompted and earned(rating.points, rating.prompted):
                    counts[rating.prompted] += 1
                    graders.append(sitting)
    return Prompting(counts["unprompted"], counts["probe"], counts["hint"], _graders(graders))


def self_rating(sittings: Sequence[Sitting], *, noise: float) -> SelfRating | None:
    """Returns how the candidate's own ratings lie beside the grades."""
    pairs = [
        (sitting, (answer.self_rating - 1) / 4 - answer.score)
        for sitting in sittings
        for answer in sitting.answers
        if answer.self_rating is not None and answer.score is not None
    ]
    if not pairs:
        return None
    difference = round(fmean(one for _, one in pairs), 4)
    band = _band(noise, len(pairs))
    leaning: Leaning
    if len(pairs) < LEAST_RATED:
        leaning = "not enough to say"
    elif abs(difference) <= band:
        leaning = "no difference that the grader could see"
    else:
        leaning = "over-rates" if difference > 0 else "under-rates"
    return SelfRating(len(pairs), difference, band, leaning, _graders(sitting for sitting, _ in pairs))


def readiness(sittings: Sequence[Sitting], *, noise: float, level: TargetLevel, bands: Sequence[Band]) -> Readiness:
    """Returns a word for the target level, from the last WINDOW sittings that were held at it or above it and have a score.

    The sittings come in the order of time.

    - not enough to say: fewer than LEAST_ANSWERS graded answers, or than LEAST_TRACKS tracks;
    - ready: the mean score lies in the hire band even if the grader was too kind, no track's mean lies below it even if the grader was
      too strict, and more than SHARE_HIRED of the signals are a hire or better (a red flag can forbid one whatever the score is);
    - nearly: the mean score, or what it would be if the grader was too strict, lies in the hire band;
    - not yet: neither does.
    """
    held = [one for one in sittings if reaches(one.level, level)]
    last = [one for one in held if any(answer.score is not None for answer in one.answers)][-WINDOW:]
    scored = [(answer.track, answer.score) for one in last for answer in one.answers if answer.score is not None]
    tracks = tuple(sorted({track for track, _ in scored}))
    hire_from = next((band.from_score for band in bands if band.signal in HIRES), 1.0)
    hired = sum(one.signal in HIRES for one in last)
    score = _mean([score for _, score in scored], noise) if scored else None
    word, why = _readiness(score, scored, tracks, noise, hire_from, hired, len(last))
    return Readiness(level, word, why, len(last), len(scored), tracks, score, hire_from, hired, _graders(last))


def _readiness(
    score: Mean | None,
    scored: Sequence[tuple[str, float]],
    tracks: Sequence[str],
    noise: float,
    hire_from: float,
    hired: int,
    sittings: int,
) -> tuple[Word, str]:
    if score is None or score.answers < LEAST_ANSWERS or len(tracks) < LEAST_TRACKS:
        return "not enough to say", f"it takes {LEAST_ANSWERS} graded answers on {LEAST_TRACKS} tracks"
    if score.score + score.band < hire_from:
        return "not yet", f"the mean score lies below {hire_from:.2f}, where a hire begins"
    if score.score - score.band < hire_from:
        return "nearly", f"the mean score is within the grader's error of {hire_from:.2f}, where a hire begins"
    by_track = {track: _mean([one for name, one in scored if name == track], noise) for track in tracks}
    low = [track for track, mean in by_track.items() if mean.score + mean.band < hire_from]
    if low:
        return "nearly", f"{', '.join(low)} lies below {hire_from:.2f}, where a hire begins"
    if hired <= SHARE_HIRED * sittings:
        return "nearly", f"{hired} of {sittings} signals are a hire"
    return "ready", f"the mean score lies above {hire_from:.2f}, where a hire begins, by more than the grader's error"


def _lines(sittings: Sequence[Sitting], name: Callable[[Answered], str], noise: float) -> tuple[Line, ...]:
    found: dict[tuple[str, str], list[tuple[Sitting, list[float]]]] = {}
    for sitting in sittings:
        scores: dict[str, list[float]] = {}
        for answer in sitting.answers:
            if answer.score is not None:
                scores.setdefault(name(answer), []).append(answer.score)
        for key, values in scores.items():
            found.setdefault((key, sitting.grader), []).append((sitting, values))
    return tuple(_line(*key, found[key], noise) for key in sorted(found))


def _line(name: str, grader: str, sat: Sequence[tuple[Sitting, list[float]]], noise: float) -> Line:
    points = tuple(Point(sitting.session, _day(sitting), _mean(scores, noise)) for sitting, scores in sat[-POINTS:])
    newer = min(WINDOW, (len(sat) + 1) // 2)
    now = _mean([score for _, scores in sat[-newer:] for score in scores], noise)
    older = sat[:-newer][-WINDOW:]
    before = _mean([score for _, scores in older for score in scores], noise) if older else None
    return Line(
        name, grader, len(sat), points, before, now, change=change(before, now) if before else "one sitting only"
    )


def _mean(scores: Sequence[float], noise: float) -> Mean:
    return Mean(round(fmean(scores), 4), len(scores), _band(noise, len(scores)))


def _band(noise: float, answers: int) -> float:
    return round(noise / sqrt(answers), 4)


def _points(rating: Rating) -> float:
    return rating.points or 0.0


def _graders(sittings: Iterable[Sitting]) -> tuple[str, ...]:
    return tuple(sorted({sitting.grader for sitting in sittings}))


def _day(sitting: Sitting) -> str:
    return f"{sitting.at:%Y-%m-%d}"
