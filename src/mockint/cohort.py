"""The only place that says what many grades show together: one line at a time, in memory that does not grow with their number.

Everything that is kept is a count, a sum of whole numbers, or a bounded list whose content does not depend on the order of the
lines, so that cohorts of parts of a file, merged, are the cohort of the whole. SciPy gives the Wilson intervals; it is imported when
a result is asked for (0.8 s).
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
import sys
import textwrap
from array import array
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC
from functools import cached_property, lru_cache
from heapq import heappush, heappushpop
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar, get_args

import jinja2
from pydantic import Field, ValidationError

from mockint.bank import Bank
from mockint.content import Frozen
from mockint.errors import ContentError
from mockint.grades import AnswerGrade, AnswerState, Grade, Scored, Verdict
from mockint.rubric import Rubric, Signal, load_rubric

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

BINS = 100
"""Bins of a score's histogram, each a hundredth wide; a score of 1 is in the last."""
NEAR = 0.03
"""A score so near to the edge of a band is borderline."""
LEAST_SCORED = 5
"""A criterion's share of misses is told from so many verdicts on."""
LISTED, FIRST = 50, 5
"""Answers in each list for a person to read, and ids told for an error's code."""
SPREAD_ANSWERS = 1000
"""Answers that are kept to compare graders: all when there are no more, else those with the lowest hashes, a fair draw."""
MAKERS, REASONS, RUBRICS, PER_KEY = 64, 100, 512, 8
"""Stamps, reasons and sets of questions that are told apart, and rubrics or graders told apart within one of them."""
LONGEST = 200
"""Characters of an id or a message that are kept."""
NOT_IN_BANK = "(not in the bank)"

_MICRO, _NANO, _SIXTHS = 10**6, 10**9, 6
"""What scores, prices and the points of levels are counted in: whole numbers add up to the same in any order."""
_QUOTED = re.compile(r"""(?<!\w)(["'])(?:(?:(?!(?<!\\)\1).){119}(?= is )|(?:(?!(?<!\\)\1).)*\1)""")
"""What a reason quotes; the judge cuts it at 120 characters, and so its end may be missing."""
_FORMULA = re.compile(r"(^|;\s*)([=+\-@＝＋－＠])")
_MARKUP = re.compile(r"[\\`*\[\]~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<!\S)[-+#>=]|(?<=\d)[.)](?!\S)")
_ENTITIES = {"&": "&amp;", "<": "&lt;", "|": "&#124;"}


class Error(Frozen):
    code: int = Field(ge=0, le=255)
    message: str


class ErrorLine(Frozen):
    """A line of a batch that could not be graded."""

    id: str
    error: Error


class Distribution(Frozen):
    """Scores from 0 to 1 of graded answers."""

    name: str
    n: int
    mean: float
    sd: float | None
    """Of a sample (n - 1); None for one score."""
    q1: float
    median: float
    q3: float
    """Quartiles of the histogram: exact when all scores of the bin are the same, else off by less than `resolution`."""
    bins: tuple[int, ...]
    """How many scores are from 0 to 0.01, from there to 0.02, and so on, BINS in all; 1 is in the last."""


class Maker(Frozen):
    """What made a grade, the rubric aside."""

    grader: str
    model: str
    prompt: str
    votes: int
    app: str
    target_level: str


class Made(Frozen):
    maker: Maker
    lines: int
    scores: Distribution | None
    """Of the answers that it graded; None when it scored none."""


class Regraded(Frozen):
    """Questions that were graded by more than one rubric, or under more than one scale."""

    questions: tuple[str, ...]
    rubrics: dict[str, int]
    """Hash → lines."""


class Stamps(Frozen):
    makers: tuple[Made, ...]
    differ: tuple[str, ...]
    """What is not the same in all lines: names of Maker's fields, and `rubric`."""
    rubrics: tuple[Regraded, ...]
    more: bool
    """Whether there are more makers or sets of questions than could be told apart."""


class Missed(Frozen):
    """A criterion, and how many are at its lowest level."""

    question: str
    criterion: str
    asks: str
    """The bank's sentence, as it is now."""
    scored: int
    missed: int
    share: float
    low: float
    high: float
    """Wilson's 95% interval of the share."""
    unscored: int


class FlagCount(Frozen):
    question: str
    flag: str
    asks: str
    gate: bool
    raised: int
    graded: int
    """Graded answers to the question."""
    share: float | None


class Borderline(Frozen):
    """A line whose score is near to where another signal begins."""

    id: str
    questions: tuple[str, ...]
    score: float
    signal: Signal
    edge: float
    other: Signal
    """The signal on the other side of the edge."""
    distance: float


class Contested(Frozen):
    """A verdict whose votes gave no level a majority."""

    id: str
    question: str
    criterion: str
    votes: dict[str, int]


