"""Agreement of a grader with people: the figures, the gold files, and when a result no longer counts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mockint import calibration
from mockint.bank import load_bank
from mockint.calibration import (
    Agreement,
    Gold,
    Interval,
    Rating,
    Score,
    Trial,
    agreement,
    read_gold,
    samples,
    shipped,
    shipped_figures,
    state_of,
    told,
    try_out,
)
from mockint.content import roots
from mockint.errors import ContentError
from mockint.grades import Grade
from mockint.grading.grader import offline
from mockint.llm import Usage
from tests.conftest import Run, StandingClock

POINTS = {"missed": 0.0, "partial": 0.5, "met": 1.0}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "RESAMPLES", 100)


def trial(*pairs: tuple[str, str | None], questions: int = 10) -> Trial:
    ratings = tuple(
        Rating(f"q{n % questions}", f"a{n}", "c", stated, given, POINTS[stated], POINTS[given] if given else None)
        for n, (stated, given) in enumerate(pairs)
    )
    scores = tuple(Score(r.question, r.answer, r.stated_points, r.given_points) for r in ratings)
    return Trial(ratings, scores, Usage(), {})


def test_full_agreement_is_one_and_chance_is_about_nothing() -> None:
    levels = ["missed", "partial", "met"]
    full = agreement(trial(*((levels[n % 3], levels[n % 3]) for n in range(60))))
    assert (full.exact.value, full.kappa.value, full.score_error.value, full.correlation.value) == (1, 1, 0, 1)
    chance = agreement(trial(*((levels[n % 3], levels[n // 3 % 3]) for n in range(63))))
    assert chance.kappa.value == pytest.approx(0, abs=0.05)


def test_kappa_has_quadratic_weights() -> None:
    """By hand: sum of squared distances 1 and 4 over what chance gives, over four ratings each."""
    near = agreement(trial(("missed", "missed"), ("partial", "missed"), ("partial", "partial"), ("met", "met")))
    far = agreement(trial(("missed", "missed"), ("met", "missed"), ("partial", "partial"), ("met", "met")))
    assert near.exact.value == far.exact.value == 0.75
    assert near.kappa.value == pytest.approx(1 - 1 / 5.0, abs=1e-3)
    assert (far.kappa.value or 0) < (near.kappa.value or 0)


def test_unscored_criterion_lowers_the_coverage_and_nothing_else() -> None:
    found = agreement(trial(*[("met", "met"), ("missed", "missed")] * 10, ("met", None)))
    assert (found.ratings, found.coverage, found.exact.value) == (20, round(20 / 21, 4), 1)


def test_questions_of_which_nothing_was_scored_do_not_count() -> None:
    pairs: list[tuple[str, str | None]] = [("met", "met"), ("missed", None), ("met", None)]
    found = agreement(trial(*pairs, questions=3))
    assert (found.ratings, found.questions, found.scores) == (1, 1, 1)


def test_gold_of_scores_alone_says_nothing_of_ratings() -> None:
    scores = tuple(Score(f"q{n}", f"a{n}", n / 8, n / 8 if n else None) for n in range(8))
    found = agreement(Trial((), scores, Usage(), {}))
    assert (found.ratings, found.scores, found.questions, found.coverage) == (0, 7, 7, 0.875)
    assert told(found, usage=Usage()).startswith("0 ratings and 7 scores over 7 questions; 88% could be scored")


def test_draw_for_which_a_figure_is_not_defined_is_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defined are the draws of all questions and, seldom, of two at most."""

    monkeypatch.setattr(calibration, "RESAMPLES", 2000)

    def figure(found: Sequence[Score]) -> float | None:
        return {7: 1.0, 2: 0.0, 1: 0.0}.get(len({one.question for one in found}))

    found = calibration._interval([Score(f"q{n}", "a", 0, 0) for n in range(7)], figure)
    assert (found.low, found.value, found.high) == (0, 1, 1)


