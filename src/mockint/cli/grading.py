"""The commands that grade, and that try a grader out: grade and calibrate."""

from __future__ import annotations

import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Optional, Self

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
    graded,
    grader_of,
    note,
    only,
    run,
    settled,
    tracks_of,
    try_out_on,
    why_not,
)
from mockint.errors import ContentError, GradingError, SessionError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from mockint.bank import Bank
    from mockint.batch import Engine, Questions
    from mockint.clock import Clock
    from mockint.config import Config
    from mockint.llm import Adapter, Connections, Spending
    from mockint.results import Results
    from mockint.store import Home


MOST_WAITING = 5_000
"""Answers that wait for a batch at once."""
BOM = "\ufeff"
"""Without it Excel takes a table for one of the system's own encoding."""
LONGEST_BATCH = 26 * 3600.0
"""Seconds; a provider's day, and a little."""


def grade(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT…", help="Sessions, folders of them, or answers.jsonl, by its path or its URL."),
    ],
    model: ModelRef = None,
    level: Level = None,
    votes: Votes = 1,
    out: Annotated[
        Optional[str],
        typer.Option(
            help="Also write the grades here, one JSON object a line; a batch goes on from it. A URL is a folder."
        ),
    ] = None,
    summary: Annotated[Optional[Path], typer.Option(help="Write a table here, CSV, a row an answer.")] = None,
    cohort: Annotated[
        Optional[Path], typer.Option(help="Write here what the grades say together: .md, .html or .json.")
    ] = None,
    beside: Annotated[
        Optional[list[str]],
        typer.Option(
            help="With --cohort: grades of the same answers by another grader, as --out wrote them; repeatable."
        ),
    ] = None,
    concurrency: Concurrency = 4,
    workers: Annotated[
        Optional[int], typer.Option(min=1, help="Processes that grade offline; by default the cores that are there.")
    ] = None,
    cluster: Annotated[
        Optional[str], typer.Option(help="Grade on the Dask cluster whose scheduler has this address.")
    ] = None,
    first: Annotated[
        Optional[str], typer.Option(help="Grade with this one first, and with --model only what it is unsure of.")
    ] = None,
    unsure: Annotated[
        float, typer.Option(min=0, max=1, help="With --first: from which doubt on an answer is graded again.")
    ] = 0.5,
    batch_api: Annotated[
        bool,
        typer.Option("--batch-api", help="Through the provider's batch endpoint: at half the price, within a day."),
    ] = False,
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
    from mockint.clock import SystemClock
    from mockint.results import Results, lines_at
    from mockint.store import Home

    wanted = {"models": only(grader=model), "interview": only(level=level), "limits": only(usd_per_session=usd)}
    settings, clock = settled(config, home, content, wanted), SystemClock()
    meant = [_answers(given) or _sessions(Home(settings.home), given) for given in inputs]
    how = _How(
        level=level,
        votes=votes,
        usd=usd,
        at_once=concurrency,
        workers=workers,
        cluster=cluster,
        first=first,
        unsure=unsure,
        batch_api=batch_api,
    )
    if dry_run:
        answers = [one for some in meant for one in some if isinstance(one, str)]
        _estimate(answers, sum(map(len, meant)) - len(answers), settings, how, as_json=as_json)
        return
    if beside and not cohort:
        raise UsageError("--beside is for the cohort report.", hint="Name one with --cohort FILE.")
    together = _Together(bank_of(settings), summary, cohort) if summary or cohort else None
    results = Results(lines_at(out, settings.home / "unsent", clock=clock))
    told = _Told(as_json=as_json, also=together.add if together and out is None else None)
    with together or nullcontext():
        try:
            with told:
                for kind, alike in groupby((one for some in meant for one in some), key=type):
                    if kind is str:
                        run(_grade_answers(list(alike), settings, clock, results, how, told))  # type: ignore[arg-type]
                    else:
                        run(_grade_sessions(list(alike), settings, clock, results, how, told))  # type: ignore[arg-type]
        except KeyboardInterrupt:
            kept = (
                f"They are in {out}: the same command goes on." if out else "A run with --out FILE can be gone on with."
            )
            typer.echo(f"\nStopped after {told.count} grades. {kept}", err=True)
            raise typer.Exit(130) from None
        finally:
            results.close()
        if together:
            together.write(_written(out) if out else (), beside=chain.from_iterable(map(_written, beside or ())))
    if results.reused:
        typer.echo(f"{results.reused} of {out} by the same grader stay, and were not graded again.", err=True)
    if results.kept:
        typer.echo(f"{results.kept} of {out} stay as they were: more was scored before.", err=True)
    if results.gave_way:
        typer.echo(
            f"{results.gave_way} of {out} by another grader, or for another level, gave way. Another --out keeps both.",
            err=True,
        )
    if bad := told.count - told.scored:
        typer.echo(f"{bad} of {told.count} could not be graded{_again(out)}", err=True)
    if told.partly:
        typer.echo(f"{told.partly} of {told.count} were graded only in part{_again(out)}", err=True)
    if not told.count and not results.reused:
        raise UsageError(f"There is nothing to grade in {', '.join(inputs)}.", hint="See: mockint history")
    if told.count and not told.scored and not results.reused:
        raise GradingError("Nothing could be graded.", hint=why_not([told.first_bad]))


