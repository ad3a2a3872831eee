"""The only place that carries sessions elsewhere: exports as one zip, redacted where it is asked for, and cards for Anki.

An export holds the log byte for byte, the grades, the report, and a manifest with the hash of each. It is stored, not
compressed, with no date and in a fixed order, so that the same session gives the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import html
import io
import json
import os
import re
import shutil
import stat
import struct
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin
from urllib.parse import unquote

from pydantic import Field, ValidationError

from mockint.content import Frozen
from mockint.errors import SessionError, UsageError
from mockint.events import EVENT, Event, ModelCalled, Planned, SessionStarted
from mockint.files import own, put, write_whole
from mockint.grades import AnswerGrade, Attempt, Evidence, Grade, Scored
from mockint.grading import Flagged, Opinion, Rated, Unrated, Words
from mockint.grading.grader import replies_digest
from mockint.grading.tally import rubric_digest, signal, tally, total
from mockint.report import Line, Section, bare, sections
from mockint.store import LOG, Home, read_grade, read_log
from mockint.transcript import Transcript, fold, log_digest

T = TypeVar("T")
Report = Callable[[Transcript, Grade], str]
"""Prints a report."""

FORMAT = 1
MANIFEST, REPORT = "manifest.json", "report.md"
MOST_BYTES, MOST_FILES = 256 * 2**20, 2_000
"""What an export may hold; a long interview has one MiB."""
DECK, MODEL = 1_730_914_205, 1_730_914_206
"""Anki's numbers for the deck and for the kind of note: another number would be another deck."""

_MEMBER = re.compile(r"events\.jsonl|report\.md|grades/(?:[0-9]{4}|[1-9][0-9]{4,8})\.json")
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class Held(Frozen):
    """One file of an export."""

    sha256: str
    bytes: int = Field(ge=0)


class Manifest(Frozen):
    """What an export says of itself."""

    format: Literal[1] = 1
    session: str
    redacted: bool = False
    files: dict[str, Held]
    placeholders: dict[str, int] = Field(default_factory=dict)
    """How often each stands in the files."""
    original: dict[str, str] = Field(default_factory=dict)
    """For a redacted export: the sha256 of each file as it was. Who guesses what was taken out can confirm the guess by it."""


@dataclass(frozen=True)
class Export:
    session: str
    data: bytes
    manifest: Manifest
    took: Took | None = None
    """What a redaction did; None without one."""


@dataclass(frozen=True)
class Took:
    """What a redaction took out, and what it could not."""

    stood_for: dict[str, str]
    """Each placeholder, with what it stands for. It is in no export."""
    unseen: tuple[str, ...]
    """Listed words that stand nowhere in the session."""
    inside: tuple[str, ...]
    """Longer words in which a listed word still stands."""
    parts: tuple[str, ...]
    """Words of a listed phrase that still stand by themselves: a surname without its first name."""
    fixed: tuple[str, ...]
    """Listed words that are also words of the format, such as a track's name, and stand in it as that."""


# Out


def export(home: Home, name: str, *, redactor: Redactor | None = None, report: Report | None = None) -> Export:
    """Returns a session as a zip.

    Args:
        redactor: takes words out of every file; None leaves the files as they are.
        report: prints the report of a redacted session anew.

    Raises:
        SessionError: its log or a grade is damaged.
    """
    events = read_log(home.log(name)).events
    files = {LOG: home.log(name).read_bytes()}
    grades = {f"grades/{path.name}": read_grade(path) for path in home.grade_files(name)}
    files |= {f"grades/{path.name}": path.read_bytes() for path in home.grade_files(name)}
    if home.report(name).exists():
        files[REPORT] = home.report(name).read_bytes()
    if redactor is None:
        return _packed(name, files, redacted=any(one.stamp.redacted_from for one in grades.values()))
    was = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    redactor = redactor.fitted(events, grades.values())
    told = tuple(_event(event, redactor) for event in events)
    opinions = {file: _grade(one, events, told, redactor) for file, one in grades.items()}
    files[LOG] = "".join(event.model_dump_json() + "\n" for event in told).encode()
    files |= {file: (one.model_dump_json(indent=1) + "\n").encode() for file, one in opinions.items()}
    if REPORT in files:
        shown = opinions[f"grades/{home.kept(name).path.name}"] if opinions and report else None
        if shown is None or report is None:
            del files[REPORT]
        else:
            files[REPORT] = redactor.text(report(fold(told), shown)).encode()
    whole = "\n".join(data.decode() for data in files.values())
    counts = {one: many for one in redactor.placeholders if (many := _times(one, whole))}
    said = "\n".join(_said(told, tuple(opinions.values())))
    took = Took(
        {one: word for one, word in redactor.placeholders.items() if one in counts},
        tuple(word for one, word in redactor.placeholders.items() if one not in counts and one.startswith("[name ")),
        inside=redactor.inside(said),
        parts=redactor.parts(said),
        fixed=redactor.standing(whole),
    )
    return _packed(
        told[0].session if isinstance(told[0], SessionStarted) else name,
        files,
        redacted=True,
        placeholders=counts,
        original=was,
        took=took,
    )


