"""What the commands share: their options, and what wires the pieces together."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar

import typer

from mockint.errors import MockintError, UsageError

if TYPE_CHECKING:
    from asyncio import Semaphore
    from collections.abc import Callable, Coroutine, Sequence

    from mockint.bank import Bank
    from mockint.calibration import Gold, Trial
    from mockint.clock import Clock
    from mockint.config import Config
    from mockint.events import Event
    from mockint.grades import Grade
    from mockint.grading import Grader
    from mockint.grading.grader import Calls
    from mockint.llm import Connections, Exchange, Recorder, Spending
    from mockint.report import Trust
    from mockint.store import Home
    from mockint.transcript import Transcript


T = TypeVar("T")


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


def run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # 20 ms

    return asyncio.run(work)


def settled(config: Path | None, home: Path | None, content: list[Path] | None, flags: dict[str, Any]) -> Config:
    from mockint.config import load_config

    more = {"content": {"paths": [str(path) for path in content]}} if content else {}
    return load_config(file=config, home=home, flags={**flags, **more})


def bank_of(config: Config) -> Bank:
    from mockint.bank import load_bank

    return load_bank(config.folders, cache=config.home / "cache" / "questions.json")


def tracks_of(names: list[str] | None) -> list[str]:
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


def me() -> str:
    """Returns the command that a person can type to run this program again."""
    if shutil.which("mockint"):
        return "mockint"
    return "python -m mockint" if sys.argv[0].endswith("__main__.py") else sys.argv[0]


def again(*words: str) -> str:
    """Returns a command that a person can type, with the flags of this run that say where the sessions and the settings lie."""
    given = sys.argv[1:]
    for number, word in enumerate(given):
        flag, is_one, value = word.partition("=")
        if flag in ("--home", "--config"):
            words += (flag, value) if is_one else (flag, *given[number + 1 : number + 2])
    return f"{me()} {shlex.join(words)}"


def only(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def transcript_of(store: Home, name: str) -> Transcript:
    from mockint.store import read_log
    from mockint.transcript import fold

    return fold(read_log(store.log(name)).events)


def grader_of(
    config: Config, connections: Connections, reference: str, *, votes: int = 1, spending: Spending | None = None
) -> Callable[[Calls], Grader]:
    """Args: spending: what its calls are counted against; by default what all of the connections share."""
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

    def recorder(keep: Callable[[Exchange], None]) -> Recorder:
        return connections.recorder(reference, role="grader", keep=keep, spending=spending)

    return judges(recorder, prompt, votes=votes)


def count_spent(spending: Spending, events: Sequence[Event]) -> None:
    from mockint.events import ModelCalled

    for event in events:
        if isinstance(event, ModelCalled):
            spending.add(event.exchange.usage)


def grade_session(
    store: Home, name: str, config: Config, clock: Clock, reference: str, *, level: str | None = None, votes: int = 1
) -> tuple[Grade, Path]:
    """As `graded`, of one session, while a bar shows how far it is."""
    from mockint.events import SessionStarted
    from mockint.llm import Connections
    from mockint.store import read_log
    from mockint.terminal import progress

    events, connections = read_log(store.log(name)).events, Connections(config, clock)
    questions = sum(len(event.plan) for event in events if isinstance(event, SessionStarted))
    with progress("grading", questions) as done:
        work = graded(store, name, events, config, clock, connections, reference, level=level, votes=votes, done=done)
        return run(connections.closing(work))


async def graded(
    store: Home,
    name: str,
    events: Sequence[Event],
    config: Config,
    clock: Clock,
    connections: Connections,
    reference: str,
    *,
    level: str | None = None,
    votes: int = 1,
    spending: Spending | None = None,
    gate: Semaphore | None = None,
    done: Callable[[], None] = lambda: None,
) -> tuple[Grade, Path]:
    """Grades a session, writes the grade and the report, and returns the grade with its file.

    Args:
        spending: what several sessions may cost together; by default each has `limits.usd_per_session` to itself.
        gate: lets through each answer that is graded, where several sessions are graded at once.
        done: called after each question.

    Raises:
        SessionError: the grade or the report cannot be written.
    """
    from mockint.config import OFFLINE
    from mockint.grading.grader import grade_parts
    from mockint.llm import Spending
    from mockint.report import markdown
    from mockint.transcript import fold, log_digest

    transcript = fold(events)
    if spending is None:
        spending = Spending(config.settings.limits.usd_per_session)
        count_spent(spending, events)
    made = await grade_parts(
        name,
        transcript.parts,
        level=level or transcript.started.level,  # type: ignore[arg-type]
        scale=transcript.started.scale,
        grader_for=grader_of(config, connections, reference, votes=votes, spending=spending),
        clock=clock,
        events=len(events),
        log_hash=log_digest(events),
        gate=gate,
        done=done,
    )
    if spending.unknown and spending.limit is not None:
        typer.echo("Some calls have no known price: limits.usd_per_session could not be kept for these.", err=True)
    path = store.add_grade(name, made)
    if spending.met and config.settings.limits.offline_when_spent and reference != OFFLINE:
        typer.echo(f"{spending.told}: graded offline as well.", err=True)
        return await graded(store, name, events, config, clock, connections, OFFLINE, level=level)
    text = markdown(transcript, made, trust_in(store, transcript, made))
    if store.write_report(name, text, of=path) is None and made.score is None:
        shown = store.kept(name).number
        typer.echo(f"Grade {int(path.stem)} has no score: grade {shown} stays what is shown, and its report.", err=True)
    return made, path


def trust_in(store: Home, transcript: Transcript, grade: Grade) -> Trust | None:
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


def try_out_on(gold: list[Gold], bank: Bank, config: Config, *, votes: int = 1, at_once: int = 4) -> Trial:
    """Grades gold answers, with a bar where somebody watches."""
    from mockint.calibration import try_out
    from mockint.clock import SystemClock
    from mockint.llm import Connections
    from mockint.terminal import progress

    clock = SystemClock()
    connections = Connections(config, clock)
    maker = grader_of(config, connections, config.settings.models.grader, votes=votes)
    with progress("grading", len(gold)) as done:
        return run(connections.closing(try_out(gold, bank, maker=maker, clock=clock, at_once=at_once, done=done)))


def why_not(lines: list[dict[str, Any]]) -> str:
    for line in lines:
        if "error" in line:
            return str(line["error"]["message"])
        for answer in line["answers"]:
            for verdict in answer["verdicts"]:
                if verdict["why"]:
                    return str(verdict["why"])
    return "No question was answered."


def note(text: str) -> None:
    """Says it on a line of stderr, without control characters; its indent stays."""
    from mockint.report import clean

    indent = len(text) - len(text.lstrip())
    typer.echo(" " * indent + clean(text), err=True)


def complain(exc: MockintError) -> None:
    from mockint.report import clean

    what = "\n".join(clean(line) if line.strip() == line else f"  {clean(line)}" for line in exc.what.splitlines())
    typer.echo(f"mockint: {what}\n{clean(exc.hint)}", err=True)
