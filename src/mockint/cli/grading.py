"""The commands that grade, and that try a grader out: grade and calibrate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mockint.cli.shared import (
    AsJson,
    Concurrency,
    ConfigFile,
    ContentDirs,
    HomeDir,
    Level,
    ModelRef,
    Votes,
    bank_of,
    grade_session,
    grader_of,
    only,
    run,
    settled,
    tracks_of,
    try_out_on,
    why_not,
)
from mockint.errors import GradingError, SessionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mockint.batch import Key, Results
    from mockint.clock import Clock
    from mockint.config import Config
    from mockint.store import Home


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

    wanted = {"models": only(grader=model), "interview": only(level=level), "limits": only(usd_per_session=usd)}
    settings, clock = settled(config, home, content, wanted), SystemClock()
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
                    done, path = grade_session(place, name, settings, clock, reference, level=level, votes=votes)
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
        raise GradingError("Nothing could be graded.", hint=why_not([first]))


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
    maker = grader_of(settings, connections, settings.settings.models.grader, votes=votes)
    bank, level = bank_of(settings), settings.settings.interview.level
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

    run(connections.closing(work()))


def _estimate(paths: list[Path], sessions: int, settings: Config, *, as_json: bool) -> None:
    """Says how many answers there are, and what a model would take to grade them."""
    from mockint.batch import estimate, read_lines
    from mockint.config import OFFLINE
    from mockint.grading.judge import PROMPT
    from mockint.llm import Usage
    from mockint.llm.prices import priced
    from mockint.prompts import load_prompt

    reference, bank = settings.settings.models.grader, bank_of(settings)
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


def _holds_answers(given: str) -> bool:
    path = Path(given)
    return path.suffix == ".jsonl" and path.name != "events.jsonl"


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

    settings, clock = settled(config, home, content, {"models": only(grader=grader)}), SystemClock()
    track = tracks_of(track)
    bank = bank_of(settings)
    chosen = [question for question in bank.questions.values() if not track or question.track in track]
    trial = try_out_on(
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
