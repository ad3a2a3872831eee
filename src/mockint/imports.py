"""The only place for interviews that mockint did not record: reads exports, finds the bank's questions in them, and keeps them as answers.

Captions are read here and by no library: webvtt-py keeps voices, byte-order marks and hour-less times, but drops a broken cue, or adds it
to the words before it, without a word and without a line number, and srt does so too.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mockint import files
from mockint.bank import Bank
from mockint.content import Problem, near
from mockint.errors import ContentError, UsageError
from mockint.store import write

FORMAT = 1
ENDINGS = (".vtt", ".srt", ".md", ".markdown", ".txt", ".jsonl")

ASKED, MARGIN, MAYBE = 0.31, 0.06, 0.19
"""A turn asks the question that it is most like from ASKED on, if the next one is less like it by MARGIN; from MAYBE on a human decides."""
SURE = 0.75
"""The confidence from which nobody is asked which of two speakers is the candidate."""
BACKCHANNEL = 3
"""Words of a candidate's that may stand between two halves of a question ("mm, yes, okay")."""
LISTED = 3
"""Questions that are named for a turn that is unsure."""

PROBE, NONE = "probe", "none"
"""What a turn can be settled as, beside a question: it belongs to the question before it, or to none."""


@dataclass(frozen=True)
class Utterance:
    speaker: str
    text: str
    line: int
    start: float | None = None
    """Seconds from the beginning."""
    end: float | None = None


@dataclass(frozen=True)
class Reading:
    """An export as it was read: what follows one another by one speaker is one turn."""

    path: Path
    data: bytes
    turns: tuple[Utterance, ...]
    problems: tuple[Problem, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))


@dataclass(frozen=True)
class Found:
    """The exports among the files and folders that were named."""

    paths: tuple[Path, ...]
    left_out: tuple[Path, ...]


@dataclass(frozen=True)
class Roles:
    candidate: str
    interviewers: tuple[str, ...]
    confidence: float
    """From 0 to 1; 1 when a person has said it."""
    why: str

    @property
    def sure(self) -> bool:
        return self.confidence >= SURE


@dataclass(frozen=True)
class Aligned:
    """What became of an interviewer's turn."""

    turn: int
    question: str
    score: float
    by: Literal["similarity", "hand"]


@dataclass(frozen=True)
class Unsure:
    turn: int
    text: str
    likely: tuple[tuple[str, float], ...]
    """The questions that it is most like, with the likeness."""
    taken_as: str
    """The question that it was kept with as a probe, or "none"."""


@dataclass(frozen=True)
class Interview:
    """An interview as answers. Turns are numbered from 1, in the order of the export."""

    stem: str
    source: str | None
    suffix: str
    data: bytes
    turns: tuple[Utterance, ...]
    roles: Roles
    answers: dict[str, list[int]]
    """The turns of each question that was asked."""
    aligned: tuple[Aligned, ...]
    unsure: tuple[Unsure, ...]
    not_asked: tuple[str, ...]
    left_out: tuple[int, ...]
    problems: tuple[Problem, ...]
    pseudonymised: bool = False

    def said(self, turn: int) -> dict[str, str]:
        told = self.turns[turn - 1]
        return {"role": "candidate" if told.speaker == self.roles.candidate else "interviewer", "text": told.text}

    @property
    def not_answered(self) -> tuple[str, ...]:
        return tuple(
            q for q, turns in self.answers.items() if all(self.said(t)["role"] == "interviewer" for t in turns)
        )

    def answer_lines(self) -> str:
        """Returns `answers.jsonl`."""
        lines = (
            {"id": f"{self.stem}#{question}", "question": question, "turns": [self.said(turn) for turn in turns]}
            for question, turns in self.answers.items()
        )
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    def record(self) -> dict[str, Any]:
        """Returns `import.json`."""
        names = (self.roles.candidate, *self.roles.interviewers)
        of = {turn: question for question, turns in self.answers.items() for turn in turns}
        return {
            "format": FORMAT,
            "source": self.source,
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "original": None if self.pseudonymised else f"original{self.suffix}",
            "pseudonymised": self.pseudonymised,
            "speakers": [
                {
                    "name": name,
                    "role": "candidate" if name == self.roles.candidate else "interviewer",
                    "turns": sum(turn.speaker == name for turn in self.turns),
                    "words": sum(len(turn.text.split()) for turn in self.turns if turn.speaker == name),
                }
                for name in names
            ],
            "candidate": {"confidence": self.roles.confidence, "why": self.roles.why},
            "questions": [{"question": question, "turns": turns} for question, turns in self.answers.items()],
            "alignment": [vars(one) for one in self.aligned],
            "interviewers_turns": [
                {"turn": turn, "speaker": said.speaker, "question": of.get(turn), "text": said.text}
                for turn, said in enumerate(self.turns, 1)
                if said.speaker != self.roles.candidate
            ],
            "unsure": [
                {
                    "turn": one.turn,
                    "text": one.text,
                    "candidates": [{"question": question, "score": score} for question, score in one.likely],
                    "taken_as": one.taken_as,
                }
                for one in self.unsure
            ],
            "not_asked": list(self.not_asked),
            "not_answered": list(self.not_answered),
            "left_out": [
                {"turn": turn, "speaker": self.turns[turn - 1].speaker, "text": self.turns[turn - 1].text}
                for turn in self.left_out
            ],
            "damaged": [{"line": problem.line, "message": problem.message} for problem in self.problems],
        }


