"""The only place that keeps what was read of the sessions: `HOME/cache/history.sqlite`, which can be deleted and comes back.

A session is read again when the size or the time of its log, of its grades folder or of a grade that was read has changed: of the newest,
and where that has no score of those before it, up to the one that is shown. When nothing has, nothing but the folders is looked at, and
neither pydantic nor the transcript is loaded by this module.
"""

from __future__ import annotations

import gc
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from zlib import crc32

from mockint import __version__
from mockint.clock import SystemClock
from mockint.errors import SessionError
from mockint.files import own
from mockint.study import Answered, Rating, Sitting

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mockint.events import Outcome
    from mockint.grades import Grade
    from mockint.rubric import Signal
    from mockint.store import Home
    from mockint.transcript import Transcript

    Watch = Callable[[int], AbstractContextManager[Callable[[], None]]]
    """Given how many sessions are to be read, shows how far that is."""

T = TypeVar("T")

LAYOUT = 3
"""Counts up with each change of the tables or of what is kept in them."""
BATCH = 200
"""Sessions that are read before they are written: a rebuild that is broken off goes on from there."""
BUSY_SECONDS = 30.0
"""How long another process that writes is waited for."""
SETTLED_NS = 100_000_000
"""A file changed more recently than this may change again within the same tick of the file system's clock: it is read once more."""

_LOG = "events.jsonl"
_HOME = "\0"
"""Stands for the sessions' folder in what is kept of an error, so that it is right after the home has moved."""
_NEVER = (-1, -1, -1, -1, -1)
_Stamp = tuple[int, int, int, int, int]
"""Size and time of the log, time of the grades folder, size and time of the grades that were read; times in ns, 0 where there is none."""
_TABLES = """
CREATE TABLE session (
    id TEXT PRIMARY KEY, log_size INT, log_time INT, grades_time INT, grade_size INT, grade_time INT, grade_files TEXT,
    graded INT, listed INT, sat INT, damaged INT
) WITHOUT ROWID;
CREATE TABLE content (id TEXT PRIMARY KEY, line BLOB, sitting BLOB, problem BLOB);
CREATE TABLE view (kind TEXT PRIMARY KEY, mark TEXT, round INT, text BLOB);
CREATE TABLE change (round INT);
INSERT INTO change VALUES (0);
"""
"""What is looked at each time is apart from what is large. `round` counts the changes: a view of another round is out of date."""
_UNUSABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_PERM,
}
"""The file may be sound and cannot be used now: it is left alone, and the sessions are read without it."""


class Row(TypedDict):
    """A session as it is listed."""

    session: str
    tracks: list[str]
    level: str
    grades: int
    outcome: Outcome | None
    questions: int
    answered: int
    signal: Signal | None
    score: float | None
    coverage: float | None


@dataclass(frozen=True)
class View:
    """A text made from all the sittings, kept until one of them changes."""

    kind: str
    mark: str
    """What else it depends on; a text that was made with another mark is made again."""
    make: Callable[[list[Sitting]], str]


@dataclass(frozen=True)
class Listing:
    rows: list[Row]
    """Oldest first; unfinished and ungraded sessions too."""
    more: int
    """How many older ones there are."""
    damaged: list[SessionError]
    view: str
    """The text that was asked for; empty when nothing is graded."""


def sittings(
    home: Home, *, damaged: Callable[[SessionError], None] | None = None, watch: Watch | None = None
) -> list[Sitting]:
    """Returns the graded interviews, each with the grade that is shown, in the order of time; `damaged` is told of those that cannot be read."""

    def work(database: sqlite3.Connection) -> tuple[list[Sitting], list[SessionError]]:
        return _all_sittings(database), _problems(database, home.sessions, graded=True)

    nothing: tuple[list[Sitting], list[SessionError]] = ([], [])
    found, problems = _done(home.path, work, watch, nothing)
    if damaged:
        for problem in problems:
            damaged(problem)
    return found


