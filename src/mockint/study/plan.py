"""The only place that lays out the days up to an interview.

A plan is derived anew from what the candidate aims at, what was sat so far, and today. Only the aim is kept, in `HOME/plan.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from mockint.bank import Bank, Loop, Question, Round, Track, choose, choose_loop
from mockint.content import Frozen
from mockint.errors import SessionError, UsageError
from mockint.files import own
from mockint.rubric import TargetLevel
from mockint.store import write
from mockint.study import Sitting, last_asked
from mockint.study.review import Choice, Due, Siblings, choose_review, due, outlook
from mockint.wording import many

Kind = Literal["review", "practice", "mock", "light"]
"""What is due; new questions; a rehearsal of the loop; a last look at what is weakest."""

LEAST = 6
"""Minutes of the shortest session: one short question."""
LIGHT = 20
"""Most minutes of the review on the last day."""
BRINGS = 3
"""A day's minutes are divided by this for the review that is kept free on the day after new questions."""
DEEP = 8
"""Least minutes of one track in a session of several: one question."""
LONG_ENOUGH = 0.4
"""Share of the planned minutes that a session's questions must be meant for, so that it counts as the planned one."""
ANSWERED = 0.5
"""Share of its own minutes that must be answered for a session to count as held; the rest may be skipped."""
UNKNOWN = 0.5
"""The score that is taken for a track that is planned before and not graded yet."""
MOST_DAYS = 366
"""How far off an interview may be."""
STRONG = 0.8
"""The score from which a track needs no repetition once the bank has nothing new on it."""


class Aim(Frozen):
    """What the candidate set: `HOME/plan.json`."""

    format: Literal[1] = 1
    interview: date
    loop: str | None = None
    tracks: tuple[Track, ...] = ()
    minutes_a_day: int = Field(default=45, ge=15, le=480)
    level: TargetLevel
    since: date
    """The day on which it was set."""


@dataclass(frozen=True)
class Slot:
    """One session of a day."""

    kind: Kind
    minutes: int
    what: str
    why: str
    tracks: tuple[str, ...] = ()
    rounds: tuple[str, ...] = ()
    """Titles of the loop's rounds, for a mock of a loop."""
    done: str | None = None
    """The session that was held for it."""


@dataclass(frozen=True)
class Day:
    on: date
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class Past:
    """A day gone by, with what was done on it."""

    on: date
    sessions: tuple[str, ...]
    questions: int
    score: float | None


@dataclass(frozen=True)
class Plan:
    aim: Aim
    today: date
    past: tuple[Past, ...]
    days: tuple[Day, ...]
    notes: tuple[str, ...]
    further: str | None = None
    """The track that more of today's time serves best; None after the interview."""

    @property
    def next(self) -> Slot | None:
        """Today's next session; None when all of today's is done."""
        return next((slot for day in self.days[:1] for slot in day.slots if not slot.done), None)


def lay_out(
    aim: Aim, sittings: Sequence[Sitting], bank: Bank, now: datetime, *, loop: Loop | None, siblings: Siblings
) -> Plan:
    """Returns the plan as of the local day of `now`, a local time with its zone.

    What today holds follows from the days before it, so that it stays as it is while its sessions are held.

    Raises:
        UsageError: no question of the loop or of the tracks is asked at this level, or the interview is too far off.
    """
    today = now.date()
    if (aim.interview - today).days > MOST_DAYS:
        raise UsageError(
            f"{aim.interview} is more than a year off: today is {today}.",
            hint="Give the interview's day, or any day within a year: mockint plan --date DATE",
        )
    course = _Course(aim, bank, now, loop, siblings)
    held: dict[date, list[Sitting]] = {}
    for sitting in sittings:
        held.setdefault(sitting.day(now.tzinfo), []).append(sitting)
    before = [sitting for on, some in held.items() if on < today for sitting in some]
    todays = held.get(today, [])
    past = [_past(on, held.get(on, [])) for on in _dates(aim.since, min(today - timedelta(1), aim.interview))]
    dates = _dates(today, max(aim.interview - timedelta(1), today)) if today <= aim.interview else []
    days = [Day(on, slots) for on, slots in course.days(dates, before, todays)]
    if days:
        days[0] = replace(days[0], slots=course.ticked(days[0].slots, todays))
    further = course.further([*before, *todays]) if days else None
    return Plan(aim, today, tuple(past), tuple(days), tuple(dict.fromkeys(course.notes)), further)


