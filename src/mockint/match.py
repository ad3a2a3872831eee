"""The only place that says how far an answer goes towards a criterion, by its words: covers, weighed by a fitted line.

A cover is the share of a phrase's telling words that a stretch of the answer holds, rare words counting more and the question's
own words less. The phrases are the criterion's cues, its level sentences and its question; no sample answer is read. A criterion
without cues is compared with one sentence instead, by its words and by their vectors. The weights of both in `match.json` are
fitted by tools/fit_offline.py, which prints what they reach on questions that they were not fitted on.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mockint import evidence, vectors
from mockint.content import digest
from mockint.rubric import Criterion

FEATURES = (
    "search",  # evidence.search: the best passage over the cues, with what other criteria share counting less
    "cue_best",
    "cue_second",
    "cue_three",  # the mean of the three best cues, each at its best window
    "cue_best_anywhere",
    "cue_second_anywhere",
    "cues_together",  # all cues' words at once, in the best window
    "cues_together_anywhere",
    "top_level",
    "top_level_anywhere",
    "middle_level",
    "middle_level_anywhere",
    "lowest_level_anywhere",
    "top_level_alone",  # what only the highest level's sentence says
    "asks",
)
REFERENCE_FEATURES = (
    "recall",
    "precision",
    "f1",
    "plain_recall",
    "new_recall",  # of what the question did not give away
    "overlap",  # the cosine of the words
    "grams_3",
    "grams_4",
    "denied",
    "echo",  # the share of the words that the question gave
    "length",
    "elsewhere",  # the share of the words that are in neither
    "near_recall",
    "near_precision",
    "near_new_recall",
    "near",
)
SAME, FAR = 0.999, 0.3
"""The cosine of two words from which they are the same, and below which they have nothing to do with each other."""
GIVEN = 0.4
"""What a word counts that the question gave away."""


class Line(BaseModel):
    """A standardised linear model, and from where on each level is given, by the number of levels."""

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    steps: dict[int, tuple[float, ...]]

    def score(self, features: Sequence[float]) -> float:
        parts = zip(features, self.mean, self.scale, self.weights, strict=True)
        return self.bias + math.fsum(weight * (value - mean) / scale for value, mean, scale, weight in parts)

    def reached(self, features: Sequence[float], levels: int) -> int:
        """Returns the place of the level that is earned, among so many from lowest to highest."""
        score = self.score(features)
        return sum(score >= step for step in self.steps[levels])


class Weights(BaseModel):
    model_config = ConfigDict(frozen=True)

    cued: Line
    """For criteria with cues; fitted on the bank's rated samples."""
    reference: Line
    """For criteria without cues, read by one reference sentence; fitted on SemEval-2013 Task 7 (CC BY-SA 3.0)."""
    rarity: dict[str, float]
    """By stem: the logarithm of how seldom an answer holds it."""
    unseen: float
    """The rarity of a stem that is not listed."""


@dataclass(frozen=True)
class Match:
    reached: int
    """The place of the level, 0 for the lowest."""
    passage: evidence.Passage | None
    """The one that covers the cues best."""


Stems = frozenset[str]


@cache
def weights() -> Weights:
    return Weights.model_validate_json(Path(__file__).with_name("match.json").read_bytes())


@cache
def weights_digest() -> str:
    return digest(json.loads(Path(__file__).with_name("match.json").read_text(encoding="utf-8")))


class Heard:
    """What a candidate said, cut once for all criteria of a question."""

    def __init__(self, passages: Iterable[evidence.Passage], *, ask: str) -> None:
        self.passages = list(passages)
        self.ask = ask
        self.given = _stems(ask)
        single = [_stems(passage.text) for passage in self.passages]
        pairs = [
            one | other
            for one, other, first, second in zip(single, single[1:], self.passages, self.passages[1:], strict=False)
            if first.turn == second.turn
        ]
        self.windows = [*single, *pairs]
        self.all: Stems = frozenset().union(*single)

    @cached_property
    def stretches(self) -> list[str]:
        """What a reference is compared with: each passage, each two that follow one another, and the whole."""
        texts = [passage.text for passage in self.passages]
        joined = [f"{one} {other}" for one, other in pairwise(texts)]
        whole = [" ".join(texts)] if len(texts) > 2 else []
        return [*texts, *joined, *whole]

    def on_topic(self, criteria: Iterable[Criterion]) -> float:
        """Returns the share of all that was said which the question, the criteria's levels and their cues speak of."""
        spoken_of = (_stems(text) for c in criteria for text in (*c.levels.values(), *c.cues))
        return _cover(self.all, self.given.union(*spoken_of), self.given)


