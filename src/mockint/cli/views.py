"""The commands that show a session: report and replay."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mockint.cli.shared import (
    AsJson,
    ConfigFile,
    ContentDirs,
    HomeDir,
    SessionName,
    run,
    settled,
    transcript_of,
    trust_in,
)
from mockint.errors import SessionError, UsageError

if TYPE_CHECKING:
    from mockint.clock import Clock
    from mockint.config import Config
    from mockint.store import Home
    from mockint.transcript import Transcript


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
    store = Home(settled(config, home, None, {}).home)
    graded = [one for one in store.ids() if store.grade_files(one)] if session == "last" else []
    name = graded[-1] if graded else store.resolve(session)
    transcript, found = transcript_of(store, name), store.grade(name, number)
    data = as_json or kind == "json"
    trust = trust_in(store, transcript, found)
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

    settings = settled(config, home, content, {})
    store = Home(settings.home)
    name = store.resolve(session)
    if verify:
        _verify(store, name, settings, number, as_json=as_json)
    else:
        _play(transcript_of(store, name), SystemClock(), speed, as_json=as_json)


def _verify(store: Home, name: str, config: Config, number: int | None, *, as_json: bool) -> None:
    """Grades again from the recorded replies. Raises SessionError unless every verdict and point is the same."""
    from mockint.clock import SystemClock
    from mockint.content import digest
    from mockint.grading.grader import differences, grade_parts, regrader
    from mockint.grading.judge import PROMPT
    from mockint.prompts import load_prompt
    from mockint.store import read_log
    from mockint.transcript import fold

    found, clock = store.grade(name, number), SystemClock()
    events = read_log(store.log(name)).events[: found.stamp.events]
    transcript = fold(events)
    maker = regrader(found, prompt=load_prompt(config.folders, PROMPT), clock=clock)
    again = run(
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
