"""The commands that run an interview: start and resume."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mockint import __version__
from mockint.cli.plan import aim_of, drawn_review, drawn_today, wrapped
from mockint.cli.shared import (
    Answers,
    AsJson,
    ConfigFile,
    ContentDirs,
    HomeDir,
    Level,
    ModelRef,
    Plain,
    again,
    bank_of,
    count_spent,
    grade_session,
    grader_of,
    only,
    run,
    settled,
    tracks_of,
    transcript_of,
    trust_in,
    why_not,
)
from mockint.errors import GradingError, MockintError, SessionError, UsageError
from mockint.wording import many

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from mockint.bank import Bank, Question
    from mockint.cli.plan import Drawn
    from mockint.clock import Clock
    from mockint.config import Config
    from mockint.events import SessionStarted
    from mockint.interview.interviewers import Interviewer
    from mockint.interview.room import Candidate, Room
    from mockint.llm import Connections, Exchange
    from mockint.rubric import Rubric
    from mockint.store import Home
    from mockint.study.plan import Aim
    from mockint.terminal import Screen


def start(
    track: Annotated[Optional[list[str]], typer.Option(help="Draw from this track; repeatable.")] = None,
    loop: Annotated[Optional[str], typer.Option(help="The rounds of a company's or a role's loop.")] = None,
    question: Annotated[Optional[list[str]], typer.Option(help="Ask this question; repeatable.")] = None,
    level: Level = None,
    minutes: Annotated[Optional[int], typer.Option(help="The whole session's budget.", min=1, max=240)] = None,
    questions: Annotated[Optional[int], typer.Option(help="Ask at most so many.", min=1)] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Ask what is due again, by what you missed and when.")
    ] = False,
    planned: Annotated[bool, typer.Option("--plan", help="Hold today's next session of the plan.")] = False,
    seed: Annotated[
        Optional[int],
        typer.Option(help="The same seed draws the same questions; without one, those not asked before come first."),
    ] = None,
    model: ModelRef = None,
    interviewer: Annotated[Optional[str], typer.Option(help="The interviewer's model alone.")] = None,
    grader: Annotated[Optional[str], typer.Option(help="The grader's model alone.")] = None,
    answers: Answers = None,
    no_grade: Annotated[bool, typer.Option("--no-grade", help="Do not grade at the end.")] = False,
    self_rate: Annotated[bool, typer.Option("--self-rate", help="Rate your own answers at the end.")] = False,
    strict_time: Annotated[
        bool, typer.Option("--strict-time", help="Submit what stands when a question's time is up.")
    ] = False,
    plain: Plain = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Run one timed interview, grade it and write report.md. Prints the session's id."""
    import random

    from mockint.clock import SystemClock
    from mockint.interview.room import Room
    from mockint.llm import Connections
    from mockint.store import Home, Log
    from mockint.terminal import Screen

    besides = {"--track": track, "--loop": loop, "--question": question, "--questions": questions}
    if planned:
        besides |= {"--review": review, "--level": level, "--minutes": minutes}
    if review or planned:
        _alone("--plan" if planned else "--review", besides)
    aim = aim_of(config, home) if planned else None
    level = aim.level if aim else level
    chosen = {"models": only(interviewer=interviewer or model, grader=grader or model)}
    room_flags = only(level=level, minutes=minutes, self_rate=self_rate or None, strict_time=strict_time or None)
    flags = {**chosen, "interview": room_flags, "terminal": only(plain=plain or None)}
    settings = settled(config, home, content, flags)
    track = tracks_of(track)
    clock = SystemClock()
    bank = bank_of(settings)
    # What a seed draws depends on nothing else.
    asked = _asked(settings) if seed is None and not (planned or review or question) else {}
    seed = random.SystemRandom().randrange(10_000) if seed is None else seed
    about = loop
    first: Mapping[str, Sequence[str]] = {}
    if aim or review:
        drawn = _drawn(settings, bank, clock, aim=aim, minutes=minutes, seed=seed)
        if isinstance(drawn, str):
            typer.echo("\n".join(wrapped(drawn)), err=True)
            if as_json:
                typer.echo(json.dumps({"id": None, "why": drawn}))
            return
        plan, minutes, about, first = drawn.questions, drawn.minutes, drawn.about, drawn.first
    elif loop:
        own = track or question or questions or minutes
        plan, minutes = _loop(bank, loop, settings, seed=seed, asked=asked, besides=own)
    else:
        plan = _plan(bank, track, question or [], settings, count=questions, minutes=minutes, seed=seed, asked=asked)
    about = about or (plan[0].track if len({one.track for one in plan}) == 1 else "mixed")
    store, screen = Home(settings.home), Screen(plain=settings.settings.terminal.plain)
    session = store.new_id(clock.now(), about)
    started = _started(session, bank, plan, settings, clock, seed=seed, minutes=minutes, first=first)
    candidate = _candidate(answers, settings, clock, screen)
    connections = Connections(settings, clock)
    connect = _connector(settings, connections, started.models.interviewer)
    if not no_grade:
        grader_of(settings, connections, started.models.grader)  # a bad key shows now, not after the interview
    with Log(store.log(session)) as log:
        room = Room(log, clock=clock, candidate=candidate, screen=screen)
        room.begin(started)
        screen.note(_welcome(started, bool(answers)))
        _interview(room, connections, connect(room.keep), session, typed=not answers)
    _finish(store, session, settings, clock, screen, grade=not no_grade, as_json=as_json)


