"""The command that lays out the days up to an interview, and what `start` draws for a review and for the plan."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mockint.cli.shared import (
    AsJson,
    ConfigFile,
    ContentDirs,
    HomeDir,
    Level,
    bank_of,
    complain,
    me,
    only,
    settled,
    tracks_of,
)
from mockint.cli.study import watch
from mockint.errors import SessionError, UsageError
from mockint.wording import many

if TYPE_CHECKING:
    from datetime import datetime

    from mockint.bank import Bank, Loop, Question
    from mockint.clock import Clock
    from mockint.config import Config
    from mockint.study import Sitting
    from mockint.study.plan import Aim, Day, Past, Plan, Slot
    from mockint.study.review import Choice, Siblings

WIDE = 80
RECENT = 7
"""Days gone by that are shown one by one; those before are summed up in a line."""
MANY = 3
"""Tracks of a week that are still named; more are counted."""
NEAR, LAST = 14, 7
"""Days from today, and up to the interview, that are shown one by one; those between are summed up by weeks."""


def plan(
    on: Annotated[Optional[str], typer.Option("--date", help="The interview's day, such as 2026-12-01.")] = None,
    loop: Annotated[Optional[str], typer.Option(help="Prepare for this company's or role's loop.")] = None,
    track: Annotated[Optional[list[str]], typer.Option(help="Prepare for this track; repeatable.")] = None,
    minutes_a_day: Annotated[Optional[int], typer.Option(help="45 by default.", min=15, max=480)] = None,
    level: Level = None,
    ics: Annotated[Optional[Path], typer.Option(help="Write the days into this iCalendar file as well.")] = None,
    drop: Annotated[bool, typer.Option("--drop", help="End the plan; the sessions stay.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Lay out the days up to an interview; without options, show the plan as it stands today."""
    from mockint.clock import SystemClock, local
    from mockint.store import write
    from mockint.study.plan import calendar, drop_aim, keep_aim, lay_out

    settings, now = settled(config, home, content, {"interview": only(level=level)}), local(SystemClock().now())
    given = only(
        interview=None if on is None else _date(on),
        loop=loop,
        tracks=tuple(dict.fromkeys(tracks_of(track))) or None,
        minutes_a_day=minutes_a_day,
        level=level,
    )
    if drop:
        if given or ics:
            raise UsageError("--drop ends the plan, and makes no other.", hint="Leave out all else, or --drop.")
        ended = drop_aim(settings.home)
        typer.echo("The plan is ended; your sessions stay." if ended else "There is no plan.", err=True)
        if as_json:
            typer.echo(json.dumps({"ended": ended}))
        return
    if given:
        kept = _before(settings, given)
        aim = _aim(settings, kept, given, now.date())
    else:
        kept = aim = _kept(settings)
    bank = bank_of(settings)
    sittings, siblings = _history(settings, bank)
    made = lay_out(aim, sittings, bank, now, loop=_loop(settings, aim), siblings=siblings)
    if given:
        keep_aim(settings.home, aim)
    if kept is None and level is None:
        told = f"No level was given, so the plan takes {aim.level}, the default. Choose another (junior, mid, senior or staff) with:"
        typer.echo("\n".join([*wrapped(told), f"{me()} plan --level LEVEL"]), err=True)
    if ics:
        write(ics, calendar(made, now).decode())
        typer.echo(f"Written: {ics}", err=True)
    if as_json:
        typer.echo(json.dumps(_as_data(made), ensure_ascii=False))
    else:
        typer.echo("\n".join(_text(made)))


