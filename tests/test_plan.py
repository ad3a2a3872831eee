"""The days up to an interview: what is planned, how it follows the grades, and the commands around it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import icalendar
import pytest
import yaml

import mockint.clock
from mockint.bank import TRACKS, Bank, Loop, load_bank, load_loop
from mockint.cli.plan import wrapped
from mockint.content import roots
from mockint.errors import SessionError, UsageError
from mockint.grades import AnswerState
from mockint.rubric import TargetLevel
from mockint.study import Answered, Rating, Sitting
from mockint.study.plan import Aim, Plan, about_of, calendar, draw, draw_mock, keep_aim, lay_out, load_aim
from tests.conftest import Run, StandingClock

NOW = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)
TODAY = NOW.date()
AIM = Aim(interview=TODAY + timedelta(5), loop="full-ai-engineer", minutes_a_day=45, level="mid", since=TODAY)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load_bank(roots())


@pytest.fixture(scope="module")
def loop() -> Loop:
    return load_loop(roots(), "full-ai-engineer")


def sat(bank: Bank, *names: str, score: float = 0.2, days: int = 0, about: str = "mixed") -> Sitting:
    at = NOW + timedelta(days)
    answers = []
    for name in names:
        question, rubric = bank.question(name), bank.rubric(bank.question(name))
        points = 1.0 if score > 0.8 else 0.0
        ratings = tuple(Rating(c.id, c.weight, "x", points, "unprompted", expected=True) for c in rubric.criteria)
        budget = question.minutes * 60.0
        answers.append(Answered(name, question.track, "x", "graded", score, 1.0, 60.0, budget, None, ratings))
    return Sitting(f"{at:%Y%m%d-%H%M%S}-{about}-abcd", at, "mid", "hire", score, 1.0, "offline", tuple(answers))


def laid(bank: Bank, loop: Loop | None, *sittings: Sitting, now: datetime = NOW, **changes: object) -> Plan:
    aim = Aim.model_validate(AIM.model_dump() | {"loop": loop.name if loop else None} | changes)
    return lay_out(aim, sittings, bank, now, loop=loop, siblings={})


def kinds(plan: Plan) -> list[list[str]]:
    return [[slot.kind for slot in day.slots] for day in plan.days]


def test_last_day_is_light_and_the_one_before_rehearses(bank: Bank, loop: Loop) -> None:
    plan = laid(bank, loop)
    assert [day.on for day in plan.days] == [TODAY + timedelta(n) for n in range(5)]
    assert kinds(plan) == [["practice"], ["review", "practice"], ["review", "practice"], ["mock"], ["light"]]


def test_no_day_holds_more_than_its_minutes(bank: Bank, loop: Loop) -> None:
    for minutes in (15, 20, 45, 90, 240):
        for day in laid(bank, loop, minutes_a_day=minutes).days:
            assert 0 < sum(slot.minutes for slot in day.slots) <= minutes


def test_tracks_not_seen_come_first_and_weak_ones_before_strong_ones(bank: Bank, loop: Loop) -> None:
    seen = [sat(bank, "docker", score=0.9, days=-1), sat(bank, "reranking", days=-1)]
    first = next(slot for slot in laid(bank, loop, *seen).days[0].slots if slot.kind == "practice")
    assert not {"python-swe", "rag"} & set(first.tracks)
    slots = [
        s for d in laid(bank, None, *seen, tracks=("python-swe", "rag")).days for s in d.slots if s.kind == "practice"
    ]
    assert slots[0].tracks == ("rag",)
    assert slots[0].why == "rag 0.20 so far"


def test_mock_is_the_whole_loop_where_it_fits(bank: Bank, loop: Loop) -> None:
    whole = laid(bank, loop, minutes_a_day=180).days[-2].slots[-1]
    assert (whole.kind, whole.minutes, whole.why) == ("mock", loop.minutes, "the whole loop")
    part = laid(bank, loop).days[-2].slots[-1]
    assert part.minutes == 45
    assert len(part.rounds) == 1
    mixed = laid(bank, loop, minutes_a_day=30)
    assert mixed.days[-2].slots[-1].rounds == ()
    assert any("No round" in note for note in mixed.notes)


def test_mock_is_no_longer_than_the_questions_there_are_so_that_it_can_be_done(bank: Bank) -> None:
    names = [name for name, q in bank.questions.items() if q.track == "infrastructure" and "junior" in q.levels]
    whole = sat(bank, *names, about="mock")
    tomorrow = TODAY + timedelta(1)
    plan = laid(bank, None, whole, tracks=("infrastructure",), level="junior", interview=tomorrow, minutes_a_day=60)
    (slot,) = plan.days[0].slots
    assert slot.minutes == sum(bank.question(name).minutes for name in names) < 24
    assert slot.done == whole.session


def test_mock_of_equal_length_is_the_weaker_one(bank: Bank, loop: Loop) -> None:
    rounds = [
        slot.rounds
        for score in (0.1, 1.0)
        for slot in laid(
            bank,
            loop,
            sat(bank, "choosing-a-vector-database", "explaining-agents", "docker", score=0.5, days=-1),
            sat(
                bank,
                "feedback-loops",
                "model-deployment",
                "confidential-data",
                "regulated-agents",
                score=score,
                days=-1,
            ),
        )
        .days[-2]
        .slots
        if slot.kind == "mock"
    ]
    assert rounds[0] == ("System design",)
    assert rounds[1] == ("Debugging, estimates and evaluation",)


def test_due_comes_first_and_takes_at_most_half(bank: Bank, loop: Loop) -> None:
    yesterday = sat(bank, "docker", "slow-sql", "reranking", "kv-cache", "explaining-agents", days=-1)
    slots = laid(bank, loop, yesterday).days[0].slots
    assert [slot.kind for slot in slots] == ["review", "practice"]
    assert 6 <= slots[0].minutes <= 22
    assert "points due in 5 questions" in slots[0].why


def test_question_longer_than_half_a_day_is_reviewed_all_the_same(bank: Bank, loop: Loop) -> None:
    assert bank.question("production-evaluation").minutes == 12
    slots = laid(bank, loop, sat(bank, "production-evaluation", days=-1), minutes_a_day=15).days[0].slots
    assert [(slot.kind, slot.minutes) for slot in slots] == [("review", 12)]


def test_today_stays_as_it_is_while_its_sessions_are_held(bank: Bank, loop: Loop) -> None:
    yesterday = sat(bank, "docker", "explaining-agents", days=-1)
    before = laid(bank, loop, yesterday).days[0]
    held = sat(bank, "docker", "explaining-agents", score=1, about="review")
    after = laid(bank, loop, yesterday, held)
    assert [replace(slot, done=None) for slot in after.days[0].slots] == list(before.slots)
    assert [slot.done for slot in after.days[0].slots] == [held.session, None]
    assert after.next == before.slots[1]


def test_session_that_broke_off_or_is_about_something_else_does_not_count(bank: Bank, loop: Loop) -> None:
    plan = laid(bank, loop)
    slot = plan.days[0].slots[0]
    on_it = [q.id for q in bank.questions.values() if q.track in slot.tracks and "mid" in q.levels]
    other = [q.id for q in bank.questions.values() if q.track not in slot.tracks and "mid" in q.levels]
    assert laid(bank, loop, sat(bank, on_it[0])).days[0].slots[0].done is None
    assert laid(bank, loop, sat(bank, *other[:6])).days[0].slots[0].done is None
    whole = sat(bank, *on_it[:6])
    assert laid(bank, loop, whole).days[0].slots[0].done == whole.session
    assert laid(bank, loop, whole).next is None


@pytest.mark.parametrize(
    ("states", "took_seconds", "done"),
    [
        pytest.param(["graded"] * 4, 8, True, id="all answered in half a minute"),
        pytest.param(["graded"] * 3 + ["not_asked"], 8, False, id="left before the last question"),
        pytest.param(["graded"] * 3 + ["not_asked"], 900, True, id="time was up before the last question"),
        pytest.param(["graded"] * 3 + ["not_answered"], 8, True, id="one skipped"),
        pytest.param(["graded"] * 4 + ["not_answered"] * 5, 8, False, id="mostly skipped"),
        pytest.param(["not_answered"] * 4, 900, False, id="all skipped"),
    ],
)
def test_session_is_held_when_it_was_mostly_answered_to_its_end_however_quickly(
    bank: Bank, loop: Loop, states: list[AnswerState], took_seconds: float, done: bool
) -> None:
    slot = laid(bank, loop).days[0].slots[0]
    names = [q.id for q in bank.questions.values() if q.track in slot.tracks and "mid" in q.levels]
    held = sat(bank, *names[: len(states)], score=0)
    answers = tuple(
        replace(one, state=state, took_seconds=took_seconds, budget_seconds=slot.minutes * 60 / len(states))
        for one, state in zip(held.answers, states, strict=True)
    )
    after = laid(bank, loop, replace(held, answers=answers)).days[0].slots[0]
    assert after.done == (held.session if done else None)


def test_whole_loop_left_after_a_days_minutes_counts_as_the_days_mock(bank: Bank, loop: Loop) -> None:
    names = [name for one in loop.rounds for name in one.questions]
    held = sat(bank, *names, about=loop.name)
    answers = [replace(one, state="not_asked") for one in held.answers]
    for count in (1, len(names) - 1):
        part = replace(held, answers=(*held.answers[:count], *answers[count:]))
        (slot,) = laid(bank, loop, part, interview=TODAY + timedelta(2)).days[0].slots
        assert (slot.kind, slot.done) == ("mock", held.session if count > 1 else None)


def test_more_of_today_goes_to_what_weighs_most_and_was_not_seen_then_to_what_is_weak(bank: Bank) -> None:
    tracks = ("python-swe", "rag")
    assert laid(bank, None, sat(bank, "docker", score=0), tracks=tracks).further == "rag"
    assert laid(bank, None, sat(bank, "docker"), sat(bank, "reranking", score=1), tracks=tracks).further == "python-swe"
    assert laid(bank, None, tracks=tracks, now=NOW + timedelta(60)).further is None


def test_grades_change_the_days_to_come(bank: Bank, loop: Loop) -> None:
    weak = laid(bank, None, sat(bank, "docker", "slow-sql"), tracks=("python-swe", "rag"))
    strong = laid(bank, None, sat(bank, "docker", "slow-sql", score=1), tracks=("python-swe", "rag"))
    assert weak.days[0] == strong.days[0]
    assert weak.days[1:] != strong.days[1:]


def test_days_gone_by_show_what_was_done(bank: Bank, loop: Loop) -> None:
    held = [sat(bank, "docker", score=0.4), sat(bank, "reranking", score=0.6)]
    plan = laid(bank, loop, *held, now=NOW + timedelta(2))
    assert [(past.questions, past.score) for past in plan.past] == [(2, 0.5), (0, None)]
    assert plan.days[0].on == TODAY + timedelta(2)


def test_one_day_left_reviews_or_without_a_history_rehearses(bank: Bank, loop: Loop) -> None:
    for left in (0, 1):
        interview = TODAY + timedelta(left)
        assert kinds(laid(bank, loop, interview=interview)) == [["mock"]]
        known = laid(bank, loop, sat(bank, "docker", days=-1), interview=interview)
        assert kinds(known) == [["light"]]
        assert known.days[0].slots[0].minutes == 5


def test_last_day_after_sessions_without_an_answer_rehearses(bank: Bank, loop: Loop) -> None:
    left = sat(bank, "docker", days=-1)
    skipped = replace(left, answers=(replace(left.answers[0], state="not_answered", score=None, ratings=()),))
    assert kinds(laid(bank, loop, skipped, interview=TODAY + timedelta(1))) == [["mock"]]


def test_after_the_interview_nothing_is_planned(bank: Bank, loop: Loop) -> None:
    plan = laid(bank, loop, now=NOW + timedelta(60))
    assert plan.days == ()
    assert plan.next is None
    assert [past.on for past in plan.past] == [TODAY + timedelta(n) for n in range(6)]


@pytest.mark.parametrize(("hours", "day"), [(-12, 0), (0, 0), (5, 0), (6, 1), (14, 1)])
def test_day_of_a_plan_and_of_its_sessions_is_the_candidates(bank: Bank, loop: Loop, hours: int, day: int) -> None:
    now = NOW.astimezone(timezone(timedelta(hours=hours)))
    plan = laid(bank, loop, sat(bank, "docker"), now=now + timedelta(1))
    assert [past.on for past in plan.past if past.sessions] == [TODAY + timedelta(day)]
    assert plan.days[0].on == TODAY + timedelta(day + 1)


@pytest.mark.parametrize("level", get_args(TargetLevel))
def test_each_practice_of_a_short_day_has_a_question_that_fits(bank: Bank, level: TargetLevel) -> None:
    yesterday = sat(bank, "docker", "explaining-agents", days=-1)
    for track in TRACKS:
        if not any(level in q.levels for q in bank.questions.values() if q.track == track):
            continue
        for minutes in (15, 21, 64):
            plan = laid(bank, None, yesterday, tracks=(track,), minutes_a_day=minutes, level=level)
            for slot in (slot for day in plan.days for slot in day.slots if slot.kind == "practice"):
                assert draw(bank, tracks=slot.tracks, level=level, minutes=slot.minutes, seed=1, sittings=[yesterday])


def test_more_minutes_than_questions_end_in_repetition_and_say_when(bank: Bank, loop: Loop) -> None:
    few = replace(bank, questions={name: bank.question(name) for name in ("docker", "slow-sql", "reranking")})
    plan = laid(few, None, interview=TODAY + timedelta(8), minutes_a_day=120)
    fresh = plan.days[0].slots
    assert sum(slot.minutes for slot in fresh) == sum(q.minutes for q in few.questions.values() if "mid" in q.levels)
    assert any("nothing new" in note for note in plan.notes)
    assert all(day.slots for day in plan.days)


def test_round_that_the_level_does_not_meet_is_left_out_and_named(bank: Bank) -> None:
    loop = Loop.model_validate(
        {
            "name": "odd",
            "about": "Odd.",
            "rounds": [
                {"title": "Papers", "minutes": 20, "tracks": ["research"]},
                {"title": "Search", "minutes": 20, "tracks": ["rag"]},
            ],
        }
    )
    assert not any("junior" in q.levels for q in bank.questions.values() if q.track == "research")
    plan = laid(bank, loop, level="junior")
    assert any("'Papers' has no question at level junior" in note for note in plan.notes)
    assert {track for day in plan.days for slot in day.slots for track in slot.tracks} == {"rag"}
    with pytest.raises(UsageError, match="at level junior"):
        laid(bank, loop.model_copy(update={"rounds": loop.rounds[:1]}), level="junior")


def test_draw_prefers_what_was_not_asked_then_what_was_asked_longest_ago(bank: Bank) -> None:
    rag = [q for q in bank.questions.values() if q.track == "rag" and "mid" in q.levels]
    asked, left = [q.id for q in rag[:-1]], rag[-1]
    held = [sat(bank, *asked[1:], days=-1), sat(bank, asked[0], days=-9)]
    for seed in range(4):
        drawn = draw(bank, tracks=["rag"], level="mid", minutes=left.minutes + rag[0].minutes, seed=seed, sittings=held)
        assert [question.id for question in drawn] == [left.id, asked[0]]
    with pytest.raises(UsageError, match="fits 1 minutes"):
        draw(bank, tracks=["rag"], level="mid", minutes=1, seed=0, sittings=[])


def test_draw_keeps_the_questions_that_a_loop_names_for_its_mock(bank: Bank) -> None:
    lab = load_loop(roots(), "ai-lab")
    named = {name for one in lab.rounds for name in one.questions}
    for seed in range(5):
        drawn = draw(bank, tracks=["rag"], level="mid", minutes=40, seed=seed, sittings=[], loop=lab)
        assert not named & {question.id for question in drawn}


def test_mock_asks_what_was_not_asked_and_then_what_was_asked_longest_ago(bank: Bank) -> None:
    search = {"title": "Search", "minutes": 60, "tracks": ["rag"], "count": 3}
    loop = Loop.model_validate({"name": "odd", "about": "Odd.", "rounds": [search]})
    new, old, older, *recent = [q.id for q in loop.rounds[0].pool(bank) if "mid" in q.levels]
    held = [sat(bank, older, days=-9), sat(bank, old, days=-8), sat(bank, *recent, days=-1)]
    for seed in range(4):
        drawn = draw_mock(bank, loop, ["Search"], level="mid", seed=seed, sittings=held)
        assert [question.id for question in drawn] == [new, older, old]


def test_aim_is_kept_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert load_aim(tmp_path) is None
    keep_aim(tmp_path / "new", AIM)
    assert load_aim(tmp_path / "new") == AIM
    (tmp_path / "new" / "plan.json").write_text('{"interview": "soon"}')
    with pytest.raises(SessionError, match=r"plan\.json is damaged: interview"):
        load_aim(tmp_path / "new")
    (tmp_path / "new" / "plan.json").write_text("")
    with pytest.raises(SessionError, match=r"plan\.json is damaged: Invalid JSON"):
        load_aim(tmp_path / "new")


def test_what_a_question_is_called_cannot_steer_the_terminal() -> None:
    assert wrapped("A \x1b[31mred\x07 title") == ["A [31mred title"]


def test_id_says_what_a_session_is_about() -> None:
    assert about_of("20261124-181200-full-ai-engineer-k3f9") == "full-ai-engineer"


@pytest.fixture
def day_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandingClock]:
    clock = StandingClock(NOW)
    monkeypatch.setattr(mockint.clock, "SystemClock", lambda: clock)
    with monkeypatch.context() as zone:  # days are those of this machine's calendar
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield clock
    time.tzset()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param([], "There is no plan", id="none yet"),
        pytest.param(["--loop", "ibm"], "When is the interview", id="no date"),
        pytest.param(["--date", "2026-11-25"], "is past", id="past"),
        pytest.param(["--date", "1.12."], "is no date", id="no date at all"),
        pytest.param(["--date", "2026-12-01", "--loop", "ibn"], "did you mean 'ibm'", id="loop"),
        pytest.param(["--date", "2026-12-01", "--track", "ragg"], "did you mean 'rag'", id="track"),
        pytest.param(["--date", "2026-12-01", "--loop", "ibm", "--track", "rag"], "its own tracks", id="both"),
        pytest.param(["--date", "2026-12-01", "--track", "research", "--level", "junior"], "level junior", id="level"),
        pytest.param(["--date", "2026-12-01", "--minutes-a-day", "5"], "15", id="too few minutes"),
        pytest.param(["--date", ""], "is no date", id="empty date"),
        pytest.param(["--date", "2062-12-01"], "more than a year off", id="too far"),
        pytest.param(["--date", "2026-12-01", "--loop", "IBM"], "There is no loop 'IBM'", id="loop in capitals"),
        pytest.param(["--date", "2026-12-01", "--loop", ""], "There is no loop ''", id="empty loop"),
        pytest.param(["--drop", "--date", "2026-12-01"], "--drop ends the plan", id="dropped and made"),
    ],
)
def test_plan_that_cannot_be_made_is_refused_and_not_kept(
    run: Run, day_clock: StandingClock, tmp_path: Path, words: list[str], told: str
) -> None:
    done = run("plan", *words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert not (tmp_path / "home" / "plan.json").exists()


def test_plan_is_kept_shown_changed_and_dropped(run: Run, day_clock: StandingClock) -> None:
    made = run("plan", "--date", "2026-12-01", "--loop", "full-ai-engineer")
    assert run("plan").out == made.out
    assert all(len(line) <= 80 for line in made.out.splitlines())
    changed = run("plan", "--minutes-a-day", "90", "--json").json
    assert (changed["aim"]["minutes_a_day"], changed["aim"]["loop"]) == (90, "full-ai-engineer")
    assert run("plan", "--track", "rag", "--json").json["aim"]["loop"] is None
    assert run("plan", "--track", "rag", "--track", "RAG", "--json").json["aim"]["tracks"] == ["rag"]
    assert run("plan", "--drop", "--date", "2026-12-02").code == 2
    assert run("plan").code == 0
    assert "ended" in run("plan", "--drop").err
    assert "no plan" in run("plan", "--drop").err
    assert run("plan").code == 2


def test_far_interview_is_summed_up_by_weeks_and_its_last_week_by_days(run: Run, day_clock: StandingClock) -> None:
    text = run("plan", "--date", "2027-11-20", "--loop", "ai-lab").out
    lines = text.splitlines()
    assert len(lines) < 160
    assert all(len(line) <= 80 for line in lines)
    assert "Mon 14 Dec to Sun 20 Dec" in text
    assert "Fri 19 Nov" in text
    days = run("plan", "--json").json["days"]
    assert len(days) == (date(2027, 11, 20) - TODAY).days


def test_days_long_gone_by_are_summed_up(run: Run, day_clock: StandingClock, tmp_path: Path) -> None:
    run("plan", "--date", "2027-03-01", "--track", "python-swe")
    script = tmp_path / "answers.yaml"
    script.write_text(yaml.safe_dump({"docker": {"answer": "It is a kind of small virtual machine, I believe."}}))
    run("start", "--question", "docker", "--answers", script)
    day_clock.passed += 86_400 * 30
    lines = run("plan").out.splitlines()
    assert lines[2] == "Thu 26 Nov to Fri 18 Dec  1 session, 1 question"
    assert lines[3] == "Sat 19 Dec  –"
    assert lines[10] == "Sat 26 Dec  today"
    assert len(run("plan", "--json").json["past"]) == 30


def test_start_plan_tells_of_a_damaged_session_once(run: Run, day_clock: StandingClock, tmp_path: Path) -> None:
    run("plan", "--date", "2026-12-01", "--track", "python-swe")
    grades = tmp_path / "home" / "sessions" / "20261124-181200-rag-aaaa" / "grades"
    grades.mkdir(parents=True)
    (grades / "0001.json").write_text("{}")
    (grades.parent / "events.jsonl").write_text("garbage\n")
    done = run("start", "--plan", "--no-grade")
    assert done.err.count("events.jsonl:1: damaged") == 1


def test_calendar_has_each_day_and_the_interview(run: Run, day_clock: StandingClock, tmp_path: Path) -> None:
    run("plan", "--date", "2026-12-01", "--loop", "full-ai-engineer", "--ics", tmp_path / "p.ics")
    read = icalendar.Calendar.from_ical((tmp_path / "p.ics").read_bytes())
    events = list(read.walk("VEVENT"))
    assert [event.decoded("dtstart") for event in events] == [TODAY + timedelta(n) for n in range(6)]
    assert len({event["uid"] for event in events}) == 6
    assert {event.decoded("dtstamp") for event in events} == {NOW}
    assert str(events[3]["summary"]) == "mockint: mock of full-ai-engineer, 45 min"
    assert str(events[-1]["summary"]) == "Interview (full-ai-engineer)"
    assert "mockint start --plan" in str(events[0]["description"])
    assert "once for each session: mockint start --plan" in str(events[1]["description"])
    assert "description" not in events[-1]


def test_calendar_leaves_out_what_is_done(bank: Bank, loop: Loop) -> None:
    yesterday = sat(bank, "docker", "explaining-agents", days=-1)
    review = sat(bank, "docker", "explaining-agents", score=1, about="review")
    for held, told in (((yesterday,), ["review", "practice"]), ((yesterday, review), ["practice"])):
        plan = laid(bank, loop, *held)
        first = icalendar.Calendar.from_ical(calendar(plan, NOW)).walk("VEVENT")[0]
        slots = [slot for slot in plan.days[0].slots if slot.kind in told]
        assert str(first["summary"]) == "mockint: " + "; ".join(f"{slot.what}, {slot.minutes} min" for slot in slots)
    on_it = [q.id for q in bank.questions.values() if q.track in slots[0].tracks and "mid" in q.levels]
    over = laid(bank, loop, yesterday, review, sat(bank, *on_it[:6]))
    assert over.next is None
    first = icalendar.Calendar.from_ical(calendar(over, NOW)).walk("VEVENT")[0]
    assert first.decoded("dtstart") == TODAY + timedelta(1)


def test_reason_of_a_mixed_mock_stands_alone(bank: Bank, loop: Loop) -> None:
    mock = laid(bank, loop, minutes_a_day=30).days[-2].slots[-1]
    assert mock.why == "questions from all of full-ai-engineer, none of whose rounds is as short as 30 minutes"


def test_level_that_nobody_chose_is_told_with_how_to_choose_another(run: Run, day_clock: StandingClock) -> None:
    made = run("plan", "--date", "2026-12-01", "--track", "rag")
    assert "the plan takes mid, the default" in " ".join(made.err.split())
    assert "mockint plan --level LEVEL\n" in made.err
    assert run("plan", "--level", "senior").err == ""
    assert run("plan").err == ""
    run("plan", "--drop")
    assert run("plan", "--date", "2026-12-01", "--track", "rag", "--level", "mid").err == ""


def test_start_plan_holds_todays_sessions_one_by_one_and_then_says_that_they_are_done(
    run: Run, day_clock: StandingClock, tmp_path: Path, bank: Bank
) -> None:
    assert "There is no plan" in run("start", "--plan").err
    run("plan", "--date", "2026-12-01", "--track", "python-swe", "--minutes-a-day", "15", "--level", "senior")
    script = tmp_path / "answers.yaml"
    texts = {name: bank.samples(q)[-1].text.strip() for name, q in bank.questions.items() if q.track == "python-swe"}
    script.write_text(yaml.safe_dump({name: {"answer": text} for name, text in texts.items()}))
    first = run("start", "--plan", "--seed", "1", "--answers", script, "--json")
    assert "Today's plan: python-swe, 15 minutes" in " ".join(first.err.split())
    started = json.loads(Path(first.json["events"]).read_text().splitlines()[0])
    assert (started["level"], started["minutes"]) == ("senior", 15)
    done = run("start", "--plan", "--seed", "1", "--answers", script, "--json")
    assert (done.code, done.json["id"]) == (0, None)
    said = " ".join(done.err.split())
    further = "To go on all the same: mockint start --track python-swe --level senior"
    assert "All of today's sessions are done (1 of 1). Next, on Fri 27 Nov: review" in said
    assert said.endswith(further)
    assert "  done  15 min" in run("plan").out
    assert f"All of today's sessions are done. {further}" in " ".join(run("plan").out.split())
    day_clock.passed += 86_400
    review = run("start", "--plan", "--seed", "1", "--answers", script, "--json")
    assert "-review-" in review.json["id"]
    said = " ".join(review.err.split())
    named = said.partition("due in ")[2].partition("first ")[2].partition(" (")[0]
    assert f"because '{named}' of" in said.partition("- ")[2].partition(" - ")[0], "what the plan names is asked first"
    assert "was missed on 2026-11-26" in said
    assert "Thu 26 Nov  1 session" in run("plan").out
    assert "-python-swe-" in run("start", "--plan", "--seed", "1", "--answers", script, "--json").json["id"]
    told = " ".join(run("start", "--plan").err.split())
    assert "All of today's sessions are done (2 of 2). Next, on Sat 28 Nov:" in told
    assert (
        "To go on all the same: mockint start --review --level senior (what is due), or mockint start --track" in told
    )
    assert run("start", "--review", "--level", "senior", "--answers", script, "--json").json["id"]
    day_clock.passed += 86_400 * 5
    over = run("start", "--plan")
    assert (over.code, "The interview was on 2026-12-01" in over.err) == (2, True)
    assert "The interview was on Tue 1 Dec 2026" in run("plan").out


def test_start_plan_holds_the_mock_of_the_loop(run: Run, day_clock: StandingClock, tmp_path: Path, bank: Bank) -> None:
    run("plan", "--date", "2026-11-28", "--loop", "startup-genai")
    script = tmp_path / "answers.yaml"
    names = [name for one in load_loop(roots(), "startup-genai").rounds for name in one.questions]
    script.write_text(yaml.safe_dump({n: {"answer": bank.samples(bank.question(n))[0].text.strip()} for n in names}))
    done = run("start", "--plan", "--seed", "1", "--answers", script, "--json")
    assert "-startup-genai-" in done.json["id"]
    first = json.loads(Path(done.json["events"]).read_text().splitlines()[0])
    assert [plan["question"]["id"] for plan in first["plan"]] == names
    assert run("start", "--plan", "--json").json["id"] is None


@pytest.mark.parametrize("words", [["--minutes", "9"], ["--level", "mid"], ["--review"], ["--track", "rag"]])
def test_start_plan_beside_what_the_plan_sets_is_refused(run: Run, words: list[str]) -> None:
    done = run("start", "--plan", *words)
    assert (done.code, words[0] in done.err) == (2, True)