class Steering(Frozen):
    id: str
    question: str
    attempts: int
    kinds: tuple[str, ...]


class Pair(Frozen):
    """Two graders on the same answers, with the same rubric and target level."""

    one: Maker
    other: Maker
    answers: int
    scores: int
    """Answers that both gave a score."""
    mean_absolute_difference: float | None
    mean_difference: float | None
    """The other's score less the one's."""
    verdicts: int
    """Criteria that both scored."""
    agreement: float | None
    """The share of them with the same level."""


class WithinVotes(Frozen):
    """How far the votes on one criterion lie apart, over all pairs of votes."""

    verdicts: int
    pairs: int
    mean_absolute_difference: float | None
    """Of the levels' points, from 0 to 1, before the price of prompted evidence."""
    agreement: float | None


class Spread(Frozen):
    answers: int
    """Answers that more than one maker graded, among those looked at."""
    looked_at: int
    drawn: bool
    """Whether the answers looked at are a draw from all."""
    pairs: tuple[Pair, ...]
    votes: WithinVotes


class Unscoreds(Frozen):
    verdicts: int
    reasons: dict[str, int]
    """Why → how many, quoted words left out; the most frequent first."""
    other: int
    """Verdicts with a reason that is not told apart."""


class Spent(Frozen):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    calls: int
    usd: float
    """What the lines with a known price cost together."""
    unpriced_lines: int
    """Lines that called a model at an unknown price: not in `usd`."""
    unpriced_tokens: int


class Failed(Frozen):
    code: int
    lines: int
    first: dict[str, str]
    """Id → message, of the first few in the order of the ids."""


class CohortReport(Frozen):
    """What many grades show together. It counts grades: an answer that was graded twice is in it twice."""

    lines: int
    answers: int
    stamps: Stamps
    states: dict[AnswerState, int]
    """Of answers."""
    signals: dict[Signal, int]
    """Of lines."""
    resolution: float = 1 / BINS
    """Of the histograms."""
    scores: Distribution | None
    tracks: tuple[Distribution, ...]
    competencies: tuple[Distribution, ...]
    questions: tuple[Distribution, ...]
    missed: tuple[Missed, ...]
    """From LEAST_SCORED verdicts on; first the one with the highest lower end of the interval."""
    red_flags: tuple[FlagCount, ...]
    steering_answers: int
    """Answers that address the grader, cited words of others aside."""
    steering_kinds: dict[str, int]
    """Kind of attempt → how often, with `others`: what is said to be somebody else's."""
    steering: tuple[Steering, ...]
    near: float
    """A score so near to the edge of a band is borderline."""
    borderline_lines: int
    borderline: tuple[Borderline, ...]
    """The nearest first."""
    contested_verdicts: int
    contested: tuple[Contested, ...]
    """The least agreed first."""
    spread: Spread
    unscored: Unscoreds
    unknown_verdicts: int
    """Verdicts and red flags that the bank's rubrics do not have; they are not among `missed` and `red_flags`."""
    usage: Spent
    errors: tuple[Failed, ...]


