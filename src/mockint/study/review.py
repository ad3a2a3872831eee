"""The only place that decides what is due again: what is remembered of each criterion, and which questions test it.

Nothing is stored: each criterion's card is folded from the grades in the order of time, so that it is the same whenever it is made.
The schedule is FSRS, as the package `fsrs` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Literal

import fsrs
from pydantic import TypeAdapter, ValidationError

from mockint.bank import Bank, Question
from mockint.content import digest, find, load_all, write_cache
from mockint.evidence import stems
from mockint.rubric import Criterion, Rubric, TargetLevel
from mockint.study import Answered, Rating, Sitting, last_asked

Recall = Literal["missed", "partial", "prompted", "met", "mastered"]
"""How a criterion was remembered, from worst to best."""
Key = tuple[str, str]
"""A criterion: its question's id and its own."""
Siblings = Mapping[Key, tuple[Key, ...]]
"""The criteria of other questions that ask for the same thing, the nearest first."""

ALIKE, ALIKE_WITHOUT_TOPIC = 0.18, 0.23
"""Cosines from which two criteria ask for the same thing: of questions that share a topic, and of others. Chosen by reading pairs of the
bank: below them the pairs share words and not the thing asked for."""
AT_ONCE = 500
"""Criteria that are compared with all others in one go: memory does not grow with the square of the bank."""

_ORDINAL = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}
_RATINGS: dict[Recall, fsrs.Rating] = {
    "missed": fsrs.Rating.Again,
    "partial": fsrs.Rating.Hard,
    "prompted": fsrs.Rating.Hard,
    "met": fsrs.Rating.Good,
    "mastered": fsrs.Rating.Easy,
}
_WORTH: dict[Recall, float] = {"missed": 1.0, "partial": 0.6, "prompted": 0.6, "met": 0.3, "mastered": 0.3}
"""What asking for it again is worth in the few minutes of a review: what was never shown comes before what may have faded."""
# Steps of minutes are for flash cards: an interview is held once a day. A flash card takes seconds and is worth 0.9; a point takes a
# question's minutes, and with 0.85 what was half met comes back after two days and what was met after four, so that what was missed
# has the next day's review to itself. Without fuzz the same grades give the same days.
_SCHEDULER = fsrs.Scheduler(desired_retention=0.85, learning_steps=(), relearning_steps=(), enable_fuzzing=False)


@dataclass(frozen=True)
class Due:
    """What is remembered of one criterion, and the day on which it is due again."""

    question: str
    criterion: str
    weight: float
    last: Recall
    seen: date
    on: date
    retrievability: float
    """The chance, from 0 to 1, that it would still come on the day that was asked about."""
    misses: int = 0
    """How often in a row it was missed, up to now."""

    @property
    def key(self) -> Key:
        return self.question, self.criterion

    @property
    def urgency(self) -> float:
        """What is at stake: the chance that it is forgotten, times its weight."""
        return round((1 - self.retrievability) * self.weight, 6)

    @property
    def worth(self) -> float:
        """What asking for it now is worth. What is missed again and again gives way: it wants reading up, not another question."""
        return self.urgency * _WORTH[self.last] / max(1, self.misses)

    @property
    def why(self) -> str:
        told = {
            "missed": "missed",
            "partial": "half met",
            "prompted": "met only when asked for",
            "met": "met",
            "mastered": "met with all the rest",
        }
        again = f", the {_ORDINAL.get(self.misses, f'{self.misses}th')} time in a row" if self.misses > 1 else ""
        return f"{self.criterion!r} of {self.question} was {told[self.last]} on {self.seen}{again}"


@dataclass(frozen=True)
class Choice:
    """A question of a review session."""

    question: Question
    first: tuple[str, ...]
    """Its criteria that are tested, to be probed first."""
    tests: tuple[Due, ...]
    """What is due and tested by it, the most urgent first."""
    because: str


def due(sittings: Iterable[Sitting], bank: Bank, now: datetime, *, siblings: Siblings | None = None) -> list[Due]:
    """Returns what is due on the local day of `now` (a local time with its zone), the most urgent first."""
    return [one for one in outlook(sittings, bank, now, siblings=siblings) if one.on <= now.date()]


