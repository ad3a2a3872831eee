"""The index of what was sat: what it holds is what the folders hold, whatever becomes of its file."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC
from pathlib import Path

import pytest

import mockint.store
import mockint.study.index
from mockint.errors import SessionError
from mockint.events import SelfRated, SessionFinished
from mockint.grades import AnswerGrade, Evidence, Grade, Scored, Stamp, Unscored
from mockint.llm import Usage
from mockint.report import sections
from mockint.store import Home, Log, Read, read_log
from mockint.study import Sitting
from mockint.study.index import View, listing, sittings
from mockint.study.trends import prompting
from mockint.transcript import fold
from tests.builders import AT, session
from tests.conftest import Run

OLD = 1_700_000_000
FIRST, SECOND = "20261124-181200-rag-aaaa", "20261124-181300-rag-bbbb"


def hold(home: Path, name: str, *, rating: int | None = None, finished: bool = True, score: float | None = 0.5) -> None:
    """Writes a session of one question, graded unless `score` is None, as one that ended long ago."""
    events = session(("question", "How?"), ("answer", "It boils.", 40.0), session=name)
    more = {"at": AT, "t": 40.0}
    if rating:
        events.append(SelfRated(seq=len(events) + 1, question="kettle", rating=rating, **more))
    if finished:
        events.append(SessionFinished(seq=len(events) + 1, outcome="completed", **more))
    with Log(Home(home).log(name)) as log:
        for event in events:
            log.append(event)
    if score is not None:
        add_grade(home, name, score)
    settle(home, name)


def add_grade(home: Path, name: str, score: float | None, model: str = "offline") -> None:
    """Adds a grade; without a score nothing of it is scored."""
    heard = (Evidence(turn=2, quote="It boils."), Evidence(turn=2, quote="boils", prompted="probe"))
    verdicts = (
        Scored(criterion="boiling", level="partial", points=score or 0, evidence=heard, reason="Said."),
        Scored(criterion="pouring", level="missed", points=0, evidence=(), reason="Not said."),
        Unscored(criterion="holding", why="No quote."),
    )
    if score is None:
        verdicts = tuple(Unscored(criterion=verdict.criterion, why="The judge failed.") for verdict in verdicts)  # type: ignore[assignment]
    answer = AnswerGrade(question="kettle", state="graded", score=score, coverage=0.75, verdicts=verdicts)
    stamp = Stamp(transcript="t", rubric="r", prompt="p", grader="offline", model=model, app="0", at=AT)
    grade = Grade(
        id=name,
        stamp=stamp,
        target_level="mid",
        signal="no hire",
        score=score,
        coverage=0.75,
        answers=(answer,),
        usage=Usage(),
    )
    Home(home).add_grade(name, grade)


def settle(home: Path, name: str) -> None:
    """Gives all files of a session a time that is long past."""
    folder = home / "sessions" / name
    for path in (folder / "events.jsonl", *folder.glob("grades/*"), *folder.glob("grades")):
        os.utime(path, (OLD, OLD))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    hold(tmp_path / "home", FIRST, rating=4)
    hold(tmp_path / "home", SECOND)
    return tmp_path / "home"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lists the sessions whose files are read."""
    names: list[str] = []
    reads = mockint.study.index._read

    def noted(home: Path, name: str) -> object:
        names.append(name)
        return reads(home, name)

    monkeypatch.setattr(mockint.study.index, "_read", noted)
    return names


def file(home: Path) -> Path:
    return home / "cache" / "history.sqlite"


def scores(home: Path) -> dict[str, float | None]:
    return {sitting.session: sitting.score for sitting in sittings(Home(home))}