class Cohort:
    """What has been seen of a set of grades, without the grades.

    Args:
        bank: for tracks, competencies, criteria and the bands of the signal; of the same content in all that are merged.
    """

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._lines = 0
        self._states: Counter[AnswerState] = Counter()
        self._signals: Counter[Signal] = Counter()
        self._scores = _Scores()
        self._tracks: dict[str, _Scores] = defaultdict(_Scores)
        self._competencies: dict[str, _Scores] = defaultdict(_Scores)
        self._questions: dict[str, _Scores] = defaultdict(_Scores)
        self._graded: Counter[str] = Counter()
        self._criteria: Counter[tuple[str, str, str]] = Counter()
        self._flags: Counter[tuple[str, str]] = Counter()
        self._attempts: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._makers: _Lowest[_Maker, _OfMaker] = _Lowest(MAKERS, _OfMaker)
        self._rubrics: _Lowest[tuple[str, ...], _Lowest[str, Counter[str]]] = _Lowest(RUBRICS, _few_counts)
        self._reasons: _Lowest[str, Counter[str]] = _Lowest(REASONS, Counter)
        self._twice: _Lowest[_Answer, _Lowest[_Maker, _Newest]] = _Lowest(SPREAD_ANSWERS, _few_opinions)
        self._borderline = _Least(LISTED)
        self._contested = _Least(LISTED)
        self._steering = _Least(LISTED)
        self._errors: dict[int, _Least] = defaultdict(lambda: _Least(FIRST))

    def add(self, line: Mapping[str, Any]) -> None:
        """Counts a grade, or a line with an error, as `mockint.batch` yields them.

        Raises:
            ContentError: the line is neither, or a score is not from 0 to 1; then nothing of it is counted.
        """
        read = _read(line)
        if isinstance(read, ErrorLine):
            self._lines += 1
            self._errors[read.error.code].add((_cut(read.id), _cut(read.error.message)))
            return
        known = [_known(self._bank, answer.question) for answer in read.answers]
        self._lines += 1
        self._signals[read.signal] += 1
        maker = _maker(read)
        made = self._makers.at(maker)
        if made is not None:
            made.lines += 1
        for answer, about in zip(read.answers, known, strict=True):
            self._add_answer(read, answer, about)
            if made is not None and answer.score is not None:
                made.scores.add(answer.score)
            self._add_opinion(read, answer, maker)
        asked = tuple(sorted(_cut(answer.question) for answer in read.answers))
        if (hashes := self._rubrics.at(asked)) is not None and (count := hashes.at(read.stamp.rubric)) is not None:
            count["lines"] += 1
        self._add_borderline(read, known)
        self._add_usage(read)

    def merge(self, other: Cohort) -> None:
        """Adds all that the other has seen. The other stays as it is."""
        self._lines += other._lines
        self._states.update(other._states)
        self._signals.update(other._signals)
        self._graded.update(other._graded)
        self._criteria.update(other._criteria)
        self._flags.update(other._flags)
        self._attempts.update(other._attempts)
        self._sums.update(other._sums)
        self._scores.merge(other._scores)
        for groups, others in (
            (self._tracks, other._tracks),
            (self._competencies, other._competencies),
            (self._questions, other._questions),
        ):
            for name, scores in others.items():
                groups[name].merge(scores)
        self._makers.merge(other._makers, _OfMaker.merge)
        self._rubrics.merge(other._rubrics, lambda mine, theirs: mine.merge(theirs, Counter.update))
        self._reasons.merge(other._reasons, Counter.update)
        self._twice.merge(other._twice, lambda mine, theirs: mine.merge(theirs, _Newest.merge))
        self._borderline.merge(other._borderline)
        self._contested.merge(other._contested)
        self._steering.merge(other._steering)
        for code, first in other._errors.items():
            self._errors[code].merge(first)

    def _add_answer(self, grade: Grade, answer: AnswerGrade, about: _Known) -> None:
        self._states[answer.state] += 1
        if answer.state == "graded":
            self._graded[about.question] += 1
        if answer.score is not None:
            self._scores.add(answer.score)
            self._tracks[about.track].add(answer.score)
            self._competencies[about.competency].add(answer.score)
            self._questions[about.question].add(answer.score)
        for verdict in answer.verdicts:
            self._add_verdict(grade.id, answer.question, verdict, about)
        for flag in answer.red_flags:
            if flag.id in about.flags:
                self._flags[about.question, flag.id] += 1
            else:
                self._sums["unknown"] += 1
        self._attempts.update(attempt.kind for attempt in answer.attempts)
        if steering := [attempt.kind for attempt in answer.attempts if attempt.kind != "others"]:
            self._steering.add((-len(steering), _cut(grade.id), _cut(answer.question), tuple(sorted(set(steering)))))

    def _add_verdict(self, name: str, question: str, verdict: Verdict, about: _Known) -> None:
        points = about.points.get(verdict.criterion)
        if verdict.state == "unscored":
            self._sums["unscored"] += 1
            if (count := self._reasons.at(_cut(_QUOTED.sub("…", verdict.why)))) is not None:
                count["verdicts"] += 1
            if points:
                self._criteria[about.question, verdict.criterion, "unscored"] += 1
            else:
                self._sums["unknown"] += 1
            return
        if verdict.votes and verdict.contested:
            share = max(verdict.votes.values()) / sum(verdict.votes.values())
            votes = tuple(sorted((_cut(level), count) for level, count in verdict.votes.items()))
            self._contested.add((share, _cut(name), _cut(question), _cut(verdict.criterion), votes))
        if not points or verdict.level not in points:
            self._sums["unknown"] += 1
            return
        self._criteria[about.question, verdict.criterion, "scored"] += 1
        if points[verdict.level] == 0:
            self._criteria[about.question, verdict.criterion, "lowest"] += 1
        self._add_votes(verdict, points)

    def _add_votes(self, verdict: Scored, points: Mapping[str, int]) -> None:
        votes = verdict.votes or {}
        cast = sum(votes.values())
        if cast < 2 or not votes.keys() <= points.keys():
            return
        self._sums["voted"] += 1
        self._sums["vote pairs"] += math.comb(cast, 2)
        self._sums["vote pairs agreed"] += sum(math.comb(count, 2) for count in votes.values())
        self._sums["vote sixths"] += sum(
            votes[one] * votes[other] * abs(points[one] - points[other]) for one, other in combinations(votes, 2)
        )

    def _add_opinion(self, grade: Grade, answer: AnswerGrade, maker: _Maker) -> None:
        stamp = grade.stamp
        key = (grade.id, answer.question, stamp.transcript, stamp.rubric, grade.target_level)
        if (opinions := self._twice.at(key)) is not None and (newest := opinions.at(maker)) is not None:
            levels = tuple(
                (sys.intern(v.criterion), sys.intern(v.level)) for v in answer.verdicts if v.level is not None
            )
            score = None if answer.score is None else round(answer.score * _MICRO)
            made = stamp.at if stamp.at.tzinfo else stamp.at.replace(tzinfo=UTC)
            newest.take((made.timestamp(), -1 if score is None else score, levels))

    def _add_borderline(self, grade: Grade, known: Sequence[_Known]) -> None:
        bands = self._bank.scale.bands
        if grade.score is None or grade.signal != self._bank.scale.signal(grade.score):
            return  # too little evidence, capped by a gate, or under another scale: no edge decides
        raised = {flag.id for answer in grade.answers for flag in answer.red_flags}
        gated = any(about.gates & raised for about in known)
        for below, above in pairwise(bands):
            distance = abs(round(grade.score * _MICRO) - round(above.from_score * _MICRO))
            capped = gated and above.signal in ("hire", "strong hire")
            if distance <= round(NEAR * _MICRO) and not capped:
                other = below.signal if grade.score >= above.from_score else above.signal
                asked = tuple(_cut(answer.question) for answer in grade.answers)
                self._borderline.add(
                    (distance, _cut(grade.id), asked, grade.score, grade.signal, above.from_score, other)
                )

    def _add_usage(self, grade: Grade) -> None:
        used = grade.usage
        self._sums["prompt tokens"] += used.prompt_tokens
        self._sums["completion tokens"] += used.completion_tokens
        self._sums["cached tokens"] += used.cached_tokens
        self._sums["calls"] += used.calls
        if used.usd is not None:
            self._sums["nano usd"] += round(used.usd * _NANO)
        elif used.calls:
            self._sums["unpriced lines"] += 1
            self._sums["unpriced tokens"] += used.prompt_tokens + used.completion_tokens

    def result(self) -> CohortReport:
        """Returns what the grades so far show. It can be asked for at any time, and more added after."""
        sums = self._sums
        signals: tuple[Signal, ...] = get_args(Signal)
        states: tuple[AnswerState, ...] = get_args(AnswerState)
        return CohortReport(
            lines=self._lines,
            answers=self._states.total(),
            stamps=self._stamps(),
            states={state: self._states[state] for state in states},
            signals={signal: self._signals[signal] for signal in signals},
            scores=self._scores.told("all") if self._scores.n else None,
            tracks=_told(self._tracks),
            competencies=_told(self._competencies),
            questions=_told(self._questions),
            missed=self._missed(),
            red_flags=self._red_flags(),
            steering_answers=self._steering.seen,
            steering_kinds=_by_count(self._attempts),
            steering=tuple(
                Steering(id=name, question=question, attempts=-less, kinds=kinds)
                for less, name, question, kinds in self._steering.kept
            ),
            near=NEAR,
            borderline_lines=self._borderline.seen,
            borderline=tuple(
                Borderline(
                    id=name,
                    questions=asked,
                    score=score,
                    signal=signal,
                    edge=edge,
                    other=other,
                    distance=distance / _MICRO,
                )
                for distance, name, asked, score, signal, edge, other in self._borderline.kept
            ),
            contested_verdicts=self._contested.seen,
            contested=tuple(
                Contested(id=name, question=question, criterion=criterion, votes=dict(votes))
                for _, name, question, criterion, votes in self._contested.kept
            ),
            spread=self._spread(),
            unscored=self._unscored(),
            unknown_verdicts=sums["unknown"],
            usage=Spent(
                prompt_tokens=sums["prompt tokens"],
                completion_tokens=sums["completion tokens"],
                cached_tokens=sums["cached tokens"],
                calls=sums["calls"],
                usd=sums["nano usd"] / _NANO,
                unpriced_lines=sums["unpriced lines"],
                unpriced_tokens=sums["unpriced tokens"],
            ),
            errors=tuple(
                Failed(code=code, lines=first.seen, first=dict(first.kept))
                for code, first in sorted(self._errors.items())
            ),
        )

    def _stamps(self) -> Stamps:
        makers = sorted(self._makers.kept(), key=lambda item: (-item[1].lines, item[0]))
        made = tuple(
            Made(maker=_named(maker), lines=of.lines, scores=of.scores.told("all") if of.scores.n else None)
            for maker, of in makers
        )
        rubrics = tuple(
            Regraded(questions=asked, rubrics={name: count["lines"] for name, count in sorted(hashes.kept())})
            for asked, hashes in sorted(self._rubrics.kept())
            if len(hashes.kept()) > 1
        )
        differ = [
            name
            for at, name in enumerate(Maker.model_fields)
            if len({maker[at] for maker, _ in self._makers.kept()}) > 1
        ]
        return Stamps(
            makers=made,
            differ=(*differ, *(["rubric"] if rubrics else [])),
            rubrics=rubrics,
            more=self._makers.more or self._rubrics.more,
        )

    def _missed(self) -> tuple[Missed, ...]:
        from scipy.stats import binomtest  # 0.8 s

        found = []
        for question, criterion, state in self._criteria:
            scored = self._criteria[question, criterion, "scored"]
            if state != "scored" or scored < LEAST_SCORED:
                continue
            lowest = self._criteria[question, criterion, "lowest"]
            interval = binomtest(lowest, scored).proportion_ci(method="wilson")
            rubric = _known(self._bank, question).rubric
            assert rubric is not None
            found.append(
                Missed(
                    question=question,
                    criterion=criterion,
                    asks=rubric.by_id[criterion].asks,
                    scored=scored,
                    missed=lowest,
                    share=lowest / scored,
                    low=float(interval.low),
                    high=float(interval.high),
                    unscored=self._criteria[question, criterion, "unscored"],
                )
            )
        return tuple(sorted(found, key=lambda one: (-one.low, -one.share, one.question, one.criterion)))

    def _red_flags(self) -> tuple[FlagCount, ...]:
        found = []
        for (question, name), raised in self._flags.items():
            rubric, graded = _known(self._bank, question).rubric, self._graded[question]
            assert rubric is not None
            flag = next(flag for flag in rubric.red_flags if flag.id == name)
            share = raised / graded if graded else None
            found.append(
                FlagCount(
                    question=question,
                    flag=name,
                    asks=flag.asks,
                    gate=flag.gate,
                    raised=raised,
                    graded=graded,
                    share=share,
                )
            )
        return tuple(sorted(found, key=lambda one: (-one.raised, one.question, one.flag)))

    def _spread(self) -> Spread:
        pairs: dict[tuple[_Maker, _Maker], _Compared] = defaultdict(_Compared)
        twice = 0
        for _, opinions in self._twice.kept():
            by_maker = sorted((maker, newest.opinion) for maker, newest in opinions.kept())
            twice += len(by_maker) > 1
            for (one, first), (other, second) in combinations(by_maker, 2):
                pairs[one, other].add(first, second)
        sums = self._sums
        of_votes = sums["vote pairs"]
        return Spread(
            answers=twice,
            looked_at=len(self._twice.kept()),
            drawn=self._twice.more,
            pairs=tuple(
                compared.told(one, other)
                for (one, other), compared in sorted(pairs.items(), key=lambda pair: (-pair[1].answers, pair[0]))
            )[:LISTED],
            votes=WithinVotes(
                verdicts=sums["voted"],
                pairs=of_votes,
                mean_absolute_difference=sums["vote sixths"] / _SIXTHS / of_votes if of_votes else None,
                agreement=sums["vote pairs agreed"] / of_votes if of_votes else None,
            ),
        )

    def _unscored(self) -> Unscoreds:
        reasons = _by_count({why: count["verdicts"] for why, count in self._reasons.kept()})
        total = self._sums["unscored"]
        return Unscoreds(verdicts=total, reasons=reasons, other=total - sum(reasons.values()))


