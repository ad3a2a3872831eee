"""The only place that says what many grades show together: one line at a time, in memory that does not grow with their number.

Everything that is kept is a count, a sum of whole numbers, or a bounded list whose content does not depend on the order of the
lines. SciPy gives the Wilson intervals; it is imported when a result is asked for (0.8 s).
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
import textwrap
from array import array
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC
from functools import cache
from heapq import heappush, heapreplace
from itertools import accumulate, combinations, pairwise
from typing import Any, Generic, TextIO, TypeVar, get_args

from pydantic import Field, ValidationError

from mockint.bank import Bank
from mockint.content import Frozen
from mockint.errors import ContentError
from mockint.grades import AnswerGrade, AnswerState, Grade, Verdict
from mockint.rubric import Criterion, RedFlag, Signal, TargetLevel
from mockint.wording import environment

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

BINS = 100
"""Bins of a score's histogram, each a hundredth wide; a score of 1 is in the last."""
NEAR = 0.03
"""A score so near to the edge of a band is borderline."""
LEAST_SCORED = 5
"""A criterion's share of misses is told from so many verdicts on."""
LISTED, FIRST = 50, 5
"""Answers in each list for a person to read, also pairs of graders, and ids told for an error's code."""
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

    @property
    def tenths(self) -> list[int]:
        """How many scores are from 0 to 0.1, from there to 0.2, and so on."""
        step = BINS // 10
        return [sum(self.bins[at : at + step]) for at in range(0, BINS, step)]


@dataclass(frozen=True, order=True)
class Maker:
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
    """Whether there are more makers, sets of questions or rubrics of one than could be told apart."""


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
    expected_from: TargetLevel
    """Below this target level it is a bonus, and to miss it costs nothing."""


