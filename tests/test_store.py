from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from mockint.errors import SessionError
from mockint.grades import AnswerGrade, Grade, Stamp
from mockint.store import Home, Log, read_grade, read_log, write
from tests.builders import AT, session


def write_session(path: Path) -> None:
    with Log(path) as log:
        for event in session(("question", "How?"), ("answer", "So and so.", 4)):
            log.append(event)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sessions" / "s1" / "events.jsonl"
    write_session(path)
    return path


def test_what_is_appended_is_read_back(path: Path) -> None:
    assert list(read_log(path).events) == session(("question", "How?"), ("answer", "So and so.", 4))


def test_torn_last_line_is_dropped_said_and_truncated(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind":"answer_gi')
    assert read_log(path).torn == 18
    with Log(path) as log:
        assert log.torn == 18
        assert len(log.events) == 3
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(lambda lines: [lines[0], b"garbage", lines[2]], ":2: damaged", id="garbage in the middle"),
        pytest.param(lambda lines: [lines[0], lines[2]], ":2: damaged: seq is 3", id="a line is gone"),
        pytest.param(lambda lines: lines[1:], ":1: damaged", id="the first line is gone"),
        pytest.param(lambda lines: [*lines[:2], lines[2][:40]], ":3: damaged", id="a whole last line that is cut"),
    ],
)
def test_other_damage_names_file_and_line(path: Path, damage: object, told: str) -> None:
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(damage(lines)) + b"\n")  # type: ignore[operator]
    with pytest.raises(SessionError) as caught:
        read_log(path)
    assert told in caught.value.what
    assert str(path) in caught.value.what


def test_session_open_elsewhere_is_locked(path: Path) -> None:
    with Log(path), pytest.raises(SessionError, match="open in another"):
        Log(path)


def test_gap_in_seq_is_not_written(path: Path) -> None:
    with Log(path) as log, pytest.raises(ValueError, match="seq 9"):
        log.append(log.events[-1].model_copy(update={"seq": 9}))


