"""Finding questions: one by name, several by a repeatable draw, and a user's own in place of the product's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mockint.bank import Bank, choose, choose_loop, load_bank, load_loop, load_origins, loop_files
from mockint.content import roots
from mockint.errors import ContentError, UsageError
from tests.builders import AT, question
from tests.conftest import ROOT, Run


def bank(*minutes: int) -> Bank:
    made = [question(f"q{n}", minutes=m, track=("rag", "agents")[n % 2]) for n, m in enumerate(minutes)]
    return Bank((), {one.id: one for one in made})


def draw(found: Bank, **changes: object) -> list[str]:
    how = {"tracks": [], "level": "mid", "minutes": 30, "count": None, "seed": 1} | changes
    return [one.id for one in choose(found, **how)]  # type: ignore[arg-type]


def test_same_seed_draws_the_same_and_another_seed_another() -> None:
    found = bank(*[5] * 20)
    assert draw(found) == draw(found)
    assert draw(found) != draw(found, seed=2)


def test_draw_fits_the_minutes_and_takes_the_tracks_in_turn() -> None:
    found = bank(*[5, 7, 9, 4] * 5)
    names = draw(found, minutes=30)
    assert 20 < sum(found.questions[name].minutes for name in names) <= 30
    assert len({found.questions[name].track for name in names}) == 2
    assert {found.questions[name].track for name in draw(found, tracks=["rag"])} == {"rag"}
    assert len(draw(found, count=2)) == 2


def test_draw_takes_what_was_not_asked_before_and_then_what_was_asked_longest_ago() -> None:
    found = bank(*[5] * 8)
    asked = {name: AT - timedelta(days=day) for day, name in enumerate(list(found.questions)[2:], 1)}
    drawn = draw(found, minutes=40, asked=asked)
    assert set(drawn[:2]) == {"q0", "q1"}
    assert set(drawn[2:4]) == {"q7", "q6"}
    assert len(drawn) == 8


def test_draw_that_cannot_be_made_says_so() -> None:
    with pytest.raises(UsageError, match="fits 3 minutes"):
        draw(bank(5), minutes=3)
    with pytest.raises(UsageError, match="level staff"):
        draw(bank(5), level="staff")


def test_unknown_question_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'hybrid-search'"):
        load_bank(roots()).question("hybrid-serch")


def test_users_question_replaces_the_products_and_the_listing_says_so(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own" / "bank" / "rag"
    own.mkdir(parents=True)
    text = (ROOT / "bank" / "rag" / "hybrid-search.yaml").read_text()
    (own / "hybrid-search.yaml").write_text(text.replace("title: Hybrid search", "title: Ours"))
    listed = run("bank", "list", "--content", tmp_path / "own")
    assert "replaced by a later folder" in listed.err
    assert run("bank", "show", "hybrid-search", "--content", tmp_path / "own").out.startswith("Ours\n")


def test_question_without_a_rubric_is_a_problem_of_the_content(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"rubrics/rag/kettle\.yaml"):
        Bank((tmp_path,), {}).rubric(question())


def test_origins_are_read_with_their_sources() -> None:
    origins = load_origins(roots())
    assert len(origins) > 200
    assert origins["rag-01"].sources


@pytest.mark.parametrize("name", sorted(loop_files(roots())))
@pytest.mark.parametrize("level", ["junior", "mid", "senior", "staff"])
def test_shipped_loop_draws_every_round_within_its_minutes(name: str, level: Any) -> None:
    found, loop = load_bank(roots()), load_loop(roots(), name)
    questions = choose_loop(found, loop, level=level, seed=7)
    assert len(questions) == len(set(questions)) >= len(loop.rounds)
    assert sum(question.minutes for question in questions) <= loop.minutes
    assert questions == choose_loop(found, loop, level=level, seed=7)


def test_loop_is_run_and_takes_no_other_choice_beside_it(run: Run) -> None:
    assert run("start", "--loop", "ibm", "--track", "rag").code == 2
    assert "did you mean 'ibm'" in run("start", "--loop", "ibn").err
    done = run("start", "--loop", "wished-for", stdin="/quit\n")
    assert done.code == 0
    assert "-wished-for-" in done.out
