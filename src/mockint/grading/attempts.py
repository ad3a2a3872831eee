"""The only place that recognises what is addressed to the grader and not to the interviewer.

Patterns cannot know intent, and they need not: what they find is reported, and it is no evidence for anything. They are held to
find nothing in the bank's own answers (a test). What they miss still meets the rest: a quote must stand in the candidate's own
turn, levels and criteria are the rubric's, points are code's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mockint import evidence
from mockint.content import digest
from mockint.grades import Attempt, AttemptKind
from mockint.transcript import Part, Turn

_SELF = r"(?:me|my\s+\w+|this\s+(?:answer|response|candidate|transcript|interview)|the\s+candidate|every\s+criterion|all\s+(?:the\s+)?criteri\w+)"
_PATTERNS: dict[AttemptKind, re.Pattern[str]] = {
    "order": re.compile(
        r"\b(?:ignore|disregard|forget|override|bypass)\s+(?:\w+\s+){0,2}?(?:previous|prior|above|all|your|earlier|these)\b"
        r"[^.\n]{0,30}\b(?:instructions?|rubric|prompt|rules|criteria|guidelines|above|text)\b"
        rf"|\b(?:give|award|assign|grant|rate|score|mark|grade|evaluate|consider|treat)\s+{_SELF}\b[^.\n]{{0,60}}"
        r"\b(?:full|maximum|top|highest|perfect|best|excellent|met|hire|passed|pass|100|10/10|points?|marks?)\b"
        r"|\b(?:set|mark|return|output|reply)\b[^.\n]{0,40}\b(?:level|verdict|score|signal|criterion|criteria)s?\b[^.\n]{0,30}"
        r"\b(?:met|highest|maximum|top|strong hire|hire|full|1\.0|100)\b"
        r"|\b(?:note|message|instructions?|attention|reminder)\b\s+(?:to|for)\s+(?:the\s+)?(?:grader|judge|rater|evaluator|examiner|ai|llm|model)\b"
        r"|\b(?:as\s+(?:the\s+|an?\s+)?(?:grader|rater|evaluator|examiner)|dear\s+(?:grader|judge|rater|evaluator|examiner))\b"
        r"|\byou\s+(?:must|will|should|are\s+(?:now|required|instructed))\b[^.\n]{0,40}\b(?:grade|graded|rate|score|hire|pass|level)\b"
        r"|\b(?:new|updated|additional|developer|admin)\s+(?:instructions?|policy|mode|override)\b\s*[:=]"
        r"|^\W*(?:(?:please|just|now|so)\W+)*(?:i[gn]{2}ore|disregard|forget)\s+(?:(?:the|your)\s+(?:\w+\s+)?(?:rubric|criteria)\b(?!['’]s)|your\s+instructions?\b)"
        r"|\bignor(?:iere|ez|a|ar|iert)\b|忽略|無視|игнорир|अनदेखा|تجاهل",
        re.IGNORECASE,
    ),
    "forgery": re.compile(
        r"<\s{0,8}/?\s{0,8}(?:turn|transcript|system|assistant|user|instructions?|rubric|judge)\b[^>]*>"
        r"|^\s{0,20}(?:system|assistant|developer|interviewer|grader|judge)\s*(?:\([^)]*\))?\s*:[^\n]{0,60}"
        r"(?:\{|\b(?:met|marks?|graded?|rated?|scored?|pass(?:ed)?|hired?|excellent|correct|complete|level)\b)"
        r"|<\|[a-z_]+\|>|\[/?INST\]|-{3}\s*user\s*-{3}|#{2,6}\s{0,8}(?:system|instruction|response|end)\b"
        r"|[\"']?(?:verdicts|red_flags|criterion|target_level)[\"']?\s*[:=]\s*[\"'\[{]|[\"']level[\"']\s*:\s*[\"']"
        r"|```(?:json|xml|yaml)?\s*\{?\s*[\"']?(?:verdicts|level|grade|score)\b"
        r"|^\W*(?:(?:final|overall|total)\s+)?(?:score|grade|rating|marks?)\s*[:=]\s*\d+\s*(?:/|out\s+of)\s*\d+\W*$",
        re.IGNORECASE | re.MULTILINE,
    ),
    "plea": re.compile(
        r"\b(?:pass|hire)\s+me\b|\bi\s+(?:really\s+)?need\s+(?:this\s+job|(?:this\s+)?to\s+pass|a\s+(?:good|high)\s+(?:grade|score))\b"
        r"|\bmy\s+(?:job|family|visa|children|career|life)\b[^.\n]{0,30}\bdepends?\b|\bi(?:'ll| will)\b[^.\n]{0,30}\b(?:sue|report you|shut you|complain|tip you|pay you)\b"
        r"|\byou(?:'re| are)\b[^.\n]{0,30}\b(?:grader|judge|interviewer|examiner|assistant)\b|\b(?:terrible|legal)\s+consequences\b"
        r"|\bbe\s+(?:kind|lenient|generous|nice|gentle)\b[^.\n]{0,30}\b(?:grad\w+|scor\w+|marks?|points?)\b",
        re.IGNORECASE,
    ),
    "claim": re.compile(
        r"\bthe\s+rubric\s+(?:says|requires|asks|wants|expects|is)\b|\b(?:criterion|criteria)\b[^.\n]{0,40}\b(?:is|are|was|were|has\s+been|have\s+been)\s+(?:fully\s+)?(?:met|satisfied|fulfilled)\b(?!\s+or\b)"
        r"|\blevel\s*[:=]\s*(?:met|excellent|highest)\b|\b(?:this|my)\s+answer\s+(?:meets|satisfies|earns|deserves)\b|\b(?:was|were|been|earlier)\s+(?:already\s+)?(?:graded|rated|approved)\b"
        r"|\bi\s+deserve\b[^.\n]{0,25}\b(?:grade|marks?|points?|score|credit|pass|hire)\b|\bworth\s+(?:full|top|maximum|all)\s+(?:the\s+)?(?:points?|marks?|credit)\b"
        r"|\b(?:any|every)\s+(?:fair|good|honest|reasonable)\s+(?:grader|judge|rater|examiner|interviewer)\b",
        re.IGNORECASE,
    ),
    "hidden": re.compile(
        r"[\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
    ),
    "encoded": re.compile(r"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{40,}={0,2}|(?:[0-9a-f]{2}\s?){24,})(?![A-Za-z0-9+/])"),
    "others": re.compile(
        r"\b(?:someone\s+else|somebody\s+else|another\s+candidate|a\s+(?:strong|senior|good|better|perfect)\s+candidate|an?\s+expert|chatgpt)"
        r"\s+(?:would|might|could|here\s+would)\b[^.\n]{0,20}\b(?:say|answer|write|give|tell|reply|mention)\b"
        r"|\b(?:the|a)\s+(?:model|perfect|ideal|reference)\s+answer\s+(?:would\s+be|is(?!\s+compared)|reads|says|goes)\b",
        re.IGNORECASE,
    ),
}
"""By kind: an order to the grader, a forged delimiter, turn or verdict, a plea or threat, a claim about the grade itself,
invisible characters, encoded text, and what is said to be somebody else's answer."""
PATTERNS = digest({kind: pattern.pattern for kind, pattern in _PATTERNS.items()})
"""The hash of the patterns: a grade's stamp names what it was held against."""


