"""The only place that says how far a grader agrees with people: its ratings beside stated ones, and what follows from both.

scikit-learn, SciPy and NumPy do the statistics; they are imported when these are asked for (0.9 s together).
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from mockint import __version__
from mockint.bank import Bank, Question
from mockint.batch import Answer, part_of, read_lines, read_text
from mockint.clock import Clock
from mockint.content import Frozen, digest, near
from mockint.errors import ContentError, UsageError
from mockint.files import own
from mockint.grades import Grade, Scored
from mockint.grading import Grader
from mockint.grading.grader import AT_ONCE, Calls, grade_parts
from mockint.llm import Usage
from mockint.rubric import Rubric, TargetLevel
from mockint.wording import many

LEAST_RATINGS, LEAST_QUESTIONS, LEAST_KAPPA, MOST_ERROR = 200, 20, 0.6, 0.15
"""The bar that a grader has to meet to be called calibrated: ratings, questions, quadratic-weighted kappa (above 0.6 agreement is
"substantial" in Landis and Koch, 1977) and the mean absolute error of a question's score."""
RESAMPLES, LEAST_GROUPS = 1000, 5
"""Draws for an interval, and the questions that it takes."""
_SCALE = 12
"""Levels of criteria with two, three or four of them, on one scale of whole numbers."""


class OfQuestion(Protocol):
    @property
    def question(self) -> str: ...


T = TypeVar("T", bound=OfQuestion)


class Gold(Answer):
    """An answer with what people make of it: the level of each criterion, or a score from 0 to 1."""

    levels: dict[str, str] = Field(default_factory=dict)
    red_flags: tuple[str, ...] = ()
    score: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _says_what_it_is_worth(self) -> Self:
        if not self.levels and self.score is None:
            raise ValueError("give levels or a score from 0 to 1")
        return self


@dataclass(frozen=True)
class Rating:
    """One criterion of one answer: the level that people gave, and the grader's."""

    question: str
    answer: str
    criterion: str
    stated: str
    given: str | None
    """None when the grader left it unscored."""
    stated_points: float
    given_points: float | None
    quote: str = ""


@dataclass(frozen=True)
class Score:
    question: str
    answer: str
    stated: float
    given: float | None


@dataclass(frozen=True)
class Trial:
    """What a grader made of a set of gold answers."""

    ratings: tuple[Rating, ...]
    scores: tuple[Score, ...]
    usage: Usage
    stamp: dict[str, Any]
    failed: tuple[str, ...] = ()


class Interval(Frozen):
    value: float | None
    low: float | None = None
    high: float | None = None
    """The 95% interval, by bootstrap over questions."""


class Agreement(Frozen):
    """How far the grader and people agree."""

    ratings: int
    questions: int
    """Over which the ratings are; without any, the scores."""
    scores: int = 0
    """Answers with a score from both sides."""
    coverage: float
    """The share of the rated criteria that the grader scored; without any, of the answers with a score."""
    exact: Interval
    kappa: Interval
    """Cohen's, with quadratic weights."""
    score_error: Interval
    """Mean absolute error of a question's score."""
    correlation: Interval
    """Pearson's, of the scores."""
    confusion: dict[str, dict[str, int]]
    """Stated level → given level → how often, where both are of the usual three."""
    criteria: dict[str, dict[str, float | int | None]]
    """QUESTION/CRITERION → ratings, exact agreement and kappa."""

    @property
    def calibrated(self) -> bool:
        return (
            self.ratings >= LEAST_RATINGS
            and self.questions >= LEAST_QUESTIONS
            and (self.kappa.value or 0) >= LEAST_KAPPA
            and self.score_error.value is not None
            and self.score_error.value <= MOST_ERROR
        )


class Calibration(Frozen):
    """A trial's result, kept by what produced it: a change of prompt, rubric or model voids it."""

    at: datetime
    stamp: dict[str, Any]
    agreement: Agreement
    usage: Usage

    @property
    def state(self) -> Literal["calibrated", "uncalibrated"]:
        return "calibrated" if self.agreement.calibrated else "uncalibrated"


def samples(bank: Bank, questions: Iterable[Question]) -> list[Gold]:
    """Returns the sample answers of the questions, as gold."""
    return [
        Gold(
            id=f"{question.id}/{sample.name}",
            question=question.id,
            answer=sample.text,
            levels=sample.levels,
            red_flags=sample.red_flags,
        )
        for question in questions
        for sample in bank.samples(question)
    ]


