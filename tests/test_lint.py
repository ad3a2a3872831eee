"""The lint of content: one broken thing at a time, told with its file, line and key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mockint.content import read, roots
from mockint.lint import lint
from tests.conftest import ROOT

QUESTION, RUBRIC, SAMPLES = (
    "bank/rag/hybrid-search.yaml",
    "rubrics/rag/hybrid-search.yaml",
    "rubrics/rag/hybrid-search.answers.yaml",
)


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped files are the same for every test, and reading all of them takes a second."""

    def read_again(path: Path, kind: Any) -> Any:
        return shipped(path, kind) if path.is_relative_to(ROOT) else read(path, kind)

    monkeypatch.setattr("mockint.lint.read", read_again)


shipped = cache(read)


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


def test_rubric_of_too_many_criteria_is_told(problems: Callable[..., list[str]]) -> None:
    another = (
        "  - {{id: another-{}, asks: Does the candidate say it?, weight: 1, expected_from: junior, cues: [one, two],\n"
        "     levels: {{missed: Does not., met: Does.}}, probe: And then?}}\n"
    )
    found = problems(RUBRIC, "criteria:\n", "criteria:\n" + "".join(another.format(n) for n in range(8)))
    assert any(line.startswith(RUBRIC) and "are too many for one answer" in line for line in found), found


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
    assert any("source 'unknown' of origin 'mine-1' has no entry" in line for line in told), told


LOOP = """\
# yaml-language-server: $schema=../../schemas/loop.schema.json
name: ours
about: Ours.
rounds:
  - {title: One, minutes: 5, questions: [hybrid-search, rerankin]}
  - {title: Two, minutes: 30, tracks: [rag], questions: [reranking]}
"""


def test_loop_names_what_it_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "bank" / "loops" / "ours.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        LOOP.replace("{title: Two, minutes: 30, tracks: [rag], questions", "{title: Two, minutes: 30, questions")
    )
    told = [str(problem) for problem in lint(roots([tmp_path])) if problem.path == path]
    assert any("did you mean 'reranking'?" in line for line in told), told
    assert any("its questions take 6 minutes" in line for line in told), told
    path.write_text(LOOP)
    told = [str(problem) for problem in lint(roots([tmp_path])) if problem.path == path]
    assert len(told) == 1
    assert "give either questions, or tracks, topics or kinds" in told[0]


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        pytest.param(
            RUBRIC,
            "missed: Names one of the two only, or treats them as the same.",
            "missed: Names both, sometimes without saying that their results are combined.",
            "differ in one word, 'sometimes'",
            id="levels that differ in one adverb",
        ),
        pytest.param(
            RUBRIC,
            "Does the candidate say what embeddings find that keyword retrieval misses?",
            "Does the candidate say what embeddings find and name a keyword's weakness?",
            "asks for two things",
            id="double-barrelled",
        ),
        pytest.param(
            QUESTION,
            "Each retriever returns its own ordering.",
            "You could fuse the results, or take the result of fusing.",
            "hint 3 of the question gives the cue 'fuse the results' away",
            id="hint leaks a cue",
        ),
        pytest.param(
            SAMPLES,
            "levels: {lexical-strength: missed, dense-strength: missed, runs-both-and-merges: partial, "
            "fusion-by-rank: missed, when-to-leave-out: missed, measures-the-gain: missed}\n"
            "  red_flags: [bm25-understands-meaning, adds-raw-scores]",
            "levels: {lexical-strength: met, dense-strength: met, runs-both-and-merges: met, "
            "fusion-by-rank: met, when-to-leave-out: missed, measures-the-gain: missed}",
            "the gap must be 0.35",
            id="samples that do not differ",
        ),
        pytest.param(
            RUBRIC,
            "cues: [exact match on product codes and error codes, rare words and names that the embedding blurs, BM25 matches the literal term, identifiers and acronyms]",
            "cues: [identifiers and acronyms]",
            "has 1; give 2 at least",
            id="too few cues",
        ),
        pytest.param(
            QUESTION,
            "minutes: 6",
            "minutes: 60",
            "no loop has a round of so many",
            id="minutes that no loop can hold",
        ),
    ],
)
def test_rubric_that_cannot_tell_answers_apart_is_told(
    problems: Callable[..., list[str]], file: str, old: str, new: str, told: str
) -> None:
    found = problems(file, old, new)
    assert any(told in line for line in found), found


def test_question_that_asks_nearly_the_same_is_told(tmp_path: Path) -> None:
    twin = tmp_path / "bank" / "rag" / "hybrid-twin.yaml"
    twin.parent.mkdir(parents=True)
    text = (ROOT / QUESTION).read_text().replace("id: hybrid-search", "id: hybrid-twin")
    twin.write_text(text.replace("Tell me what you\n  would expect to gain", "Say what you\n  expect to win"))
    told = [str(problem) for problem in lint(roots([tmp_path])) if problem.path == twin]
    assert any("asks nearly the same as rag/hybrid-search.yaml" in line for line in told), told


def test_reported_question_that_nothing_covers_is_told(tmp_path: Path) -> None:
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "origins.tsv").write_text("id\tgroup\tmark\tsources\nmine-1\tmine\t\t\nrag-01\trag\t\t\n")
    told = [str(problem) for problem in lint(roots([tmp_path])) if problem.path.is_relative_to(tmp_path)]
    assert told == [f"{tmp_path}/bank/origins.tsv:2: mine-1: no question covers it"]


def of_folder(folder: Path) -> list[str]:
    return [str(problem) for problem in lint(roots([folder])) if problem.path.is_relative_to(folder)]


def test_rubric_alone_in_a_users_folder_is_linted(tmp_path: Path) -> None:
    path = tmp_path / "rubrics" / "rag" / "hybrid-search.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("criteria: nonsense\n")
    assert any("criteria: " in line for line in of_folder(tmp_path))
    path.write_text((ROOT / RUBRIC).read_text())
    assert of_folder(tmp_path) == []


def test_question_alone_in_a_users_folder_has_the_products_rubric(tmp_path: Path) -> None:
    path = tmp_path / "bank" / "rag" / "hybrid-search.yaml"
    path.parent.mkdir(parents=True)
    path.write_text((ROOT / QUESTION).read_text().replace("minutes: 6", "minutes: 7"))
    assert [str(problem) for problem in lint(roots([tmp_path]))] == []


def test_rubric_that_no_longer_fits_the_products_samples_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rubrics" / "rag" / "hybrid-search.yaml"
    path.parent.mkdir(parents=True)
    path.write_text((ROOT / RUBRIC).read_text().replace("id: dense-strength", "id: dense-power"))
    told = [str(problem) for problem in lint(roots([tmp_path]))]
    assert any("the rubric has no criterion 'dense-strength'" in line for line in told)