def test_sitting_holds_what_log_and_newest_grade_say(home: Path) -> None:
    add_grade(home, FIRST, 0.9, model="lab/m")
    first = sittings(Home(home))[0]
    assert (first.session, first.at, first.level, first.score, first.grader) == (FIRST, AT, "mid", 0.9, "lab/m")
    (answer,) = first.answers
    assert (answer.question, answer.track, answer.competency, answer.state) == ("kettle", "rag", "Kettles", "graded")
    assert (answer.took_seconds, answer.budget_seconds, answer.self_rating) == (40.0, 300.0, 4)
    boiling, pouring, holding = answer.ratings
    assert (boiling.points, boiling.level, boiling.prompted, boiling.weight) == (0.9, "partial", "probe", 2)
    assert (pouring.points, pouring.prompted, pouring.expected) == (0, None, True)
    assert (holding.points, holding.level) == (None, None)


def test_sittings_are_the_same_from_the_index_as_when_it_was_made(home: Path, read: list[str]) -> None:
    made = sittings(Home(home))
    read.clear()
    assert sittings(Home(home)) == made
    assert read == []


def test_sittings_come_in_the_order_of_time_whatever_their_ids_are(home: Path) -> None:
    log = home / "sessions" / SECOND / "events.jsonl"
    log.write_text(log.read_text().replace("2026-11-24T18:12", "2026-11-23T18:12", 1))
    assert list(scores(home)) == [SECOND, FIRST]
    assert [row["session"] for row in listing(home).rows] == [FIRST, SECOND], "the list goes by ids"


@pytest.mark.parametrize(("zone", "hour"), [("+05:00", 13), ("", 18)], ids=["another zone", "no zone"])
def test_sitting_of_a_log_from_elsewhere_is_in_utc(run: Run, home: Path, zone: str, hour: int) -> None:
    log = home / "sessions" / SECOND / "events.jsonl"
    log.write_text(log.read_text().replace("18:12:00Z", f"18:12:00{zone}"))
    assert run("history").code == 0
    by_name = {sitting.session: sitting.at for sitting in sittings(Home(home))}
    assert by_name[SECOND] == AT.replace(hour=hour)
    assert by_name[SECOND].tzinfo is UTC


def test_folder_whose_name_cannot_be_printed_is_no_session(home: Path) -> None:
    for name in (b"20261124-181400-rag-\xff", b"20261124-181400-rag-\x1b[31m"):
        shutil.copytree(home / "sessions" / FIRST, home / "sessions" / os.fsdecode(name))
    assert list(scores(home)) == [FIRST, SECOND]


def test_list_has_unfinished_ungraded_and_damaged_sessions(home: Path) -> None:
    hold(home, "20261124-181400-rag-cccc", score=None)
    hold(home, "20261124-181500-rag-dddd", score=None, finished=False)
    broken = home / "sessions" / "20200101-000000-rag-zzzz" / "events.jsonl"
    broken.parent.mkdir()
    broken.write_text("garbage\n")
    for _ in range(2):
        found = listing(home)
        assert [(row["outcome"], row["score"], row["grades"]) for row in found.rows] == [
            ("completed", 0.5, 1),
            ("completed", 0.5, 1),
            ("completed", None, 0),
            (None, None, 0),
        ]
        (problem,) = found.damaged
        assert f"{broken}:1" in problem.what


def test_damage_of_a_session_is_told_with_its_place_after_the_home_has_moved(home: Path, tmp_path: Path) -> None:
    (home / "sessions" / FIRST / "events.jsonl").write_text("garbage\n")
    listing(home)
    moved = tmp_path / "moved"
    home.rename(moved)
    told: list[SessionError] = []
    assert list(scores(moved)) == [SECOND]
    sittings(Home(moved), damaged=told.append)
    assert [str(moved / "sessions" / FIRST) in one.what for one in told] == [True]


@pytest.mark.parametrize("last", [1, 2, 5, 10**30])
def test_newest_are_listed_and_the_rest_counted(home: Path, last: int) -> None:
    found = listing(home, last=last)
    assert [row["session"] for row in found.rows] == [FIRST, SECOND][-last:]
    assert found.more == max(0, 2 - last)