@dataclass(frozen=True)
class Own:
    """What the candidate says for themselves, and what they address to the grader."""

    passages: tuple[evidence.Passage, ...]
    attempts: tuple[Attempt, ...]


def own_words(part: Part) -> Own:
    """Parts the candidate's turns into evidence and attempts; what is said to be somebody else's answer goes on to its paragraph's end."""
    kept: list[evidence.Passage] = []
    attempts: list[Attempt] = []
    for turn in part.answers:
        found = _attempts(turn)
        attempts += found
        kept += [p for p in evidence.passages(turn.number, turn.text) if not _touches(p.text, turn.text, found)]
    return Own(tuple(kept), tuple(attempts))


def addressed(quote: str, turn: Turn) -> Attempt | None:
    """Returns the attempt that a quote from this turn is taken from, if it is."""
    return next((found for found in _attempts(turn) if _overlap(quote, found.quote, turn.text)), None)


@lru_cache(maxsize=256)
def _attempts(turn: Turn) -> tuple[Attempt, ...]:
    return tuple(_found(turn))


def _found(turn: Turn) -> Iterator[Attempt]:
    for paragraph in re.split(r"\n\s*\n", turn.text):
        foreign = _PATTERNS["others"].search(paragraph)
        if foreign:
            yield Attempt(turn=turn.number, kind="others", quote=paragraph[foreign.start() :].strip())
        for sentence in re.split(r"(?<=[.!?;])\s+|\n", paragraph):
            if not sentence.strip():
                continue
            kind = next((k for k, pattern in _PATTERNS.items() if k != "others" and pattern.search(sentence)), None)
            if kind:
                yield Attempt(turn=turn.number, kind=kind, quote=sentence.strip())


def _touches(passage: str, text: str, attempts: Sequence[Attempt]) -> bool:
    return any(_overlap(passage, found.quote, text) for found in attempts)


def _overlap(one: str, other: str, text: str) -> bool:
    """Whether two stretches of a text share a place."""
    first, second = text.find(one), text.find(other)
    return 0 <= first < second + len(other) and 0 <= second < first + len(one)