class FlagCount(Frozen):
    question: str
    flag: str
    asks: str
    gate: bool
    raised: int
    """Graded answers that raise it."""
    graded: int
    """Graded answers to the question."""
    share: float


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
    """Answers that were given and graded, each counted once."""
    drawn: bool
    """Whether the answers looked at, or the makers of one, are a draw from all."""
    pairs: tuple[Pair, ...]
    """Those with most answers in common first, LISTED at most."""
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
        bank: for tracks, competencies, criteria and the bands of the signal.
    """

    def __init__(self, bank: Bank) -> None:
        self._scale, self._known = bank.scale, _knowing(bank)
        self._lines = self._unscored = self._unknown = 0
        self._states: Counter[AnswerState] = Counter()
        self._signals: Counter[Signal] = Counter()
        self._scores: dict[tuple[str, str], _Scores] = defaultdict(_Scores)
        """By kind of group and name: track, competency, question, and all."""
        self._graded: Counter[str] = Counter()
        self._criteria: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        """By question and criterion: how many verdicts are scored, at the lowest level, and unscored."""
        self._flags: Counter[tuple[str, str]] = Counter()
        self._attempts: Counter[str] = Counter()
        self._votes: Counter[str] = Counter()
        self._spent: Counter[str] = Counter()
        self._makers: _Lowest[Maker, _OfMaker] = _Lowest(MAKERS, _OfMaker)
        self._rubrics: _Lowest[tuple[str, ...], _Lowest[str, int]] = _Lowest(RUBRICS, lambda: _Lowest(PER_KEY, int))
        self._reasons: _Lowest[str, int] = _Lowest(REASONS, int)
        self._twice: _Lowest[tuple[str, ...], _Lowest[Maker, _Opinion]] = _Lowest(
            SPREAD_ANSWERS, lambda: _Lowest(PER_KEY, _no_opinion)
        )
        self._borderline: _Least[Borderline] = _Least(
            LISTED, lambda one: (one.distance, one.id, one.questions, one.score, one.signal, one.edge)
        )
        self._contested: _Least[Contested] = _Least(LISTED, _agreed)
        self._steering: _Least[Steering] = _Least(LISTED, lambda one: (-one.attempts, one.id, one.question, one.kinds))
        self._errors: dict[int, _Least[tuple[str, str]]] = defaultdict(lambda: _Least(FIRST, lambda named: named))

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
        known = [self._known(answer.question) for answer in read.answers]
        maker = _maker(read)
        self._lines += 1
        self._signals[read.signal] += 1
        for answer, about in zip(read.answers, known, strict=True):
            self._add_answer(read, answer, about)
            self._add_opinion(read, answer, maker)
        if self._makers.keeps(maker):
            self._makers[maker].add(read)
        asked = tuple(sorted(_cut(answer.question) for answer in read.answers))
        if self._rubrics.keeps(asked) and self._rubrics[asked].keeps(read.stamp.rubric):
            self._rubrics[asked][read.stamp.rubric] += 1
        self._add_borderline(read, known)
        self._add_usage(read)

    def compare(self, line: Mapping[str, Any]) -> None:
        """Counts another grader's grade of an answer, for how far the graders agree alone; an error counts for nothing.

        Raises:
            ContentError: as `add`.
        """
        read = _read(line)
        if not isinstance(read, ErrorLine):
            for answer in read.answers:
                self._add_opinion(read, answer, _maker(read))

    def _add_answer(self, grade: Grade, answer: AnswerGrade, about: _Known) -> None:
        self._states[answer.state] += 1
        if answer.score is not None:
            groups = {"all": "all", "track": about.track, "competency": about.competency, "question": about.question}
            for group in groups.items():
                self._scores[group].add(answer.score)
        for verdict in answer.verdicts:
            self._add_verdict(grade.id, answer.question, verdict, about)
        raised = {flag.id for flag in answer.red_flags}
        self._unknown += len(raised - about.flags.keys())
        if answer.state == "graded":
            self._graded[about.question] += 1
            for name in raised & about.flags.keys():
                self._flags[about.question, name] += 1
        for attempt in answer.attempts:
            self._attempts[attempt.kind] += 1
        if steering := [attempt.kind for attempt in answer.attempts if attempt.kind != "others"]:
            kinds = tuple(sorted(set(steering)))
            self._steering.add(
                Steering(id=_cut(grade.id), question=_cut(answer.question), attempts=len(steering), kinds=kinds)
            )

    def _add_verdict(self, name: str, question: str, verdict: Verdict, about: _Known) -> None:
        criterion = about.criteria.get(verdict.criterion)
        if verdict.state == "unscored":
            self._unscored += 1
            why = _cut(_QUOTED.sub("…", verdict.why))
            if self._reasons.keeps(why):
                self._reasons[why] += 1
            if criterion:
                self._criteria[about.question, criterion.id]["unscored"] += 1
            else:
                self._unknown += 1
            return
        votes = verdict.votes or {}
        if votes and verdict.contested:
            cut = {_cut(level): count for level, count in sorted(votes.items())}
            self._contested.add(
                Contested(id=_cut(name), question=_cut(question), criterion=_cut(verdict.criterion), votes=cut)
            )
        if criterion is None or verdict.level not in criterion.levels:
            self._unknown += 1
            return
        count = self._criteria[about.question, criterion.id]
        count["scored"] += 1
        count["lowest"] += verdict.level == criterion.lowest
        if votes and votes.keys() <= criterion.levels.keys():
            points = {level: round(criterion.points(level) * _SIXTHS) for level in votes}
            cast = sum(votes.values())
            self._votes.update(
                verdicts=int(cast > 1),
                pairs=math.comb(cast, 2),
                agreed=sum(math.comb(count, 2) for count in votes.values()),
                sixths=sum(votes[a] * votes[b] * abs(points[a] - points[b]) for a, b in combinations(votes, 2)),
            )

    def _add_opinion(self, grade: Grade, answer: AnswerGrade, maker: Maker) -> None:
        if not answer.verdicts:
            return  # not asked, or not answered: nobody has an opinion of it
        stamp = grade.stamp
        key = (grade.id, answer.question, stamp.transcript, stamp.rubric, grade.target_level)
        if self._twice.keeps(key) and self._twice[key].keeps(maker):
            levels = tuple((verdict.criterion, verdict.level) for verdict in answer.verdicts if verdict.level)
            score = -1 if answer.score is None else round(answer.score * _MICRO)
            made = stamp.at if stamp.at.tzinfo else stamp.at.replace(tzinfo=UTC)
            self._twice[key][maker] = max(self._twice[key][maker], (made.timestamp(), score, levels))

    def _add_borderline(self, grade: Grade, known: Sequence[_Known]) -> None:
        if grade.score is None or grade.signal != self._scale.signal(grade.score):
            return  # too little evidence, capped by a gate, or under another scale: no edge decides
        raised = {flag.id for answer in grade.answers for flag in answer.red_flags}
        gated = any(flag.gate for about in known for name, flag in about.flags.items() if name in raised)
        micro = round(grade.score * _MICRO)
        edges = [
            (distance, below, above)
            for below, above in pairwise(self._scale.bands)
            if (distance := abs(micro - round(above.from_score * _MICRO))) <= round(NEAR * _MICRO)
            and not (gated and above.signal in ("hire", "strong hire"))
        ]
        for distance, below, above in sorted(edges, key=lambda edge: edge[0])[:1]:
            self._borderline.add(
                Borderline(
                    id=_cut(grade.id),
                    questions=tuple(_cut(answer.question) for answer in grade.answers),
                    score=grade.score,
                    signal=grade.signal,
                    edge=above.from_score,
                    other=below.signal if grade.score >= above.from_score else above.signal,
                    distance=distance / _MICRO,
                )
            )

    def _add_usage(self, grade: Grade) -> None:
        used = grade.usage
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "calls"):
            self._spent[name] += getattr(used, name)
        if used.usd is not None:
            self._spent["nano_usd"] += round(used.usd * _NANO)
        elif used.calls:
            self._spent.update(unpriced_lines=1, unpriced_tokens=used.prompt_tokens + used.completion_tokens)

    def result(self) -> CohortReport:
        """Returns what the grades so far show. It can be asked for at any time, and more added after."""
        signals: tuple[Signal, ...] = get_args(Signal)
        states: tuple[AnswerState, ...] = get_args(AnswerState)
        spent = {name: self._spent[name] for name in Spent.model_fields}
        return CohortReport(
            lines=self._lines,
            answers=self._states.total(),
            stamps=self._stamps(),
            states={state: self._states[state] for state in states},
            signals={signal: self._signals[signal] for signal in signals},
            scores=next(iter(self._distributions("all")), None),
            tracks=self._distributions("track"),
            competencies=self._distributions("competency"),
            questions=self._distributions("question"),
            missed=self._missed(),
            red_flags=self._red_flags(),
            steering_answers=self._steering.seen,
            steering_kinds=_by_count(self._attempts),
            steering=tuple(self._steering.kept),
            near=NEAR,
            borderline_lines=self._borderline.seen,
            borderline=tuple(self._borderline.kept),
            contested_verdicts=self._contested.seen,
            contested=tuple(self._contested.kept),
            spread=self._spread(),
            unscored=Unscoreds(
                verdicts=self._unscored,
                reasons=_by_count(self._reasons),
                other=self._unscored - sum(self._reasons.values()),
            ),
            unknown_verdicts=self._unknown,
            usage=Spent.model_validate(spent | {"usd": self._spent["nano_usd"] / _NANO}),
            errors=tuple(
                Failed(code=code, lines=first.seen, first=dict(first.kept))
                for code, first in sorted(self._errors.items())
            ),
        )

    def _distributions(self, kind: str) -> tuple[Distribution, ...]:
        return tuple(scores.told(name) for (of, name), scores in sorted(self._scores.items()) if of == kind)

    def _stamps(self) -> Stamps:
        makers = sorted(self._makers, key=lambda maker: (-self._makers[maker].lines, maker))
        rubrics = tuple(
            Regraded(questions=asked, rubrics=dict(sorted(lines.items())))
            for asked, lines in sorted(self._rubrics.items())
            if len(lines) > 1
        )
        differ = [part.name for part in fields(Maker) if len({getattr(maker, part.name) for maker in makers}) > 1]
        return Stamps(
            makers=tuple(self._makers[maker].told(maker) for maker in makers),
            differ=(*differ, *(["rubric"] if rubrics else [])),
            rubrics=rubrics,
            more=self._makers.more or self._rubrics.more or any(lines.more for lines in self._rubrics.values()),
        )

    def _missed(self) -> tuple[Missed, ...]:
        from scipy.stats import binomtest  # 0.8 s

        found = []
        for (question, name), count in self._criteria.items():
            scored, lowest = count["scored"], count["lowest"]
            if scored < LEAST_SCORED:
                continue
            interval = binomtest(lowest, scored).proportion_ci(method="wilson")
            criterion = self._known(question).criteria[name]
            found.append(
                Missed(
                    question=question,
                    criterion=name,
                    asks=criterion.asks,
                    scored=scored,
                    missed=lowest,
                    share=lowest / scored,
                    low=float(interval.low),
                    high=float(interval.high),
                    unscored=count["unscored"],
                    expected_from=criterion.expected_from,
                )
            )
        return tuple(sorted(found, key=lambda one: (-one.low, -one.share, one.question, one.criterion)))

    def _red_flags(self) -> tuple[FlagCount, ...]:
        found = []
        for (question, name), raised in self._flags.items():
            flag, graded = self._known(question).flags[name], self._graded[question]
            found.append(
                FlagCount(
                    question=question,
                    flag=name,
                    asks=flag.asks,
                    gate=flag.gate,
                    raised=raised,
                    graded=graded,
                    share=raised / graded,
                )
            )
        return tuple(sorted(found, key=lambda one: (-one.raised, one.question, one.flag)))

    def _spread(self) -> Spread:
        both: dict[tuple[Maker, Maker], list[tuple[_Opinion, _Opinion]]] = defaultdict(list)
        for opinions in self._twice.values():
            for one, other in combinations(sorted(opinions), 2):
                both[one, other].append((opinions[one], opinions[other]))
        votes = self._votes
        return Spread(
            answers=sum(len(opinions) > 1 for opinions in self._twice.values()),
            looked_at=len(self._twice),
            drawn=self._twice.more or any(opinions.more for opinions in self._twice.values()),
            pairs=tuple(
                _pair(one, other, opinions)
                for (one, other), opinions in sorted(both.items(), key=lambda pair: (-len(pair[1]), pair[0]))
            )[:LISTED],
            votes=WithinVotes(
                verdicts=votes["verdicts"],
                pairs=votes["pairs"],
                mean_absolute_difference=_share(votes["sixths"], votes["pairs"] * _SIXTHS),
                agreement=_share(votes["agreed"], votes["pairs"]),
            ),
        )


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
        self._known, self._clean = _knowing(bank), clean
        self._csv = csv.writer(file)
        self._csv.writerow(COLUMNS)

    def add(self, line: Mapping[str, Any]) -> None:
        """Raises ContentError when the line is neither a grade nor an error; then nothing of it is written."""
        self._csv.writerows([[self._cell(value) for value in vars(row).values()] for row in self._rows(line)])

    def _rows(self, line: Mapping[str, Any]) -> Iterator[Row]:
        read = _read(line)
        if isinstance(read, ErrorLine):
            yield Row(read.id, error=f"{read.error.code}: {read.error.message}")
            return
        usd = 0.0 if not read.usage.calls and read.usage.usd is None else read.usage.usd
        for answer in read.answers:
            about = self._known(answer.question)
            scored = [verdict for verdict in answer.verdicts if verdict.state == "scored"]
            yield Row(
                id=read.id,
                question=answer.question,
                track=about.track,
                competency=about.competency,
                state=answer.state,
                target_level=read.target_level,
                signal=read.signal,
                score=answer.score,
                coverage=answer.coverage,
                criteria_scored=len(scored),
                criteria=len(answer.verdicts),
                red_flags="; ".join(flag.id for flag in answer.red_flags),
                attempts=sum(attempt.kind != "others" for attempt in answer.attempts),
                contested=sum(bool(verdict.votes) and verdict.contested for verdict in scored),
                grader=read.stamp.grader,
                model=read.stamp.model,
                usd=usd,
            )
            usd = None

    def _cell(self, value: str | float | None) -> str:
        match value:
            case None:
                return ""
            case str():
                return _FORMULA.sub(r"\1'\2", self._clean(value).strip())
            case int():
                return str(value)
            case float():
                return str(round(value, 9))


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

    made = environment(autoescape=False)  # for Markdown, what people said goes through `told`
    made.filters |= {"told": told, "wrap": _wrapped, "maker": lambda maker: told(_maker_in_words(maker))}
    text = made.get_template("cohort.md").render(
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
    return _counts({f"{at / 10:.1f} to {(at + 1) / 10:.1f}": count for at, count in enumerate(scores.tenths)})


def _bar(count: int, most: int, width: int = 30) -> str:
    eighths = math.ceil(count * width * 8 / most) if most else 0
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _table(heading: str, rows: Iterable[Distribution], clean: Callable[[str], str]) -> str:
    """Returns a line for each distribution: its name, its numbers, and its shape in tenths of the scale."""
    out = [f"{heading:<29} {'n':>6}  mean    sd    q1   med    q3  0 to 1"]
    for row in rows:
        name = clean(row.name)
        name = name if len(name) <= 29 else name[:28] + "…"
        tenths = row.tenths
        shape = "".join("▁▂▃▄▅▆▇█"[math.ceil(count * 8 / max(tenths)) - 1] if count else "·" for count in tenths)
        sd = "   –" if row.sd is None else f"{row.sd:.2f}"
        numbers = f"{row.mean:.2f}  {sd}  {row.q1:.2f}  {row.median:.2f}  {row.q3:.2f}"
        out.append(f"{name:<29} {row.n:>6}  {numbers}  {shape}")
    return "\n".join(out)


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

    def told(self, name: str) -> Distribution:
        n, total = self.n, sum(self._sums)
        q1, median, q3 = (self._quantile(n, quarters) for quarters in (1, 2, 3))
        return Distribution(
            name=name,
            n=n,
            mean=total / n / _MICRO,
            sd=math.sqrt((n * self._squares - total * total) / (n * (n - 1))) / _MICRO if n > 1 else None,
            q1=q1,
            median=median,
            q3=q3,
            bins=tuple(self._bins),
        )

    def _quantile(self, n: int, quarters: int) -> float:
        """Returns the mean of the two scores in the middle where the quarter falls between two (Hyndman and Fan's second kind)."""
        rank, between = divmod(n * quarters, 4)
        return self._at(rank + 1) if between else (self._at(rank) + self._at(rank + 1)) / 2

    def _at(self, rank: int) -> float:
        """Returns the mean score of the bin that holds the score of this rank, from 1."""
        at = bisect_left(list(accumulate(self._bins)), rank)
        return self._sums[at] / self._bins[at] / _MICRO


class _Least(Generic[T]):
    """The few values that rank least, and how many there were. What ranks alike has to be the same."""

    def __init__(self, most: int, rank: Callable[[T], Any]) -> None:
        self._most, self._rank = most, rank
        self.kept: list[T] = []
        self.seen = 0

    def add(self, value: T) -> None:
        self.seen += 1
        insort(self.kept, value, key=self._rank)
        del self.kept[self._most :]


class _Lowest(dict[K, V]):
    """Values of the few keys with the lowest hashes: what is kept is whole, and the same in whatever order the keys came.

    A key that gave way never comes back, since those that it gave way to are still lower; so no value lacks what came before.
    """

    def __init__(self, most: int, make: Callable[[], V]) -> None:
        super().__init__()
        self._most, self._make = most, make
        self._hashes: list[tuple[int, K]] = []  # negative, so that the first of the heap is the highest
        self.more = False
        """Whether there were more keys than are kept."""

    def keeps(self, key: K) -> bool:
        """Whether the key is among the few. It has a value then, a new one to begin with."""
        if key in self:
            return True
        entry = (-int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest()), key)
        if len(self) < self._most:
            heappush(self._hashes, entry)
        else:
            self.more = True
            if entry < self._hashes[0]:
                return False
            del self[heapreplace(self._hashes, entry)[1]]
        self[key] = self._make()
        return True