def _packed(name: str, files: Mapping[str, bytes], *, took: Took | None = None, **about: Any) -> Export:
    held = {file: Held(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)) for file, data in files.items()}
    manifest = Manifest(session=name, files=dict(sorted(held.items())), **about)
    members = {MANIFEST: (manifest.model_dump_json(indent=1) + "\n").encode(), **dict(sorted(files.items()))}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for file, data in members.items():
            info = zipfile.ZipInfo(file)  # of 1 January 1980
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o600) << 16
            archive.writestr(info, data)
    return Export(name, packed.getvalue(), manifest, took)


# In


def is_export(path: Path) -> bool:
    """Whether the file is a zip with a manifest, so that `unpack` is the one to read it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, *_BAD_ZIP):
        return False


def unpack(path: Path, home: Home, note: Callable[[str], None] = lambda _: None) -> str:
    """Puts an exported session into the home folder and returns its id. It is there whole, or not at all.

    Args:
        note: told what a person should know: that the session is there already, or that it was redacted.

    Raises:
        SessionError: the zip is damaged, altered or no export, or another session of that id is there.
    """
    manifest, files = _opened(path)
    name, folder = manifest.session, home.sessions / manifest.session
    if folder.exists():
        _refuse_unless_same(path, name, folder, files)
        note(f"The session {name} is there already, and the same: nothing was done.")
        return name
    part: Path | None = None
    try:
        own(home.sessions)
        # Not where sessions are looked for.
        part = Path(tempfile.mkdtemp(dir=home.path, prefix=f".{name}.", suffix=".part"))
        for file, data in files.items():
            own((part / file).parent)
            write_whole(part / file, [data])
        _check(path, name, part)
        part.rename(folder)
    except OSError as exc:
        raise SessionError(
            f"{folder} cannot be written: {exc.strerror}.", hint="Check the folder and the disk."
        ) from exc
    finally:
        if part:
            shutil.rmtree(part, ignore_errors=True)
    if manifest.redacted:
        many = sum(manifest.placeholders.values())
        where = f": placeholders stand in {many} places" if many else ""
        note(f"The session {name} was redacted before it was exported{where}.")
    return name


def _opened(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Returns what an export holds, once all of it was found to be as the manifest says."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for info in members:
                if why := _unsafe(info):
                    raise _refused(path, f"it holds {info.filename!r}, {why}")
            names = [info.filename for info in members]
            if twice := [one for one, count in Counter(names).items() if count > 1]:
                raise _refused(path, f"it holds {twice[0]!r} more than once")
            size = sum(info.file_size for info in members)
            if size > MOST_BYTES or len(members) > MOST_FILES:
                raise _refused(
                    path,
                    f"it would unpack to {len(members):,} files of {size:,} bytes, and at most {MOST_FILES:,} files of "
                    f"{MOST_BYTES:,} bytes are taken",
                )
            if MANIFEST not in names:
                raise _refused(path, f"it has no {MANIFEST}")
            manifest = _manifest(path, archive.read(MANIFEST))
            files = {one: archive.read(one) for one in names if one != MANIFEST}
    except OSError as exc:
        raise SessionError(f"{path} cannot be read: {exc.strerror or exc}.", hint="Check the path.") from exc
    except _BAD_ZIP as exc:
        raise _refused(path, f"the zip is damaged: {exc}") from exc
    if unlike := sorted(files.keys() ^ manifest.files.keys()):
        raise _refused(path, f"{unlike[0]!r} is in one of the zip and its manifest, and not in both")
    for file, data in files.items():
        if hashlib.sha256(data).hexdigest() != manifest.files[file].sha256:
            raise _refused(path, f"{file} is not what was exported: its hash is not the manifest's")
    if LOG not in files:
        raise _refused(path, f"it has no {LOG}")
    return manifest, files


_BAD_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error)
"""What zipfile raises for what is no zip, or a damaged one."""


def _unsafe(info: zipfile.ZipInfo) -> str:
    """Returns why a member may not be unpacked, or nothing."""
    name = info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "which is a link"
    if kind not in (0, stat.S_IFREG):
        return "which is no plain file"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\\" in name:
        return "an absolute path, or one of another system"
    if ".." in PurePosixPath(name).parts:
        return "which leads out of the folder"
    if info.flag_bits & 1:
        return "which is encrypted"
    if info.compress_type != zipfile.ZIP_STORED:  # what says a small size may unpack to a large one
        return "which is compressed, as nothing in an export is"
    if name != MANIFEST and not _MEMBER.fullmatch(name):
        return "which no export holds"
    return ""


def _manifest(path: Path, data: bytes) -> Manifest:
    try:
        raw = json.loads(data)
        given = raw.get("format") if isinstance(raw, dict) else None
        if isinstance(given, int) and given != FORMAT:
            raise _refused(
                path, f"its format is {given}, and this mockint knows {FORMAT}", hint="Install the newest mockint."
            )
        manifest = Manifest.model_validate_json(data)
    except (ValidationError, ValueError) as exc:
        first = exc.errors()[0]["msg"] if isinstance(exc, ValidationError) else "no JSON"
        raise _refused(path, f"{MANIFEST} is none of an export's: {first}") from exc
    if not _SESSION.fullmatch(manifest.session):
        raise _refused(path, f"{manifest.session!r} is no session's id")
    return manifest


def _check(path: Path, name: str, folder: Path) -> None:
    """Raises SessionError unless the log and the grades can be read, are of this session, and fit one another."""
    try:
        events = read_log(folder / LOG).events
        grades = [read_grade(file) for file in sorted((folder / "grades").glob("*.json"))]
        transcript = fold(events)
        for grade in grades:
            _fits(grade, transcript)
    except SessionError as exc:
        raise _refused(path, exc.what.replace(f"{folder}{os.sep}", "").removesuffix(".")) from exc
    if {transcript.started.session, *(grade.id for grade in grades)} != {name}:
        raise _refused(path, f"its log or a grade is not of the session {name!r}")


def _refuse_unless_same(path: Path, name: str, folder: Path, files: Mapping[str, bytes]) -> None:
    """Raises SessionError when something of the export is not there; a report is a view and does not count."""
    missing = [file for file in files if file != REPORT and not (folder / file).is_file()]
    unlike = [file for file in files if file not in (REPORT, *missing) and (folder / file).read_bytes() != files[file]]
    if unlike or missing:
        why = [f"{file} is not the same" for file in unlike] + [f"{file} is not there" for file in missing]
        raise SessionError(
            f"{path} holds the session {name!r}, and another one of that id is here: {', '.join(why[:4])}.",
            hint=f"Unpack it into another folder: mockint import {path} --home DIR. Or move {folder} away first.",
        )


def _refused(path: Path, why: str, *, hint: str = "Export the session again: mockint export SESSION") -> SessionError:
    return SessionError(f"{path} was not unpacked: {why}.", hint=hint)


# Redaction

_LETTER = r"0-9a-z\u00c0-\u052f\u1e00-\u1fff"
"""Letters of scripts that part words by spaces, and digits: a word ends where none of them follows."""
_BEFORE = rf"(?:(?<![{_LETTER}])|(?<=\\[nrt]))"
_AFTER = rf"(?=(?:e?s)?(?![{_LETTER}]))"
"""A name may stand in the genitive or the plural: "Jörgs", "the Joneses"."""
_PARTED = re.compile(r"(?<=\w)[\s_.+\u2010-\u2015-]+(?=\w)|\s+")
_GAP = r"(?:[\s_.+-]|\\[nrt])*"
"""What may stand between the words of a phrase, in prose, in JSON, in an id or in an address: also nothing."""
_PIECE = re.compile(
    r"(?i:\\u[0-9a-f]{4}|&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#x[0-9a-f]{1,6});|%[2-7][0-9a-f]|(?:%[89a-f][0-9a-f])+)"
    r"|[\u1100-\u115f][\u1160-\u11a7][\u11a8-\u11ff]?|[^\x00-\x7f]"
)
"""What is folded by itself: a character that is escaped for JSON, a page or an address, a syllable of Korean, and all beyond ASCII."""
_CHARACTER = re.compile(f"{_PIECE.pattern}|.", re.DOTALL)
_ALIKE = str.maketrans(
    dict.fromkeys("ʼ‘’´", "'")
    | dict.fromkeys("‐‑‒–—―−", "-")
    | dict(zip("øØłŁđĐı", "oolldDi", strict=True))
    | {"æ": "ae", "œ": "oe"}
)
_UMLAUTS = dict.fromkeys("äöüø", "e?") | {"å": "a?"}
"""What may follow a letter that has lost its dots: "Mueller" for "Müller"."""
_PLACEHOLDER = re.compile(r"\b(name|email|phone|url|key)(?: (?=\d+\])|-)(\d{1,4})\b")
"""In a text, "[name 1]"; in an id, "name-1"."""
_SHORTEST = 4
"""Characters of the shortest thing that is taken out without having been listed."""
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)),
    ("key", re.compile(r"\b(?:[spr]k[-_][\w-]{12,}|hf_\w{16,}|AIza[\w-]{20,}|gsk_\w{16,})")),
    ("key", re.compile(r"(?<=\bBearer )[\w.~+/=-]{12,}")),
    ("url", re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/@\"'<>]+@[^\s\"'<>)\]]+")),
    (
        "url",
        re.compile(
            r"\b(?:https?://)?(?:www\.)?(?:(?:github|gitlab|twitter|x|kaggle)\.com/|linkedin\.com/in/|medium\.com/@|[\w.-]+\.\w+/~)"
            r"[\w-][\w./-]*[\w-]"
        ),
    ),
    ("email", re.compile(r"(?<![\w.%+-])[\w.%+-]+@[\w-]+(?:\.[\w-]+)+")),
)
_TOKEN = re.compile(r"[\w.~+/=-]*")
_SECRET = 16
"""Characters of the shortest part of a pattern that is a key by itself."""
_PLUGINS = frozenset({"PrivateKeyDetector", "BasicAuthDetector", "IPPublicDetector"})
"""Of detect-secrets' detectors those that find what is found here as a whole, or what is no secret."""
_REGIONS = (None, "US", "GB", "DE", "FR", "IN")
"""Where a number without its country's code may be from."""