def read_gold(path: Path) -> list[Gold]:
    """Reads JSON lines, or CSV with the columns id, question, answer and score or one `level:CRITERION` for each.

    Raises:
        ContentError: with every bad line, and with every answer that is there twice.
        UsageError: the file cannot be read, or holds no answer.
    """
    found: dict[tuple[str, str], Gold] = {}
    problems = []
    for number, row in _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path):
        try:
            answer = Gold.model_validate_json(row, strict=False)
        except ValidationError as exc:
            first = exc.errors()[0]
            told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
            problems.append(f"{path}:{number}: {told}")
            continue
        if (answer.id, answer.question) in found:
            problems.append(f"{path}:{number}: another answer to {answer.question!r} has the id {answer.id!r}")
        found[answer.id, answer.question] = answer
    if problems:
        raise ContentError("\n".join(problems), hint="Each line is an answer with its levels or its score.")
    if not found:
        raise UsageError(f"{path} holds no answer.", hint="Give JSON lines or CSV; see docs/calibration.md.")
    return list(found.values())


def _json_rows(path: Path) -> Iterator[tuple[int, str]]:
    """Yields each line with its number."""
    return ((number, line) for number, line in enumerate(read_lines(path), 1) if line.strip())


def _csv_rows(path: Path) -> Iterator[tuple[int, str]]:
    """Yields each row as JSON, with the number of its last line. Raises ContentError where columns are missing or quotes do not add up."""
    csv.field_size_limit(10_000_000)
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""), restkey="a cell without a name", strict=True)
    try:
        if lacking := [name for name in ("id", "question", "answer") if name not in (rows.fieldnames or ())]:
            raise ContentError(
                f"{path}:1: there is no column {', '.join(lacking)}",
                hint="Name the columns in the first line, with commas between them.",
            )
        for row in rows:
            given = {key: value for key, value in row.items() if value}
            levels = {key[6:]: given.pop(key) for key in list(given) if key.startswith("level:")}
            yield rows.line_num, json.dumps(given | ({"levels": levels} if levels else {}))
    except csv.Error as exc:
        raise ContentError(
            f"{path}:{rows.reader.line_num}: {exc}",
            hint="Put a cell that holds a comma, a quote or a line end in quotes.",
        ) from exc


async def try_out(
    gold: Sequence[Gold],
    bank: Bank,
    *,
    maker: Callable[[Calls], Grader],
    clock: Clock,
    level: TargetLevel = "staff",
    at_once: int = AT_ONCE,
    done: Callable[[], None] = lambda: None,
) -> Trial:
    """Grades every gold answer. At the default level every criterion is expected, so that none hides as a bonus.

    Args:
        at_once: answers that are graded at the same time.
        done: called after each answer.
    """
    _refuse_unknown(gold, bank)
    gate = asyncio.Semaphore(at_once)

    async def one(answer: Gold) -> Grade | str:
        async with gate:
            try:
                part = part_of(answer.question, answer.answer, answer.turns, bank)
                return await grade_parts(
                    answer.id, [part], level=level, scale=bank.scale, grader_for=maker, clock=clock
                )
            except (ContentError, UsageError) as exc:
                return f"{answer.id}: {exc.what}"
            finally:
                done()

    grades = await asyncio.gather(*(one(answer) for answer in gold))
    ratings: list[Rating] = []
    scores: list[Score] = []
    for answer, grade in zip(gold, grades, strict=True):
        if isinstance(grade, str):
            continue
        rubric = bank.rubric(bank.question(answer.question))
        ratings += _ratings(answer, grade, rubric)
        if answer.score is None and answer.levels.keys() != rubric.by_id.keys():
            continue  # rated in part: its levels count, and it has no score to compare
        stated = rubric.stated_score(answer.levels, answer.red_flags) if answer.score is None else answer.score
        scores.append(Score(answer.question, answer.id, stated, grade.answers[0].score))
    graded = [grade for grade in grades if isinstance(grade, Grade)]
    failed = tuple(grade for grade in grades if isinstance(grade, str))
    usage = sum((grade.usage for grade in graded), Usage())
    return Trial(tuple(ratings), tuple(scores), usage, _stamp(gold, graded, bank), failed)


def _refuse_unknown(gold: Sequence[Gold], bank: Bank) -> None:
    """Raises ContentError, before anything is graded, with every criterion, level and red flag that the rubrics do not have."""
    problems = []
    for answer in gold:
        if answer.question not in bank.questions:
            continue  # told with the other answers that cannot be graded
        rubric = bank.rubric(bank.question(answer.question))
        criteria, flags = rubric.by_id, [flag.id for flag in rubric.red_flags]
        for name, level in answer.levels.items():
            if name not in criteria:
                problems.append(f"{answer.id}: {answer.question} has no criterion {name!r}{near(name, criteria)}")
            elif level not in criteria[name].levels:
                problems.append(f"{answer.id}: {name!r} has no level {level!r}{near(level, criteria[name].levels)}")
        problems += [
            f"{answer.id}: {answer.question} has no red flag {name!r}{near(name, flags)}"
            for name in answer.red_flags
            if name not in flags
        ]
    if problems:
        raise ContentError("\n".join(problems), hint="Correct the gold answers.")