def draw(
    bank: Bank,
    *,
    tracks: Iterable[str],
    level: TargetLevel,
    minutes: int,
    seed: int,
    sittings: Iterable[Sitting],
    loop: Loop | None = None,
) -> tuple[Question, ...]:
    """Draws questions that were not asked yet: such as the loop's rounds draw first, and those that it names last, since they are for
    its mock. Then those that were asked longest ago.

    Raises:
        UsageError: nothing fits.
    """
    asked = last_asked(sittings)
    wanted = tuple(tracks)
    rounds = loop.rounds if loop else ()
    named = {name for one in rounds for name in one.questions}
    alike = {question.id for one in rounds if not one.questions for question in one.pool(bank)} - named
    piles = [
        [name for name in bank.questions if name not in asked and name in alike],
        [name for name in bank.questions if name not in asked and name not in alike | named],
        [name for name in bank.questions if name not in asked and name in named],
        [name for name in bank.questions if name in asked],
    ]
    chosen: list[Question] = []
    for pile in piles:
        left = minutes - sum(question.minutes for question in chosen)
        part = replace(bank, questions={name: bank.question(name) for name in pile})
        if any(q.track in wanted and level in q.levels and q.minutes <= left for q in part.questions.values()):
            chosen += choose(part, tracks=wanted, level=level, minutes=left, count=None, seed=seed, asked=asked)
    return tuple(chosen) or choose(bank, tracks=wanted, level=level, minutes=minutes, count=None, seed=seed)


def draw_mock(
    bank: Bank, loop: Loop, titles: Iterable[str], *, level: TargetLevel, seed: int, sittings: Iterable[Sitting]
) -> tuple[Question, ...]:
    """Draws the questions of these rounds of the loop: such as were not asked yet, then those that were asked longest ago."""
    wanted = set(titles)
    part = loop.model_copy(update={"rounds": tuple(one for one in loop.rounds if one.title in wanted)})
    return choose_loop(bank, part, level=level, seed=seed, asked=last_asked(sittings))


def load_aim(home: Path) -> Aim | None:
    """Returns what was set, or None. Raises SessionError when the file is damaged."""
    path = home / "plan.json"
    try:
        return Aim.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as exc:
        first = exc.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise SessionError(
            f"{path} is damaged: {where}{first['msg']}.",
            hint="Make the plan again with: mockint plan --date DATE, or end it with: mockint plan --drop",
        ) from exc


def keep_aim(home: Path, aim: Aim) -> None:
    own(home)
    write(home / "plan.json", aim.model_dump_json(indent=1) + "\n")


def drop_aim(home: Path) -> bool:
    """Ends the plan; returns whether there was one."""
    path = home / "plan.json"
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def calendar(plan: Plan, made: datetime) -> bytes:
    """Returns the plan as an iCalendar: one all-day entry for each day on which something is left to do, and the interview."""
    import icalendar  # 0.1 s

    whole = icalendar.Calendar()
    whole.add("prodid", "-//mockint//plan//EN")
    whole.add("version", "2.0")
    ahead = [(day.on, [slot for slot in day.slots if not slot.done]) for day in plan.days]
    entries = [(on, "mockint: " + "; ".join(brief(slot) for slot in slots), slots) for on, slots in ahead if slots]
    entries.append((plan.aim.interview, f"Interview{f' ({plan.aim.loop})' if plan.aim.loop else ''}", []))
    for number, (on, title, slots) in enumerate(entries):
        event = icalendar.Event()
        name = "interview" if number == len(entries) - 1 else "day"
        event.add("uid", f"{name}-{on.isoformat()}@mockint")
        event.add("dtstamp", made)
        event.add("dtstart", on)
        event.add("dtend", on + timedelta(1))
        event.add("transp", "TRANSPARENT")
        event.add("summary", title)
        if slots:
            each = " once for each session" if len(slots) > 1 else ""
            lines = [*(f"{brief(slot)}: {slot.why}" for slot in slots), f"Run{each}: mockint start --plan"]
            event.add("description", "\n".join(lines))
        whole.add_component(event)
    return bytes(whole.to_ical())


def brief(slot: Slot) -> str:
    return f"{slot.what}, {slot.minutes} min"


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(n) for n in range((last - first).days + 1)]