class Span(NamedTuple):
    """What is taken out of a text: from where to where, and what stands there instead."""

    start: int
    end: int
    instead: str


class _Phrases:
    """Finds phrases however they are written: in any case, with or without accents, joined, escaped for JSON, a page or an address."""

    def __init__(self, instead: Mapping[str, str]) -> None:
        ordered = sorted((phrase for phrase in instead if _folded(phrase)[0].strip()), key=len, reverse=True)
        self._instead = [instead[phrase] for phrase in ordered]
        self._pattern = re.compile("|".join(f"({_pattern_of(phrase)})" for phrase in ordered))

    def spans(self, text: str) -> Iterator[Span]:
        if self._instead:
            for start, end, found in _found(self._pattern, text):
                yield Span(start, end, self._instead[(found.lastindex or 1) - 1])


@dataclass
class Redactor:
    """Takes words out: each is always replaced by the same placeholder, however it is written."""

    words: tuple[str, ...] = ()
    """What the user lists."""
    detect: bool = True
    """Whether e-mail addresses, phone numbers, addresses with user names and keys are looked for."""
    placeholders: dict[str, str] = field(default_factory=dict)
    """Each placeholder, with what it stands for."""
    _phrases: _Phrases = field(default_factory=lambda: _Phrases({}))
    _ids: dict[str, str] = field(default_factory=dict)
    _cut: dict[str, str] = field(default_factory=dict)
    """Quotes that begin or end inside something that is taken out, and what becomes of them."""

    def fitted(self, events: Sequence[Event], grades: Iterable[Grade]) -> Redactor:
        """Returns a redactor for one session: what is found in it, and its ids that hold a listed word."""
        grades = tuple(grades)
        said = tuple(_said(events, grades))
        words = tuple(word for word in map(_norm, self.words) if _folded(word)[0].strip())
        taken = [("name", word) for word in words]
        if self.detect:
            taken += [one for text in said for one in found_in(text) if len(one[1]) >= _SHORTEST]
        numbers: Counter[str] = Counter()
        for kind, number in _PLACEHOLDER.findall("\n".join((*said, *_ids(events)))):  # of an earlier redaction
            numbers[kind] = max(numbers[kind], int(number))
        made = Redactor(words, self.detect)
        known: set[str] = set()
        for kind, word in taken:
            if (key := _folded(_norm(word))[0]) not in known:
                known.add(key)
                numbers[kind] += 1
                made.placeholders[f"[{kind} {numbers[kind]}]"] = _norm(word)
        made._phrases = _Phrases({word: placeholder for placeholder, word in made.placeholders.items()})
        made._ids = {name: new for name in _ids(events) if (new := made._slug(name)) != name}
        made._cut = made._cut_quotes(events, grades)
        return made

    def text(self, text: str) -> str:
        return self._whole(_replaced(text, self._spans(text)))

    def quote(self, quote: str, turn: str) -> str:
        """Returns what a quote of a turn has become: a placeholder is quoted as a whole."""
        start = turn.find(quote)
        if start < 0:
            return self.text(quote)
        end = start + len(quote)
        spans = [one for one in self._spans(turn) if one.start < end and one.end > start]
        start, end = min([start, *(one.start for one in spans)]), max([end, *(one.end for one in spans)])
        return self._whole(_replaced(turn[:end], spans)[start:])

    def inside(self, text: str) -> tuple[str, ...]:
        """Returns the longer words in which a listed word still stands."""
        listed = "|".join(_body(word) for word in self.words if len(word) >= 3)
        return _some(_longer(text, start, end) for start, end, _ in _found(re.compile(listed or "(?!)"), text))

    def parts(self, text: str) -> tuple[str, ...]:
        """Returns the words of listed phrases that still stand by themselves."""
        phrases = [words for word in self.words if len(words := word.split()) > 1]
        parts = {part: part for words in phrases for part in words if len(part) >= 3 and not part.islower()}
        return _some(text[one.start : one.end] for one in _Phrases(parts).spans(text))

    def standing(self, text: str) -> tuple[str, ...]:
        """Returns the listed words that still stand by themselves."""
        return _some(text[one.start : one.end] for one in self._phrases.spans(text))

    def _spans(self, text: str) -> list[Span]:
        """Returns what is taken out of a text, in its order; an id is renamed as a whole."""
        found = [
            Span(at.start(), at.end(), new)
            for name, new in self._ids.items()
            for at in re.finditer(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
        ]
        found.extend(self._phrases.spans(text))
        kept: list[Span] = []
        for one in sorted(found, key=lambda one: (one.start, -one.end)):
            if not kept or one.start >= kept[-1].end:
                kept.append(one)
        return kept

    def _whole(self, text: str) -> str:
        """Returns the text with no quote in it that was cut inside something that is taken out."""
        for quote, instead in self._cut.items():
            text = text.replace(quote, instead)
        return text

    def _slug(self, name: str) -> str:
        return _replaced(name, [one._replace(instead=_as_slug(one.instead)) for one in self._phrases.spans(name)])

    def _cut_quotes(self, events: Sequence[Event], grades: Iterable[Grade]) -> dict[str, str]:
        turns = {turn.number: turn.text for part in fold(events).parts for turn in part.turns}
        cut: dict[str, str] = {}
        for answer in (answer for grade in grades for answer in grade.answers):
            for one in _quoted(answer):
                left, instead = self.text(one.quote), self.quote(one.quote, turns.get(one.turn, ""))
                if left != instead:
                    cut[left] = instead
                    cut[json.dumps(left)[1:-1]] = json.dumps(instead)[1:-1]
        return dict(sorted(cut.items(), key=lambda one: -len(one[0])))


def found_in(text: str) -> Iterator[tuple[str, str]]:
    """Yields what is a person's own: its kind ("email", "phone", "url" or "key") and the words.

    Raises:
        UsageError: the libraries that know phone numbers and keys are not installed.
    """
    for kind, pattern in _PATTERNS:
        for found in pattern.finditer(text):
            yield kind, found.group()
    phones, patterns = _libraries()
    for pattern in patterns:
        for found in pattern.finditer(text):
            rest = _TOKEN.match(text, found.end())  # a pattern may end before the key does
            whole = found.group() + (rest.group() if rest else "")
            for secret in (whole, *(group for group in found.groups("") if len(group) >= _SECRET)):
                yield "key", secret.strip(" \t\n\"'=:.")
    for region in _REGIONS:
        for match in phones.PhoneNumberMatcher(text, region):
            yield "phone", match.raw_string


_loaded: list[tuple[Any, list[re.Pattern[str]]]] = []


def _libraries() -> tuple[Any, list[re.Pattern[str]]]:
    """Returns what finds phone numbers, and detect-secrets' patterns of keys; its own search would yield no more than a key's prefix."""
    if not _loaded:
        try:
            import phonenumbers  # an extra: mockint[redact]; 60 ms, and detect-secrets 150
            from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
            from detect_secrets.plugins.base import RegexBasedDetector
        except ImportError as exc:
            raise UsageError(
                f"What knows phone numbers and keys is not installed: {exc.name}.",
                hint="Install it: pip install 'mockint[redact]'",
            ) from exc
        kinds: list[type] = list(get_mapping_from_secret_type_to_class().values())
        wanted = [kind for kind in kinds if issubclass(kind, RegexBasedDetector) and kind.__name__ not in _PLUGINS]
        found: list[Any] = [kind() for kind in sorted(wanted, key=lambda kind: kind.__name__)]
        _loaded.append((phonenumbers, [pattern for detector in found for pattern in detector.denylist]))
    return _loaded[0]


def words_of(path: Path) -> list[str]:
    """Returns the words of a file, one a line. Raises UsageError."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as exc:
        what = getattr(exc, "strerror", None) or "it is not in UTF-8"
        raise UsageError(f"{path} cannot be read: {what}.", hint="It holds one word or phrase a line.") from exc


def _norm(word: str) -> str:
    return unicodedata.normalize("NFC", " ".join(word.split()))


def _as_slug(placeholder: str) -> str:
    """Returns what stands for a word within an id."""
    return placeholder.strip("[]").replace(" ", "-")


def _times(placeholder: str, text: str) -> int:
    return text.count(placeholder) + len(re.findall(rf"\b{_as_slug(placeholder)}\b", text))


def _some(words: Iterable[str], *, most: int = 12) -> tuple[str, ...]:
    return tuple(sorted(set(words), key=lambda word: (word.casefold(), word)))[:most]


def _longer(text: str, start: int, end: int, *, most: int = 40) -> str:
    """Returns the word that a place in a text is in."""
    first, last = max(0, start - most), end + most
    while start > first and text[start - 1].isalnum():
        start -= 1
    while end < min(last, len(text)) and text[end].isalnum():
        end += 1
    return text[start:end]


def _replaced(text: str, spans: Iterable[Span]) -> str:
    pieces, end = [], 0
    for one in spans:
        pieces += [text[end : one.start], one.instead]
        end = one.end
    return "".join([*pieces, text[end:]])


def _quoted(answer: AnswerGrade) -> Iterator[Evidence | Attempt]:
    for one in (*answer.verdicts, *answer.red_flags):
        yield from one.evidence
    yield from answer.attempts


def _pattern_of(phrase: str) -> str:
    """Returns a pattern that finds a phrase as a whole in a text that is folded."""
    folded = _folded(phrase)[0]
    before = _BEFORE if re.match(f"[{_LETTER}]", folded) else ""
    after = _AFTER if re.search(f"[{_LETTER}]$", folded) else ""
    return before + _body(phrase) + after


def _body(phrase: str) -> str:
    return _GAP.join("".join(map(_letter, _CHARACTER.findall(piece))) for piece in _PARTED.split(phrase))


def _letter(piece: str) -> str:
    plain = _plain(piece)
    return "'?" if plain == "'" else re.escape(plain) + _UMLAUTS.get(piece.lower(), "")


def _found(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int, re.Match[str]]]:
    """Yields where in a text the pattern matches what it is folded to."""
    folded, places = _folded(text)
    for found in pattern.finditer(folded):
        end = found.end()
        while end < len(folded) and places[end] == places[end - 1]:  # one character may fold to several
            end += 1
        yield places[found.start()], places[end], found


def _folded(text: str) -> tuple[str, Sequence[int]]:
    """Returns the text without case, accents, escapes and what cannot be seen, and where in it each character begins, and the last one ends."""
    pieces: list[str] = []
    places: list[int] = []
    end = 0
    for found in _PIECE.finditer(text):
        plain = _plain(found[0])
        pieces += [text[end : found.start()].lower(), plain]
        places += [*range(end, found.start()), *[found.start()] * len(plain)]
        end = found.end()
    pieces.append(text[end:].lower())
    return "".join(pieces), [*places, *range(end, len(text) + 1)] if places else range(end, len(text) + 1)


@lru_cache(maxsize=10_000)
def _plain(piece: str) -> str:
    if len(piece) > 1 and piece[0] in "\\&%":
        piece = chr(int(piece[-4:], 16)) if piece[0] == "\\" else unquote(html.unescape(piece))
    parts = unicodedata.normalize("NFKD", piece.translate(_ALIKE))
    seen = "".join(one for one in parts if not "\u0300" <= one <= "\u036f" and unicodedata.category(one) != "Cf")
    return unicodedata.normalize("NFC", seen).casefold()


def _said(events: Sequence[Event], grades: Sequence[Grade]) -> Iterator[str]:
    """Yields what people, models and their servers wrote: no rubric, no prompt, no hash."""
    for event in events[1:]:
        for name in ("text", "asked"):
            if text := getattr(event, name, None):
                yield text
        yield from getattr(event, "withheld", ())
    exchanges = [event.exchange for event in events if isinstance(event, ModelCalled)]
    exchanges += [exchange for grade in grades for exchange in grade.calls]
    for exchange in exchanges:
        yield from filter(None, (exchange.reply, exchange.error, exchange.hint))
    for answer in (answer for grade in grades for answer in grade.answers):
        yield from filter(None, (answer.why, *(one.reason or one.why for one in answer.verdicts)))


def _ids(events: Sequence[Event]) -> Iterator[str]:
    first = events[0]
    if isinstance(first, SessionStarted):
        yield first.session
        for plan in first.plan:
            yield from (plan.question.id, plan.rubric.question, *plan.question.origins)
            for criterion in plan.rubric.criteria:
                yield criterion.id
                yield from criterion.levels
            yield from (flag.id for flag in plan.rubric.red_flags)


def _redacted(value: T, redactor: Redactor) -> T:
    """Returns the value with every text of it redacted; hashes and the format's own words stay."""
    match value:
        case str():
            return value if _HASH.fullmatch(value) else redactor.text(value)  # type: ignore[return-value]
        case tuple():
            return tuple(_redacted(one, redactor) for one in value)  # type: ignore[return-value]
        case dict():
            return {_redacted(k, redactor): _redacted(v, redactor) for k, v in value.items()}  # type: ignore[return-value]
        case Frozen():
            fields = type(value).model_fields
            return value.model_copy(
                update={
                    name: _redacted(getattr(value, name), redactor)
                    for name, about in fields.items()
                    if not _fixed(about.annotation)
                }
            )
        case _:
            return value


def _fixed(kind: Any) -> bool:
    """Whether a field holds only words of the format's own."""
    if get_origin(kind) is Literal:
        return True
    inner = [one for one in get_args(kind) if one not in (type(None), Ellipsis)]
    return bool(inner) and all(_fixed(one) for one in inner)


def _event(event: Event, redactor: Redactor) -> Event:
    made = _redacted(event, redactor)
    if isinstance(made, SessionStarted) and isinstance(event, SessionStarted):
        pairs = zip(made.plan, event.plan, strict=True)
        plan = tuple(one if one == was else Planned.of(one.question, one.rubric) for one, was in pairs)
        made = made.model_copy(update={"plan": plan})
    return EVENT.validate_json(made.model_dump_json())


def _grade(grade: Grade, events: Sequence[Event], told: Sequence[Event], redactor: Redactor) -> Grade:
    """Returns the grade with its words redacted, stamped with the hashes of what it now speaks of."""
    read = told[: grade.stamp.events]
    turns = {turn.number: turn.text for part in fold(events).parts for turn in part.turns}
    transcript = fold(read)
    made = _redacted(grade, redactor)
    answers = tuple(
        _quotes(redacted, was, turns, redactor) for redacted, was in zip(made.answers, grade.answers, strict=True)
    )
    stamp = made.stamp.model_copy(
        update={
            "transcript": log_digest(read),
            "rubric": rubric_digest(transcript.parts, transcript.started.scale),
            "replies": replies_digest(made.calls) if made.calls else None,
            "redacted_from": grade.stamp.redacted_from or grade.stamp.transcript,
        }
    )
    made = made.model_copy(update={"answers": answers, "stamp": stamp})
    return Grade.model_validate_json(made.model_dump_json())


def _quotes(made: AnswerGrade, was: AnswerGrade, turns: Mapping[int, str], redactor: Redactor) -> AnswerGrade:
    """Returns the answer with each quote as its turn now has it."""
    quotes = iter([redactor.quote(one.quote, turns.get(one.turn, "")) for one in _quoted(was)])

    def anew(one: Any) -> Any:
        return one.model_copy(update={"quote": next(quotes)})

    def each(many: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(one.model_copy(update={"evidence": tuple(map(anew, one.evidence))}) for one in many)

    verdicts, flags = each(made.verdicts), each(made.red_flags)
    return made.model_copy(
        update={"verdicts": verdicts, "red_flags": flags, "attempts": tuple(map(anew, made.attempts))}
    )


def counted_again(grade: Grade, events: Sequence[Event]) -> Grade:
    """Returns the grade as it comes out of its own levels and quotes: what can be verified when the words that were graded are gone.

    Raises:
        SessionError: a quote is not in its turn, or a question, criterion, level or red flag is not the session's.
    """
    if not events:
        raise _does_not_follow(grade, "it has read nothing of the log")
    transcript = fold(events)
    _fits(grade, transcript)
    scale, level = transcript.started.scale, grade.target_level
    turns = {turn.number: turn.text for part in transcript.parts for turn in part.answers}
    answers = []
    for part, answer in zip(transcript.parts, grade.answers, strict=True):
        for one in (*answer.verdicts, *answer.red_flags):
            for evidence in one.evidence:
                if evidence.quote not in turns.get(evidence.turn, ""):
                    raise _does_not_follow(grade, f"{evidence.quote!r} does not stand in turn {evidence.turn}")
        made = tally(part, _opinion(answer), level=level, scale=scale)
        answers.append(made.model_copy(update={"attempts": answer.attempts}))
    score, coverage = total(answers)
    rubrics = {part.question.id: part.rubric for part in transcript.parts}
    stamp = {"transcript": log_digest(events), "rubric": rubric_digest(transcript.parts, scale)}
    return grade.model_copy(
        update={
            "answers": tuple(answers),
            "score": score,
            "coverage": coverage,
            "signal": signal(answers, rubrics, scale=scale),
            "stamp": grade.stamp.model_copy(update=stamp),
        }
    )


def _fits(grade: Grade, transcript: Transcript) -> None:
    """Raises SessionError unless the grade speaks of the session's questions, and of what their rubrics know."""
    if [answer.question for answer in grade.answers] != [part.question.id for part in transcript.parts]:
        raise _does_not_follow(grade, "its questions are not the session's")
    for part, answer in zip(transcript.parts, grade.answers, strict=True):
        levels = {name: criterion.levels for name, criterion in part.rubric.by_id.items()}
        said = [(one.criterion, one.level) for one in answer.verdicts]
        strange = [name for name, _ in said if name not in levels]
        strange += [level for name, level in said if level is not None and level not in levels.get(name, ())]
        strange += [one.id for one in answer.red_flags if one.id not in {flag.id for flag in part.rubric.red_flags}]
        if strange:
            raise _does_not_follow(grade, f"the rubric of {part.question.id!r} does not know {strange[0]!r}")


def _opinion(answer: AnswerGrade) -> Opinion | None:
    if not answer.verdicts:
        return None
    ratings = tuple(
        Rated(
            verdict.criterion,
            verdict.level,
            tuple(Words(evidence.turn, evidence.quote) for evidence in verdict.evidence),
            verdict.reason,
            tuple(Counter(verdict.votes).elements()) if verdict.votes else (),
        )
        if isinstance(verdict, Scored)
        else Unrated(verdict.criterion, verdict.why)
        for verdict in answer.verdicts
    )
    flags = tuple(Flagged(raised.id, Words(e.turn, e.quote)) for raised in answer.red_flags for e in raised.evidence)
    return Opinion(ratings, flags, answer.why)


def _does_not_follow(grade: Grade, why: str) -> SessionError:
    return SessionError(
        f"The grade of {grade.id!r} does not follow from what is recorded: {why}.",
        hint="The log or the grade was changed after it was made.",
    )


# Cards


@dataclass(frozen=True)
class Card:
    """What is asked and shown of one criterion that was not met. The texts are HTML."""

    question: str
    criterion: str
    front: str
    back: str
    tags: tuple[str, ...]


def cards(graded: Iterable[tuple[Transcript, Grade]]) -> list[Card]:
    """Returns a card for each criterion that the newest grade of it has below its highest level.

    What was asked and not answered counts as not met; what could not be scored, or was not asked, does not.

    Args:
        graded: interviews with their newest grades, oldest first.
    """
    found: dict[tuple[str, str], Card | None] = {}
    for transcript, grade in graded:
        for section in sections(transcript, grade):
            key = section.question.id
            if section.answer.state == "not_answered":
                found |= {(key, one.id): _card(section, one.id, None) for one in section.part.rubric.criteria}
            for line in section.lines:
                if line.verdict.state == "scored":
                    met = line.verdict.level == line.best
                    found[key, line.criterion.id] = None if met else _card(section, line.criterion.id, line)
    return [card for card in found.values() if card]


def anki(made: Sequence[Card], path: Path, *, timestamp: float) -> None:
    """Writes the cards as a package for Anki. Their guids are the same each time, so that a second import changes notes and adds none.

    Args:
        timestamp: when the notes say that they were made, in seconds.

    Raises:
        UsageError: genanki is not installed, or the file cannot be written.
    """
    try:
        import genanki  # an extra: mockint[anki]; 100 ms
    except ImportError as exc:
        raise UsageError("What writes Anki's files is not installed.", hint="pip install 'mockint[anki]'") from exc
    template = {"name": "Criterion", "qfmt": "{{Front}}", "afmt": "{{FrontSide}}<hr id=answer>{{Back}}"}
    model = genanki.Model(MODEL, "mockint", fields=[{"name": "Front"}, {"name": "Back"}], templates=[template])
    deck = genanki.Deck(DECK, "mockint")
    for card in made:
        guid = genanki.guid_for("mockint", card.question, card.criterion)
        deck.add_note(genanki.Note(model, [card.front, card.back], guid=guid, tags=list(card.tags)))
    packed = io.BytesIO()
    genanki.Package(deck).write_to_file(packed, timestamp=timestamp)
    put(path, packed.getvalue())


def _card(section: Section, criterion: str, line: Line | None) -> Card:
    rubric, question = section.part.rubric, section.question
    one = rubric.by_id[criterion]
    best = tuple(one.levels)[-1]
    back = [f"<p><b>{_html(best)}</b>: {_html(one.levels[best])}</p>"]
    if line and line.verdict.level:
        back.append(f"<p>You were at <b>{_html(line.verdict.level)}</b>.</p>")
        back += [f"<blockquote>{_html(evidence.quote)}</blockquote>" for evidence in line.verdict.evidence]
    else:
        back.append("<p>You gave no answer.</p>")
    if rubric.study:
        back.append(
            "<ul>" + "".join(f"<li><b>{_html(s.title)}</b>: {_html(s.about)}</li>" for s in rubric.study) + "</ul>"
        )
    front = f"<p>{_html(question.ask)}</p><p><i>{_html(one.probe)}</i></p>"
    return Card(question.id, criterion, front, "".join(back), ("mockint", question.track, question.id))


def _html(text: str) -> str:
    """Returns a text for a card, as it stands: Anki plays and sets what is in brackets of its own."""
    inert = re.sub(r"\[(?=sound:|anki:|/?latex\]|/?\$)", "&#91;", html.escape(bare(text).strip()), flags=re.IGNORECASE)
    return inert.replace("\n", "<br>")
