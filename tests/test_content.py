"""Reading content: every problem at once, each with its place and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockint.bank import Question
from mockint.content import digest, find, load, load_all, near, read, roots
from mockint.errors import ContentError
from mockint.rubric import Rubric
from tests.conftest import ROOT

BROKEN = """\
id: Kettle Time
track: ragg
titel: Kettles
kind: design
levels: [mid, chief]
minutes: ten
topics: []
ask: How?
ask: How now?
facts:
  - {about: users, says: a thousand}
"""


def test_every_problem_of_a_file_is_told_with_line_key_and_what_would_be_right(tmp_path: Path) -> None:
    path = tmp_path / "kettle.yaml"
    path.write_text(BROKEN)
    told = [str(problem).removeprefix(f"{path}:") for problem in read(path, Question).problems]
    assert [line.split(":")[:2] for line in told] == [
        ["1", " id"],
        ["1", " title"],
        ["2", " track"],
        ["3", " titel"],
        ["5", " levels.1"],
        ["6", " minutes"],
        ["7", " topics"],
        ["9", " ask"],
        ["11", " facts.0.say"],
        ["11", " facts.0.says"],
    ]
    text = "\n".join(told)
    for right in ("did you mean 'title'?", "did you mean 'rag'?", "did you mean 'say'?", "given twice", "is missing"):
        assert right in text


def test_quick_load_refuses_with_the_same_list(tmp_path: Path) -> None:
    path = tmp_path / "kettle.yaml"
    path.write_text(BROKEN)
    with pytest.raises(ContentError) as caught:
        load(path, Question)
    assert len(caught.value.what.splitlines()) == 10
    assert "10 problems" in caught.value.hint


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(b"id: [1", "not YAML", id="an open bracket"),
        pytest.param(b"\xff\xfe\x00", "not YAML", id="no text"),
        pytest.param(b"", "Question", id="empty"),
        pytest.param(b"? [a]\n: b\n", "not YAML", id="a list as a key"),
        pytest.param(b"a: !foo b\n", "not YAML", id="an odd tag"),
        pytest.param(b"&a [*a]\n", "not YAML", id="a node inside itself"),
    ],
)
def test_file_that_is_no_yaml_is_one_problem_with_its_line(data: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    problems = read(path, Question).problems
    assert len(problems) == 1
    assert told in problems[0].message


def test_missing_file_is_a_problem_too(tmp_path: Path) -> None:
    assert "No such file" in read(tmp_path / "none.yaml", Question).problems[0].message


def test_yaml_words_that_old_yaml_changes_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: on\nb: no\nc: 12:30\nd: 2026-11-24\ne: 1_000\n")
    assert load(path, dict[str, str]) == {"a": "on", "b": "no", "c": "12:30", "d": "2026-11-24", "e": "1_000"}


def test_shipped_file_is_read_into_frozen_values() -> None:
    rubric = load(ROOT / "rubrics" / "rag" / "hybrid-search.yaml", Rubric)
    with pytest.raises(ValueError, match="frozen"):
        rubric.version = 2  # type: ignore[misc]


def test_users_folder_comes_after_the_products_and_wins(tmp_path: Path) -> None:
    (tmp_path / "rubrics").mkdir()
    (tmp_path / "rubrics" / "scale.yaml").write_text("x")
    folders = roots([tmp_path])
    assert folders[1:] == (tmp_path,)
    assert find(folders, "rubrics", "scale.yaml") == tmp_path / "rubrics" / "scale.yaml"
    assert find(folders, "rubrics", "none.yaml") is None
    with pytest.raises(ContentError, match="does not exist"):
        roots([tmp_path / "none"])


def test_digest_is_of_the_value_not_of_its_order() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest("a") != digest("b")


@pytest.mark.parametrize(
    ("word", "told"),
    [("hybrd", "; did you mean 'hybrid'?"), ("zzz", "; known are agents, hybrid")],
)
def test_near_names_the_nearest_or_all(word: str, told: str) -> None:
    assert near(word, ["hybrid", "agents"]) == told


def test_cache_saves_the_reading_of_what_did_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, paths = tmp_path / "c" / "q.json", sorted((ROOT / "bank" / "rag").glob("*.yaml"))
    first = load_all(paths, Question, cache=cache)
    monkeypatch.setattr("mockint.content.load", lambda path, kind: pytest.fail(f"{path} was read again"))
    assert load_all(paths, Question, cache=cache) == first == load_all(paths, Question, cache=cache)


def test_changed_file_is_read_again_and_a_broken_cache_is_nothing_but_slow(tmp_path: Path) -> None:
    path, cache = tmp_path / "hybrid-search.yaml", tmp_path / "q.json"
    text = (ROOT / "bank" / "rag" / "hybrid-search.yaml").read_text()
    for title in ("One", "Another"):
        path.write_text(text.replace("title: Hybrid search", f"title: {title}"))
        assert [question.title for question in load_all([path], Question, cache=cache)] == [title]
    cache.write_text("{")
    assert len(load_all([path], Question, cache=cache)) == 1
    assert load_all([path], Question, cache=cache)[0].title == "Another"