class Covers:
    """How far stretches of an answer cover phrases of one criterion; words that other criteria's cues share count less."""

    def __init__(self, heard: Heard, shared: Mapping[str, int]) -> None:
        self._heard, self._shared = heard, shared
        self._worths: dict[str, float] = {}

    def best(self, phrase: Stems) -> float:
        total = self._total(phrase)
        held = {phrase & window for window in self._heard.windows}
        return max((self._total(part) / total for part in held), default=0.0) if total else 0.0

    def anywhere(self, phrase: Stems) -> float:
        total = self._total(phrase)
        return self._total(phrase & self._heard.all) / total if total else 0.0

    def _total(self, stems: Stems) -> float:
        # fsum: a sum over a set must not depend on the set's order, which changes from run to run.
        return math.fsum(map(self._worth, stems))

    def _worth(self, stem: str) -> float:
        if stem not in self._worths:
            self._worths[stem] = _worth(stem, self._heard.given) / (1 + self._shared.get(stem, 0))
        return self._worths[stem]


def match(criterion: Criterion, others: Sequence[Criterion], heard: Heard) -> Match:
    levels = len(criterion.levels)
    if not criterion.cues:
        sentence = reference(criterion)
        found = evidence.search(evidence.cues([sentence], given=heard.ask), heard.passages)
        return Match(weights().reference.reached(reference_features(sentence, heard), levels), found.passage)
    values, passage = features(criterion, others, heard)
    return Match(weights().cued.reached(values, levels), passage)