def test_empty_home_is_left_alone(tmp_path: Path) -> None:
    assert listing(tmp_path / "none").rows == []
    assert sittings(Home(tmp_path / "none")) == []
    assert not (tmp_path / "none").exists()


# What is read again


def _regrade(home: Path) -> None:
    add_grade(home, SECOND, 0.9)


def _edit_grade(home: Path) -> None:
    grade = home / "sessions" / SECOND / "grades" / "0001.json"
    text = grade.read_text().replace('"score": 0.5', '"score": 0.9')
    grade.write_text(text)
    os.utime(grade.parent, (OLD, OLD))


def _remove_newest(home: Path) -> None:
    grades = home / "sessions" / SECOND / "grades"
    (grades / "0001.json").rename(grades / "0000.json")
    (grades / "0000.json").write_text((grades / "0000.json").read_text().replace('"score": 0.5', '"score": 0.9'))


@pytest.mark.parametrize("change", [_regrade, _edit_grade, _remove_newest])
def test_changed_grade_is_read_again_and_nothing_else(
    home: Path, read: list[str], change: Callable[[Path], None]
) -> None:
    listing(home)
    read.clear()
    change(home)
    assert scores(home) == {FIRST: 0.5, SECOND: 0.9}
    assert read == [SECOND]


def test_newest_grade_with_a_score_is_the_one_that_counts(home: Path, read: list[str]) -> None:
    add_grade(home, SECOND, None)
    add_grade(home, SECOND, None)
    settle(home, SECOND)
    assert scores(home) == {FIRST: 0.5, SECOND: 0.5}
    row = listing(home).rows[1]
    assert (row["score"], row["signal"], row["grades"]) == (0.5, "no hire", 3)
    read.clear()
    assert scores(home) == {FIRST: 0.5, SECOND: 0.5}
    assert read == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_grade_that_was_read_is_read_again_when_it_changes(home: Path, read: list[str], number: int) -> None:
    add_grade(home, SECOND, None)
    add_grade(home, SECOND, None)
    settle(home, SECOND)
    listing(home)
    read.clear()
    grade = home / "sessions" / SECOND / "grades" / f"{number:04}.json"
    old = '"score": 0.5' if number == 1 else '"score": null'
    grade.write_text(grade.read_text().replace(old, '"score": 0.9', 1))
    os.utime(grade.parent, (OLD, OLD))
    assert scores(home) == {FIRST: 0.5, SECOND: 0.9}
    assert read == [SECOND]


def test_of_grades_with_a_score_only_the_newest_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_grade(home, SECOND, 0.9)
    files: list[str] = []
    reads = mockint.store.read_grade

    def noted(path: Path) -> Grade:
        files.append(path.name)
        return reads(path)

    monkeypatch.setattr(mockint.store, "read_grade", noted)
    assert scores(home) == {FIRST: 0.5, SECOND: 0.9}
    assert files == ["0001.json", "0002.json"]


def test_report_and_trends_count_the_same_as_earned(home: Path) -> None:
    grade = Home(home).grade(SECOND)
    said, unsaid, lost = grade.answers[0].verdicts
    quoted = unsaid.model_copy(update={"evidence": said.evidence[:1]})
    unquoted = Scored(criterion=lost.criterion, level="met", points=1, evidence=(), reason="Said.")
    answer = grade.answers[0].model_copy(update={"verdicts": (said, quoted, unquoted)})
    Home(home).add_grade(SECOND, grade.model_copy(update={"answers": (answer,)}))
    found = prompting(sittings(Home(home)))
    counts = {"unprompted": 0, "probe": 0, "hint": 0}
    for name in (FIRST, SECOND):
        transcript, grade = fold(read_log(Home(home).log(name)).events), Home(home).grade(name)
        for line in (line for section in sections(transcript, grade) for line in section.lines if line.earned):
            counts[line.prompted or ""] += 1
    assert (found.unprompted, found.probe, found.hint) == tuple(counts.values()) == (0, 2, 0)