# The summary


@dataclass(frozen=True)
class Row:
    """One answer, or one line that could not be graded; None is an empty cell."""

    id: str
    question: str | None = None
    track: str | None = None
    competency: str | None = None
    state: str | None = None
    target_level: str | None = None
    signal: str | None = None
    """The line's: that of all its answers together."""
    score: float | None = None
    coverage: float | None = None
    criteria_scored: int | None = None
    criteria: int | None = None
    red_flags: str | None = None
    attempts: int | None = None
    """What is addressed to the grader, cited words of others aside."""
    contested: int | None = None
    """Verdicts without a majority of the votes."""
    grader: str | None = None
    model: str | None = None
    usd: float | None = None
    """The line's, on its first row only, so that the column adds up; empty when the price is not known."""
    error: str | None = None


COLUMNS = tuple(column.name for column in fields(Row))


def summary_rows(line: Mapping[str, Any], bank: Bank) -> list[Row]:
    """Returns a row for each answer of the line; one for a line with an error.

    Raises:
        ContentError: the line is neither a grade nor an error.
    """
    read = _read(line)
    if isinstance(read, ErrorLine):
        return [Row(read.id, error=f"{read.error.code}: {read.error.message}")]
    usd = 0.0 if not read.usage.calls and read.usage.usd is None else read.usage.usd
    return [
        _row(read, answer, _known(bank, answer.question), usd if number == 0 else None)
        for number, answer in enumerate(read.answers)
    ]