def _again(out: str | None) -> str:
    return "; the same command tries them again." if out else "."


@dataclass(frozen=True)
class _How:
    """How sessions and answers are graded."""

    level: str | None = None
    """None: each session's own, and for answers that of the settings."""
    votes: int = 1
    usd: float | None = None
    at_once: int = 4
    workers: int | None = None
    cluster: str | None = None
    first: str | None = None
    unsure: float = 0.5
    batch_api: bool = False


class _Told:
    """What a person or a program is told of each grade, and what is made of all of them."""

    def __init__(self, *, as_json: bool, also: Callable[[dict[str, Any]], None] | None) -> None:
        self.count = self.scored = self.partly = 0
        self.first_bad: dict[str, Any] = {}
        self._json, self._also = as_json, also

    def __enter__(self) -> Self:
        if self._json:
            sys.stdout.write("[")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._json:
            sys.stdout.write("]\n")

    def __call__(self, line: dict[str, Any], *, show: Callable[[str], None] = typer.echo) -> None:
        from mockint.report import clean
        from mockint.wording import shown

        good = "error" not in line and line["score"] is not None
        if not good and not self.first_bad:
            self.first_bad = line
        if self._json:
            sys.stdout.write(f"{',' if self.count else ''}\n{json.dumps(line, ensure_ascii=False)}")
        else:
            told = f"{line['signal']}  {shown(line['score'])}" if good else _why_bad(line)
            show(f"{clean(str(line['id']))}  {clean(told)}")
        self.count += 1
        self.scored += good
        self.partly += good and any(v["state"] == "unscored" for answer in line["answers"] for v in answer["verdicts"])
        if self._also:
            self._also(line)


def _why_bad(line: dict[str, Any]) -> str:
    """Returns why a line has no score: what went wrong, or that there was no answer."""
    if "error" in line:
        return str(line["error"]["message"])
    return f"{'not graded' if any(answer['verdicts'] for answer in line['answers']) else 'no score'}: {why_not([line])}"