def find(named: Iterable[Path]) -> Found:
    """Returns the files that are named, and those in the folders, at any depth, whose name ends as an export's does."""
    paths: list[Path] = []
    left_out: list[Path] = []
    for path in named:
        if not path.is_dir():
            paths.append(path)
            continue
        for inside in sorted(path.rglob("*")):
            if inside.is_file():
                (paths if inside.suffix.lower() in ENDINGS else left_out).append(inside)
    return Found(tuple(dict.fromkeys(paths)), tuple(left_out))


def read(path: Path) -> Reading:
    """Returns an export's turns, and what is damaged in it.

    Raises:
        ContentError: nothing in it can be used.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ContentError(f"{path} cannot be read: {exc.strerror}.", hint="Check the path and its rights.") from exc
    problems: list[Problem] = []

    def damaged(line: int, message: str) -> None:
        problems.append(Problem(path, line, "", message))

    lines = re.split(r"\r\n|\r|\n", _decoded(path, data, damaged))
    match _kind(path, lines):
        case "captions":
            spoken = _named(_cues(lines, damaged, header=path.suffix.lower() == ".vtt"), damaged)
            turns = _turns(_unrolled(spoken), " ")
        case "json":
            turns = _turns(_objects(path, lines, damaged), "\n\n")
        case "text":
            turns = _turns(_paragraphs(lines, damaged), "\n\n")
    if not turns:
        listed = "".join(f"\n{problem}" for problem in sorted(problems))
        raise ContentError(
            f"{path}:1: there are no words with a speaker's name in it.{listed}",
            hint="Export it with speaker names, or write `Name: ` before what each one says.",
        )
    return Reading(path, data, tuple(turns), tuple(sorted(problems)))


# The bytes


def _decoded(path: Path, data: bytes, damaged: Callable[[int, str], None]) -> str:
    """Returns the text: UTF-8, UTF-16, or cp1252. Raises ContentError for what is no text."""
    if not data.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise ContentError(f"{path}:1: the file is empty.", hint="Export the interview again.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    elif (little := data[1:2000:2].count(0)) + (big := data[:2000:2].count(0)) > len(data[:2000]) // 4:
        text = data.decode("utf-16-le" if little > big else "utf-16-be", errors="replace")
    else:
        text = data.decode("utf-8-sig", errors="replace")
        broken = text.count("\ufffd") - data.count("\ufffd".encode())
        whole = sum(char > "\x7f" for char in text) - text.count("\ufffd")
        if broken > whole:
            text = data.decode("cp1252", errors="replace")
    head = text[:4000]
    if sum(unicodedata.category(char) == "Cc" and char not in "\t\r\n\f\v" for char in head) > len(head) // 50:
        raise ContentError(f"{path}:1: this is no text.", hint="Give the transcript, not the recording.")
    for number, line in enumerate(text.split("\n") if "\ufffd" in text else (), 1):
        if "\ufffd" in line:
            damaged(number, "characters that cannot be decoded stand as \N{REPLACEMENT CHARACTER}")
    return text


Kind = Literal["captions", "json", "text"]


def _kind(path: Path, lines: Sequence[str]) -> Kind:
    """Returns how to read it, by its first lines; by its name where these do not tell."""
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("WEBVTT") or any(_TIMING.match(line) for line in lines[:200]):
        return "captions"
    if first.lstrip().startswith("{") or path.suffix.lower() == ".jsonl":
        return "json"
    return "captions" if path.suffix.lower() in (".vtt", ".srt") else "text"


# Captions

_CLOCK = r"(?:\d{1,3}:)?\d{1,2}:\d{2}(?:[.,]\d{1,3})?"
_TIMING = re.compile(rf"\s*({_CLOCK})\s*-->\s*({_CLOCK})(?:\s.*)?$")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_MARKUP = re.compile(r"</?(?:v|c|b|i|u|lang|ruby|rt|font)(?:[.\s][^>]*)?>|<\d[\d:.]*>|\{\\an?\d+\}", re.IGNORECASE)


@dataclass
class _Cue:
    line: int
    start: float | None
    end: float | None
    words: list[str] = field(default_factory=list)


def _seconds(clock: str) -> float:
    parts = [float(part) for part in clock.replace(",", ".").split(":")]
    return round(math.fsum(part * 60**power for power, part in enumerate(reversed(parts))), 3)


def _cues(lines: Sequence[str], damaged: Callable[[int, str], None], *, header: bool) -> list[_Cue]:
    """Returns the cues. Of one whose times are broken the words are kept: they are somebody's."""
    if header and not lines[0].startswith("WEBVTT"):
        damaged(1, "WEBVTT is missing in the first line; read all the same")
    cues: list[_Cue] = []
    block: list[tuple[int, str]] = []
    for number, line in enumerate((*lines, ""), 1):
        if line.strip():
            block.append((number, line))
            continue
        cues += _in_block(block, damaged, first=not cues)
        block = []
    return cues


