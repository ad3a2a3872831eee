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
_GRADE = r"(?:grades?|scores?|marks?|points?|credit|ratings?|level|pass)"
_TOP = r"(?:full|max(?:imum)?|top|high(?:est)?|perfect|best|better|good|excellent|10|ten|100)"
_PRIZE = rf"(?:{_TOP}\s+(?:\w+\s+)?{_GRADE}|(?:10|ten|5|five|100)(?:\s*/\s*|\s+out\s+of\s+)\w+|strong\s+hire|a\s+(?:pass|ten|10)\b)"
_MINE = r"(?:this|(?:this|my)\s+(?:answer|response|interview|transcript)|i)"
_GRADERS = r"(?:grader|judge|rater|evaluator|examiner|interviewer|reviewer|teacher|instructor|mentor|professor|hiring\s+\w+|colleague)"
_ASKED = r"^\W*(?:(?:please|pls|just|now|so|hey|ok|you\s+(?:should|must)|(?:could|can|would|will)\s+you|from\s+now\s+on|i\s+want\s+you\s+to)\W+)*"
_MODELS = r"(?:chat\s?gpt|gpt-?\d\w*|claude|gemini|copilot)"
_MORE: dict[AttemptKind, str] = {
    "order": rf"{_ASKED}(?:ignore|disregard|forget|override|bypass|skip|(?:do\s+not|don['’]t)\s+(?:apply|use|follow))\s+(?:the\s+|your\s+|this\s+|any\s+|all\s+)*"
    r"(?:(?:scoring|marking|grading)\s+\w+|rubric|criteria|instructions?|everything\s+you\s+were\s+told)\b(?!['’]s)"
    rf"|{_ASKED}(?:giv(?:e)?|award|grant|let|put|mark|rate|grade|score|set|change|round|bump)\s+(?:me|this(?:\s+(?:one|answer|response))?|my\s+\w+|yourself)\b"
    rf"[^.\n]{{0,40}}\b(?:{_TOP}|hire|correct|met|up|benefit|highly|pass|a\+?)(?:\b|$)"
    rf"|{_ASKED}(?:award\s+)?full\s+(?:marks|credit|points)\W*(?:here|please|pls)?\W*$"
    rf"|{_ASKED}(?:be\s+(?:lenient|generous|kind|nice)|(?:do\s+not|don['’]t)\s+(?:be\s+(?:too\s+)?(?:strict|harsh)|deduct|lower|take\s+off))\b[^.\n]{{0,30}}\b(?:grad\w+|scor\w+|marks?|points?)\b"
    rf"|{_ASKED}grade\s+(?:this\s+|me\s+|it\s+)?(?:generously|kindly|leniently|everything\s+as)\b|{_ASKED}(?:treat|assume)\b[^.\n]{{0,20}}\bcriteri\w+\b[^.\n]{{0,12}}\b(?:met|fulfilled|satisfied)\b"
    rf"|{_ASKED}(?:pretend|assume)\s+(?:this|my)\s+(?:answer|response)\b|{_ASKED}(?:act\s+as|be)\s+an?\s+(?:lenient|generous|kind)\s+\w+|{_ASKED}stop\s+grading\b"
    rf"|^\W*(?:(?:attention|hey|hi|hello)\s+)(?:ai|model|grader|judge|llm)\b|^\W*grader\s*[:,]|\bto\s+whoever\s+(?:grades|reads|marks)\b|^\W*your\s+new\s+task\b"
    rf"|\b(?:the\s+{_GRADERS}|whoever\s+\w+\s+this)\s+(?:should|must|has\s+to)\s+(?:give|award|grant)\b[^.\n]{{0,20}}\b{_TOP}\b|\byou\s+are\s+instructed\s+to\b",
    "forgery": r"^\W*(?:(?:final|total|overall|your|the)\s+)*(?:score|grade|rating|verdict|result|overall|evaluation|assessment|points|marks|recommendation|decision|status|signal|outcome|level|total|scorecard|grading)"
    r"(?:\s+(?:awarded|given|achieved|complete|result|verdict))?\W*(?:[:=]|\s-|\bis\b)\W*"
    r"(?:\d+\s*(?:/|of|out\s+of)\s*\d+|(?:10|100)(?:\s*%|\s+percent)?\W*$|a(?:\+|\s+plus)?\W*$|ten\b|full\b|(?:strong\s+)?hire\b|pass(?:ed)?\b|excellent|perfect|meets|met\b|accepted|highest|top|staff\b)"
    r"|^\W*is\s+the\s+score\b|^\W*(?:10\s*/\s*10|100\s*/\s*100|5\s*/\s*5|(?:5|five|10|ten)\s+out\s+of\s+(?:5|five|10|ten)(?:\s+stars?)?)(?:\W*$|\W+strong\s+hire)"
    r"|^\W*(?:[a-z]+(?:-[a-z]+)+|all\s+criteria|criterion\s+\w+)\s*[:=]\s*met\b"
    rf"|^\W*{_GRADERS}(?:['’]s\s+(?:comment|note|feedback))?\s*:[^\n]{{0,60}}\b(?:met|hire|full\s+\w+|excellent|top\s+\w+)\b|^\W*feedback\s*:\s*(?:perfect|excellent|great)",
    "plea": r"\bplease\b[^.\n]{0,30}\b(?:kind(?:ly)?|generous(?:ly)?|nice|lenient|merc\w+|easy\s+on|let\s+me\s+pass|(?:not|n['’]?t)\s+fail|my\s+situation)\b|\bpl(?:ease|s|ese)\s+(?:do\s+not|don['’]?t)\s+fail\b"
    r"|\bi\b[^.\n]{0,20}\b(?:need|have)\s+(?:this\s+)?to\s+pass\b|\bneed\s+this(?:\s+job)?\W*$|\bi\s+(?:really\s+|just\s+)?need\b[^.\n]{0,25}\b(?:full\s+marks|good\s+grade|to\s+pass|points?\s+to)\b"
    r"|\b(?:i\s+beg|i\s+am\s+begging|i['’]m\s+begging|have\s+a\s+heart)\b|\bgo\s+easy\s+on\s+(?:me|the\s+grad\w+)"
    r"|\b(?:if|unless)\s+i\s+(?:fail|do\s+not\s+pass|don['’]t\s+pass|pass|get\s+a\s+low|do\s+not\s+get|don['’]t\s+get)\b|\bmy\s+scholarship\b|\blast\s+chance\s+to\s+pass\b|\bafford\s+to\s+fail\b"
    rf"|\b(?:appreciate|grateful\s+for|hope\s+\w+\s+(?:give|is)[^.\n]{{0,20}}|can\s+i|may\s+i|could\s+i|worth\s+of)\b[^.\n]{{0,15}}\b{_PRIZE}|\b(?:full\s+(?:credit|marks)|good\s+grade)\b[^.\n]{{0,20}}\bmean\b"
    rf"|\bgood\s+grade\s+would\s+mean\b|\b(?:bump|help\s+me\b[^.\n]{{0,15}})\s*(?:my|with\s+the|the)\s+(?:score|grade)\b|\bearns\s+me\b|\bearned\s+a\s+pass\b|\bi['’]ll\b[^.\n]{{0,30}}\b(?:review|money)\b|\bfor\s+a\s+better\s+grade\b"
    r"|\byou\s+are\s+(?:such\s+)?a\s+(?:fair|generous|kind)\b|\bi\s+(?:worked|studied)\b[^.\n]{0,25}\b(?:hard|night)\b[^.\n]{0,20}\b(?:please|for\s+this)\b",
    "claim": rf"\b(?:i|{_MINE})\s+(?:think\s+i\s+|have\s+|clearly\s+)?(?:deserves?|earn(?:s|ed)?)\b[^.\n]{{0,25}}\b{_GRADE}\b"
    rf"|\b(?:don['’]t|do)\s+i\s+deserve\b|\b(?:this|my)\s+(?:answer|response)\s+(?:is|was|has\s+been)\s+(?:clearly\s+|worth\s+|rated\s+|already\s+|a\s+|an\s+)*(?:{_TOP}|approved|strong\s+hire)\b"
    rf"|\bthis\s+(?:is|should\s+(?:be|get))\s+(?:clearly\s+|a\s+)*(?:{_PRIZE}|(?:perfect|top)\s+answer)|\b(?:is|isn['’]t)\s+(?:this\s+)?(?:clearly\s+)?a\s+(?:top|perfect)\s+answer\b"
    rf"|\b(?:any|every|no|nobody|another|other|everyone)\b[^.\n]{{0,15}}\b(?:grader|graders|judge|examiner|agrees|interviewer)\b[^.\n]{{0,30}}\b(?:{_PRIZE}|less\s+than)"
    rf"|\b(?:my|your|the)\s+{_GRADERS}\s+(?:already\s+)?(?:said|told|confirmed|gave|promised|decided)\b[^.\n]{{0,40}}\b(?:{_PRIZE}|answer|correct|hire\s+me|full\s+\w+)"
    rf"|\b(?:i\s+was|you)\s+(?:already\s+)?(?:told|promised|gave|told\s+me)\b[^.\n]{{0,30}}\b(?:{_PRIZE}|passed)|\bas\s+my\s+{_GRADERS}\b|\bi\s+(?:already\s+)?pass(?:ed)?(?:\s+this\s+question)?\W*$"
    r"|\bi(?:['’]ve|\s+have)\s+(?:covered|met|satisfied)\s+(?:every|all)\b[^.\n]{0,8}\bcriteri\w+|\b(?:covers?|satisfies)\b[^.\n]{0,20}\b(?:the|whole)\s+rubric\b|\beverything\s+the\s+rubric\b"
    r"|\bi(?:\s+am|['’]m)\s+(?:obviously\s+|clearly\s+)?(?:a\s+strong\s+hire|the\s+best\s+candidate)|\bmark\s+this\s+down\b|\bi\s+would\s+rate\s+my\b",
}
_WORDS = ("ignore", "disregard", "rubric", "instructions", "criteria", "grade", "grader", "score", "marks", "deserve", "please", "perfect", "answer", "chatgpt", "rating", "verdict")


