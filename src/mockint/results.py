"""The only writer of a batch's grades: one JSON object a line, each on the disk as soon as it is made.

What is known of the grades, which have been made and where each one lies, is kept in a temporary database on the disk, so that memory does
not grow with their number.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import filelock

from mockint import files
from mockint.clock import Clock
from mockint.content import digest
from mockint.errors import UsageError
from mockint.store import write

Line = dict[str, Any]
"""A grade, or an error, as JSON data."""


def key_of(*, transcript: str, rubric: str, prompt: str, grader: str, model: str, votes: int, level: str) -> bytes:
    """Returns what a grade of an answer rests on, as 16 bytes: the same key, the same grade."""
    told = "\n".join((transcript, rubric, prompt, grader, model, str(votes), level))
    return hashlib.blake2b(told.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class Made:
    """What a line holds: of an error nothing."""

    key: bytes | None = None
    transcript: str | None = None
    coverage: float = 0.0
    """The share of criteria that were scored."""
    whole: bool = False
    """Whether nothing was left unscored: else it may go better the next time."""

    @classmethod
    def of(cls, line: Line) -> Made:
        """Raises KeyError and TypeError when it is no line of ours."""
        if "error" in line:
            return cls()
        stamp = line["stamp"]
        by = {name: stamp[name] for name in ("transcript", "rubric", "prompt", "grader", "model")}
        key = key_of(**by, votes=stamp.get("votes", 1), level=line["target_level"])
        whole = all(v["state"] == "scored" for answer in line["answers"] for v in answer["verdicts"])
        return cls(key, stamp["transcript"], line["coverage"], whole)


@dataclass(frozen=True)
class Place:
    """Where a line lies."""

    file: str
    start: int
    length: int


class Lines(Protocol):
    """Where the lines go."""

    def before(self) -> Iterator[tuple[Place, bytes]]:
        """Yields the lines that are there already."""

    def add(self, line: bytes, *, paid: bool) -> Place | None:
        """Writes a line and returns where it lies; None when it is not kept."""

    def read(self, place: Place) -> bytes:
        """Returns a line."""

    def close(self, stays: Callable[[Place], bool] | None) -> None:
        """Ends the writing; drops the lines that do not stay."""


class OneFile:
    """Lines in a file of this machine, appended to. A last line that was cut off is dropped. Nobody else writes it meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), blocking=False)
        try:
            self._lock.acquire()
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except filelock.Timeout as exc:
            raise UsageError(
                f"{path} is being written by another mockint.", hint="Wait for it, or name another --out."
            ) from exc
        except OSError as exc:
            raise UsageError(f"{path} cannot be written: {exc.strerror}.", hint="Name another --out.") from exc
        self._end = 0

    def before(self) -> Iterator[tuple[Place, bytes]]:
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, self._end)
                    return
                yield Place("", self._end, len(line)), line
                self._end += len(line)

    def add(self, line: bytes, *, paid: bool) -> Place:
        """Raises UsageError when it cannot be written; what was written of it is taken back."""
        try:
            files.append(self._file, line, through=paid)
        except OSError as exc:
            raise UsageError(f"{self._path} cannot be written: {exc.strerror}.", hint="Make room on the disk.") from exc
        place = Place("", self._end, len(line))
        self._end += len(line)
        return place

    def read(self, place: Place) -> bytes:
        return os.pread(self._file, place.length, place.start)

    def empty(self) -> None:
        os.ftruncate(self._file, 0)
        self._end = 0

    def close(self, stays: Callable[[Place], bool] | None) -> None:
        os.close(self._file)
        if stays:
            write(self._path, self._staying(stays))
        self._lock.release()
        self._path.with_name(f".{self._path.name}.lock").unlink(missing_ok=True)

    def _staying(self, stays: Callable[[Place], bool]) -> Iterator[str]:
        start = 0
        with self._path.open("rb") as file:
            for line in file:
                if stays(Place("", start, len(line))):
                    yield line.decode()
                start += len(line)


