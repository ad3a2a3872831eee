"""A batch's grades: each on the disk at once, none made twice, one line for each id."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mockint.errors import UsageError
from mockint.files import lines, listing, put
from mockint.results import Made, Results, key_of, lines_at
from tests.conftest import StandingClock

Opened = Callable[[str | None], Results]

STAMP: dict[str, Any] = {
    "transcript": "t",
    "rubric": "r",
    "prompt": "p",
    "grader": "judge",
    "model": "lab/m",
    "votes": 1,
}


def grade(name: str, *, scored: int = 2, paid: bool = True, **stamp: Any) -> dict[str, Any]:
    """Returns a grade of two criteria, of which so many are scored."""
    verdicts = [{"criterion": f"c-{n}", "state": "scored" if n < scored else "unscored"} for n in range(2)]
    calls = [{"reply": "…"}] if paid else []
    return {
        "id": name,
        "stamp": STAMP | stamp,
        "target_level": "mid",
        "coverage": scored / 2,
        "answers": [{"verdicts": verdicts}],
        "calls": calls,
    }


def error(name: str) -> dict[str, Any]:
    return {"id": name, "error": {"code": 3, "message": "bad"}}


KEY = key_of(**STAMP, level="mid")


@pytest.fixture(params=["file", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "g.jsonl") if request.param == "file" else "memory://grades"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return lambda place: Results(lines_at(place, tmp_path / "unsent", clock=StandingClock()))


def written(place: str) -> list[dict[str, Any]]:
    files = listing(place, ".jsonl") if "://" in place else [place]
    return [json.loads(line) for file in files for line in lines(file)]


def test_key_is_of_all_that_a_grade_rests_on() -> None:
    assert Made.of(grade("a")).key == KEY
    for name in STAMP:
        other: dict[str, Any] = {name: 2 if name == "votes" else "other"}
        assert Made.of(grade("a", **other)).key != KEY
    assert Made.of(error("a")).key is None


def test_grade_with_something_unscored_is_not_held_since_it_may_go_better(place: str, opened: Opened) -> None:
    first = opened(place)
    first.add(grade("a", scored=1))
    first.close()
    again = opened(place)
    assert not again.begun
    assert not again.holds("a", KEY)
    assert again.same(KEY) is None
    again.add(grade("a"))
    again.close()
    assert written(place) == [grade("a")]


@pytest.mark.parametrize(
    ("before", "now", "stays"),
    [
        pytest.param(grade("a", scored=1), grade("a", scored=0), True, id="nothing scored now"),
        pytest.param(grade("a", scored=1), error("a"), True, id="an error"),
        pytest.param(grade("a"), grade("a", scored=0, model="lab/n"), True, id="another grader that failed"),
        pytest.param(grade("a"), grade("a", scored=1, model="lab/n"), False, id="another grader"),
        pytest.param(grade("a", scored=0), grade("a", scored=0, model="lab/n"), False, id="nothing either time"),
        pytest.param(grade("a"), grade("a", scored=0, transcript="u"), False, id="other words that failed"),
    ],
)
def test_grade_stays_when_what_is_made_of_the_same_words_now_is_less(
    place: str, before: dict[str, Any], now: dict[str, Any], stays: bool, opened: Opened
) -> None:
    first = opened(place)
    first.add(before)
    first.close()
    again = opened(place)
    again.add(now, transcript="t")
    assert again.kept == stays
    assert again.added("a")
    again.close()
    assert written(place) == [before if stays else now]


def test_grade_from_before_is_held_and_an_error_is_not(place: str, opened: Opened) -> None:
    first = opened(place)
    first.add(grade("a"))
    first.add(error("b"))
    first.close()
    again = opened(place)
    assert again.begun
    assert again.holds("a", KEY)
    assert not again.holds("b", KEY)
    assert not again.holds("a", b"another")
    assert again.reused == 1
    assert not again.added("a")
    again.close()


def test_newest_line_of_an_id_stays(place: str, opened: Opened) -> None:
    first = opened(place)
    for line in (error("a"), grade("b")):
        first.add(line)
    first.close()
    again = opened(place)
    again.add(grade("a"))
    again.close()
    assert sorted(("error" in line, line["id"]) for line in written(place)) == [(False, "a"), (False, "b")]


def test_same_words_have_a_grade_that_is_read_back(place: str, opened: Opened) -> None:
    results = opened(place)
    assert results.same(KEY) is None
    results.add(grade("ä"))
    assert results.same(KEY) == grade("ä")
    results.add(grade("b", model="lab/n"))
    assert (results.same(key_of(**STAMP | {"model": "lab/n"}, level="mid")) or {})["id"] == "b"
    results.close()
    again = opened(place)
    assert again.same(KEY) == grade("ä")
    again.close()


def test_without_a_place_what_was_paid_for_is_known_in_this_run(opened: Opened) -> None:
    results = opened(None)
    results.add(grade("a", paid=False))
    assert results.same(KEY) is None
    results.add(grade("b"))
    assert results.same(KEY) == grade("b")
    assert results.added("a")
    results.close()


def test_write_that_was_cut_off_is_dropped(tmp_path: Path, opened: Opened) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text(json.dumps(grade("a")) + '\n{"id": "b", "st', encoding="utf-8")
    results = opened(str(path))
    results.add(grade("c"))
    results.close()
    assert [line["id"] for line in written(str(path))] == ["a", "c"]


def test_line_of_somebody_else_s_is_left_alone(tmp_path: Path, opened: Opened) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text('# mine\n["x"]\n', encoding="utf-8")
    for line in (error("c"), grade("c")):
        results = opened(str(path))
        results.add(line)
        results.close()
    assert path.read_text() == f'# mine\n["x"]\n{json.dumps(grade("c"), ensure_ascii=False)}\n'


def test_file_that_another_writes_is_refused(tmp_path: Path, opened: Opened) -> None:
    first = opened(str(tmp_path / "g.jsonl"))
    with pytest.raises(UsageError, match="being written by another"):
        opened(str(tmp_path / "g.jsonl"))
    first.close()
    opened(str(tmp_path / "g.jsonl")).close()
    assert [path.name for path in tmp_path.iterdir()] == ["g.jsonl"]


def test_folder_gets_a_file_when_there_is_enough_or_some_time_has_gone_by(tmp_path: Path) -> None:
    clock = StandingClock()
    results = Results(lines_at("memory://grades", tmp_path, clock=clock))
    results.add(grade("a"))
    assert listing("memory://grades", ".jsonl") == []
    clock.sleep(60)
    results.add(grade("b"))
    assert len(listing("memory://grades", ".jsonl")) == 1
    results.add(grade("c"))
    results.close()
    assert [line["id"] for line in written("memory://grades")] == ["a", "b", "c"]
    assert not list(tmp_path.iterdir())
    fsspec.filesystem("memory").store.clear()


def test_what_was_not_sent_when_it_was_killed_is_sent_by_the_next_run(tmp_path: Path) -> None:
    killed = Results(lines_at("memory://grades", tmp_path / "killed", clock=StandingClock()))
    for name in "ab":
        killed.add(grade(name))
    (left,) = (tmp_path / "killed").glob("*.jsonl")
    assert left.stat().st_mode & 0o077 == 0
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / left.name).write_bytes(left.read_bytes() + b'{"id": "c", "sta')
    again = Results(lines_at("memory://grades", tmp_path / "next", clock=StandingClock()))
    assert [line["id"] for line in written("memory://grades")] == ["a", "b"]
    assert again.holds("b", KEY)
    again.close()
    fsspec.filesystem("memory").store.clear()


def test_line_that_was_sent_before_the_kill_and_again_after_it_is_there_once(tmp_path: Path) -> None:
    put("memory://grades/000001.jsonl", f"{json.dumps(grade('a'))}\n".encode())
    first = Results(lines_at("memory://grades", tmp_path, clock=StandingClock()))
    first.add(grade("b"))
    (left,) = tmp_path.glob("*.jsonl")
    twice = left.read_bytes()
    first.close()
    left.write_bytes(twice)
    Results(lines_at("memory://grades", tmp_path, clock=StandingClock())).close()
    assert [line["id"] for line in written("memory://grades")] == ["a", "b"]
    fsspec.filesystem("memory").store.clear()