def test_interval_does_not_depend_on_the_order_of_the_answers() -> None:
    chance = random.Random(5)
    made = trial(*[(chance.choice(list(POINTS)), chance.choice(list(POINTS))) for _ in range(40)], questions=7)
    assert agreement(made) == agreement(replace(made, ratings=made.ratings[::-1], scores=made.scores[::-1]))


def test_interval_holds_the_value_and_narrows_with_questions() -> None:
    pairs = [("met", "met"), ("missed", "missed"), ("partial", "met")]
    few, many = agreement(trial(*pairs * 4, questions=6)), agreement(trial(*pairs * 40, questions=60))
    for found in (few, many):
        assert (found.exact.low or 0) <= (found.exact.value or 0) <= (found.exact.high or 0)
    assert (many.exact.high or 0) - (many.exact.low or 0) <= (few.exact.high or 0) - (few.exact.low or 0)


def test_one_level_on_both_sides_has_no_kappa() -> None:
    found = agreement(trial(*[("met", "met")] * 9))
    assert found.kappa.value is None
    assert not found.calibrated
    assert "not defined" in told(found, usage=Usage())


@pytest.mark.parametrize(
    ("ratings", "kappa", "error", "met"),
    [(200, 0.6, 0.15, True), (199, 0.9, 0.1, False), (500, 0.59, 0.1, False), (500, 0.9, 0.16, False)],
    ids=["just met", "too few", "low kappa", "large error"],
)
def test_bar_is_stated_and_held(ratings: int, kappa: float, error: float, met: bool) -> None:
    found = Agreement(
        ratings=ratings,
        questions=20,
        coverage=1,
        exact=Interval(value=0.8),
        kappa=Interval(value=kappa),
        score_error=Interval(value=error),
        correlation=Interval(value=0.9),
        confusion={},
        criteria={},
    )
    assert found.calibrated is met
    assert told(found, usage=Usage()).rstrip().splitlines()[-1].startswith("calibrated" if met else "uncalibrated")


def test_gold_answers_are_graded_with_every_criterion_expected() -> None:
    bank = load_bank(roots())
    gold = samples(bank, [bank.question("hybrid-search")])
    made = asyncio.run(try_out(gold, bank, maker=offline, clock=StandingClock()))
    assert {score.answer: score.stated for score in made.scores}["hybrid-search/strong"] == 1
    assert len(made.ratings) == 3 * 6
    assert set(made.stamp["rubrics"]) == {"hybrid-search"}


JSONL = """\
{"id": "a", "question": "hybrid-search", "answer": "BM25 finds rare words.", "levels": {"lexical-strength": "met"}}

{"id": "b", "question": "reranking", "turns": [{"role": "candidate", "text": "A cross-encoder."}], "score": 0.4}
"""
CSV = """\
id,question,answer,score,level:lexical-strength
a,hybrid-search,"BM25 finds rare words, always.",,met
b,reranking,A cross-encoder.,0.4,
"""


@pytest.mark.parametrize(("name", "text"), [("g.jsonl", JSONL), ("g.csv", CSV)])
def test_gold_file_holds_levels_or_scores(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    first, second = read_gold(tmp_path / name)
    assert (first.levels, first.score) == ({"lexical-strength": "met"}, None)
    assert (second.levels, second.score) == ({}, 0.4)


def test_every_bad_line_of_a_gold_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b", "question": "x", "answer": "y", "score": 7}\nnope\n')
    with pytest.raises(ContentError) as caught:
        read_gold(path)
    assert [line.split(":")[1] for line in caught.value.what.splitlines()] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        pytest.param('a,hybrid-search,0.5,"One, two.\nb,hybrid-search,0.5,"Three."\n', "g.csv:3", id="a quote that is not closed"),
        pytest.param("a,hybrid-search,0.5,One, two and three.\n", "g.csv:2: a cell without a name", id="a comma without quotes"),
        pytest.param('a,hybrid-search,0.5,"One.\nTwo."\nb,hybrid-search,7,Three.\n', "g.csv:4: score", id="after a text of two lines"),
        pytest.param("a,hybrid-search,nan,One.\n", "g.csv:2: score", id="a score that is no number"),
        pytest.param("a,hybrid-search,1,One.\na,hybrid-search,0,One.\n", "g.csv:3: another answer", id="an answer twice"),
        pytest.param(f"a,hybrid-search,1,{'x' * 10_000_001}\n", "g.csv:2", id="a cell without end"),
    ],
)  # fmt: skip
def test_row_of_a_csv_that_would_be_read_as_something_else_is_told(tmp_path: Path, row: str, told: str) -> None:
    path = tmp_path / "g.csv"
    path.write_text(f"id,question,score,answer\n{row}")
    with pytest.raises(ContentError, match=told):
        read_gold(path)