def _past(on: date, held: Sequence[Sitting]) -> Past:
    answers = [answer for sitting in held for answer in sitting.answers if answer.state in ("graded", "ungraded")]
    scores = [answer.score for answer in answers if answer.score is not None]
    mean = round(sum(scores) / len(scores), 4) if scores else None
    return Past(on, tuple(sitting.session for sitting in held), len(answers), mean)


@dataclass
class _Standing:
    """How each track stands at one point of the plan."""

    score: dict[str, float] = field(default_factory=dict)
    """The mean of its questions' newest scores, or what is taken for it; a track that is not there was not seen."""
    given: dict[str, float] = field(default_factory=dict)
    """Minutes."""
    fresh: dict[str, int] = field(default_factory=dict)
    """Minutes of questions not asked yet."""
    graded: frozenset[str] = frozenset()
    """The tracks whose score is a grade's, not what is taken for it."""


class _Course:
    """Lays out days in their order: what was planned for one day counts for the next."""

    def __init__(self, aim: Aim, bank: Bank, now: datetime, loop: Loop | None, siblings: Siblings) -> None:
        self.aim, self.bank, self.now, self.loop, self.siblings = aim, bank, now, loop, siblings
        self.notes: list[str] = []
        self.dry = False
        """Whether the bank has nothing new left."""
        self.pool: dict[str, list[Question]] = {}
        """By track, the questions that are asked at the level."""
        for question in bank.questions.values():
            if aim.level in question.levels:
                self.pool.setdefault(question.track, []).append(question)
        self.rounds = self._rounds()
        self.shares = self._shares()

    def days(
        self, dates: Sequence[date], before: Sequence[Sitting], todays: Sequence[Sitting]
    ) -> Iterable[tuple[date, tuple[Slot, ...]]]:
        if not dates:
            return
        queue = due(before, self.bank, self.now, siblings=self.siblings)
        first = self._day(dates, 0, self._standing(before), queue, brought=False, history=before)
        yield dates[0], first
        every = [*before, *todays]
        standing = self._standing(every)
        practised = False
        for slot in first:
            practised = practised or slot.kind in ("practice", "mock")
            if not self.ticked((slot,), todays)[0].done:
                self._give(standing, slot)
        later = outlook(every, self.bank, self.now, siblings=self.siblings)
        for number in range(1, len(dates)):
            # What is due today is today's; what a review brings back later is not known yet.
            queue = [one for one in later if one.on == dates[number]]
            slots = self._day(dates, number, standing, queue, brought=practised, history=every)
            yield dates[number], slots
            for slot in slots:
                self._give(standing, slot)
            practised = any(slot.kind != "light" for slot in slots)
        if len(dates) > 2 and (unseen := [track for track in self._ranked(standing) if track not in standing.score]):
            self.notes.append(f"The days have no room for {', '.join(unseen)}; more minutes a day would make it.")

    def _day(
        self,
        dates: Sequence[date],
        number: int,
        standing: _Standing,
        queue: Sequence[Due],
        *,
        brought: bool,
        history: Sequence[Sitting],
    ) -> tuple[Slot, ...]:
        to_go = len(dates) - number
        if to_go == 1:
            if light := self._light(history, number):
                return (light,)
            self.notes.append("Nothing is there to review, so the one day that is left goes to a mock.")
        if to_go <= 2:
            mock = self._mock(standing, self.aim.minutes_a_day)
            left = self.aim.minutes_a_day - mock.minutes
            review = self._review(queue, left, brought=brought, history=history)
            return tuple(slot for slot in (review, mock) if slot)
        review = self._review(queue, self.aim.minutes_a_day // 2, brought=brought, history=history)
        if review is None and queue:  # no question that tests it is as short as half a day
            shortest = min(self.bank.question(one.question).minutes for one in queue)
            review = self._review(queue, min(shortest, self.aim.minutes_a_day), brought=brought, history=history)
        left = self.aim.minutes_a_day - (review.minutes if review else 0)
        sessions_left = max(1, to_go - 2)
        wet = not self.dry
        practice = self._practice(standing, left, days_left=sessions_left)
        if wet and self.dry:
            self.notes.append(
                f"From {dates[number]} on the bank has nothing new on these tracks: review, and weak tracks again."
            )
        if not practice and review and review.minutes < left:
            review = self._review(queue, self.aim.minutes_a_day, brought=brought, history=history)
        return tuple(slot for slot in (review, *practice) if slot)

    # What is due

    def _chosen(self, queue: Sequence[Due], minutes: int, history: Sequence[Sitting]) -> list[Choice]:
        return choose_review(
            queue, self.bank, sittings=history, level=self.aim.level, minutes=minutes, siblings=self.siblings
        )

    def _review(self, queue: Sequence[Due], most: int, *, brought: bool, history: Sequence[Sitting]) -> Slot | None:
        chosen = self._chosen(queue, most, history)
        minutes = _minutes(chosen)
        if brought:
            minutes = max(minutes, min(max(LEAST, self.aim.minutes_a_day // BRINGS), most))
        if not chosen and minutes < LEAST:
            return None
        if not chosen:
            return Slot("review", minutes, "review", "what the days before bring back")
        return Slot("review", minutes, "review", f"{_due(queue)}; first {_point(chosen[0].tests[0])}")

    def _light(self, history: Sequence[Sitting], number: int) -> Slot | None:
        most = min(LIGHT, self.aim.minutes_a_day)
        why = "a last look at what is weakest, nothing new"
        if number:
            return Slot("light", most, "light review", why)
        chosen = self._chosen(outlook(history, self.bank, self.now, siblings=self.siblings), most, history)
        if not chosen:
            return None
        return Slot("light", _minutes(chosen), "light review", f"{why}; first {_point(chosen[0].tests[0])}")

    # The loop

    def _rounds(self) -> tuple[Round, ...]:
        """Returns the rounds that have a question at the level; says which have none."""
        usable = []
        for one in self.loop.rounds if self.loop else ():
            if one.questions or any(self.aim.level in question.levels for question in one.pool(self.bank)):
                usable.append(one)
            else:
                self.notes.append(f"The round {one.title!r} has no question at level {self.aim.level} and is left out.")
        return tuple(usable)

    def _shares(self) -> dict[str, float]:
        """Returns the share of each track, from the minutes of the loop's rounds; without a loop, from the tracks that were named."""
        weights: dict[str, float] = {}
        for one in self.rounds:
            for track, share in _round_shares(one, self.bank, self.aim.level).items():
                weights[track] = weights.get(track, 0) + share * one.minutes
        if not self.loop:
            for track in self.aim.tracks or self.pool:
                weights[track] = 1.0 if self.aim.tracks else float(len(self.pool[track]))
        for track in list(weights):
            if track not in self.pool:
                del weights[track]
                self.notes.append(f"The track {track} has no question at level {self.aim.level} and is left out.")
        if not weights:
            raise UsageError(
                f"Nothing of it is asked at level {self.aim.level}.", hint="Give another --level, --loop or --track."
            )
        return {track: weight / sum(weights.values()) for track, weight in weights.items()}

    def _mock(self, standing: _Standing, most: int) -> Slot:
        """Returns the whole loop, or its rounds that fill the minutes best, those of weak tracks before others."""
        there = self._minutes(self.shares)
        if not self.loop:
            over = "a rehearsal over all the tracks" if len(self.shares) > 1 else "a rehearsal"
            return Slot("mock", min(most, 60, there), "mock", over, tracks=tuple(self.shares))
        sets = [
            some
            for count in range(1, len(self.rounds) + 1)
            for some in combinations(self.rounds, count)
            if sum(one.minutes for one in some) <= most
        ]
        if not sets:
            shortest = min(one.minutes for one in self.rounds)
            self.notes.append(
                f"No round of {self.loop.name} fits {most} minutes (the shortest takes {shortest}): its mock is a mixed one."
            )
            why = f"questions from all of {self.loop.name}, none of whose rounds is as short as {most} minutes"
            return Slot("mock", min(most, there), "mock", why, tracks=tuple(self.shares))
        chosen = max(sets, key=lambda some: (sum(one.minutes for one in some), self._weakness(some, standing)))
        minutes = sum(one.minutes for one in chosen)
        titles = tuple(one.title for one in chosen)
        if len(chosen) == len(self.loop.rounds):
            return Slot("mock", minutes, f"mock of {self.loop.name}", "the whole loop", rounds=titles)
        self.notes.append(
            f"All of {self.loop.name} takes {self.loop.minutes} minutes. If you can spare them for the mock, hold it with "
            f"start --loop {self.loop.name}: that counts too."
        )
        part = f"{len(chosen)} of {len(self.loop.rounds)} rounds, the longest that fits: {', '.join(titles)}"
        return Slot("mock", minutes, f"mock of {self.loop.name}", part, rounds=titles)

    def _weakness(self, rounds: Sequence[Round], standing: _Standing) -> float:
        tracks = [
            (share * one.minutes, standing.score.get(track, 0.0))
            for one in rounds
            for track, share in _round_shares(one, self.bank, self.aim.level).items()
        ]
        return round(sum(weight * (1 - score) for weight, score in tracks), 6)

    # New questions

    def _standing(self, sittings: Sequence[Sitting]) -> _Standing:
        newest: dict[str, tuple[str, float | None, float]] = {}
        for sitting in sorted(sittings, key=lambda sitting: sitting.at):
            for answer in sitting.answers:
                if answer.state in ("graded", "ungraded"):
                    newest[answer.question] = (answer.track, answer.score, answer.budget_seconds / 60)
        standing = _Standing()
        for track in self.shares:
            mine = [(score, minutes) for other, score, minutes in newest.values() if other == track]
            scores = [score for score, _ in mine if score is not None]
            if scores:
                standing.graded |= {track}
            if mine:
                standing.score[track] = sum(scores) / len(scores) if scores else UNKNOWN
                standing.given[track] = sum(minutes for _, minutes in mine)
            standing.fresh[track] = sum(q.minutes for q in self.pool[track] if q.id not in newest)
        return standing

    def _practice(self, standing: _Standing, minutes: int, *, days_left: int) -> list[Slot]:
        if minutes < LEAST:
            return []
        lengths = [minutes] if minutes < 50 else [ceil(minutes / 2), minutes // 2]
        if minutes > 120:
            count = ceil(minutes / 60)
            lengths = [minutes // count + (place < minutes % count) for place in range(count)]
        slots: list[Slot] = []
        shadow = replace(standing, score=dict(standing.score), given=dict(standing.given), fresh=dict(standing.fresh))
        for place, length in enumerate(lengths):
            slot = self._session(shadow, length, sessions_left=days_left * len(lengths) - place)
            if slot is None:
                break
            slots.append(slot)
            self._give(shadow, slot)
        if not slots and self.dry and (again := self._again(standing, lengths[0])):
            return [again]
        return slots

    def _again(self, standing: _Standing, minutes: int) -> Slot | None:
        """Returns a session on the weakest tracks, once the bank has nothing new."""
        weak = [track for track in self._ranked(standing) if standing.score.get(track, 0.0) < STRONG]
        weak = [track for track in weak if self._least(track) <= minutes][:2]
        if not weak:
            return None
        why = "nothing new is left; asked longest ago first"
        return Slot("practice", min(minutes, self._minutes(weak)), ", ".join(weak), why, tracks=tuple(weak))

    def _session(self, standing: _Standing, minutes: int, *, sessions_left: int) -> Slot | None:
        fresh = [track for track in self._ranked(standing) if standing.fresh[track] >= self._least(track)]
        ranked = [track for track in fresh if self._least(track) <= minutes]
        if not ranked:
            self.dry = self.dry or not fresh
            return None
        unseen = sum(track not in standing.score for track in ranked)
        count = max(1, min(ceil(unseen / sessions_left), minutes // DEEP))
        chosen = ranked[:count]
        while sum(standing.fresh[track] for track in chosen) < minutes and len(chosen) < len(ranked):
            chosen.append(ranked[len(chosen)])
        length = min(minutes, sum(standing.fresh[track] for track in chosen))
        return Slot("practice", length, ", ".join(chosen), self._because(chosen, standing), tracks=tuple(chosen))

    def _minutes(self, tracks: Iterable[str]) -> int:
        """Returns the minutes of all the questions on these tracks."""
        return sum(question.minutes for track in tracks for question in self.pool[track])

    def _least(self, track: str) -> int:
        """Returns the minutes of the shortest session on a track."""
        return max(LEAST, min(question.minutes for question in self.pool[track]))

    def _ranked(self, standing: _Standing) -> list[str]:
        """Returns the tracks: those not seen first, then by what the loop gives them, how weak they are and how little they had."""

        def need(track: str) -> float:
            weak = max(0.1, 1 - standing.score.get(track, 0.0))
            return self.shares[track] * weak / (standing.given.get(track, 0.0) + 10)

        return sorted(self.shares, key=lambda track: (track in standing.score, -need(track), track))

    def _because(self, tracks: Sequence[str], standing: _Standing) -> str:
        of = "of the loop" if self.loop else "of the aim"
        new = [track for track in tracks if track not in standing.score]
        if len(new) == len(tracks):
            return f"not seen yet; {sum(self.shares[track] for track in tracks):.0%} {of}"
        told = [f"{track} not seen yet" for track in new]
        told += [f"{track} {standing.score[track]:.2f} so far" for track in tracks if track in standing.graded]
        return "; ".join(told) or "more of it, as the grades will say"

    def _give(self, standing: _Standing, slot: Slot) -> None:
        for track in slot.tracks if slot.kind == "practice" else ():
            part = slot.minutes / len(slot.tracks)
            standing.given[track] = standing.given.get(track, 0.0) + part
            standing.fresh[track] = max(0, standing.fresh[track] - ceil(part))
            standing.score.setdefault(track, UNKNOWN)

    def further(self, history: Sequence[Sitting]) -> str:
        """Returns the track that comes next by what was sat; one with nothing new only when no other is left."""
        standing = self._standing(history)
        ranked = self._ranked(standing)
        return next((track for track in ranked if standing.fresh[track] >= self._least(track)), ranked[0])

    # What was done

    def ticked(self, slots: tuple[Slot, ...], held: Sequence[Sitting]) -> tuple[Slot, ...]:
        """Ticks each session off for which one was held that is like it, in the order of time."""
        ticked = list(slots)
        for sitting in sorted(held, key=lambda sitting: sitting.at):
            for place, slot in enumerate(ticked):
                if slot.done is None and self._is_for(sitting, slot):
                    ticked[place] = replace(slot, done=sitting.session)
                    break
        return tuple(ticked)

    def _is_for(self, sitting: Sitting, slot: Slot) -> bool:
        answered = [answer for answer in sitting.answers if answer.state in ("graded", "ungraded")]
        if not _held(sitting, slot.minutes * 60):
            return False
        about = about_of(sitting.session)
        if slot.kind in ("review", "light"):
            return about == "review"
        if slot.kind == "mock":
            return about in ("mock", self.aim.loop)
        return about not in ("review", "mock") and 2 * sum(a.track in slot.tracks for a in answered) >= len(answered)


def _held(sitting: Sitting, planned_seconds: float) -> bool:
    """Returns whether a session was as long as planned, was not left early, and was mostly answered, however quickly.

    Seconds are those that the questions are meant to take. "I don't know" is an answer. A session was not left early when each question
    was asked, when its time was used up, or when as much was answered as was planned.
    """
    whole = sum(answer.budget_seconds for answer in sitting.answers)
    answered = sum(answer.budget_seconds for answer in sitting.answers if answer.state in ("graded", "ungraded"))
    if answered >= planned_seconds:
        return True
    to_the_end = all(answer.state != "not_asked" for answer in sitting.answers)
    time_up = sum(answer.took_seconds for answer in sitting.answers) >= whole
    return whole >= LONG_ENOUGH * planned_seconds and answered >= ANSWERED * whole and (to_the_end or time_up)


def about_of(session: str) -> str:
    """Returns what a session is about, as its id says: "20261124-181200-rag-k3f9" is about rag."""
    return session.split("-", 2)[-1].rpartition("-")[0]


def _round_shares(one: Round, bank: Bank, level: TargetLevel) -> dict[str, float]:
    """Returns the share of each track in a round: by the minutes of the questions it names; a draw takes its tracks in turn."""
    pool = [question for question in one.pool(bank) if one.questions or level in question.levels]
    weights: dict[str, float] = {}
    for question in pool:
        weights[question.track] = weights.get(question.track, 0) + question.minutes if one.questions else 1
    return {track: weight / sum(weights.values()) for track, weight in weights.items()}


def _minutes(chosen: Iterable[Choice]) -> int:
    return sum(choice.question.minutes for choice in chosen)


def _point(one: Due) -> str:
    return f"{one.criterion} ({one.question})"


def _due(queue: Sequence[Due]) -> str:
    return f"{many(len(queue), 'point')} due in {many(len({one.question for one in queue}), 'question')}"