def test_log_that_grew_is_read_again(home: Path, read: list[str]) -> None:
    hold(home, "20261124-181500-rag-dddd", score=None, finished=False)
    assert listing(home).rows[-1]["outcome"] is None
    read.clear()
    with Log(Home(home).log("20261124-181500-rag-dddd")) as log:
        log.append(SessionFinished(seq=len(log.events) + 1, at=AT, t=50, outcome="quit"))
    assert listing(home).rows[-1]["outcome"] == "quit"
    assert read == ["20261124-181500-rag-dddd"]


def test_what_was_just_written_is_read_once_more_since_a_clock_tick_may_hide_a_change(
    home: Path, read: list[str]
) -> None:
    listing(home)
    folder = home / "sessions" / SECOND
    log = folder / "events.jsonl"
    os.utime(log)
    listing(home)
    at = log.stat().st_mtime_ns
    log.write_text(log.read_text().replace('"completed"', '"gameover!"'))  # of the same size
    os.utime(log, ns=(at, at))
    read.clear()
    assert len(listing(home).damaged) == 1
    assert read == [SECOND]


def test_removed_session_vanishes(home: Path, read: list[str]) -> None:
    listing(home)
    read.clear()
    shutil.rmtree(home / "sessions" / FIRST)
    assert list(scores(home)) == [SECOND]
    assert [row["session"] for row in listing(home).rows] == [SECOND]
    shutil.rmtree(home / "sessions")
    assert listing(home).rows == []
    assert read == []


def test_session_that_is_taken_away_while_it_is_read_is_left_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Home.grade_files

    def gone(self: Home, name: str) -> list[Path]:
        if name == FIRST:
            shutil.rmtree(self.sessions / name)
            raise FileNotFoundError(name)
        return look(self, name)

    monkeypatch.setattr(Home, "grade_files", gone)
    assert list(scores(home)) == [SECOND]
    assert [row["session"] for row in listing(home).rows] == [SECOND]


def test_session_that_cannot_be_looked_at_is_told(home: Path) -> None:
    loop = home / "sessions" / "20261124-181400-rag-cccc"
    loop.symlink_to(loop.name)
    for _ in range(2):
        (problem,) = listing(home).damaged
        assert f"{loop / 'events.jsonl'} cannot be read" in problem.what


def test_file_that_could_not_be_read_is_tried_again_though_it_has_not_changed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = mockint.store.read_log

    def refused(path: Path) -> Read:
        if FIRST in str(path):
            raise SessionError(f"{path} cannot be read.", hint="") from PermissionError(13, "Permission denied")
        return read(path)

    with monkeypatch.context() as rights:
        rights.setattr(mockint.store, "read_log", refused)
        assert len(listing(home).damaged) == 1
        assert len(listing(home).damaged) == 1
    assert [row["session"] for row in listing(home).rows] == [FIRST, SECOND]
    assert listing(home).damaged == []


def test_grade_of_other_questions_is_told_and_the_session_still_listed(home: Path) -> None:
    grade = home / "sessions" / FIRST / "grades" / "0001.json"
    grade.write_text(grade.read_text().replace("pouring", "flying"))
    found = listing(home)
    assert [row["session"] for row in found.rows] == [FIRST, SECOND]
    assert FIRST in found.damaged[0].what
    assert list(scores(home)) == [SECOND]


# A view is kept


def view(made: list[int], mark: str = "m") -> View:
    def make(found: list[Sitting]) -> str:
        made.append(len(found))
        return f"{len(found)} sat"

    return View("text", mark, make)


def test_view_is_made_once_and_again_when_a_sitting_or_its_mark_changes(home: Path) -> None:
    made: list[int] = []
    assert [listing(home, view=view(made)).view for _ in range(3)] == ["2 sat"] * 3
    assert made == [2]
    listing(home, view=view(made, mark="another"))
    assert made == [2, 2]
    _regrade(home)
    listing(home, view=view(made, mark="another"))
    assert made == [2, 2, 2]
    shutil.rmtree(home / "sessions" / FIRST)
    assert listing(home, view=view(made, mark="another")).view == "1 sat"