class _Together:
    """What is made of all the grades: a table, and what they say together."""

    def __init__(self, bank: Bank, summary: Path | None, cohort: Path | None) -> None:
        from mockint.cohort import Cohort, Summary
        from mockint.report import clean

        if cohort and cohort.suffix not in (".md", ".html", ".json"):
            raise UsageError(
                f"--cohort {cohort} is none of .md, .html and .json.", hint="Name a file with one of these endings."
            )
        for path in (summary, cohort):
            if path and not os.access(path.parent, os.W_OK):
                raise UsageError(
                    f"{path} cannot be written: {path.parent} is no folder to write to.", hint="Name another file."
                )
        self._bank, self._path, self._cohort, self._summary = bank, cohort, Cohort(bank), summary
        self._rows = TemporaryFile("w+", newline="", encoding="utf-8")  # noqa: SIM115  (closed with this)
        self._table = Summary(self._rows, bank, clean=clean) if summary else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._rows.close()

    def add(self, line: dict[str, Any]) -> None:
        self._cohort.add(line)
        if self._table:
            self._table.add(line)

    def write(self, lines: Iterable[str], *, beside: Iterable[str]) -> None:
        """Adds these lines, and to the comparison of graders those beside them, and writes the files."""
        from mockint.cohort import markdown
        from mockint.pages import cohort_page
        from mockint.report import clean
        from mockint.store import write

        foreign = compared = 0
        for some, add in ((lines, self.add), (beside, self._cohort.compare)):
            for line in some:
                compared += some is beside
                try:
                    if line.strip():
                        add(json.loads(line))
                except (ValueError, ContentError):
                    foreign += 1
        if foreign:
            typer.echo(
                f"{foreign} lines of earlier grades are neither a grade nor an error, and are left out.", err=True
            )
        if self._summary:
            self._rows.seek(0)
            write(self._summary, chain([BOM], self._rows))
        if self._path:
            report = self._cohort.result()
            if compared and not report.spread.pairs:
                typer.echo(
                    "No grade of --beside is of the same words, rubric and target level by another grader: none was compared.",
                    err=True,
                )
            match self._path.suffix:
                case ".json":
                    text = report.model_dump_json(indent=1)
                case ".html":
                    text = cohort_page(report, self._bank)
                case _:
                    text = markdown(report, self._bank, clean=clean)
            write(self._path, text)


def _written(out: str) -> Iterator[str]:
    """Yields all lines of an --out file or folder, those of earlier runs too."""
    from mockint.files import is_url, lines, listing

    for place in listing(out, ".jsonl") if is_url(out) else [out]:
        yield from lines(place)


async def _grade_answers(
    places: list[str], settings: Config, clock: Clock, results: Results, how: _How, told: _Told
) -> None:
    """Grades files of answers, with a bar where somebody watches."""
    from mockint.batch import Batch, Questions, items
    from mockint.files import count_lines, lines
    from mockint.llm import Spending
    from mockint.terminal import BatchBar

    if not places:
        return
    questions, level = Questions(bank_of(settings)), settings.settings.interview.level
    many = sum(map(count_lines, places))
    spending = Spending(settings.settings.limits.usd_per_session)
    with BatchBar(many) as bar:
        async with _engine(settings, clock, questions, how, spending, many=many) as engine:
            batch = Batch(engine, results, questions=questions, level=level, held=lambda: bar.step(spending.spent))
            for place in places:
                async for line in batch.grade(items(lines(place), Path(place).name)):
                    told(line, show=bar.line)
                    bar.step(spending.spent)
                results.read_whole(Path(place).name)
    if spending.met:
        typer.echo(f"{spending.told}; what is left was not graded.", err=True)


@asynccontextmanager
async def _engine(
    settings: Config, clock: Clock, questions: Questions, how: _How, spending: Spending, *, many: int
) -> AsyncIterator[Engine]:
    """Yields what grades: one grader, or two of which the second sees what the first is unsure of."""
    from mockint.batch import Tiers

    reference = settings.settings.models.grader
    async with AsyncExitStack() as kept:
        second = await kept.enter_async_context(_tier(reference, settings, clock, questions, how, spending, many=many))
        if how.first is None:
            yield second
            return
        if how.first == reference:
            raise UsageError(f"{reference} is both --first and --model.", hint="Name a dearer one with --model.")
        first = await kept.enter_async_context(_tier(how.first, settings, clock, questions, how, spending, many=many))
        yield Tiers(first, second, unsure=how.unsure)