def listing(home: Path, *, last: int | None = None, view: View | None = None, watch: Watch | None = None) -> Listing:
    """Returns the newest sessions, all of them by default, as they are listed, and the view's text."""

    def work(database: sqlite3.Connection) -> Listing:
        (total,) = database.execute("SELECT count(*) FROM session WHERE listed").fetchone()
        lines = database.execute(
            "SELECT line FROM session LEFT JOIN content USING (id) WHERE listed ORDER BY id DESC LIMIT ?",
            [total if last is None else min(last, total)],
        ).fetchall()
        with _unpacking():
            rows: list[Row] = json.loads(b"[" + b",".join(line for (line,) in reversed(lines)) + b"]")
        text = _viewed(database, view) if view else ""
        return Listing(rows, total - len(rows), _problems(database, home / "sessions"), text)

    return _done(home, work, watch, Listing([], 0, [], ""))


# The database


def _done(home: Path, work: Callable[[sqlite3.Connection], T], watch: Watch | None, nothing: T) -> T:
    """Returns what the work makes of an index that is up to date: of the file, of a new file when it is damaged, else of one in memory."""
    found = _scan(home / "sessions")
    path = home / "cache" / "history.sqlite"
    if not found and not path.exists():
        return nothing
    for _ in range(2):
        try:
            with closing(_open(path)) as database:
                _refresh(database, home, found, watch)
                return work(database)
        except OSError:
            break
        except (
            sqlite3.Error,
            ValueError,
            TypeError,
        ) as exc:  # what JSON and the values raise for damage that SQLite does not see
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _UNUSABLE:
                break
            with suppress(OSError):
                for ending in ("", "-journal"):
                    path.with_name(path.name + ending).unlink(missing_ok=True)
    with closing(_prepared(sqlite3.connect(":memory:", isolation_level=None))) as database:
        _refresh(database, home, found, watch)
        return work(database)


