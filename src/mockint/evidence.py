"""The only place that compares words: sentences, stems, how far a sentence covers a cue, and where a quote stands."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache, lru_cache

import snowballstemmer

SHORTEST_QUOTE = 3
"""Words that a quote needs to be evidence, unless the whole turn is shorter."""

_REPEATS, _LISTED = 4, 12
"""Stems from which a passage can repeat a question, and words from which it can be a list of terms."""

_ALIKE, _NEARLY, _ORDERED = 3, 0.75, 5
"""Stems that two texts share from which they can say the same, the share of all from which they do, and words that have an order."""

_STOP = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "each",
        "even",
        "every",
        "for",
        "from",
        "get",
        "gets",
        "give",
        "go",
        "goes",
        "got",
        "had",
        "has",
        "have",
        "he",
        "her",
        "here",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "kind",
        "like",
        "lot",
        "make",
        "makes",
        "many",
        "may",
        "me",
        "might",
        "more",
        "most",
        "much",
        "my",
        "need",
        "no",
        "nor",
        "of",
        "on",
        "one",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "per",
        "really",
        "said",
        "same",
        "say",
        "says",
        "she",
        "should",
        "so",
        "some",
        "something",
        "sort",
        "still",
        "such",
        "take",
        "takes",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "thing",
        "things",
        "this",
        "those",
        "to",
        "too",
        "up",
        "us",
        "use",
        "used",
        "uses",
        "using",
        "very",
        "want",
        "was",
        "way",
        "we",
        "well",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


@dataclass(frozen=True)
class Passage:
    """A stretch of one turn, verbatim."""

    turn: int
    text: str


@dataclass(frozen=True)
class Find:
    """The passage that covers a set of cues best, and how far: from 0 (not at all) to 1 (wholly)."""

    score: float
    passage: Passage | None


@dataclass(frozen=True)
class Cues:
    """Ways to say one thing, and what each stem in them is worth among the other things that could be said."""

    phrases: tuple[frozenset[str], ...]
    worth: dict[str, float]


def cues(wanted: Sequence[str], *, others: Sequence[Sequence[str]] = (), given: str = "") -> Cues:
    """Weighs the stems of the wanted phrases: less when others' phrases share them or the question gave them away."""
    shared = Counter(stem for group in others for stem in {stem for phrase in group for stem in stems(phrase)})
    told = set(stems(given))
    phrases = tuple(frozenset(stems(phrase)) for phrase in wanted)
    worth = {stem: (0.5 if stem in told else 1.0) / (1 + shared[stem]) for phrase in phrases for stem in phrase}
    return Cues(tuple(phrase for phrase in phrases if phrase), worth)


def search(wanted: Cues, passages: Iterable[Passage]) -> Find:
    """Returns the passage with the best cover; a second phrase that is covered elsewhere adds a little."""
    best, found, covers = 0.0, None, dict.fromkeys(wanted.phrases, 0.0)
    for passage in passages:
        here = frozenset(stems(passage.text))
        for phrase in covers:
            share = _share(phrase, here, wanted.worth)
            covers[phrase] = max(covers[phrase], share)
            if share > best:
                best, found = share, passage
    ranked = sorted(covers.values(), reverse=True)
    extra = sum(ranked[1:3]) / 2 if len(ranked) > 1 else 0.0
    return Find(min(1.0, 0.75 * best + 0.35 * extra), found)


@dataclass(frozen=True)
class Giveaway:
    """Words that a text gives away when it holds them as they are, or all the telling ones among them in any form."""

    told: str
    words: tuple[str, ...]
    telling: frozenset[str]
    """Stems."""

    @classmethod
    def of(cls, told: str) -> Giveaway:
        return cls(told, words_of(told), frozenset(stems(told)))

    def is_in(self, text: str) -> bool:
        return self.holds(words_of(text), self.telling - set(stems(text)))

    def holds(self, words: Sequence[str], missing: Set[str]) -> bool:
        """Whether these words hold it, or none of its telling ones is missing from the whole text."""
        return f" {' '.join(self.words)} " in f" {' '.join(words)} " or (len(self.telling) > 1 and not missing)