def resume(
    session: Annotated[
        Optional[str], typer.Argument(metavar="[SESSION]", help="By default the newest unfinished.")
    ] = None,
    answers: Answers = None,
    no_grade: Annotated[bool, typer.Option("--no-grade", help="Do not grade at the end.")] = False,
    plain: Plain = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
) -> None:
    """Go on with an interview where it stopped."""
    from mockint.clock import SystemClock
    from mockint.interview.room import Room
    from mockint.llm import Connections
    from mockint.store import Home, Log
    from mockint.terminal import Screen

    settings, clock = settled(config, home, None, {"terminal": only(plain=plain or None)}), SystemClock()
    store, screen = Home(settings.home), Screen(plain=settings.settings.terminal.plain)
    name = store.resolve(session) if session else store.unfinished()
    with Log(store.log(name)) as log:
        if log.torn:
            screen.note(f"The last write of {name} was cut off ({log.torn} bytes); the session goes on before it.")
        if not log.events:
            raise SessionError(f"The session {name!r} never began.", hint="Begin one with: mockint start")
        room = Room(log, clock=clock, candidate=_candidate(answers, settings, clock, screen), screen=screen)
        if room.now.outcome is not None:
            raise SessionError(f"The session {name!r} is finished.", hint=f"Read it with: mockint report {name}")
        connections = Connections(settings, clock)
        count_spent(connections.spending, log.events)
        connect = _connector(settings, connections, room.now.started.models.interviewer)
        screen.note(f"Going on with {name}.")
        _interview(room, connections, connect(room.keep), name, typed=not answers)
    _finish(store, name, settings, clock, screen, grade=not no_grade, as_json=as_json)


def _plan(
    bank: Bank,
    tracks: list[str],
    names: list[str],
    config: Config,
    *,
    count: int | None,
    minutes: int | None,
    seed: int,
    asked: Mapping[str, datetime],
) -> tuple[Question, ...]:
    from mockint.bank import choose

    if names:
        return tuple(bank.question(name) for name in dict.fromkeys(names))
    room = config.settings.interview
    minutes = minutes or room.minutes
    drawn = choose(bank, tracks=tracks, level=room.level, minutes=minutes, count=count, seed=seed, asked=asked)
    if count and len(drawn) < count:
        typer.echo(
            f"{minutes} minutes have room for {len(drawn)} of the {count} questions that you asked for.", err=True
        )
    return drawn


def _asked(config: Config) -> dict[str, datetime]:
    """Returns when each question was asked before."""
    from mockint.store import Home
    from mockint.study import last_asked
    from mockint.study.index import sittings

    return last_asked(sittings(Home(config.home)))


def _loop(
    bank: Bank, name: str, config: Config, *, seed: int, asked: Mapping[str, datetime], besides: object
) -> tuple[tuple[Question, ...], int]:
    """Returns the questions of a loop and its minutes."""
    from mockint.bank import choose_loop, load_loop

    if besides:
        raise UsageError(
            "A loop brings its own questions and minutes.",
            hint="Leave out --track, --question, --questions and --minutes.",
        )
    loop = load_loop(config.folders, name)
    return choose_loop(bank, loop, level=config.settings.interview.level, seed=seed, asked=asked), loop.minutes


def _alone(option: str, besides: Mapping[str, object]) -> None:
    """Raises UsageError when an option is given beside one that brings the session's questions itself."""
    if given := [name for name, value in besides.items() if value]:
        raise UsageError(f"{option} draws its questions itself.", hint=f"Leave out {', '.join(given)}.")


def _drawn(config: Config, bank: Bank, clock: Clock, *, aim: Aim | None, minutes: int | None, seed: int) -> Drawn | str:
    """Returns what the plan or the review asks now, having said why; or what there is to say when it asks nothing."""
    drawn = (
        drawn_today(config, bank, clock, aim, seed=seed)
        if aim
        else drawn_review(config, bank, clock, minutes=minutes or config.settings.interview.minutes)
    )
    for line in () if isinstance(drawn, str) else drawn.told:
        typer.echo("\n".join(wrapped(line, indent=2)), err=True)
    return drawn