def _in_block(block: list[tuple[int, str]], damaged: Callable[[int, str], None], *, first: bool) -> Iterator[_Cue]:
    """Yields the cues of lines that stand together; more than one where the blank line between them is missing."""
    if not block or re.match(r"(NOTE|STYLE|REGION)(\s|$)|WEBVTT", block[0][1]):
        return
    at = [place for place, (_, line) in enumerate(block) if "-->" in line]
    if not at:
        if not all(line.strip().isdigit() for _, line in block) and not first:
            damaged(block[0][0], "words without times; taken as said by whoever spoke before")
            yield _Cue(block[0][0], None, None, [line for _, line in block])
        return
    for place, after in pairwise((*at, len(block))):
        number, line = block[place]
        told = block[place + 1 : after]
        if after < len(block) and told and told[-1][1].strip().isdigit():
            told = told[:-1]
        found = _TIMING.match(line)
        if not found:
            damaged(number, "the times of this cue cannot be read; its words are kept")
        start, end = (_seconds(found[1]), _seconds(found[2])) if found else (None, None)
        yield _Cue(number, start, end, [line for _, line in told])


def _named(cues: Sequence[_Cue], damaged: Callable[[int, str], None]) -> list[Utterance]:
    """Returns what each cue says, by its voice spans, or else by the name that it begins with."""
    voiced = any(_VOICE.search(line) for cue in cues for line in cue.words)
    labels = {} if voiced else _labels([(cue.line, cue.words[0]) for cue in cues if cue.words], damaged)
    said: list[Utterance] = []
    speaker = ""
    unnamed = 0
    for cue in cues:
        text = " ".join(cue.words)
        if voiced:
            before, *spans = _VOICE.split(text)
            pieces = [(speaker, before), *zip(map(_tidy, spans[::2]), spans[1::2], strict=True)]
        elif label := labels.get(cue.line):
            pieces = [(label.name, " ".join([label.rest, *cue.words[1:]]))]
        else:
            pieces = [(speaker, text)]
        for speaker, words in pieces:
            plain = _plain(html.unescape(_MARKUP.sub("", words)))
            if plain and not speaker:
                unnamed = unnamed or cue.line
            elif plain:
                said.append(Utterance(speaker, plain, cue.line, cue.start, cue.end))
    if unnamed and said:
        damaged(unnamed, "words before the first speaker's name; left out")
    return said


def _unrolled(said: Sequence[Utterance]) -> Iterator[Utterance]:
    """Yields what each cue adds: captions that roll say the end of the one before once more."""
    shared = [
        _repeated(one.text.split(), other.text.split()) if one.speaker == other.speaker else 0
        for one, other in pairwise(said)
    ]
    pairs = [(again, one, other) for again, (one, other) in zip(shared, pairwise(said), strict=True)]
    telling = [again >= 2 or (again and again == len(one.text.split())) for again, one, _ in pairs]
    rolls = len(telling) >= 3 and sum(map(bool, telling)) >= 0.3 * len(telling)
    yield from said[:1]
    for again, one, other in pairs:
        words = other.text.split()
        same = one.text == other.text and one.start == other.start and one.start is not None
        if same or again >= 4 or (rolls and (again >= 2 or again in (len(one.text.split()), len(words)))):
            words = words[again:]
        if words:
            yield replace(other, text=" ".join(words))