def words_of(text: str) -> tuple[str, ...]:
    """Returns all words in lower case, without punctuation."""
    return tuple(re.findall(r"\w+", text.lower()))


def own(passages: Iterable[Passage], told: Sequence[str]) -> list[Passage]:
    """Returns the passages that say something: not what the interviewer said before, not the same again, not a bare list of
    terms, not that a thing is needless, and not that one does not know.

    Args:
        told: the interviewer's turns.
    """
    kept: dict[tuple[str, ...], Passage] = {}
    before = [set(stems(text)) for text in told]
    for passage in passages:
        meant = stems(passage.text)
        repeats = len(meant) >= _REPEATS and any(len(set(meant) & said) >= 0.8 * len(set(meant)) for said in before)
        empty = _lists_terms(passage.text) or says_nothing(passage.text) or _DISMISSAL.search(passage.text)
        if not repeats and not empty:
            kept.setdefault(meant, passage)
    return list(kept.values())


def _lists_terms(text: str) -> bool:
    """Whether a text is a list of terms with hardly a word between them, as nobody talks; code is none."""
    words = re.findall(r"[^\W\d_][\w'’-]*", text)
    bare = sum(word.lower() in _STOP for word in words)
    return len(words) >= _LISTED and bare < 0.1 * len(words) and not re.search(r"[=(){}\[\]]", text)


def claim(wanted: Sequence[str], passages: Sequence[Passage], *, least: float) -> Passage | None:
    """Returns the passage that makes one of the claims, or None when none covers one by `least`.

    A sentence that denies what a claim affirms uses the same words, and does not make it.
    """
    finds = [
        search(
            cues([phrase for phrase in wanted if denies(phrase) == denied]),
            [passage for passage in passages if denies(passage.text) == denied],
        )
        for denied in (False, True)
    ]
    best = max(finds, key=lambda found: found.score)
    return best.passage if best.score >= least else None


def passages(turn: int, text: str) -> list[Passage]:
    """Cuts a turn into sentences, and long sentences at their clauses; every passage is verbatim."""
    cut = [part for sentence in _cut(_SENTENCE, text) for part in (_clauses(sentence))]
    return [Passage(turn, part) for part in cut if stems(part)]


def stems(text: str) -> tuple[str, ...]:
    """Returns the stems of the words that carry meaning, in order."""
    return tuple(stem(word) for word in _words(text) if word not in _STOP)


def is_bare(word: str) -> bool:
    """Whether a word in lower case carries no meaning of its own, such as "the"."""
    return word in _STOP


def telling(text: str) -> list[str]:
    """Returns the words that carry meaning, in order and in lower case; denials are left out."""
    return [word for word in _words(text) if word not in _STOP and not _DENIAL.fullmatch(word)]


def locate(quote: str, text: str) -> str | None:
    """Returns the stretch of `text` that the quote repeats, white space and case aside, or None.

    A quote that is too short to be evidence is not found, unless it is the whole text.
    """
    words = _bare(quote).split()
    if not words or (len(words) < SHORTEST_QUOTE and _bare(quote).casefold() != _bare(text).casefold()):
        return None
    pattern = r"\s+".join(re.escape(word) for word in words)
    found = re.search(pattern, text, re.IGNORECASE)
    return found.group() if found else None


def _bare(text: str) -> str:
    return " ".join(text.strip(" \t\n\"'“”‘’…").split())


_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n\s*\n|\n(?=\s*(?:[-*•]|\d+[.)])\s)")
"""The end of a sentence, of a paragraph, or of a list's item; a single line break is only a wrap."""
_CLAUSE = re.compile(r"(?<=[,:])\s+")
_LONG = 40
"""Words from which a sentence is cut at its clauses: spoken answers run on."""


def _cut(pattern: re.Pattern[str], text: str) -> list[str]:
    return [part for part in (part.strip() for part in pattern.split(text)) if part]


def _clauses(sentence: str) -> list[str]:
    if len(sentence.split()) <= _LONG:
        return [sentence]
    ends = [found.end() for found in _CLAUSE.finditer(sentence)]
    middle = min(ends, key=lambda end: abs(end - len(sentence) / 2), default=0)
    if not middle:
        return [sentence]
    return [*_clauses(sentence[:middle].strip()), *_clauses(sentence[middle:].strip())]


