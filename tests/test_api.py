"""Grading from a program, as docs/library.md shows it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

import mockint
from mockint import Grade, Said, grade, grade_async, load_bank, read_grades, table
from mockint.errors import ContentError, UsageError
from tests.builders import judged_well
from tests.conftest import ROOT, ChatServer, Run

SAID = "I would run both and merge the two ranked lists by reciprocal rank; BM25 finds the literal part number."


def test_answer_is_graded_in_five_lines() -> None:
    bank = load_bank()
    made = grade("hybrid-search", SAID, bank=bank, name="a-1")
    assert isinstance(made, Grade)
    assert made.id == "a-1"
    assert made.score
    rows = table([made])
    assert {row["criterion"] for row in rows} == {verdict.criterion for verdict in made.answers[0].verdicts}
    assert all(row["quote"] is None or row["quote"] in SAID for row in rows)
    assert {type(row["points"]) for row in rows} == {float}


def test_conversation_is_graded_by_what_the_candidate_says() -> None:
    turns = [Said(role="interviewer", text=SAID), Said(role="candidate", text="Yes.")]
    made = grade("hybrid-search", turns)
    assert made.score == 0


def test_event_loop_that_runs_already_is_no_hindrance() -> None:
    async def notebook() -> tuple[Grade, Grade]:
        return grade("hybrid-search", SAID), await grade_async("hybrid-search", SAID)

    one, other = asyncio.run(notebook())
    assert one.answers == other.answers


def test_model_grades_and_one_that_fails_leaves_criteria_unscored(chat_server: ChatServer, tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n[limits]\ntries = 1\n')
    chat_server.replies = judged_well
    assert grade("hybrid-search", SAID, model="lab/m", config=file).coverage == 1
    chat_server.replies = lambda asked: (401, {})
    failed = grade("hybrid-search", SAID, model="lab/m", config=file)
    assert failed.score is None
    assert all("status 401" in (row["why"] or "") for row in table([failed]))


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [("no-such", SAID, UsageError), ("hybrid-search", " ", ContentError)],
    ids=["unknown question", "empty answer"],
)
def test_what_cannot_be_graded_raises(question: str, answer: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        grade(question, answer)


def test_grades_of_a_batch_are_read_and_errors_left_out(run: Run, tmp_path: Path) -> None:
    rows = [{"id": "a", "question": "hybrid-search", "answer": SAID}, {"id": "b", "question": "no-such", "answer": "x"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run("grade", "a.jsonl", "--out", "g.jsonl")
    assert [made.id for made in read_grades(tmp_path / "g.jsonl")] == ["a"]


def test_level_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="no level 'expert'"):
        grade("hybrid-search", SAID, level="expert")  # type: ignore[arg-type]


def test_own_folder_of_questions_is_added(tmp_path: Path) -> None:
    path = tmp_path / "bank" / "rag" / "mine.yaml"
    path.parent.mkdir(parents=True)
    text = (ROOT / "bank" / "rag" / "hybrid-search.yaml").read_text().replace("id: hybrid-search", "id: mine", 1)
    path.write_text(text)
    assert load_bank(tmp_path).questions.keys() - load_bank().questions.keys() == {"mine"}


def test_importing_mockint_loads_nothing_of_it() -> None:
    look = "import sys, mockint; print([name for name in sys.modules if name.startswith('mockint.')])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError):
        mockint.nonsense  # noqa: B018


def test_page_about_it_is_true() -> None:
    blocks = (ROOT / "docs" / "library.md").read_text().split("```python\n")[1:]
    code = "\n".join(block.partition("```")[0] for block in blocks)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "hire" in done.stdout