def _repeated(before: Sequence[str], after: Sequence[str]) -> int:
    """Returns how many words end the one and begin the other."""
    return next((n for n in range(min(len(before), len(after)), 0, -1) if before[-n:] == after[:n]), 0)


# Names before words

_NAME = r"[^\W\d_][^:\n\[\]<>{}=?!\"“”;|]{0,58}?"
_LABELS = (
    # **Name:** text, **Name** (0:12): text, **Name**
    re.compile(rf"(?:[-*>]\s+)?(?:\*\*|__)(?P<name>{_NAME})\s*(?:[\[(]?(?P<time>{_CLOCK})[\])]?)?\s*:?\s*(?:\*\*|__)\s*"
               rf"(?:[\[(]?(?P<later>{_CLOCK})[\])]?)?\s*:?\s*(?P<rest>.*)$"),
    # [00:01:02] Name: text
    re.compile(rf"[\[(]?(?P<time>{_CLOCK})[\])]?\s*[-–]?\s*(?P<name>{_NAME})\s*[:：](?:\s+(?P<rest>.*))?$"),
    # Name  0:12 and [Name] 0:12, with the text below
    re.compile(rf"\[?(?P<name>{_NAME})\]?\s+[\[(]?(?P<time>{_CLOCK})[\])]?\s*:?$"),
    # Name (0:12): text
    re.compile(rf"(?P<name>{_NAME})\s+[\[(]?(?P<time>{_CLOCK})[\])]?\s*[:：]\s+(?P<rest>.*)$"),
)  # fmt: skip
_HEADING = re.compile(rf"(?P<marks>#{{1,6}})\s+(?P<name>{_NAME})\s*(?:[\[(]?(?P<time>{_CLOCK})[\])]?)?\s*:?\s*#*$")
_WEAK = re.compile(rf"(?:[-*>]\s+)?(?P<name>{_NAME})\s*[:：](?:\s+(?P<rest>.*))?$")
_FOOTER = re.compile(r"\s*Transcribed by https?://otter\.ai\s*$")
_PARTICLE = re.compile("de|da|do|dos|du|van|von|der|den|la|le|di|del|al|el|bin|ibn|ter|ten|of|and|y|e|i|the")
_ASIDES = re.compile(
    r"\s*[(\[](?:guest|external|unverified|host|co-host|me|you|organi[sz]er|she|he|they|her|him|them|/|,|\s)+[)\]]\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Label:
    name: str
    rest: str
    start: float | None
    strong: bool
    """Whether it cannot be the words of somebody: it is bold, or has a time."""


def _tidy(name: str) -> str:
    return _ASIDES.sub("", " ".join(unicodedata.normalize("NFC", html.unescape(name)).split())).strip(" *_:")


def _label(line: str) -> _Label | None:
    line = line.strip()
    for pattern in (*_LABELS, _WEAK):
        if found := pattern.match(line):
            parts = found.groupdict()
            name = _tidy(parts["name"])
            time = parts.get("time") or parts.get("later")
            if name and len(name.split()) <= 6:
                start = _seconds(time) if time else None
                return _Label(name, (parts.get("rest") or "").strip(), start, pattern is not _WEAK)
    return None


def _labels(lines: Sequence[tuple[int, str]], damaged: Callable[[int, str], None]) -> dict[int, _Label]:
    """Returns the lines that begin with a speaker's name. Words with a colon ("Latency: …") are none, unless they come back."""
    found = {number: label for number, line in lines if (label := _label(line))}
    often = Counter(label.name.casefold() for label in found.values())
    strong = {label.name.casefold() for label in found.values() if label.strong}
    everywhere = len(found) >= 0.9 * len(lines)
    kept: dict[int, _Label] = {}
    for number, label in found.items():
        name = label.name.casefold()
        capital = all(word[0] == word[0].upper() or _PARTICLE.fullmatch(word) for word in label.name.split())
        needed = 1 if everywhere or not kept else 2
        if name in strong or often[name] >= (needed if capital else 2 if len(name.split()) <= 2 else 3):
            kept[number] = label
        elif capital and kept:
            damaged(number, f"begins with “{label.name}:”, once only; taken as words, not as a speaker")
    return kept


def _headings(lines: Sequence[tuple[int, str]]) -> dict[int, _Label]:
    """Returns the headings that are speakers' names: those of the level that has most."""
    found = {number: match for number, line in lines if (match := _HEADING.match(line.strip()))}
    often = Counter(len(match["marks"]) for match in found.values())
    level = often.most_common(1)[0][0] if often else 0
    return {
        number: _Label(_tidy(match["name"]), "", _seconds(match["time"]) if match["time"] else None, strong=True)
        for number, match in found.items()
        if len(match["marks"]) == level
    }


def _paragraphs(lines: Sequence[str], damaged: Callable[[int, str], None]) -> Iterator[Utterance]:
    """Yields the paragraphs of a text in which each speaker's name stands before or above what they say."""
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not _FOOTER.match(line)]
    headings = _headings(filled)
    labels = _labels([(number, line) for number, line in filled if number not in headings], damaged)
    if len(headings) >= 2 and len(labels) < len(headings):
        labels = headings
    kept = {number: line for number, line in _no_sections(filled) if number not in labels} | dict.fromkeys(labels, "")
    speaker, start, begun = "", None, 0
    words: list[str] = []
    for number in range(1, len(lines) + 2):
        line = kept.get(number, "")
        label = labels.get(number)
        if (label or not line.strip()) and words:
            if speaker:
                yield Utterance(speaker, "\n".join(words), begun, start)
            elif labels:
                damaged(begun, "words before the first speaker's name; left out")
            words = []
        if label:
            speaker, start, line = label.name, label.start, label.rest
        if line.strip():
            begun = begun if words else number
            words.append(line.rstrip())


