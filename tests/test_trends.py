"""What the sittings amount to: each figure is reckoned by hand here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mockint.grades import Prompted
from mockint.rubric import Signal
from mockint.study import Answered, Rating, Sitting
from mockint.study.trends import (
    LEAST_ANSWERS,
    POINTS,
    Change,
    Leaning,
    Line,
    Trends,
    Weak,
    Word,
    prompting,
    readiness,
    self_rating,
    time_use,
    trends,
    weak,
)
from tests.builders import SCALE

AT = datetime(2026, 11, 1, 18, tzinfo=UTC)
NOISE = 0.2
THREE = ("rag", "agents", "evaluation")


def rating(name: str, points: float | None, prompted: Prompted | None = "unprompted", **changes: object) -> Rating:
    level = None if points is None else "some"
    return replace(Rating(name, 3, level, points, prompted, expected=True), **changes)  # type: ignore[arg-type]


def answered(score: float | None, *ratings: Rating, track: str = "rag", **changes: object) -> Answered:
    state = "not_answered" if score is None else "graded"
    one = Answered("kettle", track, f"Skill of {track}", state, score, 1.0, 100, 300, None, ratings)  # type: ignore[arg-type]
    return replace(one, **changes)  # type: ignore[arg-type]


def sat(day: int, *answers: Answered, grader: str = "offline", signal: Signal = "hire", level: str = "mid") -> Sitting:
    name = f"202611{day:02}-180000-rag-abcd"
    return Sitting(name, AT + timedelta(day - 1), level, signal, 0.5, 1.0, grader, answers)  # type: ignore[arg-type]


def made(sittings: Sequence[Sitting]) -> Trends:
    return trends(sittings, noise=NOISE, level="mid", bands=SCALE.bands)


def line(*scores: float) -> Line:
    (found,) = made([sat(day, answered(score)) for day, score in enumerate(scores, 1)]).tracks
    return found


def test_nothing_sat_says_nothing() -> None:
    found = made([])
    assert (found.sittings, found.tracks, found.weak, found.time, found.self_rating) == (0, (), (), None, None)
    assert found.readiness.word == "not enough to say"


def test_document_is_json_and_says_what_the_values_say() -> None:
    found = made([sat(1, answered(0.5, rating("a", 0)))])
    document = json.loads(json.dumps(found.as_data()))
    assert document["tracks"][0]["now"] == {"score": 0.5, "answers": 1, "band": 0.2}
    assert document["weak"][0]["id"] == "kettle/a"
    assert document["readiness"]["level"] == "mid"


# Lines


@pytest.mark.parametrize(
    ("scores", "before", "now", "told"),
    [
        pytest.param((0.5,), None, 0.5, "one sitting only", id="one"),
        pytest.param((0.3, 0.9), 0.3, 0.9, "up", id="two far apart"),
        # Two means of one answer: a difference up to the root of 0.2² + 0.2² = 0.283 is not seen.
        pytest.param((0.5, 0.78), 0.5, 0.78, "no change that the grader could see", id="up within the noise"),
        pytest.param((0.5, 0.79), 0.5, 0.79, "up", id="up just beyond it"),
        pytest.param((0.79, 0.5), 0.79, 0.5, "down", id="down just beyond it"),
        # Of two answers each, 0.2 is seen from on: 0.283 / sqrt 2.
        pytest.param((0.5, 0.5, 0.72, 0.72), 0.5, 0.72, "up", id="more answers see more"),
        pytest.param((0.0, *[0.2] * 5, *[0.9] * 5), 0.2, 0.9, "up", id="five on each side and no more"),
    ],
)
def test_change_of_a_line_is_what_the_grader_could_see(
    scores: tuple[float, ...], before: float | None, now: float, told: Change
) -> None:
    found = line(*scores)
    assert (found.before.score if found.before else None, found.now.score, found.change) == (before, now, told)


def test_band_narrows_with_the_root_of_the_answers() -> None:
    (found,) = made([sat(1, *[answered(0.5)] * 4)]).tracks
    assert (found.now.answers, found.now.band) == (4, 0.1)


def test_points_are_the_newest_in_time_order_whatever_the_order_given() -> None:
    sittings = [
        Sitting(f"s{number:03}", AT + timedelta(number), "mid", "hire", 0.5, 1.0, "offline", (answered(0.5),))
        for number in range(POINTS + 4)
    ]
    (found,) = made(sittings[::-1]).tracks
    assert found.sittings == POINTS + 4
    assert [point.session for point in found.points] == [f"s{number:03}" for number in range(4, POINTS + 4)]


def test_unscored_answers_are_on_no_line() -> None:
    (found,) = made([sat(1, answered(0.4), answered(None, track="agents"), answered(None))]).tracks
    assert (found.name, found.now.score, found.now.answers) == ("rag", 0.4, 1)


def test_graders_have_lines_of_their_own() -> None:
    found = made([sat(1, answered(0.2)), sat(2, answered(0.9), grader="lab/m"), sat(3, answered(0.3))])
    assert [(one.grader, one.sittings, one.now.score) for one in found.tracks] == [
        ("lab/m", 1, 0.9),
        ("offline", 2, 0.3),
    ]
    assert found.graders == (("lab/m", 1), ("offline", 2))


def test_competencies_have_lines_too() -> None:
    found = made([sat(1, answered(0.2), answered(0.4, track="agents"))])
    assert [(one.name, one.now.score) for one in found.competencies] == [
        ("Skill of agents", 0.4),
        ("Skill of rag", 0.2),
    ]


# Weak criteria


def test_weak_criteria_by_lost_points_with_how_often_and_when() -> None:
    found = weak(
        [
            sat(1, answered(0.5, rating("a", 0.5), rating("b", 0, None), rating("c", 1))),
            sat(2, answered(0.5, rating("a", 0, None), rating("b", 0.5, weight=1), rating("d", None))),
            sat(3, answered(0.5, rating("b", 1), rating("bonus", 0, None, expected=False)), grader="lab/m"),
        ]
    )
    assert found == (
        Weak("kettle/a", 4.5, 1, 2, "2026-11-02", ("offline",)),
        Weak("kettle/b", 3.5, 1, 3, "2026-11-03", ("lab/m", "offline")),
    )


# Time, prompting, self-rating


def test_time_use_is_of_answered_questions() -> None:
    shares = [answered(0.5, took_seconds=took) for took in (30, 300, 301)]
    found = time_use([sat(1, *shares, answered(None, took_seconds=9000))])
    assert found is not None
    assert (found.answers, found.median, found.over) == (3, 1.0, 0.3333)
    assert time_use([sat(1, answered(None))]) is None


def test_prompting_counts_what_earned_points() -> None:
    ratings = [rating("a", 1), rating("b", 0.7, "probe"), rating("c", 0.4, "hint"), rating("d", 0, "probe")]
    found = prompting([sat(1, answered(0.5, *ratings, rating("e", 1), rating("f", None)))])
    assert (found.unprompted, found.probe, found.hint, found.total) == (2, 1, 1, 4)


@pytest.mark.parametrize(
    ("rated", "score", "count", "difference", "leaning"),
    [
        pytest.param(5, 0.5, 4, 0.5, "over-rates", id="too high"),
        pytest.param(2, 0.5, 4, -0.25, "under-rates", id="too low"),
        pytest.param(3, 0.45, 4, 0.05, "no difference that the grader could see", id="as graded"),
        pytest.param(4, 0.65, 4, 0.1, "no difference that the grader could see", id="at the edge of the noise"),
        pytest.param(5, 0.0, 2, 1.0, "not enough to say", id="too few"),
    ],
)
def test_self_rating_beside_the_grade(
    rated: int, score: float, count: int, difference: float, leaning: Leaning
) -> None:
    answers = [answered(score, self_rating=rated)] * count
    found = self_rating([sat(1, *answers, answered(0.9), answered(None, self_rating=1))], noise=NOISE)
    assert found is not None
    assert (found.answers, found.difference, found.leaning) == (count, difference, leaning)


# Readiness: a hire begins at 0.55; nine answers have a band of 0.2 / 3 = 0.067, three one of 0.115


def held(
    *scores: tuple[float, float, float], signals: Sequence[Signal] = ("hire",) * 9, **changes: str
) -> list[Sitting]:
    return [
        sat(
            day,
            *map(lambda score, track: answered(score, track=track), three, THREE),
            signal=signals[day - 1],
            **changes,
        )
        for day, three in enumerate(scores, 1)
    ]


@pytest.mark.parametrize(
    ("sittings", "word", "why"),
    [
        pytest.param(held(*[(0.7, 0.7, 0.7)] * 3), "ready", "above 0.55", id="ready"),
        pytest.param(
            held(*[(0.6, 0.6, 0.6)] * 3), "nearly", "within the grader's error", id="above by less than the band"
        ),
        pytest.param(
            held(*[(0.5, 0.5, 0.5)] * 3), "nearly", "within the grader's error", id="below by less than the band"
        ),
        pytest.param(held(*[(0.4, 0.4, 0.4)] * 3), "not yet", "below 0.55", id="below"),
        pytest.param(held(*[(1.0, 1.0, 0.4)] * 3), "nearly", "evaluation lies below", id="one track is low"),
        pytest.param(
            held(*[(0.9, 0.9, 0.9)] * 4, signals=("hire", "no hire", "no hire", "hire")),
            "nearly",
            "2 of 4 signals",
            id="red flags forbid the signal",
        ),
        pytest.param(held(*[(0.9, 0.9, 0.9)] * 2), "not enough to say", str(LEAST_ANSWERS), id="too few answers"),
        pytest.param([sat(1, *[answered(0.9)] * 9)], "not enough to say", "3 tracks", id="one track only"),
        pytest.param(held(*[(0.9, 0.9, 0.9)] * 3, level="junior"), "not enough to say", "", id="held at a lower level"),
        pytest.param(held(*[(0.9, 0.9, 0.9)] * 3, level="senior"), "ready", "", id="held at a higher level"),
        pytest.param(held(*[(0.1, 0.1, 0.1)] * 3, *[(0.9, 0.9, 0.9)] * 5), "ready", "", id="the last five count"),
        pytest.param(
            held(*[(0.9, 0.9, 0.9)] * 3, *[(0.1, 0.1, 0.1)] * 5), "not yet", "", id="the last five count against"
        ),
    ],
)
def test_readiness_is_a_word_and_why(sittings: list[Sitting], word: Word, why: str) -> None:
    found = readiness(sittings, noise=NOISE, level="mid", bands=SCALE.bands)
    assert found.word == word
    assert why in found.why


def test_readiness_rests_on_sittings_that_have_a_score() -> None:
    good = held(*[(0.7, 0.7, 0.7)] * 3)
    left = [sat(day, answered(None), signal="insufficient evidence") for day in range(4, 10)]
    assert readiness([*good, *left], noise=NOISE, level="mid", bands=SCALE.bands) == readiness(
        good, noise=NOISE, level="mid", bands=SCALE.bands
    )


def test_readiness_says_what_it_rests_on() -> None:
    sittings = [*held(*[(0.7, 0.7, 0.7)] * 2, signals=("hire", "no hire")), *held((0.7, 0.7, 0.7), grader="lab/m")]
    found = readiness(sittings, noise=NOISE, level="mid", bands=SCALE.bands)
    assert (found.sittings, found.answers, found.hired) == (3, 9, 2)
    assert found.tracks == ("agents", "evaluation", "rag")
    assert found.graders == ("lab/m", "offline")
    assert found.score is not None
    assert (found.score.score, found.score.band) == (0.7, 0.0667)


def test_scale_without_a_hire_is_never_reached() -> None:
    found = readiness(held(*[(0.9, 0.9, 0.9)] * 3), noise=NOISE, level="mid", bands=SCALE.bands[:2])
    assert found.word == "not yet"