def test_csv_with_other_columns_is_told_which_ones_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("id;question;score;answer\na;hybrid-search;0,5;One.\n")
    with pytest.raises(ContentError, match=r"g\.csv:1: there is no column id, question, answer"):
        read_gold(tmp_path / "g.csv")


def test_answers_of_one_person_to_several_questions_are_as_many(tmp_path: Path) -> None:
    (tmp_path / "G.CSV").write_text("id,question,score,answer\na,hybrid-search,1,One.\na,reranking,0,Two.\n")
    assert [answer.question for answer in read_gold(tmp_path / "G.CSV")] == ["hybrid-search", "reranking"]


def test_gold_answer_is_either_a_text_or_turns(tmp_path: Path) -> None:
    said = '"answer": "x", "turns": [{"role": "candidate", "text": "y"}]'
    (tmp_path / "g.jsonl").write_text(f'{{"id": "a", "question": "hybrid-search", {said}, "score": 1}}\n')
    with pytest.raises(ContentError, match=r"g\.jsonl:1: Value error, give either an answer or turns"):
        read_gold(tmp_path / "g.jsonl")


def test_misspelt_red_flag_is_told() -> None:
    bank = load_bank(roots())
    flag = bank.rubric(bank.question("hybrid-search")).red_flags[0].id
    gold = [Gold(id="a", question="hybrid-search", answer="x y z", score=0, red_flags=(flag, flag[:-1]))]
    with pytest.raises(ContentError, match=f"no red flag '{flag[:-1]}'; did you mean '{flag}'"):
        asyncio.run(try_out(gold, bank, maker=offline, clock=StandingClock()))


def test_calibration_speaks_only_for_rubrics_of_which_an_answer_was_graded() -> None:
    gold = [
        Gold(id="a", question="hybrid-search", answer="BM25 finds rare words.", score=0.5),
        Gold(id="b", question="reranking", answer=" ", score=0),
    ]
    made = asyncio.run(try_out(gold, load_bank(roots()), maker=offline, clock=StandingClock()))
    assert made.failed == ("b: the answer is empty",)
    assert made.stamp["rubrics"].keys() == {"hybrid-search"}


def test_level_that_the_rubric_lacks_is_told() -> None:
    gold = [Gold(id="a", question="hybrid-search", answer="x y z", levels={"lexical-strength": "superb"})]
    with pytest.raises(ContentError, match="no level 'superb'"):
        asyncio.run(try_out(gold, load_bank(roots()), maker=offline, clock=StandingClock()))


def test_misspelt_criterion_is_told_before_anything_is_graded() -> None:
    gold = [Gold(id="a", question="hybrid-search", answer="x y z", levels={"lexical-strenght": "met"})]
    with pytest.raises(ContentError, match="did you mean 'lexical-strength'"):
        asyncio.run(try_out(gold, load_bank(roots()), maker=offline, clock=StandingClock()))