def test_session_files_are_the_users_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_names_of_sessions(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("20261124-1812-rag-aaaa", "20261125-0900-rag-bbbb"):
        write_session(home.log(name))
    assert home.resolve("last") == "20261125-0900-rag-bbbb"
    assert home.resolve("20261124") == "20261124-1812-rag-aaaa"
    with pytest.raises(SessionError, match="begins 2 sessions"):
        home.resolve("202611")
    with pytest.raises(SessionError, match="no session 'zzz'"):
        home.resolve("zzz")
    assert home.unfinished() == "20261125-0900-rag-bbbb"


def test_new_id_sorts_by_time(tmp_path: Path) -> None:
    first, second = (
        Home(tmp_path).new_id(AT + timedelta(seconds=n), about) for n, about in ((0, "rag"), (1, "agents"))
    )
    assert first.startswith("20261124-181200-rag-")
    assert first < second


def test_file_is_written_whole_and_never_over_another(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write(target, "one", exclusive=True)
    with pytest.raises(SessionError):
        write(target, "two", exclusive=True)
    assert target.read_text() == "one"


def test_session_begins_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "sessions" / "s1" / "events.jsonl"
    with Log(path) as log:
        assert not path.exists()
        assert Home(tmp_path).ids() == []
        log.append(session()[0])
        assert len(read_log(path).events) == 1


def test_damaged_session_stands_in_nobodys_way(path: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "sessions" / "s2" / "events.jsonl"
    damaged.parent.mkdir()
    damaged.write_text("garbage\n")
    assert Home(tmp_path).unfinished() == "s1"


def test_failed_write_is_taken_back_and_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, write_all = path.read_bytes(), os.write
    event = session(("question", "How?"), ("answer", "So.", 4), ("answer", "Then so.", 9))[-1]
    full = iter([20])

    def fails(descriptor: int, data: bytes) -> int:
        if size := next(full, None):
            return write_all(descriptor, data[:size])
        raise OSError(28, "No space left on device")

    with Log(path) as log:
        monkeypatch.setattr(os, "write", fails)
        with pytest.raises(SessionError, match="No space left"):
            log.append(event)
        monkeypatch.undo()
        assert path.read_bytes() == whole
        log.append(event)
    assert len(read_log(path).events) == 4


def test_event_about_a_question_of_another_session_is_damage(path: Path) -> None:
    path.write_text(path.read_text().replace('"question":"kettle","turn":1', '"question":"spoon","turn":1'))
    with pytest.raises(SessionError, match=":2: damaged: it speaks of 'spoon'"):
        read_log(path)


def test_grades_written_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    store = Home(tmp_path)
    (tmp_path / "sessions" / "s1").mkdir(parents=True)
    grade = verdicts()
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda _: store.add_grade("s1", grade), range(24)))
    assert len(set(written)) == 24
    assert all(read_grade(path) == grade for path in written)
    assert not list((tmp_path / "sessions" / "s1" / "grades").glob(".*"))


def test_stray_file_beside_the_grades_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "sessions" / "s1" / "grades"
    folder.mkdir(parents=True)
    (folder / "0001.bak.json").write_text("x")
    assert Home(tmp_path).grade_files("s1") == []


def kept_of(tmp_path: Path, *scores: float | None) -> Home:
    store = Home(tmp_path)
    (tmp_path / "sessions" / "s1").mkdir(parents=True)
    for score in scores:
        store.add_grade("s1", verdicts(score))
    return store


@pytest.mark.parametrize(
    ("scores", "shown"),
    [
        pytest.param((0.5, 0.9), 2, id="the newest"),
        pytest.param((0.5, 0.9, None), 2, id="the newest has no score"),
        pytest.param((0.5, None, None), 1, id="nor has the one before"),
        pytest.param((0.5, None, 0.0), 3, id="a low score is a score"),
        pytest.param((None, None), 2, id="none has a score"),
    ],
)
def test_newest_grade_with_a_score_is_shown(tmp_path: Path, scores: tuple[float | None, ...], shown: int) -> None:
    store = kept_of(tmp_path, *scores)
    assert store.kept("s1").number == shown
    assert store.grade("s1").score == scores[shown - 1]
    assert [store.grade("s1", number).score for number, _ in enumerate(scores, 1)] == list(scores)


def test_damaged_earlier_grade_is_passed_over_and_a_damaged_newest_is_told(tmp_path: Path) -> None:
    store = kept_of(tmp_path, 0.5, 0.9, None)
    _, second, third = store.grade_files("s1")
    second.write_text("garbage")
    assert store.kept("s1").number == 1
    third.write_text("garbage")
    with pytest.raises(SessionError, match="is damaged"):
        store.kept("s1")


def test_report_is_not_written_over_by_a_grade_without_a_score(tmp_path: Path) -> None:
    store = kept_of(tmp_path, None)
    assert store.write_report("s1", "nothing") == store.report("s1")
    store.add_grade("s1", verdicts(0.5))
    assert store.write_report("s1", "scored") == store.report("s1")
    lost = store.add_grade("s1", verdicts())
    assert store.write_report("s1", "nothing") is None
    assert store.write_report("s1", "nothing", of=lost) is None
    assert store.report("s1").read_text() == "scored"
    assert store.write_report("s1", "again", of=store.kept("s1").path) == store.report("s1")


def verdicts(score: float | None = None) -> Grade:
    stamp = Stamp(transcript="a", rubric="b", prompt="c", grader="judge", model="lab/x", app="0", at=AT)
    answer = AnswerGrade(question="kettle", state="not_asked")
    return Grade(
        id="s",
        stamp=stamp,
        target_level="mid",
        signal="insufficient evidence",
        score=score,
        coverage=0,
        answers=(answer,),
    )
