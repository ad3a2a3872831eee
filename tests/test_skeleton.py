"""The skeleton of a new question: what lint finds wrong with it is its blanks, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mockint.content import roots
from mockint.errors import UsageError
from mockint.lint import lint
from mockint.skeleton import write_skeleton
from tests.conftest import Run


def problems(folder: Path) -> list[str]:
    return [str(problem) for problem in lint(roots([folder])) if problem.path.is_relative_to(folder)]


def test_skeleton_lints_clean_but_for_its_blanks(tmp_path: Path) -> None:
    paths = write_skeleton(tmp_path, "rag", "my-question")
    found = problems(tmp_path)
    blanks = sum(line.count('""') for path in paths for line in path.read_text().splitlines()) - 1  # a comment's
    assert all(line.endswith(": is blank") for line in found), found
    assert len(found) == blanks


def test_skeleton_that_is_filled_in_has_no_problem(tmp_path: Path) -> None:
    for place, path in enumerate(write_skeleton(tmp_path, "rag", "my-question")):
        first, *rest = path.read_text().split('""')
        filled = (f'"a{place}{number} b{place}{number} c{place}{number}"{text}' for number, text in enumerate(rest))
        path.write_text(first + "".join(filled))
    assert problems(tmp_path) == []


def test_schema_that_each_file_names_for_an_editor_is_there(tmp_path: Path) -> None:
    for path in write_skeleton(tmp_path, "rag", "my-question"):
        place = path.read_text().splitlines()[0].partition("$schema=")[2]
        assert json.loads((path.parent / place).read_text())["$schema"]


def test_nothing_is_overwritten_and_a_slug_is_a_slug(tmp_path: Path) -> None:
    write_skeleton(tmp_path, "rag", "my-question")
    with pytest.raises(UsageError, match="exists"):
        write_skeleton(tmp_path, "rag", "my-question")
    with pytest.raises(UsageError, match="no id"):
        write_skeleton(tmp_path, "rag", "../My question")


def test_command_names_what_it_wrote(run: Run, tmp_path: Path) -> None:
    done = run("bank", "new", "rag", "my-question", "--content", tmp_path / "own")
    assert len(done.out.split()) == 3
    assert run("bank", "new", "ragg", "x").code == 2
    assert "/bank/rag/other.yaml" in run("bank", "new", "RAG", "other", "--content", tmp_path / "own").out
