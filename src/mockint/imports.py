"""The only place for interviews that mockint did not record: reads exports, finds the bank's questions in them, and keeps them as answers.

Captions are read here and by no library: webvtt-py keeps voices, byte-order marks and hour-less times, but drops a broken cue, or adds it
to the words before it, without a word and without a line number, and srt does so too.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import dropwhile, groupby, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mockint import files
from mockint.bank import Bank
from mockint.content import Problem, near
from mockint.errors import ContentError, UsageError
from mockint.evidence import is_bare, telling
from mockint.report import clean
from mockint.store import write

FORMAT = 1
ENDINGS = (".vtt", ".srt", ".md", ".markdown", ".txt", ".jsonl")
LARGEST = 2**23
"""Bytes of an export; an hour's captions have 200,000."""
UNNAMED = "Unnamed"
"""Who says what has no name, where all others' words have one."""

ASKED, MARGIN, MAYBE = 0.31, 0.06, 0.19
"""A turn asks the question that it is most like from ASKED on, if the next one is less like it by MARGIN; from MAYBE on a human decides."""
SURE = 0.75
"""The confidence from which nobody is asked which of two speakers is the candidate."""
BACK = 60
"""Seconds by which a time may fall behind the one before it, as where two speak at once."""
BACKCHANNEL = 3
"""Words of a candidate's that may stand between two halves of a question ("mm, yes, okay")."""
LISTED = 3
"""Questions that are named for a turn that is unsure."""
OWN = 3
"""Different words that carry meaning from which what is asked is no short follow-up."""

PROBE, NONE = "probe", "none"
"""What a turn can be settled as, beside a question: it belongs to the question before it, or to none."""


@dataclass(frozen=True)
class Utterance:
    speaker: str
    text: str
    line: int
    start: float | None = None
    """Seconds from the beginning."""


@dataclass(frozen=True)
class Reading:
    """An export as it was read: what follows one another by one speaker is one turn."""

    path: Path
    data: bytes
    turns: tuple[Utterance, ...]
    problems: tuple[Problem, ...]

    @cached_property
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
    why: Literal["likeness", "title", "question"] = "likeness"
    """It is like a question of the bank, names a title or its rare term, or looks like a question of its own."""


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
    settled: dict[int, str]
    """By turn, what a person has said that it is."""
    unsure: tuple[Unsure, ...]
    not_asked: tuple[str, ...]
    left_out: tuple[int, ...]
    problems: tuple[Problem, ...]
    closing: int | None = None
    """The turn that asks for the candidate's own questions; it and what follows are left out."""
    pseudonymised: bool = False
    names_hidden: int = 0
    """How many names of people who do not speak were hidden."""

    @cached_property
    def sha256(self) -> str:
        """The hash of the export."""
        return hashlib.sha256(self.data).hexdigest()

    def said(self, turn: int) -> dict[str, str]:
        told = self.turns[turn - 1]
        return {"role": "candidate" if told.speaker == self.roles.candidate else "interviewer", "text": told.text}

    @property
    def not_answered(self) -> tuple[str, ...]:
        return tuple(
            q for q, turns in self.answers.items() if all(self.said(t)["role"] == "interviewer" for t in turns)
        )

    def damage(self, question: str) -> tuple[int, ...]:
        """Returns the lines where damage was reported within the question's turns, or between them and the next turn."""
        after = [turn.line for turn in self.turns[1:]] + [math.inf]
        spans = [(self.turns[turn - 1].line, after[turn - 1]) for turn in self.answers[question]]
        lines = (problem.line for problem in self.problems)
        return tuple(sorted({line for line in lines for start, end in spans if start - 2 <= line < end}))

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
            "sha256": self.sha256,
            "original": None if self.pseudonymised else f"original{self.suffix}",
            "pseudonymised": self.pseudonymised,
            "names_hidden": self.names_hidden,
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
            "settled": {str(turn): what for turn, what in sorted(self.settled.items())},
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
                    "why": one.why,
                }
                for one in self.unsure
            ],
            "not_asked": list(self.not_asked),
            "not_answered": list(self.not_answered),
            "closing": self.closing,
            "left_out": [
                {"turn": turn, "speaker": self.turns[turn - 1].speaker, "text": self.turns[turn - 1].text}
                for turn in self.left_out
            ],
            "damaged": [{"line": problem.line, "message": problem.message} for problem in self.problems],
        }