def _no_sections(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yields the lines without Markdown's headings; in code that is fenced, a # begins a comment."""
    fenced = False
    for number, line in lines:
        fenced ^= line.lstrip().startswith("```")
        if fenced or not re.match(r"#{1,6}\s", line):
            yield number, line


def _objects(path: Path, lines: Sequence[str], damaged: Callable[[int, str], None]) -> Iterator[Utterance]:
    """Yields the lines {"speaker", "text", "start"}. Raises ContentError for answers, which need no import."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
        except (ValueError, RecursionError) as exc:
            damaged(number, f"this is no JSON: {exc}")
            continue
        if isinstance(given, dict) and "question" in given and "speaker" not in given:
            raise ContentError(f"{path}:{number}: these are answers already.", hint=f"Grade them: mockint grade {path}")
        speaker, text = (given.get("speaker"), given.get("text")) if isinstance(given, dict) else (None, None)
        if not isinstance(speaker, str) or not isinstance(text, str) or not _tidy(speaker):
            damaged(number, 'a line has "speaker" and "text", both of them texts')
            continue
        start = given.get("start")
        if isinstance(start, str) and re.fullmatch(_CLOCK, start.strip()):
            start = _seconds(start.strip())
        known = isinstance(start, int | float) and not isinstance(start, bool) and math.isfinite(start)
        if start is not None and not known:
            damaged(number, "its start is neither seconds nor a time; left out")
        if words := _whole(text).strip():
            yield Utterance(_tidy(_whole(speaker)), words, number, float(start) if known else None)


def _whole(text: str) -> str:
    """Returns the text without halves of characters, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _turns(said: Iterable[Utterance], between: str) -> list[Utterance]:
    """Joins what follows one another by one speaker. A name is one speaker's, whatever its capitals."""
    names: dict[str, str] = {}
    turns: list[Utterance] = []
    for one in said:
        speaker = names.setdefault(one.speaker.casefold(), one.speaker)
        if turns and turns[-1].speaker == speaker:
            turns[-1] = replace(turns[-1], text=f"{turns[-1].text}{between}{one.text}", end=one.end)
        else:
            turns.append(replace(one, speaker=speaker))
    return turns


# Which question is asked


class Matcher:
    """Says how like the bank's questions a text is, from 0 to 1: the mean cosine of TF-IDF over words and over pieces of words."""

    def __init__(self, bank: Bank) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # 0.8 s

        self.questions = tuple(bank.questions)
        texts = [f"{question.ask} {question.title}" for question in bank.questions.values()]
        self._kinds = (
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
        )
        self._known = [kind.fit_transform(texts).T for kind in self._kinds]

    def scores(self, texts: Sequence[str], *, parts: bool = True) -> NDArray[np.float64]:
        """Returns a row a text, a column a question; with `parts` each text counts as its likest stretch of sentences."""
        if not texts:
            return np.zeros((0, len(self.questions)))
        stretches = [_stretches(text) if parts else [text] for text in texts]
        flat = [stretch for one in stretches for stretch in one]
        pairs = zip(self._kinds, self._known, strict=True)
        likeness = sum((kind.transform(flat) @ known).toarray() for kind, known in pairs) / len(self._kinds)
        starts = np.cumsum([0, *map(len, stretches[:-1])])
        found: NDArray[np.float64] = np.maximum.reduceat(likeness, starts, axis=0)
        return found

    def likely(self, row: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
        """Returns the likest questions, the likest first."""
        order = np.argsort(-row, kind="stable")[:LISTED]
        return tuple((self.questions[place], round(float(row[place]), 3)) for place in order)


def _stretches(text: str) -> list[str]:
    """Returns a text, and every one to three sentences of it that follow one another; forty words are a sentence without a full stop."""
    sentences: list[str] = []
    for sentence in re.split(r"(?<=[.?!])\s+", text):
        words = sentence.split()
        sentences += [" ".join(words[start : start + 40]) for start in range(0, len(words), 40)]
    if len(sentences) < 2:
        return [text]
    return [
        text,
        *(
            " ".join(sentences[i:j])
            for i in range(len(sentences))
            for j in range(i + 1, min(i + 4, len(sentences) + 1))
        ),
    ]


def asks(likely: Sequence[tuple[str, float]]) -> str | None:
    """Returns the question that a turn asks, or None when that is not sure."""
    (question, score), *others = likely
    return question if score >= ASKED and all(score - other >= MARGIN for _, other in others[:1]) else None


def may_ask(likely: Sequence[tuple[str, float]]) -> bool:
    return likely[0][1] >= MAYBE


# Who is who

_CANDIDATES = frozenset({"candidate", "interviewee", "applicant", "a", "answer", "student", "me"})
_INTERVIEWERS = frozenset(
    {"interviewer", "recruiter", "hiring manager", "q", "question", "examiner", "teacher", "host"}
)


def guess(turns: Sequence[Utterance], matcher: Matcher) -> Roles:
    """Returns who may be the candidate: who asks no question of the bank, speaks more, and asks less.

    Sure only of two speakers, or when the names say it.
    """
    names = tuple(dict.fromkeys(turn.speaker for turn in turns))
    told = [name for name in names if _role(name) == "candidate"]
    if not told and len(names) > 1:
        told = [name for name in names if _role(name) != "interviewer"]
    if len(told) == 1 and any(_role(name) for name in names):
        return named(names, told[0], "the names say it", 1.0)
    rows = matcher.scores([turn.text for turn in turns], parts=False)
    asked, words, questions = Counter[str](), Counter[str](), Counter[str]()
    known: set[str | None] = {None}
    for turn, row in zip(turns, rows, strict=True):
        question = asks(matcher.likely(row))
        asked[turn.speaker] += question not in known  # an answer is like its question too, and comes after it
        known.add(question)
        words[turn.speaker] += len(turn.text.split())
        questions[turn.speaker] += "?" in turn.text

    def votes(name: str) -> float:
        """Half for not asking the bank's questions, 0.3 for speaking more, 0.2 for asking less; a half of each where nothing is known."""
        return 0.5 * (1 - _share(asked, name)) + 0.3 * _share(words, name) + 0.2 * (1 - _share(questions, name))

    best = max(names, key=votes)
    why = (
        f"{asked[best]} of {asked.total()} turns that ask a question of the bank, "
        f"{words[best]} of {words.total()} words, {questions[best]} of {questions.total()} turns with a question mark"
    )
    return named(names, best, why, round(votes(best), 2) if len(names) == 2 else 0.0)


def named(names: Sequence[str], candidate: str, why: str, confidence: float) -> Roles:
    return Roles(candidate, tuple(name for name in names if name != candidate), confidence, why)


def pick(names: Sequence[str], wanted: str) -> str | None:
    """Returns the one name that is meant: it is that, or that is a word of it alone."""
    word = _tidy(wanted).casefold()
    same = [name for name in names if name.casefold() == word]
    inside = [name for name in names if word in name.casefold().split()]
    return same[0] if same else inside[0] if len(inside) == 1 else None


def _role(name: str) -> str | None:
    word = re.sub(r"\s*\d+$", "", name.casefold())
    return "candidate" if word in _CANDIDATES else "interviewer" if word in _INTERVIEWERS else None


def _share(counts: Mapping[str, int], name: str) -> float:
    total = sum(counts.values())
    return counts[name] / total if total else 0.5


# The interview


def interview(
    reading: Reading,
    roles: Roles,
    matcher: Matcher,
    *,
    settled: Mapping[int, str],
    expected: Sequence[str] = (),
) -> Interview:
    """Returns the interview as answers.

    Args:
        settled: by turn, what a person has said that it is: a question's id, PROBE or NONE.
        expected: the questions that are listed as not asked when they were not.

    Raises:
        UsageError: a settled turn is no interviewer's.
    """
    turns = reading.turns
    theirs = [place for place, turn in enumerate(turns) if turn.speaker != roles.candidate]
    for turn in settled:
        if turn - 1 not in theirs:
            raise UsageError(
                f"Turn {turn} of {reading.path.name} is no interviewer's.",
                hint=f"Their turns are {_listed(place + 1 for place in theirs)}; import.json has what they say.",
            )
    likely = _likely(turns, theirs, matcher)
    answers: dict[str, list[int]] = {}
    aligned: list[Aligned] = []
    unsure: list[Unsure] = []
    left_out: list[int] = []
    current: str | None = None
    for number, said in enumerate(turns, 1):
        if number - 1 in likely:
            mine = likely[number - 1]
            hand = settled.get(number)
            opened = (None if hand in (PROBE, NONE) else hand) if hand else asks(mine)
            current = None if hand == NONE else current
            if opened and opened != current:
                current = opened
                score = dict(mine).get(opened, 0.0)
                aligned.append(Aligned(number, opened, score, "hand" if hand else "similarity"))
            elif not hand and not opened and may_ask(mine) and mine[0][0] != current:
                unsure.append(Unsure(number, said.text, mine, current or NONE))
        if current:
            answers.setdefault(current, []).append(number)
        else:
            left_out.append(number)
    return Interview(
        stem=f"{_slug(reading.path.stem)}-{reading.sha256[:8]}",
        source=reading.path.name,
        suffix=reading.path.suffix.lower(),
        data=reading.data,
        turns=turns,
        roles=roles,
        answers=answers,
        aligned=tuple(aligned),
        unsure=tuple(unsure),
        not_asked=tuple(question for question in dict.fromkeys(expected) if question not in answers),
        left_out=tuple(left_out),
        problems=reading.problems,
    )


Likely = tuple[tuple[str, float], ...]


def _likely(turns: Sequence[Utterance], theirs: Sequence[int], matcher: Matcher) -> dict[int, Likely]:
    """Returns the likest questions of each interviewer's turn; of two turns that only a "yes" divides, as one where only that asks."""
    rows = matcher.scores([turns[place].text for place in theirs])
    found = {place: matcher.likely(row) for place, row in zip(theirs, rows, strict=True)}
    halves = [
        (one, other)
        for one, other in pairwise(theirs)
        if all(len(turns[between].text.split()) <= BACKCHANNEL for between in range(one + 1, other))
        and not asks(found[one])
        and not asks(found[other])
    ]
    joined = matcher.scores([f"{turns[one].text} {turns[other].text}" for one, other in halves], parts=False)
    for (one, _), row in zip(halves, joined, strict=True):
        whole = matcher.likely(row)
        if asks(whole):
            found[one] = whole
    return found


def settlements(given: Iterable[str], bank: Bank) -> dict[int, str]:
    """Returns what TURN=QUESTION settles. Raises UsageError for what is neither."""
    settled: dict[int, str] = {}
    for one in given:
        turn, equals, what = one.partition("=")
        if not equals or not turn.strip().isdecimal():
            raise UsageError(f"{one!r} settles nothing.", hint="Give --align TURN=QUESTION, such as --align 7=lora.")
        what = what.strip().lower()
        if what not in (PROBE, NONE) and what not in bank.questions:
            raise UsageError(
                f"There is no question {what!r}{near(what, bank.questions)}",
                hint=f"Give a question's id, {PROBE} (it belongs to the question before), or {NONE} (to no question).",
            )
        settled[int(turn)] = what
    return settled


def _listed(numbers: Iterable[int], most: int = 12) -> str:
    known = list(numbers)
    return ", ".join(map(str, known[:most])) + (", …" if len(known) > most else "")


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name))[:60].strip("-.") or "interview"