def _ratings(answer: Gold, grade: Grade, rubric: Rubric) -> Iterable[Rating]:
    for verdict in grade.answers[0].verdicts:
        criterion, stated = rubric.by_id[verdict.criterion], answer.levels.get(verdict.criterion)
        if stated is None:
            continue
        scored = verdict if isinstance(verdict, Scored) else None
        yield Rating(
            answer.question,
            answer.id,
            criterion.id,
            stated,
            scored.level if scored else None,
            criterion.points(stated),
            criterion.points(scored.level) if scored else None,
            scored.evidence[0].quote if scored and scored.evidence else "",
        )


def _stamp(gold: Sequence[Gold], grades: Sequence[Grade], bank: Bank) -> dict[str, Any]:
    names = sorted({answer.question for grade in grades for answer in grade.answers if answer.score is not None})
    rubrics = {name: bank.rubric(bank.question(name)).digest for name in names}
    made = grades[0].stamp if grades else None
    return {
        "grader": made.grader if made else None,
        "model": made.model if made else None,
        "prompt": made.prompt if made else None,
        "votes": made.votes if made else 1,
        "rubrics": rubrics,
        "gold": digest([answer.model_dump(mode="json") for answer in gold]),
        "app": __version__,
    }


# What follows from the ratings


def agreement(trial: Trial) -> Agreement:
    scored = [rating for rating in trial.ratings if rating.given is not None]
    graded = [score for score in trial.scores if score.given is not None]
    by_criterion: dict[str, list[Rating]] = {}
    for rating in scored:
        by_criterion.setdefault(f"{rating.question}/{rating.criterion}", []).append(rating)
    return Agreement(
        ratings=len(scored),
        questions=len({rating.question for rating in scored} or {score.question for score in graded}),
        scores=len(graded),
        coverage=round(
            len(scored) / len(trial.ratings) if trial.ratings else len(graded) / (len(trial.scores) or 1), 4
        ),
        exact=_interval(scored, _exact),
        kappa=_interval(scored, _kappa),
        score_error=_interval(graded, _error),
        correlation=_interval(graded, _pearson),
        confusion=_confusion(scored),
        criteria={
            name: {"ratings": len(found), "exact": _exact(found), "kappa": _kappa(found)}
            for name, found in sorted(by_criterion.items())
        },
    )


def _exact(ratings: Sequence[Rating]) -> float | None:
    return sum(r.stated == r.given for r in ratings) / len(ratings) if ratings else None


def _kappa(ratings: Sequence[Rating]) -> float | None:
    """Returns None when it is not defined: too few ratings, or all of one level on both sides."""
    from sklearn.metrics import cohen_kappa_score

    stated = [round(rating.stated_points * _SCALE) for rating in ratings]
    given = [round((rating.given_points or 0) * _SCALE) for rating in ratings]
    if len(ratings) < 2 or len({*stated, *given}) < 2:
        return None
    return float(cohen_kappa_score(stated, given, weights="quadratic", labels=list(range(_SCALE + 1))))


def _error(scores: Sequence[Score]) -> float | None:
    from sklearn.metrics import mean_absolute_error

    if not scores:
        return None
    return float(mean_absolute_error([one.stated for one in scores], [one.given for one in scores]))


def _pearson(scores: Sequence[Score]) -> float | None:
    from scipy.stats import pearsonr

    stated, given = [one.stated for one in scores], [one.given for one in scores]
    if len(scores) < 3 or len(set(stated)) < 2 or len(set(given)) < 2:
        return None
    return float(pearsonr(stated, given).statistic)


def _confusion(ratings: Sequence[Rating]) -> dict[str, dict[str, int]]:
    from sklearn.metrics import confusion_matrix

    names = ["missed", "partial", "met"]
    usual = [r for r in ratings if r.stated in names and r.given in names]
    if not usual:
        return {}
    table = confusion_matrix([r.stated for r in usual], [r.given for r in usual], labels=names)
    return {stated: dict(zip(names, map(int, row), strict=True)) for stated, row in zip(names, table, strict=True)}