def find(named: Iterable[Path]) -> Found:
    """Returns the files that are named, and those in the folders, at any depth, whose name ends as an export's does.

    Hidden ones, and what an import has written, are left out. A folder that cannot be looked into is among the paths: reading it says why.
    """
    paths: list[Path] = []
    left_out: list[Path] = []
    for path in named:
        if not _is_folder(path):
            paths.append(path)
            continue
        for folder, below, names in os.walk(path, onerror=lambda exc: paths.append(Path(exc.filename))):
            below[:] = sorted(name for name in below if not name.startswith("."))
            written = {"answers.jsonl", "import.json"} <= set(names)
            for inside in (Path(folder, name) for name in sorted(names)):
                fits = inside.suffix.lower() in ENDINGS and not inside.name.startswith(".") and inside.is_file()
                (paths if fits and not written else left_out).append(inside)
    return Found(tuple(dict.fromkeys(paths)), tuple(left_out))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long; reading it says so
        return False


def listed(problems: Iterable[Problem], most: int = 12) -> str:
    """Returns a line each for the first problems, and one for how many more there are."""
    known = [f"\n{problem}" for problem in sorted(problems)]
    return "".join(known[:most]) + (f"\n… and {len(known) - most} more" if len(known) > most else "")


def read(path: Path) -> Reading:
    """Returns an export's turns, and what is damaged in it.

    Raises:
        ContentError: nothing in it can be used.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as exc:
        raise ContentError(f"{path} cannot be read: {exc.strerror}.", hint="Check the path and its rights.") from exc
    text = _decoded(path, data)
    if len(data) > LARGEST:
        raise ContentError(f"{path} has more than {LARGEST:,} bytes.", hint="Give one interview a file.")
    problems: list[Problem] = []

    def damaged(line: int, message: str) -> None:
        problems.append(Problem(path, line, "", message))

    lines = re.split(r"\r\n|\r|\n", text)
    for number, line in enumerate(lines if "\ufffd" in text else (), 1):
        if "\ufffd" in line:
            damaged(number, "characters that cannot be decoded stand as \N{REPLACEMENT CHARACTER}")
    for number, line in enumerate(lines, 1):
        if _CONTROL.search(line):
            damaged(number, "control characters; left out")
            lines[number - 1] = _CONTROL.sub("", line)
    kind = _kind(path, lines)
    match kind:
        case "captions":
            said = list(_unrolled(_named(_cues(lines, damaged, header=path.suffix.lower() == ".vtt"), damaged)))
        case "json":
            said = list(_objects(path, lines, damaged))
        case "text":
            said = list(_paragraphs(lines, damaged))
    for one, other in pairwise(one for one in said if one.start is not None):
        if (other.start or 0) < (one.start or 0) - BACK:
            damaged(other.line, "the time falls back here; what is said is taken in the order of the file")
    turns = _turns(said, " " if kind == "captions" else "\n\n")
    if not turns:
        raise ContentError(
            f"{path}:1: there are no words with a speaker's name in it.{listed(problems)}",
            hint="Export it with speaker names, or write `Name: ` before what each one says.",
        )
    return Reading(path, data, tuple(turns), tuple(sorted(problems)))


# The bytes


def _decoded(path: Path, data: bytes) -> str:
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
    return text.replace("\ufeff", "")  # also where files were joined


_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
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
_BROKEN = re.compile(r"(?=.*\d:\d)(?:(?![^\W\d_]{2}).)*-->")
"""A line of times that is damaged, and not words with an arrow in them: there are no words before it."""
_STAMP = r"(?<![\d:<])\d{1,3}:\d{2}:\d{2}[.,]\d{3}"
_CUT = re.compile(rf"\s*{_STAMP}")
"""A line of times that is cut off before its arrow; no words begin with thousandths of a second."""
_STRAY = re.compile(rf"{_STAMP}(?:\s*-->)?\S*")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?(?:\s+([^>]*))?(?:>|$)")
_MARKUP = re.compile(r"</?(?:v|c|b|i|u|lang|ruby|rt|font)(?:[.\s][^>]*)?>|<\d[\d:.]*>|\{\\an?\d+\}", re.IGNORECASE)
_NO_CUE = re.compile(r"(?:WEBVTT|NOTE|STYLE|REGION)(?:\s|$)")
_ID = re.compile(r"\s*(?:[\d:.,]*\d[->\s]*|[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\S*)\s*$", re.IGNORECASE)
"""A cue's number, or a time that is cut off, or an id of Teams'."""

Numbered = tuple[int, str]
"""A line with its number."""


@dataclass(frozen=True)
class _Cue:
    start: float | None
    lines: tuple[Numbered, ...]


def _seconds(clock: str) -> float:
    parts = [float(part) for part in clock.replace(",", ".").split(":")]
    return round(math.fsum(part * 60**power for power, part in enumerate(reversed(parts))), 3)


def _cues(lines: Sequence[str], damaged: Callable[[int, str], None], *, header: bool) -> list[_Cue]:
    """Returns the cues with words. Of one whose times are broken or missing the words are kept: they are somebody's."""
    if header and not lines[0].startswith("WEBVTT"):
        damaged(1, "WEBVTT is missing in the first line; read all the same")
    cues: list[_Cue] = []
    block: list[Numbered] = []
    for number, line in enumerate((*lines, ""), 1):
        if line.strip():
            block.append((number, line))
        elif block:
            cues += _in_block(block, damaged)
            block = []
    return [cue for cue in cues if cue.lines]