@dataclass(frozen=True)
class Drawn:
    """What `start` is to ask."""

    questions: tuple[Question, ...]
    minutes: int
    about: str
    told: tuple[str, ...]
    """What to say of it, each on a line of its own."""
    first: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By question, the criteria that are probed first."""


def drawn_review(settings: Config, bank: Bank, clock: Clock, *, minutes: int) -> Drawn | str:
    """Returns the questions that test what is due, or what there is to say when nothing is."""
    from mockint.clock import local
    from mockint.study.review import choose_review, outlook

    now = local(clock.now())
    sittings, siblings = _history(settings, bank)
    known = outlook(sittings, bank, now, siblings=siblings)
    queue = [one for one in known if one.on <= now.date()]
    level = settings.settings.interview.level
    chosen = choose_review(queue, bank, sittings=sittings, level=level, minutes=minutes, siblings=siblings)
    if chosen:
        return _reviewing(chosen)
    if queue:
        shortest = min(bank.question(one.question).minutes for one in queue)
        due = many(len(queue), "point is due", "points are due")
        return f"{due}, and no question on it fits {minutes} minutes; the shortest takes {shortest}."
    if known:
        first = min(known, key=lambda one: (one.on, -one.urgency))
        told = f"Nothing is due. Next: {first.criterion} of {first.question}, on {first.on:%a %Y-%m-%d}."
        missed = dict.fromkeys(one.question for one in known if one.last == "missed" and one.seen == now.date())
        again = " ".join(f"--question {name}" for name in list(missed)[:MANY])
        return f"{told} What was missed today can be asked again at once: {me()} start {again}" if again else told
    return "Nothing is due: no answer is graded yet. Begin with: mockint start"


def drawn_today(settings: Config, bank: Bank, clock: Clock, aim: Aim, *, seed: int) -> Drawn | str:
    """Returns the questions of today's next session, or what there is to say when none is left. Raises UsageError after the interview."""
    from mockint.clock import local
    from mockint.study.plan import lay_out
    from mockint.study.review import outlook

    now, loop = local(clock.now()), _loop(settings, aim)
    sittings, siblings = _history(settings, bank)
    made = lay_out(aim, sittings, bank, now, loop=loop, siblings=siblings)
    if made.today > aim.interview:
        raise UsageError(f"The interview was on {aim.interview}.", hint=_AGAIN)
    slots = made.days[0].slots
    for slot in slots:
        if not slot.done and (drawn := _drawn(slot, aim, bank, now, loop, sittings, siblings, seed=seed)):
            return drawn
    waiting = any(one.on <= made.today for one in outlook(sittings, bank, now, siblings=siblings))
    ahead = f"{_ahead(made)} {_further(made, due=waiting)}"
    if not slots:
        return f"The plan has nothing for today. {ahead}"
    done = sum(slot.done is not None for slot in slots)
    if done < len(slots):
        return f"All of today's sessions are done, and nothing is left to review. {ahead}"
    return f"All of today's sessions are done ({done} of {len(slots)}). {ahead}"


def aim_of(config: Path | None, home: Path | None) -> Aim:
    """Returns what the kept plan aims at. Raises UsageError when there is none."""
    return _kept(settled(config, home, None, {}))


_AGAIN = "Set the next one with: mockint plan --date DATE, or end the plan with: mockint plan --drop"


def _drawn(
    slot: Slot,
    aim: Aim,
    bank: Bank,
    now: datetime,
    loop: Loop | None,
    sittings: Sequence[Sitting],
    siblings: Siblings,
    *,
    seed: int,
) -> Drawn | None:
    from mockint.study.plan import draw, draw_mock
    from mockint.study.review import choose_review, due, outlook

    told = (f"Today's plan: {slot.what}, {slot.minutes} minutes ({slot.why}).",)
    match slot.kind:
        case "review" | "light":
            queue = (due if slot.kind == "review" else outlook)(sittings, bank, now, siblings=siblings)
            chosen = choose_review(
                queue, bank, sittings=sittings, level=aim.level, minutes=slot.minutes, siblings=siblings
            )
            return _reviewing(chosen, told) if chosen else None
        case "mock" if loop and slot.rounds:
            questions = draw_mock(bank, loop, slot.rounds, level=aim.level, seed=seed, sittings=sittings)
            return Drawn(questions, slot.minutes, loop.name, told)
        case "mock" | "practice":
            questions = draw(
                bank,
                tracks=slot.tracks,
                level=aim.level,
                minutes=slot.minutes,
                seed=seed,
                sittings=sittings,
                loop=loop if slot.kind == "practice" else None,
            )
            track = questions[0].track if len({one.track for one in questions}) == 1 else "mixed"
            return Drawn(questions, slot.minutes, "mock" if slot.kind == "mock" else track, told)