@asynccontextmanager
async def _tier(
    reference: str, settings: Config, clock: Clock, questions: Questions, how: _How, spending: Spending, *, many: int
) -> AsyncIterator[Engine]:
    from mockint.batch import Desk, Here
    from mockint.config import OFFLINE
    from mockint.llm import Connections
    from mockint.workers import ENOUGH, Job, cores, in_processes

    level, at = settings.settings.interview.level, settings.at
    async with AsyncExitStack() as kept:
        if reference == OFFLINE:
            job, count = Job(questions, level, at), how.workers or cores()
            if how.votes > 1 and how.first is None:
                raise UsageError(
                    "The offline grader always votes the same.", hint="Leave out --votes, or name a --model."
                )
            if how.cluster:
                from mockint.cluster import on_cluster

                questions.read_all()
                yield await kept.enter_async_context(on_cluster(how.cluster, job))
            elif count > 1 and many >= ENOUGH:
                questions.read_all()
                yield await kept.enter_async_context(in_processes(job, workers=count))
            else:
                yield Here(
                    job.desk(), at_once=1
                )  # it waits for nobody, and so the grades come in the order of the answers
            return
        adapter: Callable[[str], Adapter] | None = None
        at_once = how.at_once
        if how.batch_api:
            adapter, settings, at_once = _by_batch(settings, clock), _patient(settings), MOST_WAITING
        elif how.cluster:
            from mockint.cluster import calls_on_cluster

            adapter = await kept.enter_async_context(calls_on_cluster(how.cluster, settings))
        connections = Connections(settings, clock, adapter=adapter, waiting=note)
        connections.spending = spending
        _say_of_price(connections, reference, spending)
        kept.push_async_callback(connections.close)
        maker = grader_of(settings, connections, reference, votes=how.votes)
        yield Here(Desk(questions, level, maker, clock, at), at_once=at_once)


def _say_of_price(connections: Connections, reference: str, spending: Spending) -> None:
    """Says before the first call that a limit cannot be kept."""
    from mockint.config import OFFLINE
    from mockint.llm import Usage

    if spending.limit is None or reference == OFFLINE:
        return
    price = getattr(connections.alone(reference).adapter, "price", None)
    if price is not None and price(Usage(prompt_tokens=1, completion_tokens=1, calls=1)).usd is None:
        typer.echo(f"The price of {reference} is not known: the limit on what may be spent cannot be kept.", err=True)


def _by_batch(settings: Config, clock: Clock) -> Callable[[str], Adapter]:
    """Returns what makes an adapter that sends batches."""
    from mockint.llm import reached
    from mockint.llm.batches import BatchAdapter, Ledger

    def made(reference: str) -> Adapter:
        if settings.settings.library(reference) != "openai":
            raise UsageError(
                f"The batch endpoint of {reference} is not spoken here.",
                hint="Use a model of OpenAI's, or a server with an endpoint like OpenAI's; else leave out --batch-api.",
            )
        ledger = Ledger(settings.home / "batches.jsonl", clock=clock)
        return BatchAdapter(reference, ledger=ledger, clock=clock, told=note, **reached(reference, settings))

    return made


def _patient(settings: Config) -> Config:
    """Returns settings under which a reply may take as long as a batch may, and is asked for once, of one model."""
    limits = settings.settings.limits.model_copy(update={"deadline_seconds": LONGEST_BATCH, "tries": 1})
    models = settings.settings.models.model_copy(update={"fallback": ()})
    return replace(settings, settings=settings.settings.model_copy(update={"limits": limits, "models": models}))