def _in_block(block: Sequence[Numbered], damaged: Callable[[int, str], None]) -> Iterator[_Cue]:
    """Yields the cues of lines that stand together; more than one where the blank line between them is missing."""
    at = [place for place, (_, line) in enumerate(block) if any(time.match(line) for time in (_TIMING, _BROKEN, _CUT))]
    untimed = block[: at[0]] if at else block
    if at and untimed and (_ID.match(untimed[-1][1]) or not _CUT.match(block[at[0]][1])):
        untimed = untimed[:-1]  # the line above a time is the cue's id
    untimed = list(dropwhile(lambda one: _ID.match(one[1]), untimed))
    if untimed and not _NO_CUE.match(block[0][1]):
        damaged(untimed[0][0], "words without times; they are kept")
        yield _Cue(None, tuple(untimed))
    for place, after in pairwise((*at, len(block))):
        number, line = block[place]
        told = block[place + 1 : after]
        if after < len(block) and told and _ID.match(told[-1][1]):
            told = told[:-1]
        found = _TIMING.match(line)
        if not found and _CUT.match(line) and not _BROKEN.match(line):
            damaged(number, "a line of times is cut off here; it is left out with what stands in it")
        elif not found:
            damaged(number, "the times of this cue cannot be read; its words are kept")
        for at_line, words in told:
            if _STRAY.search(words):
                damaged(at_line, "a time stands among the words; left out")
        yield _Cue(_seconds(found[1]) if found else None, tuple((n, _STRAY.sub("", words)) for n, words in told))


Piece = tuple[int, str | None, list[str]]
"""The line of what somebody says, their name where it is told, and the words."""


def _named(cues: Sequence[_Cue], damaged: Callable[[int, str], None]) -> list[Utterance]:
    """Returns what each cue says, by its voice spans, or else by the names that its lines begin with."""
    voiced = any(_VOICE.search(line) for cue in cues for _, line in cue.lines)
    told = _voices(cues, damaged) if voiced else _begun(cues, damaged)
    spoken = [(cue, pieces) for cue, pieces in zip(cues, told, strict=True) if pieces]
    every = _each_is_named([pieces[0][1] for _, pieces in spoken])
    said: list[Utterance] = []
    speaker = ""
    unnamed: list[int] = []
    lost: list[int] = []
    for cue, pieces in spoken:
        for place, (line, name, words) in enumerate(pieces):
            if name is None and every and not place and cue.start is not None:
                name = UNNAMED
                unnamed.append(line)
            speaker = speaker if name is None else name or UNNAMED
            plain = " ".join(html.unescape(_MARKUP.sub("", " ".join(words))).split())
            if plain and speaker:
                said.append(Utterance(speaker, plain, line, cue.start))
            elif plain:
                lost.append(line)
    if lost and said:
        damaged(lost[0], "words before the first speaker's name; left out")
    if unnamed:
        more = f", as are {len(unnamed) - 1} more" if len(unnamed) > 1 else ""
        damaged(unnamed[0], f"no name stands before this; it is taken as said by {UNNAMED}{more}")
    return said


def _each_is_named(names: Sequence[str | None]) -> bool:
    """Whether cues tell the speaker each time, so that one without a name is somebody else's: names come twice running, or there is only one."""
    known = [name for name in names if name]
    again = sum(bool(one) and one == other for one, other in pairwise(names))
    return len(set(known)) == 1 or (again >= 2 and again >= 0.2 * len(known))


def _voices(cues: Sequence[_Cue], damaged: Callable[[int, str], None]) -> Iterator[list[Piece]]:
    """Yields the voice spans of each cue."""
    for cue in cues:
        line, text = cue.lines[0][0], " ".join(line for _, line in cue.lines)
        if text.rfind("<v") > text.rfind(">"):
            damaged(line, "a speaker's name is cut off, with what follows")
        before, *spans = _VOICE.split(text)
        own: list[Piece] = [(line, None, [before])] if _MARKUP.sub("", before).strip() else []
        yield own + [(line, _tidy(name or ""), [words]) for name, words in zip(spans[::2], spans[1::2], strict=True)]