def test_view_stays_when_a_session_is_read_again_and_is_the_same(home: Path) -> None:
    made: list[int] = []
    listing(home, view=view(made))
    os.utime(home / "sessions" / FIRST / "events.jsonl", (OLD + 5, OLD + 5))
    listing(home, view=view(made))
    assert made == [2]


# What can become of the file


def _gone(path: Path) -> None:
    path.unlink()


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 400)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def _pages(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def _statement(*statements: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            for statement in statements:
                database.execute(statement)

    return run


DAMAGE = [
    pytest.param(_gone, id="gone"),
    pytest.param(_garbage, id="garbage"),
    pytest.param(_empty, id="empty"),
    pytest.param(_cut, id="cut off"),
    pytest.param(_pages, id="damaged pages"),
    pytest.param(_statement("UPDATE content SET sitting = X'00FF', line = 'x'"), id="damaged values"),
    pytest.param(_statement("UPDATE content SET sitting = '[1, 2]'"), id="values of another shape"),
    pytest.param(_statement("UPDATE session SET id = CAST(X'FF' AS TEXT) WHERE id LIKE '%a'"), id="name not UTF-8"),
    pytest.param(_statement("DROP TABLE session"), id="table gone"),
    pytest.param(_statement("DELETE FROM content"), id="content gone"),
    pytest.param(_statement("PRAGMA user_version = 7", "UPDATE content SET sitting = NULL"), id="another version"),
    pytest.param(_statement("DROP TABLE view", "PRAGMA user_version = 0"), id="no version"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_made_anew(home: Path, read: list[str], damage: Callable[[Path], None]) -> None:
    before = (listing(home), sittings(Home(home)))
    damage(file(home))
    assert sittings(Home(home)) == before[1]
    assert listing(home, view=view([])).view == "2 sat"
    assert listing(home).rows == before[0].rows
    read.clear()
    assert sittings(Home(home)) == before[1]
    assert read == [], "the new file is sound"


def test_where_the_file_cannot_be_kept_the_sessions_are_read_without_it(home: Path) -> None:
    (home / "cache").write_text("a file where the folder should be")
    assert list(scores(home)) == [FIRST, SECOND]
    assert (home / "cache").read_text() == "a file where the folder should be"


def test_while_another_process_keeps_it_locked_the_sessions_are_read_without_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing(home)
    _regrade(home)
    monkeypatch.setattr(mockint.study.index, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(file(home), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert scores(home) == {FIRST: 0.5, SECOND: 0.9}
        other.execute("ROLLBACK")
    assert file(home).exists(), "it was not damaged"


def test_two_processes_that_refresh_at_once_both_succeed(home: Path) -> None:
    for number in range(40):
        shutil.copytree(home / "sessions" / FIRST, home / "sessions" / f"20261101-00{number:04}-rag-{number:04}")
    words = [sys.executable, "-m", "mockint", "history", "--json", "--home", str(home)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    told = [one.communicate() for one in running]
    assert [one.returncode for one in running] == [0, 0]
    assert [err for _, err in told] == [b"", b""]
    assert [len(json.loads(out)) for out, _ in told] == [42, 42]
    assert len(scores(home)) == 42


def test_two_processes_that_find_the_file_damaged_both_succeed(home: Path) -> None:
    listing(home)
    _garbage(file(home))
    words = [sys.executable, "-m", "mockint", "history", "--json", "--home", str(home)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    told = [one.communicate() for one in running]
    assert [(one.returncode, err) for one, (_, err) in zip(running, told, strict=True)] == [(0, b"")] * 3
    assert {len(json.loads(out)) for out, _ in told} == {2}


def test_file_is_for_its_owner_alone(home: Path) -> None:
    listing(home)
    assert file(home).stat().st_mode & 0o077 == 0


def test_watch_is_told_how_many_are_read_and_of_each(home: Path) -> None:
    told: list[int] = []

    @contextmanager
    def watch(count: int) -> Iterator[Callable[[], None]]:
        told.append(count)
        yield lambda: told.append(1)

    listing(home, watch=watch)
    assert told == [2, 1, 1]
    listing(home, watch=watch)
    assert told == [2, 1, 1], "nothing is read the second time"


# The command


def test_history_tells_the_newest_how_many_more_and_the_trends(run: Run, home: Path) -> None:
    done = run("history", "--last", "1")
    assert done.code == 0
    assert (SECOND in done.out, FIRST in done.out) == (True, False)
    assert "1 earlier session; list them all with: mockint history --last 2" in done.err
    assert "kettle/pouring" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert run("history", "--last", "1").out == done.out
    assert run("history", "--trends").out.strip() in done.out


def test_columns_stand_under_one_another_whatever_the_ids_are(run: Run, home: Path) -> None:
    hold(home, "20261124-181400-bigtech-fundamentals-cccc", finished=False)
    with Log(Home(home).log("20261124-181400-bigtech-fundamentals-cccc")) as log:
        log.append(SessionFinished(seq=len(log.events) + 1, at=AT, t=50, outcome="quit"))
    done = run("history")
    rows = [line for line in done.out.splitlines() if line.startswith("20261124")]
    (head,) = [line for line in done.err.splitlines() if line.startswith("session")]
    assert {row.index(" mid ") + 1 for row in rows} == {head.index("level")}
    assert {row.index("no hire") for row in rows} == {head.index("signal")}
    assert rows[-1].endswith("no hire, you quit")


def test_json_is_the_list_or_the_trends(run: Run, home: Path) -> None:
    assert [row["session"] for row in run("history", "--json").json] == [FIRST, SECOND]
    assert [row["session"] for row in run("history", "--json", "--last", "1").json] == [SECOND]
    document = run("history", "--trends", "--json").json
    assert document["sittings"] == 2
    assert document["weak"][0]["id"] == "kettle/pouring"
    shutil.rmtree(home)
    assert run("history", "--trends", "--json").json is None


def test_without_a_grade_there_are_no_trends(run: Run, tmp_path: Path) -> None:
    hold(tmp_path / "home", FIRST, score=None)
    done = run("history")
    assert "not graded" in done.out
    assert "Trends" not in done.out
    assert "No session is graded" in run("history", "--trends").err


def test_page_holds_the_list_and_the_trends(run: Run, home: Path, tmp_path: Path) -> None:
    done = run("history", "--html", "page.html")
    assert (done.code, "Written: page.html" in done.err) == (0, True)
    page = (tmp_path / "page.html").read_text()
    assert FIRST in page
    assert "pouring" in page


def test_drawing_is_made_when_asked_for(run: Run, home: Path) -> None:
    pytest.importorskip("plotext")
    drawn = run("history", "--plot").out
    assert "aa rag" in drawn
    assert "aa rag" not in run("history").out
    assert "\x1b" not in drawn
    assert max(map(len, drawn.splitlines())) <= 80


def test_missing_plotext_is_an_error_of_two_lines(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    done = run("history", "--plot")
    assert (done.code, done.out) == (2, "")
    assert len(done.err.strip().splitlines()) == 2


def test_warm_history_loads_neither_the_transcript_nor_the_report(home: Path) -> None:
    look = "import sys, mockint.cli\ntry:\n    mockint.cli.main()\nexcept SystemExit: pass\n"
    look += (
        "print('LOADED', sorted(set(sys.modules) & {'mockint.store', 'mockint.transcript', 'jinja2', 'fsrs', 'rich'}))"
    )
    for told in ("'mockint.store'", "LOADED []"):
        done = subprocess.run(
            [sys.executable, "-c", look, "history", "--home", str(home)], capture_output=True, text=True, check=True
        )
        assert told in done.stdout