def outlook(sittings: Iterable[Sitting], bank: Bank, now: datetime, *, siblings: Siblings | None = None) -> list[Due]:
    """Returns every criterion that has been rated and is still in the bank, the most urgent first, due or not."""
    rubrics: dict[str, Rubric] = {}
    found = []
    for (question, criterion), memory in _remembered(sittings, siblings or {}, now.tzinfo).items():
        if question not in bank.questions:
            continue
        if question not in rubrics:
            rubrics[question] = bank.rubric(bank.question(question))
        if criterion in rubrics[question].by_id:
            found.append(
                Due(
                    question,
                    criterion,
                    memory.weight,
                    memory.last,
                    seen=memory.seen,
                    on=memory.card.due.date(),
                    retrievability=round(_SCHEDULER.get_card_retrievability(memory.card, _moment(now.date())), 4),
                    misses=memory.misses,
                )
            )
    return sorted(found, key=lambda one: (-one.urgency, one.on, one.key))


def choose_review(
    queue: Sequence[Due],
    bank: Bank,
    *,
    sittings: Iterable[Sitting],
    level: TargetLevel,
    minutes: int,
    siblings: Siblings | None = None,
) -> list[Choice]:
    """Draws the questions that test most of what is urgent in these minutes.

    A criterion that was missed is asked from another side where the bank has one at this level: of its own question and the siblings',
    the one that was asked longest ago and fits the minutes. Anything else is asked by its own question.
    """
    asked = last_asked(sittings)
    sides: dict[str, list[tuple[Due, str]]] = {}
    for one in queue:
        question, criterion = _side(one, bank, asked, level, minutes, siblings or {})
        sides.setdefault(question, []).append((one, criterion))
    chosen: list[Choice] = []
    left = minutes
    while fitting := {name: tests for name, tests in sides.items() if bank.question(name).minutes <= left}:
        worth = {
            name: sum(one.worth for one, _ in tests) / bank.question(name).minutes for name, tests in fitting.items()
        }
        name = min(fitting, key=lambda name: (-worth[name], name))
        chosen.append(_choice(bank.question(name), sides.pop(name)))
        left -= bank.question(name).minutes
    return chosen


def recall(answer: Answered, rating: Rating) -> Recall | None:
    """Returns how well a criterion was remembered, or None when the verdict leaves no trace.

    Unscored verdicts leave none, nor does a bonus that was not shown: nobody expected it. No points: missed. A middle level is
    partial; the highest level that came only after a probe or a hint is prompted. Unprompted it is met. It is mastered (FSRS's
    Easy) when it was met unprompted in an answer within its time of which nothing expected was less: who has the whole answer at
    hand knows it, while one point beside gaps may be luck and is worth another look in two days.
    """
    if rating.points is None or (rating.points == 0 and not rating.expected):
        return None
    if rating.points == 0:
        return "missed"
    if rating.prompted in ("probe", "hint"):
        return "prompted" if rating.points == 1 else "partial"
    if rating.points < 1:
        return "partial"
    whole = all(other.points == 1 and other.prompted == "unprompted" for other in answer.ratings if other.expected)
    return "mastered" if whole and answer.took_seconds <= answer.budget_seconds else "met"


def leading(rubric: Rubric, first: Sequence[str]) -> Rubric:
    """Returns the rubric with these criteria first and the others in reverse, so that gaps of one size are probed in another order."""
    by_id = rubric.by_id
    others = [criterion for criterion in reversed(rubric.criteria) if criterion.id not in first]
    return rubric.model_copy(update={"criteria": (*(by_id[name] for name in first), *others)})


def find_siblings(bank: Bank, *, cache: Path | None = None) -> Siblings:
    """Returns which criteria of the bank ask for the same thing, by the words of what they ask, their highest level and their cues.

    `cache` is a folder for what can be made again: without it this takes two seconds, most of them to import scikit-learn.
    """
    questions = list(bank.questions.values())
    paths = [find(bank.folders, "rubrics", question.track, f"{question.id}.yaml") for question in questions]
    files = [path for path in paths if path]
    rubrics = load_all(files, Rubric, cache=cache / "rubrics.json" if cache else None)
    by_question = {rubric.question: rubric for rubric in rubrics}
    texts = {
        (question.id, criterion.id): _said(criterion)
        for question in questions
        if question.id in by_question
        for criterion in by_question[question.id].criteria
    }
    topics = {question.id: sorted(topic.lower() for topic in question.topics) for question in questions}
    mark = digest([[*key, text, *topics[key[0]]] for key, text in texts.items()] + [[ALIKE, ALIKE_WITHOUT_TOPIC]])
    if cache and (known := _cached(cache / "siblings.json", mark)) is not None:
        return known
    pairs = _alike(texts, topics)
    if cache:
        write_cache(cache / "siblings.json", _KEPT.dump_json((mark, list(pairs.items()))))
    return pairs


@dataclass(frozen=True)
class _Memory:
    card: fsrs.Card
    weight: float
    last: Recall
    seen: date
    misses: int