class Memory:
    """Nowhere: only what was paid for is kept, in a temporary file, so that the same answer need not be paid for twice."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed with this)

    def before(self) -> Iterator[tuple[Place, bytes]]:
        return iter(())

    def add(self, line: bytes, *, paid: bool) -> Place | None:
        if not paid:
            return None
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(line)
        return Place("", start, len(line))

    def read(self, place: Place) -> bytes:
        self._file.seek(place.start)
        return self._file.read(place.length)

    def close(self, stays: Callable[[Place], bool] | None) -> None:
        del stays
        self._file.close()


class Parts:
    """Lines in the files of a folder of any store, `000001.jsonl` and so on: object storage has no appending. A file is written when there are
    `FULL` lines, or `SOON` seconds have gone by; until then its lines lie in a file of this machine, from where the next run sends them.
    """

    FULL, SOON = 500, 5.0

    def __init__(self, folder: str, unsent: Path, *, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._known = files.listing(folder, ".jsonl")
        self._number = max((int(Path(name).stem) for name in self._known if Path(name).stem.isdigit()), default=0) + 1
        files.own(unsent)
        self._unsent_path = unsent / f"{digest(folder)[7:23]}.jsonl"
        self._unsent = OneFile(self._unsent_path)
        self._waiting = [line for _, line in self._unsent.before()]
        self._send()

    def before(self) -> Iterator[tuple[Place, bytes]]:
        for name in self._known:
            yield from _placed(name)

    def add(self, line: bytes, *, paid: bool) -> Place:
        self._unsent.add(line, paid=paid)
        place = Place(self._name, self._size, len(line))
        self._waiting.append(line)
        self._size += len(line)
        if len(self._waiting) >= self.FULL or self._clock.seconds() - self._since > self.SOON:
            self._send()
        return place

    def read(self, place: Place) -> bytes:
        if place.file == self._name:
            return b"".join(self._waiting)[place.start : place.start + place.length]
        return files.stretch(place.file, place.start, place.length)

    def close(self, stays: Callable[[Place], bool] | None) -> None:
        self._send()
        self._unsent.close(None)
        self._unsent_path.unlink()
        if stays:
            for name in self._known:
                files.put(name, b"".join(line for where, line in _placed(name) if stays(where)))

    @property
    def _name(self) -> str:
        return files.under(self._folder, f"{self._number:06}.jsonl")

    def _send(self) -> None:
        if self._waiting:
            files.put(self._name, b"".join(self._waiting))
            self._unsent.empty()
            self._known.append(self._name)
            self._number += 1
        self._waiting, self._size, self._since = [], 0, self._clock.seconds()


def _placed(name: str) -> Iterator[tuple[Place, bytes]]:
    """Yields the lines of a store's file, each with where it lies."""
    start = 0
    for line in files.lines(name):
        data = f"{line}\n".encode()
        yield Place(name, start, len(data)), data
        start += len(data)


def lines_at(place: str | None, unsent: Path, *, clock: Clock) -> Lines:
    """Returns where lines go.

    Args:
        place: a file, or the URL of a folder; None keeps nothing.
        unsent: the folder in which lines for a URL lie until they are sent.

    Raises:
        UsageError: it cannot be written, or the store cannot be reached.
    """
    if place is None:
        return Memory()
    return Parts(place, unsent, clock=clock) if files.is_url(place) else OneFile(Path(place))