def features(
    criterion: Criterion, others: Sequence[Criterion], heard: Heard
) -> tuple[list[float], evidence.Passage | None]:
    """Returns the value of each of FEATURES, from 0 to 1, and the passage that covers the cues best."""
    sentences = [_stems(text) for text in criterion.levels.values()]
    lowest, middle, top = sentences[0], sentences[len(sentences) // 2], sentences[-1]
    phrases = criterion.cues
    found = evidence.search(
        evidence.cues(phrases, others=[other.cues for other in others], given=heard.ask), heard.passages
    )
    cues = [_stems(phrase) for phrase in phrases]
    shared = Counter(stem for other in others for stem in frozenset().union(*map(_stems, other.cues)))
    covers = Covers(heard, shared)
    best = sorted((covers.best(cue) for cue in cues), reverse=True)
    spread = sorted((covers.anywhere(cue) for cue in cues), reverse=True)
    together = frozenset[str]().union(*cues)
    alone = top - middle - lowest
    values = [
        found.score,
        best[0],
        best[min(1, len(best) - 1)],
        math.fsum(best[:3]) / len(best[:3]),
        spread[0],
        spread[min(1, len(spread) - 1)],
        covers.best(together),
        covers.anywhere(together),
        covers.best(top),
        covers.anywhere(top),
        covers.best(middle),
        covers.anywhere(middle),
        covers.anywhere(lowest),
        covers.anywhere(alone or top),
        covers.best(_stems(criterion.asks)),
    ]
    return values, found.passage


def reference(criterion: Criterion) -> str:
    """Returns the sentence that says what a criterion without cues is after: its highest level's, or the longer question's."""
    top, asks = tuple(criterion.levels.values())[-1], _ASKS.sub("", criterion.asks)
    return top if len(_stems(top)) >= len(_stems(asks)) else asks


def reference_features(sentence: str, heard: Heard) -> list[float]:
    """Returns the values of REFERENCE_FEATURES for the stretch of the answer that comes nearest to the sentence."""
    wanted, given = _stems(sentence), heard.given
    said = max(heard.stretches, key=lambda text: _overlap(wanted, _stems(text), given), default="")
    here = _stems(said)
    recall, precision = _cover(wanted, here, given), _cover(here, wanted, given)
    new = wanted - given
    return [
        recall,
        precision,
        2 * recall * precision / (recall + precision) if recall + precision else 0.0,
        len(wanted & here) / len(wanted) if wanted else 0.0,
        len(new & here) / len(new) if new else recall,
        _overlap(wanted, here, given),
        _cosine(_grams(sentence, 3), _grams(said, 3)),
        _cosine(_grams(sentence, 4), _grams(said, 4)),
        float(evidence.denies(sentence) != evidence.denies(said)),
        len(here & given) / len(here) if here else 0.0,
        min(len(here) / len(wanted), 3.0) if wanted else 0.0,
        len(here - wanted - given) / len(here) if here else 0.0,
        *_nearness(sentence, said, given),
    ]


def _nearness(sentence: str, said: str, given: Stems) -> tuple[float, float, float, float]:
    """Returns recall and precision by the nearest word instead of the same one, recall of what the question did not give, and the
    cosine of both texts' vectors.
    """
    ones, others = evidence.telling(sentence), evidence.telling(said)
    if not ones or not others:
        return 0.0, 0.0, 0.0, 0.0
    table = vectors.similarities(ones, others)
    left, right = [evidence.stem(word) for word in ones], [evidence.stem(word) for word in others]
    same = [[one == other for other in right] for one in left]
    table[same] = 1.0
    worth, back = [_worth(stem, given) for stem in left], [_worth(stem, given) for stem in right]
    fresh = [0.0 if stem in given else value for stem, value in zip(left, worth, strict=True)]
    found, held = _softened(table.max(axis=1)), _softened(table.max(axis=0))
    recall = _mean(found, worth)
    return (
        recall,
        _mean(held, back),
        _mean(found, fresh) if any(fresh) else recall,
        vectors.likeness(ones, worth, others, back),
    )


def _softened(nearest: Iterable[float]) -> list[float]:
    """Turns the cosine of the nearest word into a cover: the same word covers wholly, another at most 0.8, a far one not at all."""
    return [1.0 if value > SAME else 0.8 * max(0.0, float(value) - FAR) / (1 - FAR) for value in nearest]


def _mean(values: Sequence[float], worth: Sequence[float]) -> float:
    # Rounded, since the vectors' last digits depend on the machine, and a grade must not.
    return round(math.fsum(v * w for v, w in zip(values, worth, strict=True)) / math.fsum(worth), 4)


def _worth(stem: str, given: Stems) -> float:
    return weights().rarity.get(stem, weights().unseen) * (GIVEN if stem in given else 1.0)


def _cover(wanted: Stems, here: Stems, given: Stems) -> float:
    total = math.fsum(_worth(stem, given) for stem in wanted)
    return math.fsum(_worth(stem, given) for stem in wanted & here) / total if total else 0.0


def _overlap(one: Stems, other: Stems, given: Stems) -> float:
    """Returns the cosine of two sets of stems, each as long as it is worth."""
    lengths = math.fsum(_worth(s, given) ** 2 for s in one) * math.fsum(_worth(s, given) ** 2 for s in other)
    return math.fsum(_worth(s, given) ** 2 for s in one & other) / math.sqrt(lengths) if lengths else 0.0


_ASKS = re.compile(r"^does the candidate \w+ (?:that |whether |how )?", re.IGNORECASE)


def _grams(text: str, size: int) -> Counter[str]:
    joined = f" {' '.join(evidence.stems(text))} "
    return Counter(joined[start : start + size] for start in range(len(joined) - size + 1))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    product = sum(count * other[gram] for gram, count in one.items())
    length = math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
    return product / length if length else 0.0


@lru_cache(maxsize=20_000)  # all phrases of the bank, and the latest answers
def _stems(text: str) -> Stems:
    return frozenset(evidence.stems(text))