def _begun(cues: Sequence[_Cue], damaged: Callable[[int, str], None]) -> Iterator[list[Piece]]:
    """Yields the lines of each cue, with the name that it begins with; inside a cue only names that begin others are names."""
    bare = [[(number, _MARKUP.sub("", line)) for number, line in cue.lines] for cue in cues]
    labels = _labels([lines[0] for lines in bare], damaged)
    labels |= _known((line for lines in bare for line in lines[1:]), labels)
    for lines in bare:
        pieces: list[Piece] = []
        for number, line in lines:
            if label := labels.get(number):
                pieces.append((number, label.name, [label.rest]))
            elif pieces:
                pieces[-1][2].append(line)
            else:
                pieces.append((number, None, [line]))
        yield pieces


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

_NAME = r"(?:[^\W\d_][^:\n\[\]<>{}=?!\"“”;]{0,58}?(?:\s*\[[^:\[\]]{1,20}\])?|(?!\d{4}-)\+?\d[\d*•() -]{5,18}(?<![ -]))"
"""Words, or the number of somebody who takes part by telephone."""
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
_TITLE = re.compile(r"#{1,6}\s")
_WEAK = re.compile(rf"(?:[-*>]\s+)?(?P<name>{_NAME})\s*[:：](?:\s+(?P<rest>.*))?$")
_NO_WORDS = re.compile(r"\s*(?:Transcribed by https?://otter\.ai|\d{1,2}:\d{2}:\d{2})\s*$")
"""The last line of Otter's, and the times that Google Meet puts on lines of their own."""
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
    bold: bool = False

    @property
    def key(self) -> str:
        return self.name.casefold()

    @property
    def capital(self) -> bool:
        return all(word[0] == word[0].upper() or _PARTICLE.fullmatch(word) for word in self.name.split())


def _tidy(name: str) -> str:
    return _ASIDES.sub("", clean(unicodedata.normalize("NFC", html.unescape(name)))).strip(" *_:")


def _label(line: str) -> _Label | None:
    line = line.strip()
    for pattern in (*_LABELS, _WEAK):
        if found := pattern.match(line):
            parts = found.groupdict()
            name = _tidy(parts["name"])
            time = parts.get("time") or parts.get("later")
            stressed = parts.get("rest") and not time and not re.search("[:：]", line[: found.start("rest")])
            if name and len(name.split()) <= 6 and not stressed:
                start = _seconds(time) if time else None
                return _Label(name, (parts.get("rest") or "").strip(), start, bold=pattern is _LABELS[0])
    return None


def _labels(lines: Sequence[Numbered], damaged: Callable[[int, str], None]) -> dict[int, _Label]:
    """Returns the lines that begin with a speaker's name. Words with a colon ("Latency: …") are none, unless they come back."""
    found = {number: label for number, line in lines if (label := _label(line))}
    often = Counter(label.key for label in found.values())
    capital = {label.key for label in found.values() if label.capital}
    timed = {label.key for label in found.values() if label.start is not None}
    bold = {label.key for label in found.values() if label.bold}
    everywhere = len(found) >= 0.9 * len(lines)
    names = {key for key in timed | bold if often[key] > 1 or (key in timed and key in capital)}
    once = sorted(
        (key for key in often if key in capital | bold), key=lambda key: (key not in bold, _role(key) is None)
    )
    for key in once:
        told = {"candidate", "interviewer"} <= set(map(_role, names))  # then the rest is stressed in what they say
        if key in bold and (everywhere or len(names) < 2 or not told):
            names.add(key)
    if len(names) < 2:
        names |= {key for key in often if often[key] >= (2 if key in capital or len(key.split()) <= 2 else 3)}
        for key in once:
            if everywhere or len(names) < 2:  # an interview has two sides
                names.add(key)
    words = (capital | bold) - names if names else set()
    for number, label in found.items():
        if label.key in words:
            words.remove(label.key)
            damaged(number, f"begins with “{label.name}:”; taken as words, not as a speaker")
    return {number: label for number, label in found.items() if label.key in names}


def _known(lines: Iterable[Numbered], labels: Mapping[int, _Label]) -> dict[int, _Label]:
    """Returns more lines that begin with the name of one of these speakers."""
    names = {label.key for label in labels.values()}
    return {number: label for number, line in lines if (label := _label(line)) and label.key in names}


def _headings(lines: Sequence[Numbered]) -> dict[int, _Label]:
    """Returns the headings that are speakers' names: those of the level that has most, if they are two, or come back, or say so."""
    found = {number: match for number, line in lines if (match := _HEADING.match(line.strip()))}
    often = Counter(len(match["marks"]) for match in found.values())
    level = often.most_common(1)[0][0] if often else 0
    headings = {
        number: _Label(_tidy(match["name"]), "", _seconds(match["time"]) if match["time"] else None)
        for number, match in found.items()
        if len(match["marks"]) == level
    }
    names = {label.key for label in headings.values()}
    speak = len(headings) == 2 or len(names) < len(headings) or any(map(_role, names))
    return headings if len(names) > 1 and speak else {}