def _reviewing(chosen: Sequence[Choice], told: tuple[str, ...] = ()) -> Drawn:
    lines = [f"- {choice.question.title}: {choice.because}." for choice in chosen]
    return Drawn(
        tuple(choice.question for choice in chosen),
        sum(choice.question.minutes for choice in chosen),
        "review",
        (*told, *lines),
        {choice.question.id: choice.first for choice in chosen},
    )


def _history(settings: Config, bank: Bank) -> tuple[list[Sitting], Siblings]:
    """Returns what was sat, and which criteria ask for the same thing; these are not looked for while there is nothing to review."""
    from mockint.store import Home
    from mockint.study.index import sittings as read_sittings
    from mockint.study.review import find_siblings

    sittings = read_sittings(Home(settings.home), damaged=complain, watch=watch)
    return sittings, find_siblings(bank, cache=settings.home / "cache") if sittings else {}


def _loop(settings: Config, aim: Aim) -> Loop | None:
    from mockint.bank import load_loop

    return None if aim.loop is None else load_loop(settings.folders, aim.loop)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"{text!r} is no date.", hint="Write it as year, month and day: --date 2026-12-01") from exc


def _kept(settings: Config) -> Aim:
    from mockint.study.plan import load_aim

    if aim := load_aim(settings.home):
        return aim
    raise UsageError("There is no plan.", hint="Make one with: mockint plan --date 2026-12-01 --loop full-ai-engineer")


def _before(settings: Config, given: dict[str, Any]) -> Aim | None:
    """Returns what was kept, or None; a damaged file counts as none when a new day is given."""
    from mockint.study.plan import load_aim

    try:
        return load_aim(settings.home)
    except SessionError:
        if "interview" not in given:
            raise
        return None


def _aim(settings: Config, kept: Aim | None, given: dict[str, Any], today: date) -> Aim:
    """Returns what is aimed at: what was given, over what was kept. Raises UsageError for what no plan can be made of."""
    from mockint.study.plan import Aim

    if "loop" in given and "tracks" in given:
        raise UsageError("A loop brings its own tracks.", hint="Leave out --track, or --loop.")
    before: dict[str, Any] = kept.model_dump() if kept else {"level": settings.settings.interview.level, "since": today}
    if "loop" in given or "tracks" in given:
        before |= {"loop": None, "tracks": ()}
    whole = before | given
    if "interview" not in whole:
        raise UsageError("When is the interview?", hint="Add its day: --date 2026-12-01")
    if whole["interview"] < today:
        raise UsageError(
            f"{whole['interview']} is past: today is {today}.", hint="Give the day of an interview to come."
        )
    if before.get("interview") and before["interview"] < today:
        whole["since"] = today
    return Aim.model_validate(whole)


def _text(made: Plan) -> list[str]:
    """Returns the plan for 80 columns."""
    aim = made.aim
    what = aim.loop or ", ".join(aim.tracks) or "all tracks"
    head = f"{_when(made)}: {what} at {aim.level}, {aim.minutes_a_day} min a day."
    lines = [*wrapped(head), ""]
    if earlier := made.past[:-RECENT]:
        lines.append(f"{_day(earlier[0].on)} to {_told(earlier[-1].on)}  {_held(earlier)}")
    for past in made.past[-RECENT:]:
        score = "" if past.score is None else f", {past.score:.2f}"
        lines.append(f"{_day(past.on)}  {_held([past])}{score}")
    for group in _groups(made):
        lines += _lines(group[0], made.today) if len(group) == 1 else _week(group)
    if made.today <= aim.interview:
        lines.append(f"{_day(aim.interview)}  the interview")
    for note in made.notes:
        lines += ["", *wrapped(note)]
    if made.next:
        lines += ["", f"Today's next session: {me()} start --plan"]
    elif made.further and made.days[0].slots:
        lines += ["", *wrapped(f"All of today's sessions are done. {_further(made, due=False)}")]
    if made.today > aim.interview:
        lines += ["", _AGAIN]
    return lines