_DENIAL = re.compile(
    r"\b(?:not|no|never|neither|nor|none|nothing|nobody|cannot|without|hardly|avoid|instead|wrong|false|mistake|myth)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)


_DISMISSAL = re.compile(
    r"\b(?:no need|not? (?:really )?(?:necessary|needed|required)|needn['\u2019]t|pointless|waste of (?:time|money|effort)|unnecessary)\b"
    r"|(?:do(?:es)?|would|wo)n['\u2019]t (?:really )?(?:need|bother|matter)\b|\bnot need\b",
    re.IGNORECASE,
)
"""Says that something need not be done: the words of a criterion, and the opposite of it."""


_NOTHING = re.compile(
    r"(?:^|\bi |\bi['\u2019]m |\bim |\bsorry,? )(?:am |really |honestly |actually |just )*(?:(?:do not|don['\u2019]?t|did not|didn['\u2019]?t) "
    r"(?:really |actually )?(?:know|remember|understand)|not (?:really )?sure|forg[eo]t|have no (?:idea|clue)|no (?:idea|clue)|can(?:['\u2019]?t|not) answer|(?:have )?never heard)\b"
    r"|\b(?:idk|dunno|no (?:idea|clue)|nothing (?:more |else )?to add|pass on this (?:one|question)|can (?:i|we) (?:please )?skip|next (?:question|one) please"
    r"|what do you mean|repeat the question|say that again|keine ahnung|wei(?:ss|ß) (?:ich |es )*(?:leider )?nicht|je ne sais pas|no (?:lo )?sé|non lo so|não sei|не знаю)\b"
    r"|不知道|不清楚|わかりません|모르겠|^\W*(?:pass|next|skip|sorry|thanks|thank you|ok|okay|skip (?:this|it|please|that))\W*$",
    re.IGNORECASE,
)


def says_nothing(text: str, *, most: int = 15) -> bool:
    """Whether a text of at most so many words only says that there is nothing to say, or asks for something else."""
    return len(text.split()) <= most and _NOTHING.search(text) is not None


def denies(text: str) -> bool:
    """Whether a text says that something is not so."""
    return _DENIAL.search(text) is not None


def opposes(said: str, stated: str) -> bool:
    """Whether one text says what the other states, in nearly the same words, with one denial more or less."""
    (mine, denials), (theirs, others) = _claimed(said), _claimed(stated)
    shared = len(mine & theirs)
    if shared < _ALIKE or shared < _NEARLY * len(mine | theirs):
        return False
    return (denials - others) % 2 == 1


@lru_cache(maxsize=20_000)
def _claimed(text: str) -> tuple[frozenset[str], int]:
    """Returns the stems of a text without its denials, and how many of these it holds."""
    return frozenset(found for found in stems(text) if not _DENIAL.fullmatch(found)), len(_DENIAL.findall(text))


def order(said: str, stated: str) -> float:
    """Returns how far the words that two texts share come in the same order: the longest common subsequence as a share of them.

    With fewer than five shared words, 1.
    """
    mine, theirs = [stem(word) for word in _words(said)], [stem(word) for word in _words(stated)]
    shared = sum((Counter(mine) & Counter(theirs)).values())
    return _longest_common(mine, theirs) / shared if shared >= _ORDERED else 1.0


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, against in enumerate(other, 1):
            kept = row[place]
            row[place] = before + 1 if word == against else max(row[place], row[place - 1])
            before = kept
    return row[-1]


def _words(text: str) -> list[str]:
    """Returns all words in order and in lower case, the bare ones too."""
    return re.findall(r"[^\W_]+(?:['@+#.-][^\W_]+)*", text.lower())


def _share(phrase: frozenset[str], here: frozenset[str], worth: dict[str, float]) -> float:
    # fsum: a sum over a set must not depend on the set's order, which changes from run to run.
    total = math.fsum(worth[stem] for stem in phrase)
    return math.fsum(worth[stem] for stem in phrase & here) / total if total else 0.0


@cache
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("english")


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Returns the stem of a word in lower case."""
    return str(_stemmer().stemWord(word.replace("'s", "")))