def _row(grade: Grade, answer: AnswerGrade, about: _Known, usd: float | None) -> Row:
    scored = [verdict for verdict in answer.verdicts if verdict.state == "scored"]
    return Row(
        id=grade.id,
        question=answer.question,
        track=about.track,
        competency=about.competency,
        state=answer.state,
        target_level=grade.target_level,
        signal=grade.signal,
        score=answer.score,
        coverage=answer.coverage,
        criteria_scored=len(scored),
        criteria=len(answer.verdicts),
        red_flags="; ".join(flag.id for flag in answer.red_flags),
        attempts=sum(attempt.kind != "others" for attempt in answer.attempts),
        contested=sum(bool(verdict.votes) and verdict.contested for verdict in scored),
        grader=grade.stamp.grader,
        model=grade.stamp.model,
        usd=usd,
    )


class Summary:
    """Writes `summary.csv` as the grades come: a header, then one row for each answer.

    A cell of text that begins with = + - or @, or has one of them after a semicolon, gets an apostrophe before it, since a
    spreadsheet would run it as a formula. Texts are on one line, without control characters. An id that looks like a number or like
    "NA" stays itself with `pandas.read_csv(path, dtype={"id": str}, keep_default_na=False, na_values=[""])`; all other columns get
    their types by themselves.

    Args:
        file: opened for text with `newline=""`, and for Excel with the encoding `utf-8-sig`.
        clean: takes control characters and line ends out of a text.
    """

    def __init__(self, file: TextIO, bank: Bank, *, clean: Callable[[str], str]) -> None:
        self._bank, self._clean = bank, clean
        self._csv = csv.writer(file)
        self._csv.writerow(COLUMNS)

    def add(self, line: Mapping[str, Any]) -> None:
        """Raises ContentError when the line is neither a grade nor an error."""
        self._csv.writerows(
            [self._cell(value) for value in vars(row).values()] for row in summary_rows(line, self._bank)
        )

    def _cell(self, value: str | float | None) -> str:
        match value:
            case None:
                return ""
            case str():
                return _FORMULA.sub(r"\1'\2", self._clean(value).strip())
            case int():
                return str(value)
            case float():
                return str(round(value, 6))