async def _grade_sessions(
    sessions: list[tuple[Home, str]], settings: Config, clock: Clock, results: Results, how: _How, told: _Told
) -> None:
    """Grades sessions, several at a time where a model does it, with a bar where somebody watches."""
    import asyncio  # 20 ms

    from mockint.config import OFFLINE
    from mockint.llm import Connections, Spending
    from mockint.store import read_log
    from mockint.terminal import BatchBar

    reference = settings.settings.models.grader
    shared = Spending(how.usd) if how.usd is not None else None
    connections = Connections(settings, clock, waiting=note if len(sessions) > 1 else None)
    _say_of_price(connections, reference, shared or connections.spending)
    answers, waiting = asyncio.Semaphore(how.at_once), asyncio.Semaphore(1 if reference == OFFLINE else how.at_once)
    written: list[Path] = []

    async def one(place: Home, name: str) -> dict[str, Any]:
        async with waiting:
            try:
                made, path = await graded(
                    place,
                    name,
                    read_log(place.log(name)).events,
                    settings,
                    clock,
                    connections,
                    reference,
                    level=how.level,
                    votes=how.votes,
                    spending=shared,
                    gate=answers,
                )
            except SessionError as exc:
                return {"id": name, "error": {"code": exc.exit_code, "message": exc.what}}
        written.append(path)
        return made.model_dump(mode="json")

    async def work() -> None:
        with BatchBar(len(sessions)) as bar:
            for made in asyncio.as_completed([one(*session) for session in sessions]):
                line = await made
                results.add(line)
                told(line, show=bar.line)
                bar.step(shared.spent if shared else 0.0)

    await connections.closing(work())
    for path in written:
        typer.echo(f"Added: {path}. What moved: mockint compare {path.parents[1].name}", err=True)


def _estimate(places: list[str], sessions: int, settings: Config, how: _How, *, as_json: bool) -> None:
    """Says how many answers there are, and what a model would take to grade them."""
    from mockint.batch import Questions, estimate
    from mockint.config import OFFLINE
    from mockint.files import lines
    from mockint.grading.judge import PROMPT
    from mockint.llm import Usage
    from mockint.llm.prices import priced
    from mockint.prompts import load_prompt

    reference, questions = settings.settings.models.grader, Questions(bank_of(settings))
    prompt = load_prompt(settings.folders, PROMPT)
    needed = sum((estimate(lines(place), questions, prompt) for place in places), Usage())
    needed = needed.times(how.votes)
    if reference == OFFLINE:
        needed = Usage(calls=needed.calls, usd=0.0)
    elif needed.calls:
        needed = priced(needed, reference, of="batches" if how.batch_api else "calls")
    if as_json:
        told = {"model": reference, "answers": needed.calls // how.votes, "sessions": sessions, **needed.model_dump()}
        typer.echo(json.dumps(told))
        return
    price = "an unknown price" if needed.usd is None else f"about {needed.usd:.2f} USD"
    tokens = f"{needed.prompt_tokens} tokens sent, {needed.completion_tokens} expected back"
    typer.echo(f"{needed.calls // how.votes} answers with {reference}: {tokens}, {price}. Nothing was graded.")
    if how.first:
        typer.echo(f"That is if {how.first} is unsure of all of them.", err=True)
    if sessions:
        typer.echo(f"And {sessions} interviews, which are not estimated.", err=True)


def _answers(given: str) -> list[str]:
    """Returns the files of answers that an input of `grade` means: itself, or all in a folder; none when it means sessions."""
    from mockint.files import is_url, listing
    from mockint.store import LOG, Home

    if is_url(given):
        return [given] if given.endswith(".jsonl") else listing(given, ".jsonl")
    path = Path(given)
    if not path.is_dir():
        return [given] if path.suffix == ".jsonl" and path.name != LOG else []
    if (path / LOG).is_file() or any(Home(home).sessions.is_dir() for home in (path, path.parent)):
        return []
    return sorted(str(file) for file in path.rglob("*.jsonl") if file.name != LOG)


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
        note(line)
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