def _open(path: Path) -> sqlite3.Connection:
    own(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        return _prepared(database)
    except BaseException:
        database.close()
        raise


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    """Makes the tables anew where they are of another version, or missing."""
    version = crc32(f"{LAYOUT} {__version__}".encode()) & 0x7FFFFFFF
    if _version(database) != version:
        with _writing(database):
            if _version(database) != version:  # another process may have been faster
                names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                for (name,) in names:
                    database.execute(f'DROP TABLE "{name}"')
                for statement in _TABLES.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {version}")
    return database


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _writing(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


@contextmanager
def _unpacking() -> Iterator[None]:
    """Makes one error of all that damage raises which SQLite does not see."""
    try:
        yield
    except (ValueError, TypeError, AttributeError) as exc:
        raise sqlite3.DatabaseError(f"what is kept of a session cannot be read: {exc}") from exc


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps the garbage collector from walking over values that all stay: a third of the time of 10,000 sittings."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _viewed(database: sqlite3.Connection, view: View) -> str:
    (now,) = database.execute("SELECT round FROM change").fetchone()
    kept = database.execute(
        "SELECT text FROM view WHERE kind = ? AND mark = ? AND round = ?", [view.kind, view.mark, now]
    ).fetchone()
    if kept:
        with _unpacking():
            return bytes(kept[0]).decode()
    found = _all_sittings(database)
    text = view.make(found) if found else ""
    database.execute("INSERT OR REPLACE INTO view VALUES (?, ?, ?, ?)", [view.kind, view.mark, now, text.encode()])
    return text


def _all_sittings(database: sqlite3.Connection) -> list[Sitting]:
    kept = database.execute("SELECT sitting FROM session LEFT JOIN content USING (id) WHERE sat").fetchall()
    with _unpacking(), _no_collection():
        return sorted((_sitting(json.loads(one)) for (one,) in kept), key=lambda sitting: (sitting.at, sitting.session))


def _problems(database: sqlite3.Connection, sessions: Path, *, graded: bool = False) -> list[SessionError]:
    kept = database.execute(
        "SELECT problem FROM session LEFT JOIN content USING (id) WHERE damaged AND graded >= ? ORDER BY id", [graded]
    ).fetchall()
    with _unpacking():
        told = [json.loads(one) for (one,) in kept]
        return [SessionError(what.replace(_HOME, str(sessions)), hint=hint) for what, hint in told]


# What has changed


def _scan(sessions: Path) -> dict[str, tuple[int, int, int]]:
    """Returns of each session the size and the time of its log, and the time of its grades folder.

    A folder whose name cannot be printed is none that mockint made, and neither a terminal nor the index could hold it.
    """
    found = {}
    try:
        names = os.listdir(sessions)  # noqa: PTH208 (a path object for each of 10,000 names costs more than the rest)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    top = f"{sessions}/"
    for name in filter(str.isprintable, names):
        try:
            log = os.stat(f"{top}{name}/{_LOG}")  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # reading it will say why
            found[name] = (0, 0, 0)
            continue
        try:
            grades = os.stat(f"{top}{name}/grades").st_mtime_ns  # noqa: PTH116
        except OSError:
            grades = 0
        found[name] = (log.st_size, log.st_mtime_ns, grades)
    return found


def _refresh(
    database: sqlite3.Connection, home: Path, found: Mapping[str, tuple[int, int, int]], watch: Watch | None
) -> None:
    """Brings the index up to what the folders hold."""
    kept = database.execute(
        "SELECT id, log_size, log_time, grades_time, grade_size, grade_time, grade_files FROM session"
    ).fetchall()
    known = {row[0] for row in kept}
    sessions = home / "sessions"
    changed = [name for name in found if name not in known]
    for name, log_size, log_time, grades_time, grade_size, grade_time, files in kept:
        if name in found and (
            found[name] != (log_size, log_time, grades_time)
            or (files and _size_and_time_of(f"{sessions}/{name}/grades/", files) != (grade_size, grade_time))
        ):
            changed.append(name)
    if gone := known - found.keys():
        with _writing(database):
            for table in ("session", "content"):
                database.executemany(f"DELETE FROM {table} WHERE id = ?", [[name] for name in gone])  # noqa: S608 (names of ours)
            database.execute("UPDATE change SET round = round + 1")
    if not changed:
        return
    changed.sort()
    with watch(len(changed)) if watch else nullcontext(lambda: None) as step:
        for start in range(0, len(changed), BATCH):
            read = []
            for name in changed[start : start + BATCH]:
                with suppress(FileNotFoundError):  # it was taken away meanwhile
                    read.append(_read(home, name))
                step()
            with _writing(database):
                for entry in read:
                    _keep(database, entry)


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _size_and_time_of(folder: str, names: str) -> tuple[int, int]:
    """Returns the size of files together and the latest of their times; their names come as `_Entry.grade_files` has them."""
    if "/" not in names:
        return _size_and_time(folder + names)
    each = [_size_and_time(folder + name) for name in names.split("/")]
    return sum(size for size, _ in each), max(time for _, time in each)


def _keep(database: sqlite3.Connection, entry: _Entry) -> None:
    content = (entry.line, entry.sitting, entry.problem)
    before = database.execute("SELECT line, sitting, problem FROM content WHERE id = ?", [entry.name]).fetchone()
    if before != content:
        database.execute("INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)", [entry.name, *content])
        database.execute("UPDATE change SET round = round + 1")
    marks = [entry.graded, *(part is not None for part in content)]
    database.execute(
        "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [entry.name, *entry.stamp, entry.grade_files, *marks],
    )


# Reading a session


@dataclass(frozen=True)
class _Entry:
    """What is kept of a session; what is None could not be read, or is not there."""

    name: str
    stamp: _Stamp
    grade_files: str
    """The names of the grades' files that were read, with "/" between them; empty without one."""
    graded: bool
    line: bytes | None
    sitting: bytes | None
    problem: bytes | None


def _read(home: Path, name: str) -> _Entry:
    from mockint.store import Home, read_log  # 90 ms, with pydantic
    from mockint.transcript import fold

    store = Home(home)
    log_path = store.log(name)
    # The stamp is taken before the files are read: what is written meanwhile makes another one.
    stamp = (*_size_and_time(str(log_path)), _size_and_time(str(log_path.parent / "grades"))[1])
    files = store.grade_files(name)
    of_each = [(file.name, *_size_and_time(str(file))) for file in files]
    now = SystemClock().now().timestamp() * 1e9
    line, sitting, problem, lost = None, None, None, False
    first = len(files) - 1
    try:
        transcript = fold(read_log(log_path).events)
        kept = store.kept(name) if files else None
        if kept and kept.path in files:
            first = 0 if kept.grade.score is None else files.index(kept.path)
        grade = kept.grade if kept else None
        line = _bytes(_row(name, transcript, grade, len(files)))
        sitting = _bytes(astuple(_sat(name, transcript, grade))) if grade else None
    except SessionError as exc:
        problem = _bytes([exc.what.replace(str(store.sessions), _HOME), exc.hint])
        lost = isinstance(exc.__cause__, OSError)  # rights or a drive that come back change neither size nor time
    seen = of_each[first:] if files else []
    whole = (*stamp, sum(size for _, size, _ in seen), max((time for *_, time in seen), default=0))
    settled = not lost and now - max(whole[1], whole[2], whole[4]) > SETTLED_NS
    names = "/".join(file for file, *_ in seen)
    return _Entry(name, whole if settled else _NEVER, names, bool(files), line, sitting, problem)


def _row(name: str, transcript: Transcript, grade: Grade | None, grades: int) -> Row:
    return {
        "session": name,
        "tracks": sorted({part.question.track for part in transcript.parts}),
        "level": grade.target_level if grade else transcript.started.level,
        "grades": grades,
        "outcome": transcript.outcome,
        "questions": len(transcript.parts),
        "answered": sum(part.answered for part in transcript.parts),
        "signal": grade.signal if grade else None,
        "score": grade.score if grade else None,
        "coverage": grade.coverage if grade else None,
    }


def _sat(name: str, transcript: Transcript, grade: Grade) -> Sitting:
    """Raises SessionError when the grade is not of this session's questions."""
    from mockint.grades import most_help  # 90 ms, with pydantic

    parts = {part.question.id: part for part in transcript.parts}
    answers = []
    for one in grade.answers:
        part = parts.get(one.question)
        if part is None or any(verdict.criterion not in part.rubric.by_id for verdict in one.verdicts):
            raise SessionError(
                f"The grade of {name!r} that is shown speaks of {one.question!r} otherwise than its log.",
                hint=f"Grade it again with: mockint grade {name}",
            )
        expected = part.rubric.expected(grade.target_level)
        ratings = []
        for verdict in one.verdicts:
            criterion = part.rubric.by_id[verdict.criterion]
            prompted = most_help(verdict.evidence)
            ratings.append(
                Rating(criterion.id, criterion.weight, verdict.level, verdict.points, prompted, criterion in expected)
            )
        answers.append(
            Answered(
                one.question,
                part.question.track,
                part.rubric.competency,
                one.state,
                one.score,
                one.coverage,
                part.seconds,
                part.budget_seconds,
                part.rating,
                tuple(ratings),
            )
        )
    at = transcript.started.at
    return Sitting(
        name,
        at.astimezone(UTC)
        if at.tzinfo
        else at.replace(tzinfo=UTC),  # a log from elsewhere may have another zone, or none
        grade.target_level,
        grade.signal,
        grade.score,
        grade.coverage,
        grade.stamp.model,
        tuple(answers),
    )


def _sitting(kept: Sequence[Any]) -> Sitting:
    """Returns the sitting again that `astuple` took apart."""
    session, at, level, signal, score, coverage, grader, answers = kept
    return Sitting(
        session, datetime.fromisoformat(at), level, signal, score, coverage, grader, tuple(map(_answered, answers))
    )


def _answered(kept: Sequence[Any]) -> Answered:
    question, track, competency, state, score, coverage, took, budget, rated, ratings = kept
    return Answered(
        question,
        track,
        competency,
        state,
        score,
        coverage,
        took,
        budget,
        rated,
        tuple(Rating(*rating) for rating in ratings),
    )


def _bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_text).encode()


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value))