def _paragraphs(lines: Sequence[str], damaged: Callable[[int, str], None]) -> Iterator[Utterance]:
    """Yields the paragraphs of a text in which each speaker's name stands before or above what they say."""
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not _NO_WORDS.match(line)]
    code = _fenced(filled)
    talk = [(number, line) for number, line in filled if number not in code]
    headings = _headings(talk)
    labels = _labels([(number, line) for number, line in talk if not _TITLE.match(line)], damaged)
    if not labels and not headings:
        labels = _labels(filled, damaged)  # all of it is in one fence
    if len(labels) < len(headings):
        labels = headings
    else:
        labels |= _known(((number, line) for number, line in filled if number in code), labels)
    kept = {number: line for number, line in filled if number in code or not _TITLE.match(line)}
    speaker, start, begun = "", None, 0
    lost = 0
    words: list[str] = []
    for number in range(1, len(lines) + 2):
        label = labels.get(number)
        line = label.rest if label else kept.get(number, "")
        if (label or not line.strip()) and words:
            if speaker:
                yield Utterance(speaker, "\n".join(words), begun, start)
            else:
                lost = lost or begun
            words = []
        if label:
            speaker, start = label.name, label.start
        if line.strip():
            begun = begun if words else number
            words.append(line.rstrip())
    if lost and labels:
        damaged(lost, "words before the first speaker's name; left out")


def _fenced(lines: Iterable[Numbered]) -> set[int]:
    """Returns the numbers of the lines in Markdown's fences."""
    code: set[int] = set()
    inside = False
    for number, line in lines:
        fence = line.lstrip().startswith("```") and line.count("```") == 1
        if inside or fence:
            code.add(number)
        inside ^= fence
    return code


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
        given = given if isinstance(given, dict) else {}
        if "question" in given and "speaker" not in given:
            raise ContentError(f"{path}:{number}: these are answers already.", hint=f"Grade them: mockint grade {path}")
        speaker, text = given.get("speaker"), given.get("text")
        speaker = "" if speaker is None else speaker
        if not isinstance(speaker, str) or not isinstance(text, str):
            damaged(number, 'a line has "speaker" and "text", both of them texts')
            continue
        start = _start(given.get("start"))
        if start is None and given.get("start") is not None:
            damaged(number, "its start is neither seconds nor a time; left out")
        if words := _whole(text).strip():
            yield Utterance(_tidy(_whole(speaker)) or UNNAMED, words, number, start)


def _start(given: object) -> float | None:
    if isinstance(given, str) and re.fullmatch(_CLOCK, given.strip()):
        return _seconds(given.strip())
    if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < 10**9:
        return float(given)
    return None