# In words


def markdown(report: CohortReport, bank: Bank, *, clean: Callable[[str], str]) -> str:
    """Returns the report for a person, at 80 columns but for ids that are longer.

    Args:
        clean: takes control characters and line ends out of a text.
    """

    def told(text: str) -> str:
        """Returns a text that Markdown shows as it stands."""
        marked = _MARKUP.sub(lambda found: "\\" + found[0], clean(text))
        return "".join(_ENTITIES.get(character, character) for character in marked)

    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 (for Markdown, what people said goes through `told`)
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "told": told,
        "wrap": _wrapped,
        "share": lambda share: "–" if share is None else f"{share:.0%}",
        "score": lambda score: "–" if score is None else f"{score:.2f}",
        "maker": lambda maker: told(_maker_in_words(maker)),
    }
    text = environment.get_template("cohort.md").render(
        report=report,
        bars=_bars,
        counts=_counts,
        table=lambda heading, rows: _table(heading, rows, clean),
        titles={name: question.title for name, question in bank.questions.items()},
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()), 80, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _maker_in_words(maker: Maker) -> str:
    votes = f", {maker.votes} votes" if maker.votes > 1 else ""
    prompt = f", prompt {maker.prompt.removeprefix('sha256:')[:8]}" if maker.prompt else ""
    who = maker.model if maker.model == maker.grader else f"{maker.grader} {maker.model}"
    return f"{who}{votes}{prompt}, level {maker.target_level}, mockint {maker.app}"


def _counts(counts: Mapping[str, int]) -> str:
    """Returns a line for each name: a bar, the count and its share."""
    total, most = sum(counts.values()), max(counts.values(), default=0)
    width = max((len(name) for name in counts), default=0)
    return "\n".join(
        f"{name:<{width}}  {_bar(count, most):<30}  {count:>7}  {count / total if total else 0:>4.0%}"
        for name, count in counts.items()
    )


def _bars(scores: Distribution) -> str:
    """Returns a line for each tenth of the scale."""
    tenths = _tenths(scores)
    return _counts({f"{at / 10:.1f} to {(at + 1) / 10:.1f}": count for at, count in enumerate(tenths)})


def _bar(count: int, most: int, width: int = 30) -> str:
    eighths = math.ceil(count * width * 8 / most) if most else 0
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _table(heading: str, rows: Iterable[Distribution], clean: Callable[[str], str]) -> str:
    """Returns a line for each distribution: its name, its numbers, and its shape in tenths of the scale."""
    out = [f"{heading:<29} {'n':>6}  mean    sd    q1   med    q3  0 to 1"]
    for row in rows:
        name = clean(row.name)
        name = name if len(name) <= 29 else name[:28] + "…"
        tenths = _tenths(row)
        shape = "".join("▁▂▃▄▅▆▇█"[math.ceil(count * 8 / max(tenths)) - 1] if count else "·" for count in tenths)
        sd = "   –" if row.sd is None else f"{row.sd:.2f}"
        numbers = f"{row.mean:.2f}  {sd}  {row.q1:.2f}  {row.median:.2f}  {row.q3:.2f}"
        out.append(f"{name:<29} {row.n:>6}  {numbers}  {shape}")
    return "\n".join(out)