def _started(
    session: str,
    bank: Bank,
    plan: tuple[Question, ...],
    config: Config,
    clock: Clock,
    *,
    seed: int,
    minutes: int | None,
    first: Mapping[str, Sequence[str]],
) -> SessionStarted:
    from mockint.events import Planned, Roles, SessionStarted
    from mockint.interview.interviewers import PROMPTS
    from mockint.prompts import load_prompt

    def rubric(question: Question) -> Rubric:
        whole = bank.rubric(question)
        if question.id not in first:
            return whole
        from mockint.study.review import leading  # fsrs costs 30 ms, and most interviews are no review

        return leading(whole, first[question.id])

    settings = config.settings
    return SessionStarted(
        seq=1,
        at=clock.now(),
        t=0,
        session=session,
        plan=tuple(Planned.of(question, rubric(question)) for question in plan),
        scale=bank.scale,
        level=settings.interview.level,
        minutes=minutes or max(settings.interview.minutes, sum(question.minutes for question in plan)),
        probes=settings.interview.probes,
        strict_time=settings.interview.strict_time,
        self_rate=settings.interview.self_rate,
        seed=seed,
        models=Roles(interviewer=settings.models.interviewer, grader=settings.models.grader),
        prompts={name: load_prompt(config.folders, name).digest for name in PROMPTS},
        app=__version__,
    )


def _candidate(answers: Path | None, config: Config, clock: Clock, screen: Screen) -> Candidate:
    from mockint.interview.script import ScriptedCandidate, load_script
    from mockint.terminal import Paragraphs, Shown, Typist, a_person_is_here

    if answers:
        return Shown(ScriptedCandidate(load_script(answers)), screen)
    if a_person_is_here():
        return Typist(screen, clock, send=config.settings.terminal.send, plain=config.settings.terminal.plain)
    return Paragraphs(sys.stdin, clock)


def _connector(
    config: Config, connections: Connections, reference: str
) -> Callable[[Callable[[Exchange], None]], Interviewer]:
    """Returns what makes the interviewer, given where its exchanges are kept; connects at once, so that a bad key shows."""
    from mockint.config import OFFLINE
    from mockint.interview.interviewers import PROMPTS, ModelInterviewer, OfflineInterviewer
    from mockint.prompts import load_prompt

    if reference == OFFLINE:
        return lambda _: OfflineInterviewer()
    connections.connect(reference)
    prompts = {name: load_prompt(config.folders, name) for name in PROMPTS}
    return lambda keep: ModelInterviewer(connections.recorder(reference, role="interviewer", keep=keep), prompts)


def _interview(room: Room, connections: Connections, interviewer: Interviewer, session: str, *, typed: bool) -> None:
    """Runs the interview; however it breaks off, says how to go on with it, and keeps what was typed ahead if answers are typed."""
    from mockint.interview.room import Left
    from mockint.terminal import keys_kept

    try:
        with keys_kept(room.keep_unread if typed else None):
            run(connections.closing(room.run(interviewer)))
    except (Left, KeyboardInterrupt):
        typer.echo(f"\nSaved. Go on with: {again('resume', session)}", err=True)
        raise typer.Exit(130) from None
    except MockintError as exc:
        exc.hint = f"{exc.hint} The session is saved; go on with: {again('resume', session)}"
        raise


def _finish(
    store: Home, session: str, config: Config, clock: Clock, screen: Screen, *, grade: bool, as_json: bool
) -> None:
    """Grades, writes the report, shows the scorecard, and prints the session's id."""
    from mockint.report import scorecard
    from mockint.terminal import keys_kept

    result: dict[str, Any] = {"id": session, "events": str(store.log(session))}
    if grade:
        transcript = transcript_of(store, session)
        try:
            with keys_kept():
                made, path = grade_session(store, session, config, clock, transcript.started.models.grader)
        except KeyboardInterrupt:
            typer.echo(f"\nSaved, and not graded. Grade it with: {again('grade', session)}", err=True)
            typer.echo(json.dumps(result) if as_json else session)
            raise typer.Exit(130) from None
        result |= {"signal": made.signal, "score": made.score, "coverage": made.coverage}
        result |= {"grade": str(path), "report": str(store.report(session))}
        rows, about = scorecard(transcript, made, trust_in(store, transcript, made))
        screen.scorecard(made.signal, rows, about=about)
        typer.echo(f"\nReport: {store.report(session)}", err=True)
        typer.echo(f"Read it here with: {again('report', session)}", err=True)
    typer.echo(json.dumps(result) if as_json else session)
    if grade and made.score is None and any(answer.state == "ungraded" for answer in made.answers):
        raise GradingError(f"Nothing of {session!r} could be graded.", hint=why_not([made.model_dump(mode="json")]))


def _welcome(started: SessionStarted, scripted: bool) -> str:
    who = (
        "A sample candidate answers, from a script. "
        if scripted
        else "Answer as you would aloud; /help lists what else you can do. "
    )
    asks = "The embedded interviewer" if started.models.interviewer == "offline" else started.models.interviewer
    return (
        f"Session {started.session}: {many(len(started.plan), 'question')}, {started.minutes} minutes, level {started.level}. {asks} asks. "
        f"{who}The clock runs only while you answer."
        f"{' When the time is up, what stands is sent.' if started.strict_time else ''}"
    )