@dataclass
class _OfMaker:
    lines: int = 0
    scores: _Scores = field(default_factory=_Scores)

    def add(self, grade: Grade) -> None:
        self.lines += 1
        for answer in grade.answers:
            if answer.score is not None:
                self.scores.add(answer.score)

    def told(self, maker: Maker) -> Made:
        return Made(maker=maker, lines=self.lines, scores=self.scores.told("all") if self.scores.n else None)


_Opinion = tuple[float, int, tuple[tuple[str, str], ...]]
"""When it was made, the score in millionths or -1, and the level of each criterion. A maker's newest opinion of an answer counts."""


def _no_opinion() -> _Opinion:
    return (-math.inf, -1, ())


def _pair(one: Maker, other: Maker, opinions: Sequence[tuple[_Opinion, _Opinion]]) -> Pair:
    """Returns how two makers' opinions of the same answers compare."""
    higher = [second - first for (_, first, _), (_, second, _) in opinions if first >= 0 and second >= 0]
    same = [
        level == levels[criterion]
        for (_, _, first), (_, _, second) in opinions
        for levels in [dict(second)]
        for criterion, level in first
        if criterion in levels
    ]
    return Pair(
        one=one,
        other=other,
        answers=len(opinions),
        scores=len(higher),
        mean_absolute_difference=_share(sum(map(abs, higher)), len(higher) * _MICRO),
        mean_difference=_share(sum(higher), len(higher) * _MICRO),
        verdicts=len(same),
        agreement=_share(sum(same), len(same)),
    )


