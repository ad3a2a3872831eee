"""The only writer of session files.

`HOME/sessions/ID/events.jsonl` is appended to and never changed; a grade is added beside it and never overwritten. A line is
on the disk before `append` returns.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock
from pydantic import ValidationError

from mockint.content import near
from mockint.errors import SessionError
from mockint.events import EVENT, Event, SessionFinished, SessionStarted
from mockint.files import append, own, write_whole
from mockint.grades import Grade

LOG = "events.jsonl"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class Read:
    """A log as it was found."""

    events: tuple[Event, ...]
    torn: int = 0
    """Bytes of a last line that was never finished: the write that a crash cut off."""


def read_log(path: Path) -> Read:
    """Returns the events of a log; a torn last line is left out and counted.

    Raises:
        SessionError: damage anywhere else, or a gap in `seq`, with file and line.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise SessionError(f"{path} cannot be read: {exc.strerror}.", hint="See: mockint history") from exc
    whole, _, torn = data.rpartition(b"\n")
    events: list[Event] = []
    known: set[str] = set()
    for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
        try:
            event = EVENT.validate_json(line)
        except ValidationError as exc:
            raise _damaged(path, number, _told(exc)) from exc
        if event.seq != number:
            raise _damaged(path, number, f"seq is {event.seq}, and {number} was expected")
        if isinstance(event, SessionStarted) != (number == 1):
            raise _damaged(path, number, "session_started is the first event, and only that")
        if isinstance(event, SessionStarted):
            known = {plan.question.id for plan in event.plan}
        elif (named := getattr(event, "question", None)) is not None and named not in known:
            raise _damaged(path, number, f"it speaks of {named!r}, which is no question of this session")
        events.append(event)
    if not events:
        raise _damaged(path, 1, "there is no event in it")
    return Read(tuple(events), len(torn))