def _interval(found: Sequence[T], statistic: Callable[[Sequence[T]], float | None]) -> Interval:
    """Returns the statistic with its 95% interval, from five questions on: whole questions are drawn anew, since their answers belong
    together. A draw for which the statistic is not defined does not count.
    """
    import numpy as np

    value = statistic(found)
    groups: dict[str, list[T]] = {}
    for one in found:
        groups.setdefault(one.question, []).append(one)
    if value is None or len(groups) < LEAST_GROUPS:
        return Interval(value=None if value is None else round(value, 4))
    lists, chance = [groups[name] for name in sorted(groups)], np.random.default_rng(20261124)
    drawn = (
        statistic([one for index in chance.integers(len(lists), size=len(lists)) for one in lists[index]])
        for _ in range(RESAMPLES)
    )
    low, high = np.quantile([again for again in drawn if again is not None], [0.025, 0.975])
    return Interval(value=round(value, 4), low=round(float(low), 4), high=round(float(high), 4))


def told(found: Agreement, *, usage: Usage) -> str:
    """Returns the agreement in words and a table, for a terminal."""
    state = "calibrated" if found.calibrated else "uncalibrated"
    ratings, scores = many(found.ratings, "rating"), many(found.scores, "score")
    over = f"over {many(found.questions, 'question')}"  # those of the ratings, if there are any
    lines = [
        f"{f'{ratings} {over}, and {scores}' if found.ratings else f'{ratings} and {scores} {over}'}; "
        f"{found.coverage:.0%} could be scored",
        "",
        f"exact agreement       {_shown(found.exact)}",
        f"kappa, quadratic      {_shown(found.kappa)}",
        f"error of the score    {_shown(found.score_error)}",
        f"correlation           {_shown(found.correlation)}",
    ]
    if found.confusion:
        lines += ["", f"{'stated as':<14}{'given missed':>14}{'partial':>10}{'met':>10}"]
        lines += [
            f"{name:<14}{row['missed']:>14}{row['partial']:>10}{row['met']:>10}"
            for name, row in found.confusion.items()
        ]
    if usage.calls:
        price = "price unknown" if usage.usd is None else f"{usage.usd:.4f} USD"
        lines += ["", f"{usage.calls} calls, {usage.prompt_tokens} tokens in, {usage.completion_tokens} out, {price}"]
    bar = f"{LEAST_RATINGS} ratings over {LEAST_QUESTIONS} questions, kappa {LEAST_KAPPA} and an error of {MOST_ERROR} at most"
    return "\n".join([*lines, "", f"{state} (the bar: {bar})"]) + "\n"


def _shown(interval: Interval) -> str:
    if interval.value is None:
        return "not defined"
    span = "" if interval.low is None else f"   95%: {interval.low:.2f} to {interval.high:.2f}"
    return f"{interval.value:.2f}{span}"


# What is kept


def keep(folder: Path, trial: Trial, found: Agreement, *, clock: Clock) -> Calibration:
    """Writes the result below `folder`, by its stamp, and returns it."""
    from mockint.store import write

    made = Calibration(at=clock.now(), stamp=trial.stamp, agreement=found, usage=trial.usage)
    own(folder)
    write(folder / f"{digest(trial.stamp)[7:23]}.json", made.model_dump_json(indent=1) + "\n")
    return made


class Shipped(Frozen):
    """What the offline grader reaches on questions that it was not fitted on; measured when it was fitted (tools/fit_offline.py)."""

    prompt: str
    ratings: int
    questions: int
    kappa: float
    error: float
    """Mean absolute error of a question's score."""
    correlation: float


FITTED = (
    "\nThe offline grader's weights were fitted on these answers. On questions that it was not fitted on its kappa was {known.kappa}, its "
    "error {known.error} and its correlation {known.correlation}."
)


def shipped_figures() -> Shipped:
    return Shipped.model_validate_json(Path(__file__).with_name("shipped.json").read_bytes())


def shipped(grade: Grade) -> Shipped | None:
    """Returns what is known of the grader that made the grade without trying it out: None for all but this version's offline one."""
    found = shipped_figures()
    same = grade.stamp.grader == "offline" and grade.stamp.prompt == found.prompt
    return found if same else None


def state_of(folder: Path, grade: Grade, rubrics: Mapping[str, Rubric]) -> Calibration | None:
    """Returns the newest kept calibration that speaks for the grade: the same grader, model, prompt, votes and rubrics."""
    wanted = {name: rubric.digest for name, rubric in rubrics.items()}
    made = grade.stamp
    found = []
    for path in folder.glob("*.json"):
        with suppress(ValidationError, OSError):
            one = Calibration.model_validate_json(path.read_bytes())
            same = all(one.stamp.get(key) == getattr(made, key) for key in ("grader", "model", "prompt", "votes"))
            if same and wanted.items() <= one.stamp.get("rubrics", {}).items():
                found.append(one)
    return max(found, key=lambda one: one.at, default=None)
