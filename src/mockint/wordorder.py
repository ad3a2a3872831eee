"""The only place that tells speech from a heap of words: how much likelier each word is to follow the one before than by chance.

Words are classed (a bare word stands for itself, any other for its ending), so that no vocabulary is needed. The counts in
`wordorder.json` are of the bank's questions and model answers (tools/fit_offline.py).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mockint.content import digest
from mockint.evidence import is_bare, order, stems

LEAST_WORDS, LEAST_BARE = 20, 0.2
"""Below so many words, or such a share of bare ones (code, another language, a list), order says too little."""
HEAP = -0.1
"""The likeness below which a text is a heap of words. Of the bank's sample answers 0.2 % are below it, and of the same answers with their
words shuffled 96 % (tools/fit_offline.py)."""
HELD, DISORDERED = 0.75, 0.65
"""The share of a text's words which another holds, and the share of these in its order, from which and below which it is that text
shuffled."""
_ENDINGS = ("ing", "ed", "ly", "tion", "s", "er", "ment", "ive", "al", "ic", "able")
_PRIOR = 0.05
_CODE, MOST_MARKS = re.compile(r"[=(){}\[\]]"), 0.25
"""The marks of code, and how many a word from which a text is code."""


class Counts(BaseModel):
    model_config = ConfigDict(frozen=True)

    classes: dict[str, int]
    pairs: dict[str, int]
    """By the two classes with a space between."""


@cache
def counts() -> Counts:
    return Counts.model_validate_json(Path(__file__).with_name("wordorder.json").read_bytes())


@cache
def counts_digest() -> str:
    return digest(counts().model_dump(mode="json"))


def count(texts: Iterable[str]) -> Counts:
    """Counts what the likeness is reckoned from."""
    classes, pairs = Counter[str](), Counter[str]()
    for text in texts:
        found = _classes(text)
        classes.update(found)
        pairs.update(f"{one} {other}" for one, other in pairwise(found))
    return Counts(classes=dict(sorted(classes.items())), pairs=dict(sorted(pairs.items())))


def is_heap(text: str) -> bool:
    """Whether a text is words in no order that anybody would say; short texts never are."""
    found = _classes(text)
    bare = sum(is_bare(name) for name in found)
    code = len(_CODE.findall(text)) > MOST_MARKS * len(found)
    return len(found) >= LEAST_WORDS and bare >= LEAST_BARE * len(found) and not code and _likeness(found) < HEAP


def scrambles(said: str, stated: str) -> bool:
    """Whether a text holds nearly all words of another, in an order that is neither the other's nor anybody's."""
    wanted = set(stems(stated))
    held = len(wanted & set(stems(said)))
    # The likeness first: it is seldom below 0, and the order takes long.
    return held >= HELD * len(wanted) > 0 and likeness(said) < 0 and order(said, stated) < DISORDERED


def likeness(text: str) -> float:
    """Returns the mean logarithm of how much likelier each word follows the one before than by chance: about 0.4 in speech, about
    -0.4 when its words are shuffled, 0 for fewer than two words.
    """
    return _likeness(_classes(text))


def _likeness(found: Sequence[str]) -> float:
    known = counts()
    total = sum(known.classes.values())
    return sum(_likelier(one, other, known, total) for one, other in pairwise(found)) / max(1, len(found) - 1)


def _likelier(one: str, other: str, known: Counts, total: int) -> float:
    expected = known.classes.get(one, 0) * known.classes.get(other, 0) / total
    shrunk = 2 * expected / (expected + 2)  # pairs that are rarely expected say little by their absence
    return math.log((known.pairs.get(f"{one} {other}", 0) + shrunk + _PRIOR) / (expected + shrunk + _PRIOR))


def _classes(text: str) -> list[str]:
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower().replace("\u2019", "'"))
    return [_class(word) for word in words]


def _class(word: str) -> str:
    if is_bare(word):
        return word
    if word[0].isdigit():
        return "#"
    return next((f"-{end}" for end in _ENDINGS if word.endswith(end) and len(word) > len(end) + 2), "*")