class Log:
    """A session's log, open for appending and locked against any other process.

    Args:
        path: the log. A new one appears with its first event, whole: a session begins, or it does not.

    Raises:
        SessionError: it is damaged, or open elsewhere.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        own(path.parent)
        self._lock = filelock.FileLock(path.parent / "lock", mode=0o600)
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout as exc:
            raise SessionError(
                f"The session {path.parent.name!r} is open in another mockint.", hint="Go on there, or close it first."
            ) from exc
        try:
            found = read_log(path) if path.exists() and path.stat().st_size else Read(())
            self.torn = found.torn
            self._events = list(found.events)
            self._file = self._open() if found.events else None
            if self._file is not None and found.torn:
                os.ftruncate(self._file, path.stat().st_size - found.torn)
        except BaseException:
            self._lock.release()
            raise

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(self._events)

    def append(self, event: Event) -> None:
        """Writes the event through to the disk. Its `seq` must be the next."""
        if event.seq != len(self._events) + 1:
            raise ValueError(f"seq {event.seq} after {len(self._events)} events")
        line = event.model_dump_json() + "\n"
        if self._file is None:
            write(self.path, line)
            self._file = self._open()
        else:
            self._append(line.encode())
        self._events.append(event)

    def _append(self, data: bytes) -> None:
        """Writes all of it, or takes back what was written and raises SessionError."""
        assert self._file is not None
        try:
            append(self._file, data)
        except OSError as exc:
            raise SessionError(
                f"{self.path} cannot be written: {exc.strerror}.",
                hint="Make room on the disk; what came before is safe.",
            ) from exc

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
        self._lock.release()


@dataclass(frozen=True)
class Kept:
    """A grade and where it lies."""

    path: Path
    grade: Grade

    @property
    def number(self) -> int:
        return int(self.path.stem)


@dataclass(frozen=True)
class Home:
    """Where sessions live."""

    path: Path

    @property
    def sessions(self) -> Path:
        return self.path / "sessions"

    def new_id(self, now: datetime, about: str) -> str:
        """Returns an id that sorts by time and can be typed, and that no session has."""
        while True:
            tail = "".join(random.SystemRandom().choices(_LETTERS, k=4))
            name = f"{now:%Y%m%d-%H%M%S}-{about}-{tail}"
            if not (self.sessions / name).exists():
                return name

    def ids(self) -> list[str]:
        """Returns the ids of all sessions, oldest first."""
        return sorted(path.parent.name for path in self.sessions.glob(f"*/{LOG}"))

    def resolve(self, name: str) -> str:
        """Returns the id that `name` (an id, its unique beginning, or "last") means.

        Raises:
            SessionError: none, or more than one.
        """
        known = self.ids()
        if not known:
            raise SessionError(f"There is no session in {self.path}.", hint="Begin one with: mockint start")
        if name == "last":
            return known[-1]
        if name in known:
            return name
        match [found for found in known if found.startswith(name)]:
            case [one]:
                return one
            case []:
                raise SessionError(
                    f"There is no session {name!r}{near(name, known, most=3)}", hint="See: mockint history"
                )
            case several:
                raise SessionError(
                    f"{name!r} begins {len(several)} sessions.", hint=f"They are {', '.join(several[:5])}."
                )

    def unfinished(self) -> str:
        """Returns the newest session that can be gone on with: no damaged one. Raises SessionError when there is none."""
        for name in reversed(self.ids()):
            with suppress(SessionError):
                if not any(isinstance(event, SessionFinished) for event in read_log(self.log(name)).events):
                    return name
        raise SessionError("No session is unfinished.", hint="Begin one with: mockint start")

    def log(self, name: str) -> Path:
        return self.sessions / name / LOG

    def report(self, name: str) -> Path:
        return self.sessions / name / "report.md"

    def grade_files(self, name: str) -> list[Path]:
        files = (self.sessions / name / "grades").glob("[0-9]*.json")
        return sorted(file for file in files if file.stem.isdigit())

    def grade(self, name: str, number: int | None = None) -> Grade:
        """As `kept`, without its place."""
        return self.kept(name, number).grade

    def kept(self, name: str, number: int | None = None) -> Kept:
        """Returns one grade of a session, by default the one that is shown: the newest that has a score; the newest when none has.

        Raises:
            SessionError: there is none, or it is damaged. An earlier one that is damaged is passed over.
        """
        files = self.grade_files(name)
        if not files:
            raise SessionError(f"The session {name!r} is not graded.", hint=f"Grade it with: mockint grade {name}")
        path = files[-1] if number is None else files[0].with_name(f"{number:04}.json")
        if path not in files:
            has = ", ".join(str(int(file.stem)) for file in files)
            raise SessionError(f"The session {name!r} has no grade {number}.", hint=f"It has {has}.")
        asked = Kept(path, read_grade(path))
        if number is not None or asked.grade.score is not None:
            return asked
        for earlier in reversed(files[:-1]):
            with suppress(SessionError):
                if (grade := read_grade(earlier)).score is not None:
                    return Kept(earlier, grade)
        return asked

    def add_grade(self, name: str, grade: Grade) -> Path:
        """Writes a grade beside those that are there and returns its path."""
        folder = own(self.sessions / name / "grades")
        while True:
            number = max((int(file.stem) for file in self.grade_files(name)), default=0) + 1
            path = folder / f"{number:04}.json"
            try:
                write(path, grade.model_dump_json(indent=1) + "\n", exclusive=True)
            except SessionError as exc:
                if isinstance(exc.__cause__, FileExistsError):  # another grading took the number
                    continue
                raise
            return path

    def write_report(self, name: str, text: str, *, of: Path | None = None) -> Path | None:
        """Writes the report of a grade, and returns its path; None when another grade is the one that is shown.

        Args:
            of: the grade's file, the newest by default.
        """
        files = self.grade_files(name)
        if files and self.kept(name).path != (of or files[-1]):
            return None
        write(self.report(name), text)
        return self.report(name)


def read_grade(path: Path) -> Grade:
    """Raises SessionError, with the file, when it is not a grade."""
    try:
        return Grade.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise SessionError(f"{path} cannot be read: {exc.strerror}.", hint="See: mockint history") from exc
    except ValidationError as exc:
        raise SessionError(
            f"{path} is damaged: {_told(exc)}", hint="Grade the session again; the old file stays."
        ) from exc


def write(path: Path, text: str | Iterable[str], *, exclusive: bool = False) -> None:
    """Writes a whole file, or nothing of it; a text that is large may come in pieces.

    Raises:
        SessionError: it cannot be written.
    """
    try:
        write_whole(
            path, (piece.encode() for piece in ([text] if isinstance(text, str) else text)), exclusive=exclusive
        )
    except OSError as exc:
        raise SessionError(f"{path} cannot be written: {exc.strerror}.", hint="Check the folder and the disk.") from exc


def _damaged(path: Path, line: int, message: str) -> SessionError:
    return SessionError(f"{path}:{line}: damaged: {message}.", hint="Restore the file from a copy; it was not changed.")


def _told(exc: ValidationError) -> str:
    first = exc.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".lstrip(": ")