def _tenths(scores: Distribution) -> list[int]:
    step = BINS // 10
    return [sum(scores.bins[at : at + step]) for at in range(0, BINS, step)]


# What is kept


class _Scores:
    """Scores as a histogram, with the sum of each bin and of all squares, in whole millionths."""

    def __init__(self) -> None:
        self._bins = array("q", bytes(8 * BINS))
        self._sums = array("q", bytes(8 * BINS))
        self._squares = 0

    @property
    def n(self) -> int:
        return sum(self._bins)

    def add(self, score: float) -> None:
        micro = round(score * _MICRO)
        at = min(micro * BINS // _MICRO, BINS - 1)
        self._bins[at] += 1
        self._sums[at] += micro
        self._squares += micro * micro

    def merge(self, other: _Scores) -> None:
        for at in range(BINS):
            self._bins[at] += other._bins[at]
            self._sums[at] += other._sums[at]
        self._squares += other._squares

    def told(self, name: str) -> Distribution:
        n, total = self.n, sum(self._sums)
        return Distribution(
            name=name,
            n=n,
            mean=total / n / _MICRO,
            sd=math.sqrt((n * self._squares - total * total) / (n * (n - 1))) / _MICRO if n > 1 else None,
            q1=self._quantile(n, 1),
            median=self._quantile(n, 2),
            q3=self._quantile(n, 3),
            bins=tuple(self._bins),
        )

    def _quantile(self, n: int, quarters: int) -> float:
        """Returns the mean of the two scores in the middle where the quarter falls between two (Hyndman and Fan's second kind)."""
        rank, between = divmod(n * quarters, 4)
        return self._at(rank + 1) if between else (self._at(rank) + self._at(rank + 1)) / 2

    def _at(self, rank: int) -> float:
        """Returns the mean score of the bin that holds the score of this rank, from 1."""
        upto = 0
        for count, total in zip(self._bins, self._sums, strict=True):
            upto += count
            if upto >= rank:
                return total / count / _MICRO
        raise IndexError(rank)


class _Least:
    """The least few of many tuples, and how many there were."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept: list[tuple[Any, ...]] = []
        self.seen = 0

    def add(self, entry: tuple[Any, ...]) -> None:
        self.seen += 1
        self._keep(entry)

    def merge(self, other: _Least) -> None:
        self.seen += other.seen
        for entry in list(other.kept):
            self._keep(entry)

    def _keep(self, entry: tuple[Any, ...]) -> None:
        if len(self.kept) < self._most or entry < self.kept[-1]:
            insort(self.kept, entry)
            del self.kept[self._most :]


class _Lowest(Generic[K, V]):
    """Values of the few keys with the lowest hashes: what is kept is whole, and the same in whatever order the keys came.

    A key that gave way never comes back, since those that it gave way to are still lower; so no value lacks what came before.
    """

    def __init__(self, most: int, make: Callable[[], V]) -> None:
        self._most, self._make = most, make
        self._values: dict[K, V] = {}
        self._hashes: list[tuple[int, K]] = []  # negative, so that the first of the heap is the highest
        self.more = False
        """Whether there were more keys than are kept."""

    def at(self, key: K) -> V | None:
        """Returns the key's value, to be changed in place; None when it is not kept."""
        if key in self._values:
            return self._values[key]
        hashed = -int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest())
        if len(self._values) < self._most:
            heappush(self._hashes, (hashed, key))
        else:
            self.more = True
            gone = heappushpop(self._hashes, (hashed, key))[1]
            if gone == key:
                return None
            del self._values[gone]
        value = self._values[key] = self._make()
        return value

    def kept(self) -> list[tuple[K, V]]:
        return list(self._values.items())

    def merge(self, other: _Lowest[K, V], into: Callable[[V, V], None]) -> None:
        self.more |= other.more
        for key, theirs in other.kept():
            if (mine := self.at(key)) is not None:
                into(mine, theirs)


class _OfMaker:
    def __init__(self) -> None:
        self.lines = 0
        self.scores = _Scores()

    def merge(self, other: _OfMaker) -> None:
        self.lines += other.lines
        self.scores.merge(other.scores)


_Maker = tuple[str, str, str, int, str, str]
_Answer = tuple[str, str, str, str, str]
_Opinion = tuple[float, int, tuple[tuple[str, str], ...]]
"""When it was made, the score in millionths or -1, and the level of each criterion."""


