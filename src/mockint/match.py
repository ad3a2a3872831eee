"""The only place that says how far an answer goes towards a criterion, by its words: a dozen covers, weighed by a fitted line.

A cover is the share of a phrase's telling words that a stretch of the answer holds, rare words counting more and the question's
own words less. The phrases are the criterion's cues, its level sentences and its question; no sample answer is read. The weights
in `match.json` are a ridge regression over the bank's rated samples (tools/fit_offline.py, which prints what it reaches on
questions that it was not fitted on).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mockint import evidence
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


@dataclass(frozen=True)
class Covers:
    """How far stretches of an answer cover phrases of one criterion; words that other criteria's cues share count less."""

    heard: Heard
    shared: Mapping[str, int]

    def best(self, phrase: Stems) -> float:
        return max((self._cover(phrase, window) for window in self.heard.windows), default=0.0)

    def anywhere(self, phrase: Stems) -> float:
        return self._cover(phrase, self.heard.all)

    def of_all(self, phrase: Stems) -> float:
        """Returns the share of all that was said which the phrase holds."""
        return self._cover(self.heard.all, phrase)

    def _cover(self, phrase: Stems, window: Stems) -> float:
        worth = {stem: self._worth(stem) for stem in phrase}
        # fsum: a sum over a set must not depend on the set's order, which changes from run to run.
        total = math.fsum(worth.values())
        return math.fsum(worth[stem] for stem in phrase & window) / total if total else 0.0

    def _worth(self, stem: str) -> float:
        rare = weights().rarity.get(stem, weights().unseen)
        return rare * (GIVEN if stem in self.heard.given else 1.0) / (1 + self.shared.get(stem, 0))


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
    """Returns the values that the reference line weighs; the last is a length, the others are from 0 to 1."""
    covers, wanted = Covers(heard, {}), _stems(sentence)
    recall, said = covers.anywhere(wanted), " ".join(passage.text for passage in heard.passages)
    precision = covers.of_all(wanted)
    new = wanted - heard.given
    return [
        recall,
        precision,
        2 * recall * precision / (recall + precision) if recall + precision else 0.0,
        len(wanted & heard.all) / len(wanted) if wanted else 0.0,
        len(new & heard.all) / len(new) if new else recall,
        _cosine(_grams(sentence), _grams(said)),
        float(evidence.denies(sentence) != evidence.denies(said)),
        min(len(heard.all) / len(wanted), 3.0) if wanted else 0.0,
    ]


_ASKS = re.compile(r"^does the candidate \w+ (?:that |whether |how )?", re.IGNORECASE)


def _grams(text: str, size: int = 3) -> Counter[str]:
    joined = f" {' '.join(evidence.stems(text))} "
    return Counter(joined[start : start + size] for start in range(len(joined) - size + 1))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    product = sum(count * other[gram] for gram, count in one.items())
    length = math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
    return product / length if length else 0.0


@lru_cache(maxsize=50_000)
def _stems(text: str) -> Stems:
    return frozenset(evidence.stems(text))
