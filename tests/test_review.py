"""What is remembered, what is due, and which questions test it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

import mockint.clock
import mockint.study.review
from mockint.bank import Bank, load_bank
from mockint.content import roots
from mockint.grades import Prompted
from mockint.study import Answered, Rating, Sitting
from mockint.study.review import (
    Due,
    Recall,
    Siblings,
    choose_review,
    due,
    find_siblings,
    leading,
    outlook,
    recall,
)
from tests.conftest import Run, StandingClock

DAY = timedelta(1)
AT = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
QUESTION = "code-multi-head-attention"
MASK, OTHER_MASK = (QUESTION, "causal-mask"), ("self-attention", "causal-mask")


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load_bank(roots())


@pytest.fixture(scope="module")
def siblings(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Siblings:
    return find_siblings(bank, cache=tmp_path_factory.mktemp("cache"))


def rating(name: str, points: float | None, prompted: Prompted | None = "unprompted", **changes: object) -> Rating:
    level = None if points is None else "some"
    return replace(Rating(name, 3, level, points, prompted, expected=True), **changes)  # type: ignore[arg-type]


def answered(*ratings: Rating, question: str = QUESTION, took: float = 100) -> Answered:
    return Answered(question, "llm-fundamentals", "Attention", "graded", 0.5, 1.0, took, 360, None, ratings)


def sat(*answers: Answered, at: datetime = AT) -> Sitting:
    return Sitting(f"{at:%Y%m%d-%H%M%S}-x-abcd", at, "mid", "hire", 0.5, 1.0, "offline", answers)


def of(key: tuple[str, str], found: list[Due]) -> Due:
    return next(one for one in found if one.key == key)


@pytest.mark.parametrize(
    ("one", "others", "took", "told"),
    [
        pytest.param(rating("a", 0, None), (), 100, "missed", id="no points"),
        pytest.param(rating("a", None), (), 100, None, id="unscored leaves no trace"),
        pytest.param(rating("a", 0, None, expected=False), (), 100, None, id="a bonus not shown leaves no trace"),
        pytest.param(rating("a", 0.5), (), 100, "partial", id="middle level"),
        pytest.param(rating("a", 1, "probe"), (), 100, "prompted", id="after a probe"),
        pytest.param(rating("a", 0.4, "hint"), (), 100, "partial", id="after a hint, at its price"),
        pytest.param(rating("a", 1), (rating("b", 0.5),), 100, "met", id="met beside a gap"),
        pytest.param(rating("a", 1), (rating("b", 1),), 100, "mastered", id="met with all the rest"),
        pytest.param(rating("a", 1), (rating("b", 1),), 400, "met", id="met with all the rest, late"),
        pytest.param(rating("a", 1), (rating("b", None),), 100, "met", id="met beside what nobody could score"),
    ],
)
def test_recall_of_a_verdict(one: Rating, others: tuple[Rating, ...], took: float, told: Recall | None) -> None:
    assert recall(answered(one, *others, took=took), one) == told


def test_better_recall_is_due_later(bank: Bank) -> None:
    names = list(bank.rubric(bank.question(QUESTION)).by_id)[:3]
    sitting = sat(answered(rating(names[0], 0, None), rating(names[1], 0.5), rating(names[2], 1)))
    on = {one.criterion: (one.on - AT.date()).days for one in outlook([sitting], bank, AT)}
    assert on[names[0]] == 1
    assert on[names[0]] < on[names[1]] < on[names[2]]


def test_states_are_the_same_whenever_and_in_whatever_order_they_are_made(bank: Bank) -> None:
    name = MASK[1]
    held = [sat(answered(rating(name, points)), at=AT + DAY * day) for day, points in ((0, 0), (1, 0.5), (3, 1))]
    assert outlook(held, bank, AT + 5 * DAY) == outlook(list(reversed(held)), bank, AT + 5 * DAY)
    assert outlook(held, bank, AT + 5 * DAY)[0].last == "mastered"


def test_day_is_the_candidates_and_the_hour_does_not_matter(bank: Bank) -> None:
    held = [sat(answered(rating(MASK[1], 0, None)))]
    assert due(held, bank, AT) == []
    morning = due(held, bank, AT + timedelta(hours=8))
    assert [one.key for one in morning] == [MASK]
    assert morning[0].retrievability < 1
    late = AT.astimezone(timezone(timedelta(hours=9)))
    assert late.date() > AT.date(), "it is after midnight there"
    assert outlook(held, bank, late)[0].seen == late.date()


def test_morning_after_an_evening_is_a_day_later(bank: Bank) -> None:
    evening = sat(answered(rating(MASK[1], 0, None)))
    due_on = [
        of(
            MASK, outlook([evening, sat(answered(rating(MASK[1], 1)), at=AT + timedelta(hours=hours))], bank, AT + DAY)
        ).on
        for hours in (13, 24, 29)
    ]
    assert len(set(due_on)) == 1, "next day at seven, at eighteen and at twenty-three o'clock"
    assert (due_on[0] - AT.date()).days > 2


def test_most_urgent_is_what_weighs_most_among_the_forgotten(bank: Bank) -> None:
    names = list(bank.rubric(bank.question(QUESTION)).by_id)[:2]
    held = [sat(answered(rating(names[0], 0, None, weight=1), rating(names[1], 0, None, weight=3)))]
    found = due(held, bank, AT + DAY)
    assert [one.criterion for one in found] == [names[1], names[0]]
    assert found[0].urgency == pytest.approx(3 * (1 - found[0].retrievability))


def test_what_the_bank_no_longer_has_is_not_due(bank: Bank) -> None:
    gone = answered(rating("anything", 0, None), question="no-such-question")
    lost = answered(rating("no-such-criterion", 0, None))
    assert due([sat(gone, lost)], bank, AT + DAY) == []


def test_causal_masks_of_two_questions_are_siblings_and_links_go_both_ways(siblings: Siblings) -> None:
    assert OTHER_MASK in siblings[MASK]
    for key, others in siblings.items():
        for other in others:
            assert other[0] != key[0]
            assert key in siblings[other]


def test_siblings_come_from_the_cache_unless_the_bank_changed(bank: Bank, siblings: Siblings, tmp_path: Path) -> None:
    small = replace(bank, questions={name: bank.question(name) for name in (MASK[0], OTHER_MASK[0], "docker")})
    made = find_siblings(small, cache=tmp_path)
    kept = (tmp_path / "siblings.json").read_bytes()
    assert find_siblings(small, cache=tmp_path) == made
    assert (tmp_path / "siblings.json").read_bytes() == kept
    find_siblings(replace(bank, questions={"docker": bank.question("docker")}), cache=tmp_path)
    assert (tmp_path / "siblings.json").read_bytes() != kept


def test_siblings_are_the_same_however_many_are_compared_at_once(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(bank, questions={name: bank.question(name) for name in (MASK[0], OTHER_MASK[0], "docker")})
    whole = find_siblings(small)
    assert MASK in whole
    monkeypatch.setattr(mockint.study.review, "AT_ONCE", 2)
    assert find_siblings(small) == whole


def test_missed_criterion_is_asked_from_another_side_and_a_known_one_is_not(bank: Bank, siblings: Siblings) -> None:
    for points, question, side in ((0, OTHER_MASK[0], "another side"), (0.5, QUESTION, "asked again")):
        held = [sat(answered(rating(MASK[1], points)))]
        queue = due(held, bank, AT + 3 * DAY, siblings=siblings)
        (choice,) = choose_review(queue, bank, sittings=held, level="mid", minutes=30, siblings=siblings)
        assert choice.question.id == question
        assert side in choice.because
        assert "'causal-mask' of code-multi-head-attention" in choice.because


def test_other_side_that_is_too_long_gives_way_to_the_question_itself(bank: Bank) -> None:
    short, long = bank.question(QUESTION), bank.question(OTHER_MASK[0])
    bank = replace(bank, questions={**bank.questions, long.id: long.model_copy(update={"minutes": short.minutes + 1})})
    held = [sat(answered(rating(MASK[1], 0, None)))]
    only = {MASK: (OTHER_MASK,)}
    queue = due(held, bank, AT + DAY, siblings=only)
    for minutes, asked in ((short.minutes + 1, long.id), (short.minutes, short.id)):
        (choice,) = choose_review(queue, bank, sittings=held, level="mid", minutes=minutes, siblings=only)
        assert choice.question.id == asked


def test_missed_from_both_sides_goes_back_to_the_one_asked_longest_ago(bank: Bank, siblings: Siblings) -> None:
    only = {MASK: (OTHER_MASK,), OTHER_MASK: (MASK,)}
    held = [
        sat(answered(rating(MASK[1], 0, None))),
        sat(answered(rating(OTHER_MASK[1], 0, None), question=OTHER_MASK[0]), at=AT + DAY),
    ]
    queue = due(held, bank, AT + 2 * DAY, siblings=only)
    chosen = choose_review(queue, bank, sittings=held, level="mid", minutes=20, siblings=only)
    assert chosen[0].question.id == MASK[0]
    assert "second time in a row" in of(MASK, queue).why


def test_rating_on_a_sibling_counts_for_what_was_missed(bank: Bank) -> None:
    only = {MASK: (OTHER_MASK,), OTHER_MASK: (MASK,)}
    held = [
        sat(answered(rating(MASK[1], 0, None))),
        sat(answered(rating(OTHER_MASK[1], 1), question=OTHER_MASK[0]), at=AT + DAY),
    ]
    assert of(MASK, outlook(held, bank, AT + 2 * DAY, siblings=only)).last == "met"
    assert of(MASK, outlook(held, bank, AT + 2 * DAY)).last == "missed"


def test_review_keeps_to_its_minutes_and_to_the_level(bank: Bank, siblings: Siblings) -> None:
    names = ("docker", "slow-sql", "reranking", "kv-cache", QUESTION)
    held = [
        sat(
            *(
                answered(*(rating(c.id, 0, None) for c in bank.rubric(bank.question(name)).criteria), question=name)
                for name in names
            )
        )
    ]
    queue = due(held, bank, AT + DAY, siblings=siblings)
    for minutes in (4, 12, 30):
        chosen = choose_review(queue, bank, sittings=held, level="mid", minutes=minutes, siblings=siblings)
        assert sum(choice.question.minutes for choice in chosen) <= minutes
        assert len({choice.question.id for choice in chosen}) == len(chosen)
        assert bool(chosen) == (minutes > 4)
    junior = choose_review(queue, bank, sittings=held, level="junior", minutes=200, siblings=siblings)
    assert all("junior" in c.question.levels or c.question.id in names for c in junior)


def test_question_asked_again_is_probed_in_another_order(bank: Bank) -> None:
    rubric = bank.rubric(bank.question("docker"))
    before = [criterion.id for criterion in rubric.criteria]
    after = [criterion.id for criterion in leading(rubric, [before[2]]).criteria]
    assert after[0] == before[2]
    assert sorted(after) == sorted(before)
    assert after[1:] == [name for name in reversed(before) if name != before[2]]


@pytest.fixture
def day_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandingClock]:
    clock = StandingClock(AT)
    monkeypatch.setattr(mockint.clock, "SystemClock", lambda: clock)
    with monkeypatch.context() as zone:  # days are those of this machine's calendar
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield clock
    time.tzset()


@pytest.mark.parametrize(("zone", "day"), [("EAST-13", "Sun 2026-11-22"), ("WEST+10", "Sat 2026-11-21")])
def test_day_of_a_review_is_that_of_the_machines_zone(
    run: Run, day_clock: StandingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, day: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    day_clock.passed += 36_000  # to four in the morning of the 21st, in UTC
    script = tmp_path / "weak.yaml"
    script.write_text(yaml.safe_dump({"docker": {"answer": "It is a kind of small virtual machine, I believe."}}))
    run("start", "--question", "docker", "--answers", script)
    assert f"on {day}." in " ".join(run("start", "--review").err.split())


def test_review_with_nothing_due_and_nothing_missed_today_names_only_the_day(
    run: Run, day_clock: StandingClock, tmp_path: Path, bank: Bank
) -> None:
    strong = next(
        sample.text for sample in bank.samples(bank.question("production-evaluation")) if sample.name == "strong"
    )
    script = tmp_path / "strong.yaml"
    script.write_text(yaml.safe_dump({"production-evaluation": {"answer": strong}}))
    run("start", "--question", "production-evaluation", "--answers", script)
    told = " ".join(run("start", "--review").err.split())
    assert told == "Nothing is due. Next: renews-the-test-set of production-evaluation, on Sun 2026-11-22."


def test_what_is_asked_from_another_side_is_probed_there_first(
    run: Run, day_clock: StandingClock, tmp_path: Path, bank: Bank
) -> None:
    script = tmp_path / "weak.yaml"
    script.write_text(
        yaml.safe_dump({QUESTION: {"answer": "I would look it up, I am afraid, since I never wrote one."}})
    )
    run("start", "--question", QUESTION, "--answers", script)
    day_clock.passed += 86_400
    done = run("start", "--review", "--answers", script, "--json", "--minutes", "60")
    plan = json.loads(Path(done.json["events"]).read_text().splitlines()[0])["plan"]
    first = {one["question"]["id"]: one["rubric"]["criteria"][0]["id"] for one in plan}
    assert first.pop(OTHER_MASK[0]) == OTHER_MASK[1]


def test_start_review_says_what_comes_next_and_then_asks_it(
    run: Run, day_clock: StandingClock, tmp_path: Path, bank: Bank
) -> None:
    assert "no answer is graded yet" in run("start", "--review").err
    weak = next(sample.text for sample in bank.samples(bank.question("docker")) if sample.name == "weak")
    script = tmp_path / "weak.yaml"
    script.write_text(yaml.safe_dump({"docker": {"answer": weak}}))
    run("start", "--question", "docker", "--answers", script)
    nothing = run("start", "--review", "--answers", script, "--json")
    assert (nothing.code, nothing.json["id"]) == (0, None)
    assert "Nothing is due. Next:" in nothing.err
    assert "on Sat 2026-11-21." in nothing.err
    again = "What was missed today can be asked again at once: mockint start --question docker"
    assert " ".join(nothing.err.split()).endswith(again)
    assert run("start", "--question", "docker", "--answers", script, "--no-grade", "--json").json["id"]
    assert len(run("history", "--json").json) == 2, "no session came of the review"
    day_clock.passed += 86_400
    done = run("start", "--review", "--answers", script, "--json", "--minutes", "10")
    assert "of docker was missed on 2026-11-20; asked again" in " ".join(done.err.split())
    assert all(len(line) <= 80 for line in done.err.split("Session ")[0].splitlines())
    assert "-review-" in done.json["id"]
    first = json.loads(Path(done.json["events"]).read_text().splitlines()[0])
    asked = [criterion["id"] for criterion in first["plan"][0]["rubric"]["criteria"]]
    assert asked != list(bank.rubric(bank.question("docker")).by_id)
    assert run("replay", "last", "--verify").code == 0


@pytest.mark.parametrize(
    "words", [["--track", "rag"], ["--loop", "ibm"], ["--question", "docker"], ["--questions", "2"]], ids=lambda w: w[0]
)
def test_review_beside_what_brings_its_own_questions_is_refused(run: Run, words: list[str]) -> None:
    done = run("start", "--review", *words)
    assert (done.code, words[0] in done.err) == (2, True)


def test_review_shorter_than_any_question_says_so(run: Run, day_clock: StandingClock, tmp_path: Path) -> None:
    script = tmp_path / "weak.yaml"
    script.write_text(yaml.safe_dump({"docker": {"answer": "It is a kind of small virtual machine, I believe."}}))
    run("start", "--question", "docker", "--answers", script)
    day_clock.passed += 86_400
    done = run("start", "--review", "--minutes", "2")
    assert (done.code, done.out) == (0, "")
    assert "the shortest takes 5." in " ".join(done.err.split())