# Names


_EVERYDAY = re.compile(
    "will|mark|may|grace|bill|art|rich|frank|hope|faith|joy|rose|grant|chase|drew|jack|pat|rob|sue|ray|guy|max|miles|case|dean|rusty|"
    "sunny|dawn|ivy|iris|lily|pearl|ruby|van|long|young|little|king|page|day|so|an|in|do|he|she"
)
"""Words that are also names: only with a capital are they hidden."""
_NO_NAME = re.compile("speaker|interviewer|candidate|recruiter|guest|host|unknown|user|participant|dr|mr|mrs|ms|prof")


class Pseudonyms:
    """Puts "Candidate" and "Interviewer 1" in the place of names, wherever they stand.

    Args:
        others: names of people who are spoken of; they become "Person 1" …
    """

    def __init__(self, roles: Roles, others: Sequence[str] = ()) -> None:
        self.names = {roles.candidate: "Candidate"}
        self.names |= {name: f"Interviewer {number}" for number, name in enumerate(roles.interviewers, 1)}
        people = dict.fromkeys(_tidy(name) for name in others)
        self.names |= {name: f"Person {number}" for number, name in enumerate(people, 1) if name not in self.names}
        self._forms: dict[str, str] = {}
        for name, instead in self.names.items():
            for form in _forms(name):
                self._forms.setdefault(form, instead)
        longest = sorted(self._forms, key=lambda form: (-len(form), form))
        either = "|".join(map(re.escape, longest)) or r"(?!)"
        self._pattern = re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", re.IGNORECASE)

    def hide(self, text: str) -> str:
        """Returns the text without the names: in full or any part of one, with or without accents."""
        composed = unicodedata.normalize("NFC", text)
        flat = "".join(map(_flat, composed))  # a character each, so that places are the same
        pieces, end = [], 0
        for found in self._pattern.finditer(flat):
            word = found[0].casefold()
            if _EVERYDAY.fullmatch(word) and not composed[found.start()].isupper():
                continue
            pieces += [composed[end : found.start()], self._forms[word]]
            end = found.end()
        return "".join([*pieces, composed[end:]])

    def suspects(self, texts: Iterable[str]) -> list[str]:
        """Returns words that are greeted or thanked like a name and are none of those that are known."""
        hidden = {*self.names.values(), "Candidate", "Interviewer", "Person"}
        found = Counter(name for text in texts for name in _GREETED.findall(text) if name not in hidden)
        return sorted(name for name in found if not _NOBODY.fullmatch(name.casefold()))