def _when(made: Plan) -> str:
    left = (made.aim.interview - made.today).days
    far = {0: "today", 1: "tomorrow"}.get(left, f"in {left} days")
    day = f"{_told(made.aim.interview)} {made.aim.interview.year}"
    return f"Interview on {day}, {far}" if left >= 0 else f"The interview was on {day}"


def _held(days: Sequence[Past]) -> str:
    sessions, questions = sum(len(day.sessions) for day in days), sum(day.questions for day in days)
    return f"{many(sessions, 'session')}, {many(questions, 'question')}" if sessions else "–"


def _lines(day: Day, today: date) -> list[str]:
    name = f"{_day(day.on)}{'  today' if day.on == today else ''}"
    if not day.slots:
        return [f"{name}  –"]
    lines = [name]
    for slot in day.slots:
        start = f"  {'done' if slot.done else '':<4} {slot.minutes:>3} min  "
        lines += wrapped(f"{slot.what}: {slot.why}", start=start, indent=len(start))
    return lines


def _week(days: Sequence[Day]) -> list[str]:
    slots = [slot for day in days for slot in day.slots]
    review = sum(slot.minutes for slot in slots if slot.kind == "review")
    practice = [slot for slot in slots if slot.kind == "practice"]
    tracks = list(dict.fromkeys(track for slot in practice for track in slot.tracks))
    named = ", ".join(tracks) if len(tracks) <= MANY else f"{len(tracks)} tracks"
    told = [f"review, {review} min"] if review else []
    if practice:
        told.append(f"{named}, {sum(slot.minutes for slot in practice)} min")
    start = f"{_day(days[0].on)} to {_told(days[-1].on)}  "
    return wrapped("; ".join(told) or "–", start=start, indent=2)


def _groups(made: Plan) -> list[list[Day]]:
    """Returns the days in groups: the next two weeks and the last week day by day, those between by calendar weeks."""
    groups: list[list[Day]] = []
    for number, day in enumerate(made.days):
        alone = number < NEAR or number >= len(made.days) - LAST
        monday = day.on - timedelta(day.on.weekday())
        if not alone and groups and len(groups) > NEAR and groups[-1][0].on >= monday:
            groups[-1].append(day)
        else:
            groups.append([day])
    return groups


def wrapped(text: str, *, start: str = "", indent: int = 0) -> list[str]:
    """Returns the text in lines of at most 80 columns, cut between words and safe to print."""
    from mockint.report import bare

    return textwrap.wrap(
        bare(text),
        WIDE,
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _further(made: Plan, *, due: bool) -> str:
    """Returns what there is to do beyond today's sessions: what is due, if anything is, and the track that is served best."""
    level = f"--level {made.aim.level}"
    review = f"{me()} start --review {level} (what is due), or " if due else ""
    return f"To go on all the same: {review}{me()} start --track {made.further} {level}"


def _ahead(made: Plan) -> str:
    day = next((day for day in made.days[1:] if day.slots), None)
    if day is None:
        return f"The interview is on {made.aim.interview}."
    return f"Next, on {_told(day.on)}: {'; '.join(f'{slot.what}, {slot.minutes} min' for slot in day.slots)}."


def _day(on: date) -> str:
    return f"{on:%a} {on.day:>2} {on:%b}"


def _told(on: date) -> str:
    return " ".join(_day(on).split())


def _as_data(made: Plan) -> dict[str, Any]:
    data = asdict(made) | {"aim": made.aim.model_dump(mode="json")}
    text: dict[str, Any] = json.loads(json.dumps(data, default=str))
    return text