def _whole(text: str) -> str:
    """Returns the text without halves of characters, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _turns(said: Iterable[Utterance], between: str) -> list[Utterance]:
    """Joins what follows one another by one speaker. A name is one speaker's, whatever its capitals."""
    names: dict[str, str] = {}
    turns: list[Utterance] = []
    for key, own in groupby(said, key=lambda one: one.speaker.casefold()):
        first, *others = own
        text = between.join(one.text for one in (first, *others))
        turns.append(replace(first, speaker=names.setdefault(key, first.speaker), text=text))
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
        titles = {question.id: question.title.casefold() for question in bank.questions.values()}
        terms = [(one.id, term.casefold()) for one in bank.questions.values() for term in _TERM.findall(one.title)]
        often = Counter(term for _, term in terms)
        rare = [(question, term) for question, term in terms if often[term] == 1]
        self._names = [
            (question, re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")) for question, name in (*titles.items(), *rare)
        ]

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

    def names(self, text: str) -> tuple[str, ...]:
        """Returns the questions whose title the text names, or a term (LoRA, SHAP) that only their title has."""
        flat = " ".join(text.casefold().split())
        return tuple(dict.fromkeys(question for question, name in self._names if name.search(flat)))

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


_TERM = re.compile(r"\b(?:\w*[a-z0-9]\w*[A-Z]\w*|[A-Z][A-Z0-9]+)\b")
"""A word that is a name of a thing by its capitals."""
_FILLER = re.compile("okay|ok|right|alright|great|good|well|so|now|mm-hmm|hmm|hi|hello|thanks|thank|sorry|let|let's")
_BEGINS = re.compile(
    r"(?:(?:okay|ok|so|right|all right|alright|great|good|well|now|next|and|but|then|cool|thanks|sure|yeah|yes|let's see)\b[\s,.!]*)*"
    r"(?:what|how|why|when|where|which|who|can|could|would|will|do|does|did|is|are|was|have|has|should|tell (?:me|us)|explain|"
    r"describe|walk (?:me|us)|take (?:me|us)|talk (?:me|us|about)|give (?:me|us) an?|suppose|imagine|compare|define|write)\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\b(?:(?:(?:do|did|would) you have|have you(?: got)?|are there|what) (?:any |some |other |further |more |final )*questions "
    r"(?:do you have )?for (?:me|us)"
    r"|any (?:other |further |more |final )*questions (?:for (?:me|us)|from your (?:side|end))"
    r"|(?:that['’]s|that is|that was) (?:all|it|everything)\b.{0,60}\bany (?:other |further |more |final )*questions"
    r"|questions (?:that )?you (?:have|might have|may have|['’]d like to ask) for (?:me|us)"
    r"|(?:anything|something|what)(?: else)? (?:that )?(?:(?:would|do) )?you(?:['’]d| would)? (?:like|want) to "
    r"(?:ask|know (?:from|about) (?:me|us|the (?:team|company|role|job|position)))"
    r"|(?:time|room) for (?:your questions|you to ask)|your turn to ask)\b(?!.{0,30}\b(?:before|the (?:task|case|problem|setup|data))\b)",
    re.IGNORECASE,
)
"""The usual wordings in which an interviewer asks for the candidate's own questions."""


def looks_asked(text: str) -> bool:
    """Whether a turn looks like a question: a sentence of it ends in a question mark, or it begins like one."""
    return "?" in text or bool(_BEGINS.match(text.strip()))


def own_question(text: str) -> bool:
    """Whether a turn looks like a question of its own: it asks, and is no short follow-up."""
    return looks_asked(text) and len({word for word in telling(text) if not _FILLER.fullmatch(word)}) >= OWN


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
    """Returns the one name that is meant: it is that, or that is some words of it alone, accents and capitals aside."""
    found = meant(names, wanted)
    return found[0] if len(found) == 1 else None


def meant(names: Sequence[str], wanted: str) -> list[str]:
    """Returns the names that can be meant."""
    same = _tidy(wanted).casefold()
    word = _flat(same)
    return (
        [name for name in names if name.casefold() == same]
        or [name for name in names if _flat(name) == word]
        or [name for name in names if f" {word} " in f" {_flat(name)} "]
    )


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
        UsageError: a settled turn is no interviewer's, or follows no question that it could be a probe of.
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
    closing: int | None = None
    ended = False  # by hand
    for number, said in enumerate(turns, 1):
        if number - 1 in likely:
            mine = likely[number - 1]
            hand = settled.get(number)
            opened = (None if hand in (PROBE, NONE) else hand) if hand else asks(mine)
            if hand == PROBE and not current:
                raise UsageError(
                    f"Turn {number} of {reading.path.name} is no probe: no question comes before it.",
                    hint=f"Say which it asks: --align {number}=QUESTION",
                )
            if hand == NONE:
                current, ended = None, True
            if closing and not hand and not (opened and looks_asked(said.text)):
                opened = None
            if opened:
                closing, ended = None, False
            elif not hand and answers and not closing and _CLOSING.search(said.text):
                current, closing = None, number
            if opened and opened != current:
                current = opened
                score = dict(mine).get(opened, 0.0)
                aligned.append(Aligned(number, opened, score, "hand" if hand else "similarity"))
            elif not hand and not opened and number != closing:
                told = _doubt(said.text, mine, matcher, current, after=bool(closing) or ended)
                if told:
                    unsure.append(Unsure(number, said.text, told[1], current or NONE, told[0]))
        if current:
            answers.setdefault(current, []).append(number)
        else:
            left_out.append(number)
    return Interview(
        stem=stem(reading),
        source=os.fsencode(reading.path.name).decode("utf-8", "replace"),
        suffix=suffix if re.fullmatch(r"\.\w{1,10}", suffix := reading.path.suffix.lower()) else "",
        data=reading.data,
        turns=turns,
        roles=roles,
        answers=answers,
        aligned=tuple(aligned),
        settled=dict(settled),
        unsure=tuple(unsure),
        not_asked=tuple(question for question in dict.fromkeys(expected) if question not in answers),
        left_out=tuple(left_out),
        problems=reading.problems,
        closing=closing,
    )


Likely = tuple[tuple[str, float], ...]


def _doubt(
    text: str, likely: Likely, matcher: Matcher, current: str | None, *, after: bool
) -> tuple[Literal["likeness", "title", "question"], Likely] | None:
    """Returns why a turn that opened no question may ask one, and which; None where it does not look so.

    Args:
        after: it comes when the interview's questions are over.
    """
    named = [question for question in matcher.names(text) if question != current]
    if named:
        score = matcher.scores([text])[0]
        at = {question: round(float(score[matcher.questions.index(question)]), 3) for question in named}
        return "title", (*at.items(), *(one for one in likely if one[0] not in at))[:LISTED]
    if may_ask(likely):
        return None if likely[0][0] == current else ("likeness", likely)
    return ("question", likely) if own_question(text) and not after else None


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
        if not equals or not re.fullmatch(r"\s*\d{1,9}\s*", turn):
            raise UsageError(f"{one!r} settles nothing.", hint="Give --align TURN=QUESTION, such as --align 7=lora.")
        what = what.strip().lower()
        if what not in (PROBE, NONE) and what not in bank.questions:
            raise UsageError(
                f"There is no question {what!r}{near(what, bank.questions)}",
                hint=f"Give a question's id, {PROBE} (it belongs to the question before), or {NONE} (to no question).",
            )
        if settled.setdefault(int(turn), what) != what:
            raise UsageError(
                f"Turn {int(turn)} is settled twice: {settled[int(turn)]}, {what}.", hint="Give one --align a turn."
            )
    return settled


def _listed(numbers: Iterable[int], most: int = 12) -> str:
    known = list(numbers)
    return ", ".join(map(str, known[:most])) + (", …" if len(known) > most else "")


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name))[:60].strip("-.") or "interview"