def _agreed(one: Contested) -> tuple[Any, ...]:
    """Ranks the least agreed first."""
    share = max(one.votes.values()) / sum(one.votes.values())
    return (share, one.id, one.question, one.criterion, tuple(one.votes.items()))


# What the bank says


@dataclass(frozen=True)
class _Known:
    """What the bank says about a question."""

    question: str
    track: str
    competency: str
    criteria: Mapping[str, Criterion]
    flags: Mapping[str, RedFlag]


_UNKNOWN = _Known(NOT_IN_BANK, NOT_IN_BANK, NOT_IN_BANK, {}, {})


def _knowing(bank: Bank) -> Callable[[str], _Known]:
    """Returns what reads a question's rubric when it is first asked for; it raises ContentError when that is missing or broken."""

    @cache
    def known(name: str) -> _Known:
        question = bank.question(name)
        rubric = bank.rubric(question)
        flags = {flag.id: flag for flag in rubric.red_flags}
        return _Known(name, question.track, rubric.competency, rubric.by_id, flags)

    return lambda name: known(name) if name in bank.questions else _UNKNOWN


def _read(line: object) -> Grade | ErrorLine:
    """Returns the line, parsed, without the recorded exchanges."""
    if not isinstance(line, Mapping):
        raise _not_a_grade({"id": line}, "it is no JSON object")
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
        f"The line {line.get('id')!s:.60} is no grade: {told}.",
        hint="Give lines as they are written by: mockint grade --out FILE",
    )


def _maker(grade: Grade) -> Maker:
    made = grade.stamp
    return Maker(made.grader, made.model, made.prompt, made.votes, made.app, grade.target_level)


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
