"""The lint of content: one broken thing at a time, told with its file, line and key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mockint.content import roots
from mockint.lint import lint
from tests.conftest import ROOT

QUESTION, RUBRIC, SAMPLES = (
    "bank/rag/hybrid-search.yaml",
    "rubrics/rag/hybrid-search.yaml",
    "rubrics/rag/hybrid-search.answers.yaml",
)


@pytest.fixture
def problems(tmp_path: Path) -> Callable[..., list[str]]:
    """Copies one shipped question into a folder of the user's, changes one file of it, and returns what lint says of that folder."""

    def told(file: str, old: str, new: str) -> list[str]:
        for name in (QUESTION, RUBRIC, SAMPLES):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
        text = (tmp_path / file).read_text()
        assert old in text
        (tmp_path / file).write_text(text.replace(old, new, 1))
        found = lint(roots([tmp_path]))
        return [str(p).removeprefix(f"{tmp_path}/") for p in found if p.path.is_relative_to(tmp_path)]

    return told


def test_sound_folder_has_no_problem(problems: Callable[..., list[str]]) -> None:
    assert problems(QUESTION, "minutes: 6", "minutes: 7") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "told"),
    [
        pytest.param(QUESTION, "id: hybrid-search", "id: hybrid", "2: id", "must equal the file's name", id="id"),
        pytest.param(QUESTION, "track: rag", "track: agents", "3: track", "must equal the folder's", id="track"),
        pytest.param(QUESTION, "rag-17", "rag-177", "16: origins.0", "did you mean 'rag-17'?", id="unknown origin"),
        pytest.param(QUESTION, "# yaml", "# yml", "1", "first line must name the schema", id="no schema line"),
        pytest.param(
            RUBRIC, "question: hybrid-search", "question: hybrid", "2: question", "must equal", id="rubric's question"
        ),
        pytest.param(
            RUBRIC,
            "Says that both run and that the two lists become one.",
            "Names one of the two only, or treats them as the same!",
            "runs-both-and-merges",
            "say the same",
            id="equal levels",
        ),
        pytest.param(
            RUBRIC,
            "Someone types a part number. Which half of your retriever finds it, and why?",
            "Is it that BM25 matches the literal term?",
            "criteria.0.probe",
            "gives the cue 'BM25 matches the literal term' away",
            id="probe leaks a cue",
        ),
        pytest.param(SAMPLES, "name: weak", "name: feeble", "1", "no sample named 'weak'", id="no weak sample"),
        pytest.param(
            SAMPLES,
            "{lexical-strength: met, ",
            "{",
            "levels",
            "gives no level of 'lexical-strength'",
            id="level missing",
        ),
        pytest.param(
            SAMPLES,
            "{lexical-strength: met",
            "{lexical-strength: mat",
            "levels",
            "did you mean 'met'?",
            id="no such level",
        ),
        pytest.param(
            SAMPLES, "[bm25-understands", "[bm-understands", "red_flags.0", "did you mean 'bm25-", id="no such red flag"
        ),
    ],
)
def test_problem_is_told_with_its_place(
    problems: Callable[..., list[str]], file: str, old: str, new: str, place: str, told: str
) -> None:
    found = problems(file, old, new)
    assert any(line.startswith(file) and place in line and told in line for line in found), found


def test_rubric_without_a_question_is_told(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    path = tmp_path / "rubrics" / "rag" / "hybrid-serch.yaml"
    path.parent.mkdir(parents=True)
    shutil.copy(ROOT / RUBRIC, path)
    assert any("there is no question 'hybrid-serch'" in line for line in problems(QUESTION, "minutes: 6", "minutes: 7"))


def test_source_without_an_entry_is_told(tmp_path: Path) -> None:
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "sources.yaml").write_text("known: {title: x, address: y}\n")
    (tmp_path / "bank" / "origins.tsv").write_text("id\tgroup\tmark\tsources\nmine-1\tmine\t\tknown unknown\n")
    told = [str(problem) for problem in lint(roots([tmp_path])) if problem.path.is_relative_to(tmp_path)]
    assert len(told) == 1
    assert "source 'unknown' of origin 'mine-1' has no entry" in told[0]