def test_answer_that_was_rated_in_part_has_no_score_to_compare() -> None:
    gold = [Gold(id="a", question="hybrid-search", answer="Rare words.", levels={"lexical-strength": "partial"})]
    made = asyncio.run(try_out(gold, load_bank(roots()), maker=offline, clock=StandingClock()))
    assert (len(made.ratings), made.scores) == (1, ())


def test_quoted_answer_of_several_lines_in_a_csv_with_a_mark_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text('\ufeffid,question,answer,score\na,hybrid-search,"One line.\nAnother.",0.5\n', encoding="utf-8")
    assert read_gold(path)[0].answer == "One line.\nAnother."


def test_result_speaks_for_a_grade_until_its_rubric_changes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("hybrid-search:\n  answer: BM25 matches the literal term and rare words.\n")
    start = ("start", "--question", "hybrid-search", "--answers", tmp_path / "c.yaml")
    name = run(*start).out.strip()
    unseen = shipped_figures()
    assert f"on {unseen.ratings} ratings of sample answers" in run("report", name).out
    done = run("calibrate", "--track", "rag", "--json")
    assert done.json["state"] in ("calibrated", "uncalibrated")
    mine = f"on {done.json['agreement']['ratings']} ratings of sample answers"
    assert mine in run("report", name).out
    own = tmp_path / "own" / "rubrics" / "rag"
    own.mkdir(parents=True)
    from tests.conftest import ROOT

    text = (ROOT / "rubrics" / "rag" / "hybrid-search.yaml").read_text()
    (own / "hybrid-search.yaml").write_text(text.replace("weight: 3", "weight: 4", 1))
    other = run(*start, "--content", tmp_path / "own").out.strip()
    assert mine not in run("report", other).out
    assert f"on {unseen.ratings} ratings of sample answers" in run("report", other).out


def test_result_speaks_for_a_grade_in_whatever_order_the_criteria_were_asked_for(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "question": "hybrid-search", "answer": "BM25 matches the term."}')
    (line,) = run("grade", "a.jsonl", "--json").json
    run("calibrate", "--track", "rag")
    bank = load_bank(roots())
    rubric = bank.rubric(bank.question("hybrid-search"))
    turned = rubric.model_copy(update={"criteria": rubric.criteria[::-1]})
    grade = Grade.model_validate(line)
    kept = tmp_path / "home" / "calibrations"
    assert state_of(kept, grade, {"hybrid-search": turned}) == state_of(kept, grade, {"hybrid-search": rubric})
    assert state_of(kept, grade, {"hybrid-search": turned}) is not None


def test_shipped_figures_speak_for_the_offline_grader_that_they_were_measured_with_and_no_other(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("hybrid-search:\n  answer: BM25 matches the literal term and rare words.\n")
    name = run("start", "--question", "hybrid-search", "--answers", tmp_path / "c.yaml").out.strip()
    assert "So read 0." in run("report", name).out, "an estimate, with its interval"
    grade = Grade.model_validate_json(next((tmp_path / "home").glob("sessions/*/grades/*.json")).read_bytes())
    assert shipped(grade)
    assert shipped(grade.model_copy(update={"stamp": grade.stamp.model_copy(update={"prompt": "sha256:0"})})) is None
    assert shipped(grade.model_copy(update={"stamp": grade.stamp.model_copy(update={"grader": "judge"})})) is None


def test_bank_test_shows_what_differs(run: Run) -> None:
    done = run("bank", "test", "hybrid-search")
    assert "hybrid-search/strong: stated 1.00" in done.out
    assert "of 18 ratings are as stated" in done.err
    assert len(run("bank", "test", "hybrid-search", "--json").json) == 18


def test_gold_that_nobody_can_grade_exits_6(run: Run, tmp_path: Path) -> None:
    (tmp_path / "g.jsonl").write_text('{"id": "a", "question": "nope", "answer": "x", "score": 1}\n')
    assert run("calibrate", "--gold", "g.jsonl").code == 6