class Results:
    """A batch's grades. What is there from before is not graded again while its key is the same; what was not gradable then is tried again.

    Args:
        lines: where the lines go, and where those of earlier runs are.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._known = sqlite3.connect("", isolation_level=None)  # a temporary file; it goes with the connection
        self._known.execute("PRAGMA journal_mode = OFF")
        self._known.execute(
            "CREATE TABLE grades (id TEXT PRIMARY KEY, key BLOB, transcript TEXT, coverage REAL, whole INT, "
            "file TEXT, start INT, length INT, new INT) WITHOUT ROWID"
        )
        self._known.execute("CREATE INDEX by_key ON grades (key)")
        self._known.execute("CREATE TABLE replaced (file TEXT, start INT, PRIMARY KEY (file, start)) WITHOUT ROWID")
        self._replaced = False
        self.reused = self.kept = self.gave_way = 0
        """Grades from before: that were not made again; that stay, since what was made now is less; and that gave way to another grader's, or
        to one for another level."""
        for where, line in self._lines.before():
            with suppress(ValueError, KeyError, TypeError):  # somebody else's line
                read = json.loads(line)
                self._keep(str(read["id"]), Made.of(read), where, new=False)

    @property
    def begun(self) -> bool:
        """Whether there are grades from before."""
        return self._known.execute("SELECT 1 FROM grades WHERE whole AND new = 0 LIMIT 1").fetchone() is not None

    def holds(self, name: str, key: bytes) -> bool:
        """Whether this answer has a grade of this key."""
        found = self._known.execute("SELECT key FROM grades WHERE id = ? AND whole", (name,)).fetchone()
        held = found is not None and found[0] == key
        self.reused += held
        return held

    def added(self, name: str) -> bool:
        """Whether an answer of this id was graded since this was opened."""
        return self._known.execute("SELECT 1 FROM grades WHERE id = ? AND new = 1", (name,)).fetchone() is not None

    def same(self, key: bytes) -> Line | None:
        """Returns a grade of this key, whichever answer's it is; None when there is none, or none was kept."""
        asked = "SELECT file, start, length FROM grades WHERE key = ? AND whole AND start IS NOT NULL LIMIT 1"
        found = self._known.execute(asked, (key,)).fetchone()
        return json.loads(self._lines.read(Place(*found))) if found else None

    def add(self, line: Line, *, transcript: str | None = None) -> None:
        """Writes a line, unless an earlier run made more of the same words.

        Args:
            transcript: the hash of what an error is about, when it is known.
        """
        name, made = str(line["id"]), Made.of(line)
        if self._had_more(name, made, made.transcript or transcript):
            self.kept += 1
            self._known.execute("UPDATE grades SET new = 1 WHERE id = ?", (name,))
            return
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        self._keep(name, made, self._lines.add(data, paid=bool(line.get("calls"))), new=True)

    def read_whole(self, source: str) -> None:
        """Drops what earlier runs said of lines of this source that could not be read: all of them were read again."""
        asked = "SELECT id, file, start FROM grades WHERE key IS NULL AND NOT new AND start IS NOT NULL"
        for name, *place in self._known.execute(asked).fetchall():
            if re.fullmatch(rf"{re.escape(source)}:\d+", name):
                self._drop((place[0], place[1]))
                self._known.execute("DELETE FROM grades WHERE id = ?", (name,))

    def close(self) -> None:
        """Leaves one line for each id, the newest, and whatever is no line of ours."""
        self._lines.close(self._stays if self._replaced else None)
        self._known.close()

    def _had_more(self, name: str, made: Made, transcript: str | None) -> bool:
        asked = "SELECT key, coverage FROM grades WHERE id = ? AND transcript = ? AND NOT new"
        found = self._known.execute(asked, (name, transcript)).fetchone()
        return found is not None and made.coverage < found[1] and (not made.coverage or found[0] == made.key)

    def _keep(self, name: str, made: Made, where: Place | None, *, new: bool) -> None:
        asked = "SELECT file, start, key, transcript, coverage FROM grades WHERE id = ?"
        before = self._known.execute(asked, (name,)).fetchone()
        if before and before[1] is not None:
            self._drop(before[:2])
            self.gave_way += bool(before[4] and before[3] == made.transcript and before[2] != made.key)
        place = (where.file, where.start, where.length) if where else (None, None, None)
        row = (name, made.key, made.transcript, made.coverage, made.whole, *place, new)
        self._known.execute("INSERT OR REPLACE INTO grades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _drop(self, place: tuple[str, int]) -> None:
        self._replaced = True
        self._known.execute("INSERT INTO replaced VALUES (?, ?)", place)

    def _stays(self, place: Place) -> bool:
        asked = "SELECT 1 FROM replaced WHERE file = ? AND start = ?"
        return self._known.execute(asked, (place.file, place.start)).fetchone() is None