_GREETED = re.compile(
    r"(?:\b[Hh]i|\b[Hh]ello|\b[Hh]ey|[Tt]hanks|[Tt]hank you|[Mm]y name is|[Ii]'m called|[Cc]all me),? ([A-Z]\w+)"
)
_NOBODY = re.compile("for|so|and|good|great|everyone|all|there|thanks|you|i|we|what|how|let|nice|yes|okay|ok|welcome")


def _flat(char: str) -> str:
    base = unicodedata.normalize("NFD", char)[0]
    return base if len(base.casefold()) == 1 else char


def _forms(name: str) -> Iterator[str]:
    """Yields the forms in which a name is spoken of, without accents: whole, its words, and joined."""
    whole = "".join(map(_flat, unicodedata.normalize("NFC", name))).casefold()
    words = [word.strip("()[].,'\"") for word in re.split(r"[\s@._-]+", whole)]
    own = [
        word
        for word in words
        if len(word) > 1 and not (word.isdigit() or _PARTICLE.fullmatch(word) or _NO_NAME.fullmatch(word))
    ]
    if not own:
        return
    yield whole
    yield from own
    if len(own) > 1:
        yield from ("".join(own), "-".join(own), " ".join(own))


def pseudonymised(told: Interview, names: Pseudonyms) -> Interview:
    """Returns the interview without the names, in words, ids and the names of files."""
    roles = told.roles
    return replace(
        told,
        stem=f"interview-{hashlib.sha256(told.data).hexdigest()[:8]}",
        source=None,
        turns=tuple(
            replace(turn, speaker=names.names[turn.speaker], text=names.hide(turn.text)) for turn in told.turns
        ),
        roles=replace(
            roles,
            candidate=names.names[roles.candidate],
            interviewers=tuple(names.names[name] for name in roles.interviewers),
            why=names.hide(roles.why),
        ),
        unsure=tuple(replace(one, text=names.hide(one.text)) for one in told.unsure),
        problems=tuple(replace(problem, message=names.hide(problem.message)) for problem in told.problems),
        pseudonymised=True,
    )


# The output


def keep(told: Interview, folder: Path) -> Path:
    """Writes an interview into its folder and returns the path of its answers. The same interview gives the same bytes.

    Raises:
        UsageError: the folder holds another interview, or an original with names beside what is to have none.
    """
    originals = [path for path in folder.glob("original*") if path.is_file()] if folder.is_dir() else []
    if told.pseudonymised and originals:
        raise UsageError(f"{originals[0]} holds the names.", hint="Give another --out, or delete that folder first.")
    record = folder / "import.json"
    if (folder / "answers.jsonl").exists() and _source(record) != hashlib.sha256(told.data).hexdigest():
        raise UsageError(f"{folder} holds the answers of something else.", hint="Give another --out.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not told.pseudonymised:
        files.put(folder / f"original{told.suffix}", told.data)
    write(folder / "answers.jsonl", told.answer_lines())
    write(record, json.dumps(told.record(), ensure_ascii=False, indent=1) + "\n")
    return folder / "answers.jsonl"


def _source(record: Path) -> str | None:
    """Returns the hash of what a folder's answers were made from, or None when that is not known."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = known.get("sha256") if isinstance(known, dict) else None
    return found if isinstance(found, str) else None