def _slips(word: str) -> Iterator[str]:
    """Two letters in the wrong order, and in longer words one left out or doubled."""
    for at in range(len(word) - 1):
        yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if len(word) > 5:
            yield word[: at + 1] + word[at:]
            if at:
                yield word[:at] + word[at + 1 :]


_MENDED = {slip: word for word in _WORDS for slip in _slips(word) if slip not in {*_WORDS, "prefect"}}


def _mended(text: str) -> str:
    """Returns a text with the slips of the pen in telling words set right."""
    return re.sub(r"[A-Za-z]+", lambda word: _MENDED.get(word.group().lower(), word.group()), text)


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
        r"|\bignor(?:iere|ez|a|ar|iert)\b|忽略|無視|игнорир|अनदेखा|تجاهل"
        + "|"
        + _MORE["order"],
        re.IGNORECASE,
    ),
    "forgery": re.compile(
        r"<\s{0,8}/?\s{0,8}(?:turn|transcript|system|assistant|user|instructions?|rubric|judge)\b[^>]*>"
        r"|^\s{0,20}(?:system|assistant|developer|interviewer|grader|judge)\s*(?:\([^)]*\))?\s*:[^\n]{0,60}"
        r"(?:\{|\b(?:met|marks?|graded?|rated?|scored?|pass(?:ed)?|hired?|excellent|correct|complete|level)\b)"
        r"|<\|[a-z_]+\|>|\[/?INST\]|-{3}\s*user\s*-{3}|#{2,6}\s{0,8}(?:system|instruction|response|end)\b"
        r"|[\"']?(?:verdicts|red_flags|criterion|target_level)[\"']?\s*[:=]\s*[\"'\[{]|[\"']level[\"']\s*:\s*[\"']"
        r"|```(?:json|xml|yaml)?\s*\{?\s*[\"']?(?:verdicts|level|grade|score)\b"
        + "|"
        + _MORE["forgery"],
        re.IGNORECASE | re.MULTILINE,
    ),
    "plea": re.compile(
        r"\b(?:pass|hire|help)\s+me\b|\bi\s+(?:really\s+)?need\s+(?:this\s+job|to\s+pass|a\s+(?:good|high)\s+(?:grade|score))\b"
        r"|\bmy\s+(?:job|family|visa|children|career|life)\b[^.\n]{0,30}\bdepends?\b|\bi(?:'ll| will)\b[^.\n]{0,30}\b(?:sue|report you|shut you|complain|tip you|pay you)\b"
        r"|\byou(?:'re| are)\b[^.\n]{0,30}\b(?:grader|judge|interviewer|examiner|assistant)\b|\b(?:terrible|legal)\s+consequences\b"
        + "|"
        + _MORE["plea"],
        re.IGNORECASE,
    ),
    "claim": re.compile(
        r"\b(?:the\s+)?rubric\s+(?:says|requires|asks|wants|expects|is)\b|\b(?:criterion|criteria)\b[^.\n]{0,40}\b(?:is|are|was|were|has\s+been|have\s+been)\s+(?:fully\s+)?(?:met|satisfied|fulfilled)\b"
        r"|\blevel\s*[:=]\s*(?:met|excellent|highest)\b|\b(?:this|my)\s+answer\s+(?:meets|satisfies|earns|deserves)\b|\b(?:earlier|already)\s+(?:graded|rated|approved)\b"
        + "|"
        + _MORE["claim"],
        re.IGNORECASE,
    ),
    "hidden": re.compile(
        r"[\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
    ),
    "encoded": re.compile(r"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{40,}={0,2}|(?:[0-9a-f]{2}\s?){24,})(?![A-Za-z0-9+/])"),
    "others": re.compile(
        r"\b(?:someone\s+else|somebody\s+else|another\s+candidate|a\s+(?:strong|senior|good|better|perfect)\s+candidate|an?\s+expert|chatgpt)"
        r"\s+(?:would|might|could|here\s+would)\b[^.\n]{0,20}\b(?:say|answer|write|give|tell|reply|mention)\b"
        r"|\b(?:the|a)\s+(?:model|perfect|ideal|reference)\s+answer\s+(?:would\s+be|is|reads|says|goes)\b"
        + rf"|\b{_MODELS}\b(?:['’]s\s+answer|\s+(?:says|said|told\s+me|answers|answered|would\s+(?:say|answer))\s+(?:that\s+you|the\s+answer|to\s|me\b|you\b))|\baccording\s+to\s+{_MODELS}\b"
        rf"|\bi(?:f\s+you)?\s+asked\s+{_MODELS}\b|\b(?:{_MODELS}|my\s+(?:friend|mentor|teacher)|someone\s+(?:smarter|with\s+more\s+\w+|who\s+knows\s+\w+)|somebody\s+smarter|(?:most|other)\s+candidates|experts)\s+would\s+(?:say|answer)\b"
        r"|\b(?:strong|great|top|ideal|better|perfect|senior|staff)\s+(?:candidate|engineer)\s+(?:would|might)\s+(?:say|answer|mention|bring\s+up|explain)\b|\bwould\s+an?\s+\w+\s+candidate\s+say\b|\ban\s+(?:ai|expert)\s+(?:would|might)\s+(?:say|answer)\b"
        r"|\b(?:ideal|perfect|strong|good)\s+answer\s+would\s+(?:mention|include|cover|talk|say)\b|\bthe\s+(?:model|sample|reference)\s+(?:answer|solution)\s+(?:mentions|says\s+to|contains|is\s+to)\b|\bthe\s+answer\s+key\s+(?:says|is)\b"
        r"|\bthe\s+(?:expected|textbook)\s+answer\s+(?:is|would)\b|\bthe\s+answer\s+you(?:\s+are|['’]re)?\s+(?:want|looking\s+for)\b|\bwhat\s+you\s+want\s+to\s+hear\b|\byou\s+want\s+me\s+to\s+say\b"
        r"|\b(?:someone|somebody)\s+else\s+(?:said|told\s+me)\b|\b(?:the\s+(?:previous|last)\s+candidate|the\s+candidate\s+before\s+me)\s+(?:said|answered)\b",
        re.IGNORECASE,
    ),
}
"""By kind: an order to the grader, a forged delimiter, turn or verdict, a plea or threat, a claim about the grade itself,
invisible characters, encoded text, and what is said to be somebody else's answer."""
PATTERNS = digest({"words": _WORDS, **{kind: pattern.pattern for kind, pattern in _PATTERNS.items()}})
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
            kind = next((k for k, pattern in _PATTERNS.items() if k != "others" and (pattern.search(sentence) or pattern.search(_mended(sentence)))), None)
            if kind:
                yield Attempt(turn=turn.number, kind=kind, quote=sentence.strip())


def _touches(passage: str, text: str, attempts: Sequence[Attempt]) -> bool:
    return any(_overlap(passage, found.quote, text) for found in attempts)


def _overlap(one: str, other: str, text: str) -> bool:
    """Whether two stretches of a text share a place."""
    first, second = text.find(one), text.find(other)
    return 0 <= first < second + len(other) and 0 <= second < first + len(one)