# Names


_EVERYDAY = re.compile(
    "will|mark|may|grace|bill|art|rich|frank|hope|faith|joy|rose|grant|chase|drew|jack|pat|rob|sue|ray|guy|max|miles|case|dean|rusty|"
    "sunny|dawn|ivy|iris|lily|pearl|ruby|van|long|young|little|king|page|day|april|june|august|summer|penny|sky|norm|gene|nick|skip|"
    "bell|best|black|bond|brown|cash|cook|field|fields|gray|green|grey|hill|lane|love|major|mason|noble|north|price|root|sharp|"
    "short|small|smart|song|stone|strong|sun|swift|ward|west|white|wise|wood|woods|man|see|sing|low|law|hay|gold|good|hand|hunter|"
    "judge|keen|knight|light|lock|marsh|mills|park|parks|pool|power|rivers|shore|street|weeks|winter|wolf|yes|you"
)
"""Words that are also names: only with a capital are they hidden, as are those that carry no meaning, such as "an"."""
_NO_NAME = re.compile(
    "speaker|interviewer|candidate|recruiter|host|guest|unknown|unnamed|user|participant|dr|mr|mrs|ms|prof|hiring|manager|ai|notetaker|phone|iphone|ipad|zoom|room"
)


class Pseudonyms:
    """Puts "Candidate" and "Interviewer 1" in the place of names, wherever they stand; a name of two people becomes both.

    Args:
        others: names of people who are spoken of; they become "Person 1" …
    """

    def __init__(self, roles: Roles, others: Sequence[str] = ()) -> None:
        self.names = {roles.candidate: "Candidate"}
        self.names |= {name: f"Interviewer {number}" for number, name in enumerate(roles.interviewers, 1)}
        self.others = {name: f"Person {number}" for number, name in enumerate(dict.fromkeys(others), 1)}
        self.names |= {name: instead for name, instead in self.others.items() if name not in self.names}
        whose: dict[str, list[str]] = {}
        for name, instead in self.names.items():
            for form in sorted(_forms(name)):
                whose.setdefault(form, []).append(instead)
        self._forms = {form: " or ".join(those) for form, those in whose.items()}
        longest = sorted(self._forms, key=lambda form: (-len(form), form))
        # Scripts without capitals write words together, or put prefixes and particles to a name.
        either = "|".join(
            rf"(?<![^\W\d_]){re.escape(form)}(?![^\W\d_])" if form.upper() != form else re.escape(form)
            for form in longest
        )
        self._pattern = re.compile(either or r"(?!)")

    def hide(self, text: str) -> str:
        """Returns the text without the names: in full or any part of one, with or without accents."""
        composed = unicodedata.normalize("NFC", text)
        pieces, end = [], 0
        for found in self._pattern.finditer(_flat(composed)):
            word = found[0]
            if (_EVERYDAY.fullmatch(word) or is_bare(word)) and not composed[found.start()].isupper():
                continue
            pieces += [composed[end : found.start()], self._forms[word]]
            end = found.end()
        return "".join([*pieces, composed[end:]])

    def unused(self, hidden: Sequence[str]) -> set[str]:
        """Returns the others of whom nothing was hidden in these texts."""
        return {
            name
            for name, instead in self.others.items()
            if not any(re.search(rf"\b{self.names.get(name, instead)}\b", text) for text in hidden)
        }

    def suspects(self, texts: Iterable[str]) -> list[str]:
        """Returns words that are greeted or thanked like a name and are none of those that are known."""
        hidden = {"Candidate", "Interviewer", "Person"}
        found = {name for text in texts for name in _GREETED.findall(text) if name[0].isupper() and name not in hidden}
        return sorted(name for name in found if not _NOBODY.fullmatch(name.casefold()))