_KEPT: TypeAdapter[tuple[str, list[tuple[Key, tuple[Key, ...]]]]] = TypeAdapter(
    tuple[str, list[tuple[Key, tuple[Key, ...]]]]
)


def _remembered(sittings: Iterable[Sitting], siblings: Siblings, zone: tzinfo | None) -> dict[Key, _Memory]:
    """Folds the grades. What was missed and is then rated on a sibling was tested by it: that rating is its own too, at most as met."""
    memories: dict[Key, _Memory] = {}
    for sitting in sorted(sittings, key=lambda sitting: (sitting.at, sitting.session)):
        before, day = dict(memories), sitting.day(zone)
        fresh: dict[Key, _Memory] = {}
        for answer in sitting.answers:
            for rating in answer.ratings:
                if (how := recall(answer, rating)) is not None:
                    key = (answer.question, rating.criterion)
                    fresh[key] = _reviewed(before.get(key), how, rating.weight, day)
        for key, memory in list(fresh.items()):
            for other in siblings.get(key, ()):
                if other in before and other not in fresh and before[other].last == "missed":
                    how = "met" if memory.last == "mastered" else memory.last
                    fresh[other] = _reviewed(before[other], how, before[other].weight, day)
        memories |= fresh
    return memories


def _reviewed(memory: _Memory | None, how: Recall, weight: float, day: date) -> _Memory:
    at = _moment(day)
    card = memory.card if memory else fsrs.Card(card_id=0, due=at)  # without an id, the card waits for one
    card, _ = _SCHEDULER.review_card(card, _RATINGS[how], at)
    misses = (memory.misses if memory else 0) + 1 if how == "missed" else 0
    return _Memory(card, weight, how, day, misses)


def _moment(day: date) -> datetime:
    """Returns a day as the scheduler takes it, which counts in whole 24 hours: the morning after an evening is a day later."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _side(
    one: Due, bank: Bank, asked: Mapping[str, datetime], level: TargetLevel, minutes: int, siblings: Siblings
) -> tuple[str, str]:
    """Returns the question, with its criterion, that tests what is due."""
    if one.last != "missed":
        return one.key
    others = [
        key for key in siblings.get(one.key, ()) if key[0] in bank.questions and level in bank.question(key[0]).levels
    ]
    fitting = [key for key in (*others, one.key) if bank.question(key[0]).minutes <= minutes]
    return min(fitting, key=lambda key: asked[key[0]].timestamp() if key[0] in asked else 0.0, default=one.key)


def _choice(question: Question, tests: Sequence[tuple[Due, str]]) -> Choice:
    ordered = sorted(tests, key=lambda test: (-test[0].worth, test[0].key))
    first = tuple(dict.fromkeys(criterion for _, criterion in ordered))
    lead = ordered[0][0]
    side = "asked again, probes in another order" if lead.question == question.id else "asked from another side"
    more = f" (with {len(ordered) - 1} more of its points)" if len(ordered) > 1 else ""
    return Choice(question, first, tuple(one for one, _ in ordered), f"because {lead.why}; {side}{more}")


def _said(criterion: Criterion) -> str:
    asks = criterion.asks.removeprefix("Does the candidate ")
    return " ".join((asks, list(criterion.levels.values())[-1], *criterion.cues))


def _alike(texts: Mapping[Key, str], topics: Mapping[str, Sequence[str]]) -> dict[Key, tuple[Key, ...]]:
    from sklearn.feature_extraction.text import TfidfVectorizer  # 0.9 s

    keys = list(texts)
    words = TfidfVectorizer(sublinear_tf=True, analyzer=_terms).fit_transform(texts.values())
    found: dict[Key, list[tuple[float, Key]]] = {}
    for start in range(0, len(keys), AT_ONCE):
        near = (words[start : start + AT_ONCE] @ words.T).tocoo()
        close = near.data >= min(ALIKE, ALIKE_WITHOUT_TOPIC)
        for row, column, cosine in zip(near.row[close], near.col[close], near.data[close], strict=True):
            one, other = keys[start + row], keys[column]
            shared = bool(set(topics[one[0]]) & set(topics[other[0]]))
            if one[0] != other[0] and cosine >= (ALIKE if shared else ALIKE_WITHOUT_TOPIC):
                found.setdefault(one, []).append((-round(float(cosine), 6), other))
    return {key: tuple(other for _, other in sorted(found[key])) for key in keys if key in found}


def _terms(text: str) -> list[str]:
    alone = stems(text)
    return [*alone, *(" ".join(pair) for pair in pairwise(alone))]


def _cached(path: Path, mark: str) -> dict[Key, tuple[Key, ...]] | None:
    try:
        made, pairs = _KEPT.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return dict(pairs) if made == mark else None
