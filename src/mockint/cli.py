"""The command line. Each command reads its flags, wires the pieces together, and prints the result.

Commands import what they run when they run it, so that `--help` costs typer alone: a start of 0.1 s, not 0.4 s.
"""

from __future__ import annotations

import io
import json
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional, TypeVar

import typer

from mockint import __version__
from mockint.errors import ContentError, GradingError, MockintError, ModelError, SessionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from mockint.bank import Bank, Question
    from mockint.batch import Key, Results
    from mockint.calibration import Gold, Trial
    from mockint.clock import Clock
    from mockint.config import Config
    from mockint.events import Event, SessionStarted
    from mockint.grade import Grade
    from mockint.grading import Grader
    from mockint.grading.grader import Calls
    from mockint.interview.interviewers import Interviewer
    from mockint.interview.room import Candidate, Room
    from mockint.llm import Connections, Exchange
    from mockint.report import Trust
    from mockint.store import Home
    from mockint.terminal import Screen
    from mockint.transcript import Transcript

T = TypeVar("T")

app = typer.Typer(
    name="mockint",
    help="A timed mock interview for AI engineers, with a grade that can be checked. Begin with: mockint start --track rag",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bank_app = typer.Typer(help="Browse, check and write questions and rubrics.", no_args_is_help=True)
config_app = typer.Typer(help="See the settings in force, and where each comes from.", no_args_is_help=True)
app.add_typer(bank_app, name="bank")
app.add_typer(config_app, name="config")

ConfigFile = Annotated[Optional[Path], typer.Option("--config", help="Settings from this file only.")]
HomeDir = Annotated[Optional[Path], typer.Option("--home", help="Where sessions live.")]
ContentDirs = Annotated[
    Optional[list[Path]], typer.Option("--content", help="A content folder of your own; repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Level = Annotated[Optional[str], typer.Option("--level", help="junior, mid, senior or staff.")]
ModelRef = Annotated[Optional[str], typer.Option("--model", help="PROVIDER/MODEL, or offline.")]
Plain = Annotated[
    bool,
    typer.Option("--plain", help="No footer, colours, boxes or redraws: for screen readers; /time tells the time."),
]
Concurrency = Annotated[int, typer.Option(min=1, max=500, help="Answers that are graded at the same time.")]
Votes = Annotated[int, typer.Option(help="Ask a model so often, criteria in another order each time.", min=1, max=15)]
Answers = Annotated[Optional[Path], typer.Option("--answers", help="A scripted candidate: YAML, question id → answer.")]
SessionName = Annotated[str, typer.Argument(metavar="SESSION", help="An id, its beginning, or last.")]


def main() -> NoReturn:
    """Runs the command line: every error of mockint's own becomes two lines and its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows another one
    try:
        app(standalone_mode=True)
    except MockintError as exc:
        _complain(exc)
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as exc:
        _complain(
            SessionError(
                f"{exc.filename or 'A file'} cannot be used: {exc.strerror}.",
                hint="Check the path, its rights and the disk.",
            )
        )
        sys.exit(SessionError.exit_code)
    sys.exit(0)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def start(
    track: Annotated[Optional[list[str]], typer.Option(help="Draw from this track; repeatable.")] = None,
    loop: Annotated[Optional[str], typer.Option(help="The rounds of a company's or a role's loop.")] = None,
    question: Annotated[Optional[list[str]], typer.Option(help="Ask this question; repeatable.")] = None,
    level: Level = None,
    minutes: Annotated[Optional[int], typer.Option(help="The whole session's budget.", min=1, max=240)] = None,
    questions: Annotated[Optional[int], typer.Option(help="Ask at most so many.", min=1)] = None,
    seed: Annotated[Optional[int], typer.Option(help="The same seed draws the same questions.")] = None,
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

    chosen = {"models": _given(interviewer=interviewer or model, grader=grader or model)}
    room_flags = _given(level=level, minutes=minutes, self_rate=self_rate or None, strict_time=strict_time or None)
    flags = {**chosen, "interview": room_flags, "terminal": _given(plain=plain or None)}
    settings = _settings(config, home, content, flags)
    track = _tracks(track)
    clock = SystemClock()
    bank = _bank(settings)
    seed = random.SystemRandom().randrange(10_000) if seed is None else seed
    if loop:
        plan, minutes = _loop(bank, loop, settings, seed=seed, besides=track or question or questions or minutes)
    else:
        plan = _plan(bank, track, question or [], settings, count=questions, minutes=minutes, seed=seed)
    about = loop or (plan[0].track if len({one.track for one in plan}) == 1 else "mixed")
    store, screen = Home(settings.home), Screen(plain=settings.settings.terminal.plain)
    session = store.new_id(clock.now(), about)
    started = _started(session, bank, plan, settings, clock, seed=seed, minutes=minutes)
    candidate = _candidate(answers, settings, clock, screen)
    connections = Connections(settings, clock)
    connect = _connector(settings, connections, started.models.interviewer)
    if not no_grade:
        _grader(settings, connections, started.models.grader)  # a bad key shows now, not after the interview
    with Log(store.log(session)) as log:
        room = Room(log, clock=clock, candidate=candidate, screen=screen)
        room.begin(started)
        screen.note(_welcome(started, bool(answers)))
        _interview(room, connections, connect(room.keep), session)
    _finish(store, session, settings, clock, screen, grade=not no_grade, as_json=as_json)


@app.command()
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

    settings, clock = _settings(config, home, None, {"terminal": _given(plain=plain or None)}), SystemClock()
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
        _count_spent(connections, log.events)
        connect = _connector(settings, connections, room.now.started.models.interviewer)
        screen.note(f"Going on with {name}.")
        _interview(room, connections, connect(room.keep), name)
    _finish(store, name, settings, clock, screen, grade=not no_grade, as_json=as_json)


@app.command()
def grade(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT…", help="Sessions, folders of them, or answers.jsonl.")],
    model: ModelRef = None,
    level: Level = None,
    votes: Votes = 1,
    out: Annotated[
        Optional[Path],
        typer.Option(help="Also write the grades here, one JSON object a line; a batch goes on from it."),
    ] = None,
    concurrency: Concurrency = 4,
    usd: Annotated[
        Optional[float], typer.Option(min=0, help="Stop before the call that may cost more, in all.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and grade nothing.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Grade interviews, again or for the first time, or answers from elsewhere. Earlier grades stay."""
    from mockint.batch import Results
    from mockint.clock import SystemClock
    from mockint.report import clean, shown
    from mockint.store import Home

    wanted = {"models": _given(grader=model), "interview": _given(level=level), "limits": _given(usd_per_session=usd)}
    settings, clock = _settings(config, home, content, wanted), SystemClock()
    store = Home(settings.home)
    answers = [given for given in inputs if _holds_answers(given)]
    sessions = {given: _sessions(store, given) for given in inputs if given not in answers}
    if dry_run:
        _estimate([Path(given) for given in answers], sum(map(len, sessions.values())), settings, as_json=as_json)
        return
    reference = settings.settings.models.grader
    results, lines, count, scored = Results(out), list[dict[str, Any]](), 0, 0
    first: dict[str, Any] = {}

    def made(line: dict[str, Any]) -> None:
        nonlocal count, scored, first
        results.add(line)
        count += 1
        good = "error" not in line and line["score"] is not None
        scored += good
        if not good and not first:
            first = line
        if as_json:
            lines.append(line)
            return
        told = line["error"]["message"] if "error" in line else f"{line['signal']}  {shown(line['score'])}"
        typer.echo(f"{clean(str(line['id']))}  {clean(told)}")

    written: list[Path] = []
    try:
        for given in inputs:
            if given in answers:
                _grade_file(Path(given), settings, clock, results, made, votes=votes, at_once=concurrency)
            for place, name in sessions.get(given, ()):
                try:
                    done, path = _grade(place, name, settings, clock, reference, level=level, votes=votes)
                except SessionError as exc:
                    made({"id": name, "error": {"code": exc.exit_code, "message": exc.what}})
                    continue
                made(done.model_dump(mode="json"))
                written.append(path)
    finally:
        results.close()
    if as_json:
        typer.echo(json.dumps(lines, ensure_ascii=False))
    for path in () if as_json else written:
        typer.echo(f"Added: {path}. What moved: mockint compare {path.parents[1].name}", err=True)
    if results.reused:
        typer.echo(f"{results.reused} are in {out} already, by the same grader, and were not graded again.", err=True)
    if not count and not results.reused:
        raise UsageError(f"There is nothing to grade in {', '.join(inputs)}.", hint="See: mockint history")
    if count and not scored:
        raise GradingError("Nothing could be graded.", hint=_why([first]))


def _grade_file(
    path: Path,
    settings: Config,
    clock: Clock,
    results: Results,
    made: Callable[[dict[str, Any]], None],
    *,
    votes: int,
    at_once: int,
) -> None:
    """Grades a file of answers, with a bar where somebody watches."""
    from mockint.batch import grade_answers, read_lines
    from mockint.config import OFFLINE
    from mockint.llm import Connections
    from mockint.terminal import progress

    connections = Connections(settings, clock)
    maker = _grader(settings, connections, settings.settings.models.grader, votes=votes)
    bank, level = _bank(settings), settings.settings.interview.level
    lines = read_lines(path)
    if settings.settings.models.grader == OFFLINE:
        at_once = 1  # it waits for nobody, and so the grades come in the order of the answers

    async def work() -> None:
        with progress("grading", sum(bool(line.strip()) for line in lines)) as step:

            def held(key: Key) -> bool:
                found = results.holds(key)
                if found:
                    step()
                return found

            graded = grade_answers(
                lines,
                path.name,
                bank,
                level=level,
                maker=maker,
                clock=clock,
                at_once=at_once,
                held=held if results.begun else None,
            )
            async for line in graded:
                made(line)
                step()

    _run(connections.closing(work()))


def _estimate(paths: list[Path], sessions: int, settings: Config, *, as_json: bool) -> None:
    """Says how many answers there are, and what a model would take to grade them."""
    from mockint.batch import estimate, read_lines
    from mockint.config import OFFLINE
    from mockint.grading.judge import PROMPT
    from mockint.llm import Usage
    from mockint.llm.prices import priced
    from mockint.prompts import load_prompt

    reference, bank = settings.settings.models.grader, _bank(settings)
    prompt = load_prompt(settings.folders, PROMPT)
    needed = sum((estimate(read_lines(path), bank, prompt) for path in paths), Usage())
    if reference == OFFLINE:
        needed = Usage(calls=needed.calls, usd=0.0)
    elif needed.calls:
        needed = priced(needed, reference)
    if as_json:
        told = {"model": reference, "answers": needed.calls, "sessions": sessions, **needed.model_dump()}
        typer.echo(json.dumps(told))
        return
    price = "an unknown price" if needed.usd is None else f"about {needed.usd:.2f} USD"
    tokens = f"{needed.prompt_tokens} tokens sent, {needed.completion_tokens} expected back"
    typer.echo(f"{needed.calls} answers with {reference}: {tokens}, {price}. Nothing was graded.")
    if sessions:
        typer.echo(f"And {sessions} interviews, which are not estimated.", err=True)


@app.command()
def report(
    session: SessionName = "last",
    kind: Annotated[str, typer.Option("--format", help="md, html or json.")] = "md",
    number: Annotated[Optional[int], typer.Option("--grade", help="Which grade; the newest by default.")] = None,
    out: Annotated[Optional[Path], typer.Option(help="Write it here, not to stdout.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
) -> None:
    """Print the report of a graded session."""
    from mockint.content import near
    from mockint.report import as_data, html, markdown
    from mockint.store import Home, write
    from mockint.terminal import Screen

    if kind not in (kinds := ("md", "html", "json")):
        raise UsageError(f"There is no format {kind!r}{near(kind, kinds)}", hint="Use --format md, html or json.")
    store = Home(_settings(config, home, None, {}).home)
    graded = [one for one in store.ids() if store.grade_files(one)] if session == "last" else []
    name = graded[-1] if graded else store.resolve(session)
    transcript, found = _transcript(store, name), store.grade(name, number)
    data = as_json or kind == "json"
    trust = _trust(store, transcript, found)
    text = (
        json.dumps(as_data(transcript, found, trust), ensure_ascii=False, indent=1)
        if data
        else (html if kind == "html" else markdown)(transcript, found, trust)
    )
    if out:
        write(out, text)
    elif sys.stdout.isatty() and kind == "md" and not data:
        Screen.to_stdout().markdown(text)
    else:
        typer.echo(text, nl=data)


@app.command()
def replay(
    session: SessionName = "last",
    verify: Annotated[bool, typer.Option("--verify", help="Make the grade again from its recorded replies.")] = False,
    speed: Annotated[float, typer.Option(help="How many times as fast as it was; 0 is at once.", min=0)] = 0,
    number: Annotated[Optional[int], typer.Option("--grade", help="Which grade to verify.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Play an interview back, or verify that its grade follows from what was recorded."""
    from mockint.clock import SystemClock
    from mockint.store import Home

    settings = _settings(config, home, content, {})
    store = Home(settings.home)
    name = store.resolve(session)
    if verify:
        _verify(store, name, settings, number, as_json=as_json)
    else:
        _play(_transcript(store, name), SystemClock(), speed, as_json=as_json)


@app.command()
def compare(
    session: SessionName,
    grades: Annotated[
        Optional[tuple[int, int]], typer.Option(help="Two grades' numbers; the newest two by default.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
) -> None:
    """Show which criteria moved between two grades of a session, and what differs in how they were made."""
    from mockint.report import comparison, moves, stamp_differences
    from mockint.store import Home

    store = Home(_settings(config, home, None, {}).home)
    name = store.resolve(session)
    numbers = [int(path.stem) for path in store.grade_files(name)]
    if grades is None and len(numbers) < 2:
        raise UsageError(
            f"The session {name!r} has {len(numbers)} grade.",
            hint=f"Add one: mockint grade {name} --model PROVIDER/MODEL",
        )
    first, second = grades or (numbers[-2], numbers[-1])
    before, after = store.grade(name, first), store.grade(name, second)
    if not as_json:
        typer.echo(comparison(before, after, names=(str(first), str(second))), nl=False)
        return
    moved = [
        {
            "question": move.question,
            "criterion": move.criterion,
            "before": move.before and move.before.model_dump(mode="json"),
            "after": move.after and move.after.model_dump(mode="json"),
            "by": move.by,
        }
        for move in moves(before, after)
    ]
    unlike = stamp_differences(before, after)
    result = {"session": name, "grades": [first, second], "stamps": unlike, "signal": [before.signal, after.signal]}
    typer.echo(json.dumps(result | {"score": [before.score, after.score], "moved": moved}, ensure_ascii=False))


@app.command()
def history(as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None) -> None:
    """List the sessions, newest last, with their newest grade."""
    from mockint.report import shown
    from mockint.store import Home

    store = Home(_settings(config, home, None, {}).home)
    rows: list[dict[str, Any]] = []
    damaged: list[SessionError] = []
    for name in store.ids():
        try:
            transcript = _transcript(store, name)
            found = store.grade(name) if store.grade_files(name) else None
        except SessionError as exc:
            damaged.append(exc)
            continue
        rows.append(
            {
                "session": name,
                "tracks": sorted({part.question.track for part in transcript.parts}),
                "level": found.target_level if found else transcript.started.level,
                "grades": len(store.grade_files(name)),
                "outcome": transcript.outcome,
                "questions": len(transcript.parts),
                "answered": sum(part.answered for part in transcript.parts),
                "signal": found.signal if found else None,
                "score": found.score if found else None,
                "coverage": found.coverage if found else None,
            }
        )
    if as_json:
        typer.echo(json.dumps(rows))
    if not as_json and rows:
        typer.echo(f"{'session':<34} {'level':<7} questions  score  signal", err=True)
    for row in () if as_json else rows:
        told = row["signal"] or ("not graded" if row["outcome"] else "unfinished")
        many = f"{row['answered']} of {row['questions']}"
        ended = "  (you ended it early)" if row["outcome"] == "quit" else ""
        typer.echo(f"{row['session']:<34} {row['level']:<7} {many:<9}  {shown(row['score']):<5}  {told}{ended}")
    if not rows and not damaged and not as_json:
        typer.echo("There are no sessions yet. Begin with: mockint start --track rag", err=True)
    for found_damaged in damaged:
        _complain(found_damaged)


@app.command()
def doctor(
    model: ModelRef = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Check config, content, home, terminal and keys; with --model, make real calls and say what the model can do."""
    from mockint.checkup import Finding, examine, try_model
    from mockint.clock import SystemClock
    from mockint.llm import Connections
    from mockint.terminal import a_person_is_here

    settings = _settings(config, home, content, {})
    findings: list[Finding] = examine(settings, person=a_person_is_here())
    if model:
        connections = Connections(settings, SystemClock())
        findings += _run(connections.closing(try_model(model, connections)))
    if as_json:
        typer.echo(json.dumps([asdict(found) for found in findings], ensure_ascii=False))
    for found in () if as_json else findings:
        typer.echo(f"{'ok  ' if found.good else 'BAD '} {found.name:<11} {found.told}")
        if found.todo:
            typer.echo(f"     {'':<11} {found.todo}")
    if bad := {found.name for found in findings if not found.good}:
        raise typer.Exit((ModelError if bad & {"model", "streaming", "structured"} else ContentError).exit_code)


@app.command("models")
def models_command(as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None) -> None:
    """List the providers that are configured, and the model that each role would use."""
    from mockint.checkup import roles

    settings = _settings(config, home, None, {})
    rows = roles(settings)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row.role:<12} {row.reference:<32} {row.through:<10} {row.where:<36} {row.key}")


@app.command()
def calibrate(
    gold: Annotated[
        Optional[Path], typer.Option(help="Answers with levels or scores, JSON lines or CSV; else the sample answers.")
    ] = None,
    track: Annotated[Optional[list[str]], typer.Option(help="Only this track's samples; repeatable.")] = None,
    grader: Annotated[Optional[str], typer.Option(help="The grader to try: PROVIDER/MODEL, or offline.")] = None,
    votes: Votes = 1,
    concurrency: Concurrency = 4,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Show how far a grader agrees with the sample answers' levels, or with your own gold answers."""
    from mockint.calibration import FITTED, agreement, keep, read_gold, samples, shipped_figures, told
    from mockint.clock import SystemClock

    settings, clock = _settings(config, home, content, {"models": _given(grader=grader)}), SystemClock()
    track = _tracks(track)
    bank = _bank(settings)
    chosen = [question for question in bank.questions.values() if not track or question.track in track]
    trial = _try_out(
        read_gold(gold) if gold else samples(bank, chosen), bank, settings, votes=votes, at_once=concurrency
    )
    for line in trial.failed:
        typer.echo(line, err=True)
    if not any(score.given is not None for score in trial.scores):
        raise GradingError("Nothing could be graded.", hint=trial.failed[0] if trial.failed else "See: mockint doctor")
    found = agreement(trial)
    made = keep(settings.home / "calibrations", trial, found, clock=clock)
    if as_json:
        typer.echo(json.dumps(made.model_dump(mode="json") | {"state": made.state}, ensure_ascii=False))
    else:
        typer.echo(
            f"{trial.stamp['grader']} grader, model {trial.stamp['model']}\n\n{told(found, usage=trial.usage)}",
            nl=False,
        )
        if not gold and trial.stamp["grader"] == "offline":
            typer.echo(FITTED.format(known=shipped_figures()))


# The bank


@bank_app.command("list")
def bank_list(
    track: Annotated[Optional[list[str]], typer.Option(help="Only this track; repeatable.")] = None,
    level: Level = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """List the questions."""
    track = _tracks(track)
    bank = _bank(_settings(config, home, content, {}))
    found = [q for q in bank.questions.values() if (not track or q.track in track) and (not level or level in q.levels)]
    if as_json:
        typer.echo(json.dumps([question.model_dump(mode="json") for question in found], ensure_ascii=False))
        return
    for path in bank.overridden:
        typer.echo(f"replaced by a later folder: {path}", err=True)
    wide = max((len(question.id) for question in found), default=0)
    title = max((len(question.title) for question in found), default=0)
    for name in dict.fromkeys(question.track for question in found):
        typer.echo(name)
        for question in (question for question in found if question.track == name):
            shape = f"  {question.id:<{wide}}  {question.title:<{title}}  {question.kind:<11} {question.minutes:>2} min"
            ends = dict.fromkeys((question.levels[0], question.levels[-1]))
            typer.echo(f"{shape}  {' to '.join(ends)}")


@bank_app.command("show")
def bank_show(
    question: Annotated[str, typer.Argument(help="The question's id.")],
    answer: Annotated[bool, typer.Option("--answer", help="The rubric and the model answer too.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Show a question; with --answer, what a good answer holds."""
    bank = _bank(_settings(config, home, content, {}))
    found = bank.question(question)
    rubric = bank.rubric(found) if answer or as_json else None
    if as_json:
        both = {"question": found.model_dump(mode="json"), "rubric": rubric and rubric.model_dump(mode="json")}
        typer.echo(json.dumps(both, ensure_ascii=False))
        return
    typer.echo(f"{found.title}\n{found.track}, {found.kind}, {', '.join(found.levels)}, {found.minutes} minutes\n")
    typer.echo(found.ask)
    for criterion in rubric.criteria if rubric else ():
        typer.echo(f"\n{criterion.asks}\n  weight {criterion.weight}, expected from {criterion.expected_from}")
        for name, text in criterion.levels.items():
            typer.echo(f"  {name}: {text}")
    if rubric:
        typer.echo(f"\nA model answer:\n\n{rubric.answer}")


@bank_app.command("lint")
def bank_lint(
    as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None, content: ContentDirs = None
) -> None:
    """List every problem of the content with file, line and key; exit 3 if there is any."""
    from mockint.lint import lint

    problems = lint(_settings(config, home, content, {}).folders)
    if as_json:
        rows = [{"file": str(p.path), "line": p.line, "key": p.key, "message": p.message} for p in problems]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for problem in problems:
            typer.echo(str(problem))
        typer.echo("no problem" if not problems else f"{len(problems)} problems", err=True)
    if problems:
        raise typer.Exit(3)


@bank_app.command("test")
def bank_test(
    questions: Annotated[
        Optional[list[str]], typer.Argument(metavar="[QUESTION]…", help="By default all of them.")
    ] = None,
    grader: Annotated[Optional[str], typer.Option(help="PROVIDER/MODEL, or offline.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Grade the sample answers of rubrics and show where the grader and the stated levels differ."""
    from dataclasses import asdict

    from mockint.calibration import samples
    from mockint.report import clean

    settings = _settings(config, home, content, {"models": _given(grader=grader)})
    bank = _bank(settings)
    chosen = [bank.question(name) for name in questions] if questions else list(bank.questions.values())
    trial = _try_out(samples(bank, chosen), bank, settings)
    if as_json:
        typer.echo(json.dumps([asdict(rating) for rating in trial.ratings], ensure_ascii=False))
        return
    same = 0
    for score in trial.scores:
        ratings = [rating for rating in trial.ratings if rating.answer == score.answer]
        unlike = [rating for rating in ratings if rating.given != rating.stated]
        same += len(ratings) - len(unlike)
        reached = "not scored" if score.given is None else f"{score.given:.2f}"
        typer.echo(f"{score.answer}: stated {score.stated:.2f}, given {reached}")
        for rating in unlike:
            quote = f"  “{clean(rating.quote):.70}”" if rating.quote else ""
            typer.echo(f"  {rating.criterion}: {rating.stated}, given {rating.given or 'unscored'}{quote}")
    typer.echo(f"\n{same} of {len(trial.ratings)} ratings are as stated", err=True)


@bank_app.command("stats")
def bank_stats(
    as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None, content: ContentDirs = None
) -> None:
    """Count the questions by track, kind, level and minutes, the reported ones that they cover, and the loops' minutes."""
    from collections import Counter

    from mockint.bank import load_loop, load_origins, loop_files

    settings = _settings(config, home, content, {})
    folders = settings.folders
    found, origins = _bank(settings).questions.values(), load_origins(folders)
    covered = {origin for question in found for origin in question.origins} & origins.keys()
    counts: dict[str, dict[str, int]] = {
        "questions": {"all": len(found)},
        "track": dict(Counter(question.track for question in found)),
        "kind": dict(Counter(question.kind for question in found)),
        "level": dict(Counter(level for question in found for level in question.levels)),
        "minutes": {str(m): n for m, n in sorted(Counter(question.minutes for question in found).items())},
        "origins": {"reported": len(origins), "covered": len(covered)},
        "loops": {name: load_loop(folders, name).minutes for name in loop_files(folders)},
    }
    if as_json:
        typer.echo(json.dumps(counts))
        return
    for name, group in counts.items():
        typer.echo(name)
        for key, count in group.items():
            typer.echo(f"  {key:<22} {count:>4}{' minutes' if name == 'loops' else ''}")


@bank_app.command("new")
def bank_new(
    track: Annotated[str, typer.Argument(help="The track that it belongs to.")],
    slug: Annotated[str, typer.Argument(help="Its id, such as hybrid-search.")],
    content: Annotated[
        Path, typer.Option("--content", help="The content folder of your own that it goes into.")
    ] = Path(),
) -> None:
    """Write the three commented files of a new question, with blanks to fill in."""
    from mockint.skeleton import write_skeleton

    (name,) = _tracks([track])
    for path in write_skeleton(content, name, slug):
        typer.echo(str(path))


# The settings


@config_app.command("show")
def config_show(as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None) -> None:
    """Print every setting and the layer that it came from."""
    from mockint.config import flat

    found = _settings(config, home, None, {})
    rows = [
        (key, value, found.origin.get(key, "default")) for key, value in flat(found.settings.model_dump(mode="json"))
    ]
    if as_json:
        typer.echo(json.dumps([{"key": key, "value": value, "from": origin} for key, value, origin in rows]))
        return
    for key, value, origin in rows:
        typer.echo(f"{key:<28} {json.dumps(value):<32} {origin}")


@config_app.command("path")
def config_path(home: HomeDir = None) -> None:
    """Print the config files that are looked for, and the home folder."""
    from mockint.config import places

    for name, path in places():
        typer.echo(f"{name:<13} {path}{'' if path.is_file() else '  (not there)'}")
    typer.echo(f"{'home':<13} {_settings(None, home, None, {}).home}")


@config_app.command("init")
def config_init(
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path("mockint.toml"),
) -> None:
    """Write a commented mockint.toml."""
    from mockint.store import write

    if out.exists():
        raise UsageError(f"{str(out)!r} exists.", hint="Edit it, or name another file with --out.")
    write(out, Path(__file__).with_name("templates").joinpath("mockint.toml").read_text(encoding="utf-8"))
    typer.echo(str(out))


# What the commands share


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # 20 ms

    return asyncio.run(work)


def _settings(config: Path | None, home: Path | None, content: list[Path] | None, flags: dict[str, Any]) -> Config:
    from mockint.config import load_config

    more = {"content": {"paths": [str(path) for path in content]}} if content else {}
    return load_config(file=config, home=home, flags={**flags, **more})


def _bank(config: Config) -> Bank:
    from mockint.bank import load_bank

    return load_bank(config.folders, cache=config.home / "cache" / "questions.json")


def _tracks(names: list[str] | None) -> list[str]:
    """Returns the tracks that are named, in whatever case. Raises UsageError for one that there is not."""
    from mockint.bank import TRACKS
    from mockint.content import near

    found = [name.lower() for name in names or ()]
    for name in found:
        if name not in TRACKS:
            raise UsageError(
                f"There is no track {name!r}{near(name, TRACKS)}", hint=f"The tracks are: {', '.join(TRACKS)}."
            )
    return found


def _me() -> str:
    """Returns the command that a person can type to run this program again."""
    if shutil.which("mockint"):
        return "mockint"
    return "python -m mockint" if sys.argv[0].endswith("__main__.py") else sys.argv[0]


def _holds_answers(given: str) -> bool:
    path = Path(given)
    return path.suffix == ".jsonl" and path.name != "events.jsonl"


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _plan(
    bank: Bank,
    tracks: list[str],
    names: list[str],
    config: Config,
    *,
    count: int | None,
    minutes: int | None,
    seed: int,
) -> tuple[Question, ...]:
    from mockint.bank import choose

    if names:
        return tuple(bank.question(name) for name in dict.fromkeys(names))
    room = config.settings.interview
    minutes = minutes or room.minutes
    drawn = choose(bank, tracks=tracks, level=room.level, minutes=minutes, count=count, seed=seed)
    if count and len(drawn) < count:
        typer.echo(
            f"{minutes} minutes have room for {len(drawn)} of the {count} questions that you asked for.", err=True
        )
    return drawn


def _loop(bank: Bank, name: str, config: Config, *, seed: int, besides: object) -> tuple[tuple[Question, ...], int]:
    """Returns the questions of a loop and its minutes."""
    from mockint.bank import choose_loop, load_loop

    if besides:
        raise UsageError(
            "A loop brings its own questions and minutes.",
            hint="Leave out --track, --question, --questions and --minutes.",
        )
    loop = load_loop(config.folders, name)
    return choose_loop(bank, loop, level=config.settings.interview.level, seed=seed), loop.minutes


def _started(
    session: str,
    bank: Bank,
    plan: tuple[Question, ...],
    config: Config,
    clock: Clock,
    *,
    seed: int,
    minutes: int | None,
) -> SessionStarted:
    from mockint.events import Planned, Roles, SessionStarted
    from mockint.interview.interviewers import PROMPTS
    from mockint.prompts import load_prompt

    settings = config.settings
    return SessionStarted(
        seq=1,
        at=clock.now(),
        t=0,
        session=session,
        plan=tuple(Planned.of(question, bank.rubric(question)) for question in plan),
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


def _interview(room: Room, connections: Connections, interviewer: Interviewer, session: str) -> None:
    """Runs the interview; however it breaks off, says how to go on with it."""
    from mockint.interview.room import Left
    from mockint.terminal import keys_kept

    try:
        with keys_kept():
            _run(connections.closing(room.run(interviewer)))
    except (Left, KeyboardInterrupt):
        typer.echo(f"\nSaved. Go on with: {_me()} resume {session}", err=True)
        raise typer.Exit(130) from None
    except MockintError as exc:
        exc.hint = f"{exc.hint} The session is saved; go on with: {_me()} resume {session}"
        raise


def _finish(
    store: Home, session: str, config: Config, clock: Clock, screen: Screen, *, grade: bool, as_json: bool
) -> None:
    """Grades, writes the report, shows the scorecard, and prints the session's id."""
    from mockint.report import scorecard

    result: dict[str, Any] = {"id": session, "events": str(store.log(session))}
    if grade:
        transcript = _transcript(store, session)
        try:
            made, path = _grade(store, session, config, clock, transcript.started.models.grader)
        except KeyboardInterrupt:
            typer.echo(f"\nSaved, and not graded. Grade it with: {_me()} grade {session}", err=True)
            typer.echo(json.dumps(result) if as_json else session)
            raise typer.Exit(130) from None
        result |= {"signal": made.signal, "score": made.score, "coverage": made.coverage}
        result |= {"grade": str(path), "report": str(store.report(session))}
        rows, about = scorecard(transcript, made, _trust(store, transcript, made))
        screen.scorecard(made.signal, rows, about=about)
        typer.echo(f"\nReport: {store.report(session)}", err=True)
        typer.echo(f"Read it here with: {_me()} report {session}", err=True)
    typer.echo(json.dumps(result) if as_json else session)
    if grade and made.score is None and any(answer.state == "ungraded" for answer in made.answers):
        raise GradingError(f"Nothing of {session!r} could be graded.", hint=_why([made.model_dump(mode="json")]))


def _grade(
    store: Home,
    name: str,
    config: Config,
    clock: Clock,
    reference: str,
    *,
    level: str | None = None,
    votes: int = 1,
) -> tuple[Grade, Path]:
    """Grades a session, writes the grade and the report, and returns the grade with its file."""
    from mockint.config import OFFLINE
    from mockint.content import digest
    from mockint.grading.grader import grade_parts
    from mockint.llm import Connections
    from mockint.report import markdown
    from mockint.store import read_log
    from mockint.terminal import progress
    from mockint.transcript import fold

    events = read_log(store.log(name)).events
    transcript = fold(events)
    connections = Connections(config, clock)
    _count_spent(connections, events)
    maker = _grader(config, connections, reference, votes=votes)
    with progress("grading", len(transcript.parts)) as done:
        work = grade_parts(
            name,
            transcript.parts,
            level=level or transcript.started.level,  # type: ignore[arg-type]
            scale=transcript.started.scale,
            grader_for=maker,
            clock=clock,
            events=len(events),
            log_hash=digest([event.model_dump(mode="json") for event in events]),
            done=done,
        )
        made = _run(connections.closing(work))
    if connections.spending.unknown and connections.spending.limit is not None:
        typer.echo("Some calls have no known price: limits.usd_per_session could not be kept for these.", err=True)
    path = store.add_grade(name, made)
    if connections.spending.met and config.settings.limits.offline_when_spent and reference != OFFLINE:
        typer.echo(f"{config.settings.limits.usd_per_session:.2f} USD are spent: graded offline as well.", err=True)
        return _grade(store, name, config, clock, OFFLINE, level=level)
    store.write_report(name, markdown(transcript, made, _trust(store, transcript, made)))
    return made, path


def _count_spent(connections: Connections, events: Sequence[Event]) -> None:
    from mockint.events import ModelCalled

    for event in events:
        if isinstance(event, ModelCalled):
            connections.spending.add(event.exchange.usage)


def _grader(config: Config, connections: Connections, reference: str, *, votes: int = 1) -> Callable[[Calls], Grader]:
    from mockint.config import OFFLINE
    from mockint.grading.grader import judges, offline
    from mockint.grading.judge import PROMPT
    from mockint.prompts import load_prompt

    if reference == OFFLINE:
        if votes > 1:
            raise UsageError("The offline grader always votes the same.", hint="Leave out --votes, or name a --model.")
        return offline
    connections.connect(reference)
    prompt = load_prompt(config.folders, PROMPT)
    return judges(lambda keep: connections.recorder(reference, role="grader", keep=keep), prompt, votes=votes)


def _trust(store: Home, transcript: Transcript, grade: Grade) -> Trust | None:
    """Returns what is known of how far the grader that made the grade agrees with people."""
    from mockint.calibration import shipped, state_of
    from mockint.report import Trust

    answered = {answer.question for answer in grade.answers if answer.verdicts}
    rubrics = {part.question.id: part.rubric for part in transcript.parts if part.question.id in answered}
    if found := state_of(store.path / "calibrations", grade, rubrics):
        agreement = found.agreement
        return Trust(found.state, agreement.ratings, agreement.kappa.value, agreement.score_error.value)
    if known := shipped(grade):
        return Trust("uncalibrated", known.ratings, known.kappa, known.error)
    return None


def _try_out(gold: list[Gold], bank: Bank, config: Config, *, votes: int = 1, at_once: int = 4) -> Trial:
    """Grades gold answers, with a bar where somebody watches."""
    from mockint.calibration import try_out
    from mockint.clock import SystemClock
    from mockint.llm import Connections
    from mockint.terminal import progress

    clock = SystemClock()
    connections = Connections(config, clock)
    maker = _grader(config, connections, config.settings.models.grader, votes=votes)
    with progress("grading", len(gold)) as done:
        return _run(connections.closing(try_out(gold, bank, maker=maker, clock=clock, at_once=at_once, done=done)))


def _verify(store: Home, name: str, config: Config, number: int | None, *, as_json: bool) -> None:
    """Grades again from the recorded replies. Raises SessionError unless every verdict and point is the same."""
    from mockint.clock import SystemClock
    from mockint.content import digest
    from mockint.errors import SessionError
    from mockint.grading.grader import differences, grade_parts, regrader
    from mockint.grading.judge import PROMPT
    from mockint.prompts import load_prompt
    from mockint.store import read_log
    from mockint.transcript import fold

    found, clock = store.grade(name, number), SystemClock()
    events = read_log(store.log(name)).events[: found.stamp.events]
    transcript = fold(events)
    maker = regrader(found, prompt=load_prompt(config.folders, PROMPT), clock=clock)
    again = _run(
        grade_parts(
            name,
            transcript.parts,
            level=found.target_level,
            scale=transcript.started.scale,
            grader_for=maker,
            clock=clock,
            events=len(events),
            log_hash=digest([event.model_dump(mode="json") for event in events]),
        )
    )
    unlike = differences(found, again)
    if as_json:
        typer.echo(json.dumps({"session": name, "verified": not unlike, "differences": unlike}, ensure_ascii=False))
    if unlike:
        raise SessionError(
            f"The grade of {name!r} does not follow from what is recorded:\n"
            + "\n".join(f"  {line}" for line in unlike),
            hint="The log or the grade was changed after it was made, or by another version of mockint.",
        )
    if not as_json:
        verdicts = sum(len(answer.verdicts) for answer in found.answers)
        if not verdicts:
            typer.echo("Nothing was graded in it, so there is nothing to verify.")
            return
        typer.echo(f"Verified: {verdicts} verdicts, {len(found.calls)} recorded replies, signal {found.signal}.")
        typer.echo("Made again from what is recorded, every verdict and point came out the same.", err=True)


def _play(transcript: Transcript, clock: Clock, speed: float, *, as_json: bool) -> None:
    from mockint.terminal import Screen

    turns = [turn for part in transcript.parts for turn in part.turns]
    if as_json:
        rows = [{"turn": t.number, "speaker": t.speaker, "kind": t.kind, "t": t.t, "text": t.text} for t in turns]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    screen, before = Screen.to_stdout(), 0.0
    for part in transcript.parts:
        for turn in part.turns:
            if speed:
                clock.sleep(max(0.0, turn.t - before) / speed)
                before = turn.t
            screen.line(turn, heading=part.question.title if turn.kind == "question" else "")


def _transcript(store: Home, name: str) -> Transcript:
    from mockint.store import read_log
    from mockint.transcript import fold

    return fold(read_log(store.log(name)).events)


def _sessions(store: Home, given: str) -> list[tuple[Home, str]]:
    """Returns what an input of `grade` means: a session by name, a session's folder, or a folder that holds sessions."""
    from mockint.store import Home

    path = Path(given)
    if (path / "events.jsonl").is_file():
        return [(Home(path.resolve().parents[1]), path.resolve().name)]
    for home in (path, path.parent):
        if path.is_dir() and Home(home).sessions.is_dir() and path in (home, Home(home).sessions):
            return [(Home(home), name) for name in Home(home).ids()]
    return [(store, store.resolve(given))]


def _why(lines: list[dict[str, Any]]) -> str:
    for line in lines:
        if "error" in line:
            return str(line["error"]["message"])
        for answer in line["answers"]:
            for verdict in answer["verdicts"]:
                if verdict["why"]:
                    return str(verdict["why"])
    return "No question was answered."


def _welcome(started: SessionStarted, scripted: bool) -> str:
    count = len(started.plan)
    many = "1 question" if count == 1 else f"{count} questions"
    who = (
        "A sample candidate answers, from a script. "
        if scripted
        else "Answer as you would aloud; /help lists what else you can do. "
    )
    asks = "the embedded interviewer" if started.models.interviewer == "offline" else started.models.interviewer
    return (
        f"Session {started.session}: {many}, {started.minutes} minutes, level {started.level}. {asks[0].upper()}{asks[1:]} asks. "
        f"{who}The clock runs only while you answer."
        f"{' When the time is up, what stands is sent.' if started.strict_time else ''}"
    )


def _complain(exc: MockintError) -> None:
    from mockint.report import clean

    what = "\n".join(clean(line) if line.strip() == line else f"  {clean(line)}" for line in exc.what.splitlines())
    typer.echo(f"mockint: {what}\n{clean(exc.hint)}", err=True)