_GREETED = re.compile(
    r"(?:\b[Hh]i|\b[Hh]ello|\b[Hh]ey|[Tt]hanks|[Tt]hank you|[Mm]y name is|\bI['’]m(?: called)?|[Cc]all me),? ([^\W\d_]\w+)"
)
_NOBODY = re.compile("for|so|and|good|great|everyone|all|there|thanks|you|i|we|what|how|let|nice|yes|okay|ok|welcome")
_ALIKE = str.maketrans("øłđðħıς’‘ʼ‐‑–", "olddhiσ" + 3 * "'" + 3 * "-")
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa", "œ": "oe", "þ": "th"}
_SPELT = str.maketrans(
    {char: spelt for small, spelt in _UMLAUTS.items() for char in (small, small.upper()) if len(char) == 1}
)


def _flat(text: str) -> str:
    """Returns the text in small letters without accents, a character for a character, so that places are the same."""
    return "".join(map(_base, unicodedata.normalize("NFC", text))).translate(_ALIKE)


def _base(char: str) -> str:
    apart = unicodedata.normalize("NFD", char)
    return apart[0].lower() if all(map(unicodedata.combining, apart[1:])) else char  # a syllable of Hangul has no marks


def _forms(name: str) -> set[str]:
    """Returns the forms in which a name is spoken of, flat: whole, its words, and joined; "ö" also as "oe", and without apostrophes."""
    if _role(name):
        return set()
    name = unicodedata.normalize("NFC", name)
    forms: set[str] = set()
    for whole in map(_flat, (name, name.translate(_SPELT))):
        own = [word for word in (word.strip("()[]'\"") for word in re.split(r"[\s@._,|/-]+", whole)) if _tells(word)]
        if own:
            forms |= {whole, *own, "".join(own), "-".join(own), " ".join(own)}
    return forms | {form.replace("'", instead) for form in forms for instead in ("", " ")}


def _tells(word: str) -> bool:
    """Whether a word of a name tells who it is."""
    short = len(word) < 5 if word.isdigit() else len(word) < 2
    return not (short or _PARTICLE.fullmatch(word) or _NO_NAME.fullmatch(word))


def pseudonymised(told: Interview, names: Pseudonyms) -> Interview:
    """Returns the interview without the names, in words, ids and the names of files."""
    roles = told.roles
    return replace(
        told,
        stem=_bare_stem(told.sha256),
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
        names_hidden=len(names.others),
    )


# The output


def stem(reading: Reading, *, bare: bool = False) -> str:
    """Returns the name of an interview's folder; a bare one has no names of people."""
    return _bare_stem(reading.sha256) if bare else f"{_slug(reading.path.stem)}-{reading.sha256[:8]}"


def _bare_stem(sha256: str) -> str:
    return f"interview-{sha256[:8]}"


@dataclass(frozen=True)
class Before:
    """What an earlier import of the same bytes has left in its folder."""

    settled: tuple[str, ...] = ()
    """Each as TURN=QUESTION."""
    pseudonymised: bool = False
    names_hidden: int = 0


def before(folder: Path, sha256: str) -> Before:
    known = _record(folder)
    if known.get("sha256") != sha256:
        return Before()
    return Before(
        tuple(f"{turn}={what}" for turn, what in known.get("settled", {}).items()),
        bool(known.get("pseudonymised")),
        int(known.get("names_hidden", 0)),
    )


def _record(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / "import.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def keep(told: Interview, folder: Path) -> Path:
    """Writes an interview into its folder and returns the path of its answers. The same interview gives the same bytes.

    Raises:
        UsageError: the folder holds another interview, or an original with names beside what is to have none; or it cannot be written.
    """
    try:
        originals = [path for path in folder.glob("original*") if path.is_file()]
        if told.pseudonymised and originals:
            raise UsageError(
                f"{originals[0]} holds the names.", hint="Give another --out, or delete that folder first."
            )
        if (folder / "answers.jsonl").exists():
            _compare(told, folder)
        files.own(folder)
        if not told.pseudonymised:
            files.put(folder / f"original{told.suffix}", told.data)
        write(folder / "import.json", json.dumps(told.record(), ensure_ascii=False, indent=1) + "\n")
        write(folder / "answers.jsonl", told.answer_lines())
    except OSError as exc:
        raise UsageError(f"{folder} cannot be written: {exc.strerror}.", hint="Give another --out.") from exc
    return folder / "answers.jsonl"


def _compare(told: Interview, folder: Path) -> None:
    """Raises UsageError when the folder holds another interview."""
    if _record(folder).get("sha256") != told.sha256:
        raise UsageError(f"{folder} holds the answers of something else.", hint="Give another --out.")