class _Newest:
    """A maker's newest opinion of an answer."""

    def __init__(self) -> None:
        self.opinion: _Opinion = (-math.inf, -1, ())

    def take(self, opinion: _Opinion) -> None:
        self.opinion = max(self.opinion, opinion)

    def merge(self, other: _Newest) -> None:
        self.take(other.opinion)


def _few_counts() -> _Lowest[str, Counter[str]]:
    return _Lowest(PER_KEY, Counter)


def _few_opinions() -> _Lowest[_Maker, _Newest]:
    return _Lowest(PER_KEY, _Newest)


class _Compared:
    """Two makers' opinions of the same answers."""

    def __init__(self) -> None:
        self.answers = self._scores = self._apart = self._higher = self._verdicts = self._same = 0

    def add(self, first: _Opinion, second: _Opinion) -> None:
        self.answers += 1
        if first[1] >= 0 and second[1] >= 0:
            self._scores += 1
            self._apart += abs(second[1] - first[1])
            self._higher += second[1] - first[1]
        levels = dict(second[2])
        both = [level == levels[criterion] for criterion, level in first[2] if criterion in levels]
        self._verdicts += len(both)
        self._same += sum(both)

    def told(self, one: _Maker, other: _Maker) -> Pair:
        return Pair(
            one=_named(one),
            other=_named(other),
            answers=self.answers,
            scores=self._scores,
            mean_absolute_difference=self._apart / self._scores / _MICRO if self._scores else None,
            mean_difference=self._higher / self._scores / _MICRO if self._scores else None,
            verdicts=self._verdicts,
            agreement=self._same / self._verdicts if self._verdicts else None,
        )


# What the bank says


@dataclass(frozen=True)
class _Known:
    """What the bank says about a question; `rubric` is None when it has no such question."""

    question: str
    track: str
    competency: str
    rubric: Rubric | None

    @cached_property
    def points(self) -> dict[str, dict[str, int]]:
        """Criterion → level → its points, in sixths."""
        criteria = self.rubric.criteria if self.rubric else ()
        return {c.id: {level: round(c.points(level) * _SIXTHS) for level in c.levels} for c in criteria}

    @cached_property
    def flags(self) -> frozenset[str]:
        return frozenset(flag.id for flag in self.rubric.red_flags) if self.rubric else frozenset()

    @cached_property
    def gates(self) -> frozenset[str]:
        return frozenset(flag.id for flag in self.rubric.red_flags if flag.gate) if self.rubric else frozenset()


_UNKNOWN = _Known(NOT_IN_BANK, NOT_IN_BANK, NOT_IN_BANK, None)


def _known(bank: Bank, name: str) -> _Known:
    """Raises ContentError when the question's rubric is missing or broken."""
    found = bank.questions.get(name)
    return _of_rubric(bank.folders, found.track, name) if found else _UNKNOWN


@lru_cache(maxsize=4096)
def _of_rubric(folders: tuple[Path, ...], track: str, question: str) -> _Known:
    rubric = load_rubric(folders, track, question)
    return _Known(question, track, rubric.competency, rubric)


def _read(line: Mapping[str, Any]) -> Grade | ErrorLine:
    """Returns the line, parsed, without the recorded exchanges."""
    try:
        if "error" in line:
            return ErrorLine.model_validate(line)
        grade = Grade.model_validate({**line, "calls": ()})
    except ValidationError as exc:
        first = exc.errors()[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
        raise _not_a_grade(line, told) from exc
    for score in (grade.score, *(answer.score for answer in grade.answers)):
        if score is not None and not 0 <= score <= 1:
            raise _not_a_grade(line, f"the score {score} is not from 0 to 1")
    if grade.usage.usd is not None and not 0 <= grade.usage.usd < math.inf:
        raise _not_a_grade(line, f"the price {grade.usage.usd} is no amount")
    for verdict in (verdict for answer in grade.answers for verdict in answer.verdicts):
        if verdict.state == "scored" and verdict.votes and min(verdict.votes.values()) < 1:
            raise _not_a_grade(line, f"a level of {verdict.criterion!r} has less than one vote")
    return grade


def _not_a_grade(line: Mapping[str, Any], told: str) -> ContentError:
    return ContentError(
        f"The line {line.get('id')!s:.60} is no grade: {told}.", hint="Give the lines that: mockint grade --out FILE"
    )


def _maker(grade: Grade) -> _Maker:
    made = grade.stamp
    return (made.grader, made.model, made.prompt, made.votes, made.app, grade.target_level)


def _named(maker: _Maker) -> Maker:
    return Maker(**dict(zip(Maker.model_fields, maker, strict=True)))


def _told(groups: Mapping[str, _Scores]) -> tuple[Distribution, ...]:
    return tuple(scores.told(name) for name, scores in sorted(groups.items()))


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
