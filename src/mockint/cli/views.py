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
    from mockint.grades import Grade
    from mockint.store import Home
    from mockint.transcript import Transcript


def report(
    session: SessionName = "last",
    kind: Annotated[str, typer.Option("--format", help="md, html, pdf or json.")] = "md",
    number: Annotated[
        Optional[int], typer.Option("--grade", help="Which grade; by default the newest that has a score.")
    ] = None,
    before: Annotated[
        Optional[str],
        typer.Option(help="In html and pdf, set it beside this: another session, or the number of an earlier grade."),
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Write it here, not to stdout.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
) -> None:
    """Print the report of a graded session."""
    from mockint.content import near
    from mockint.report import as_data, markdown
    from mockint.store import Home, write
    from mockint.terminal import Screen

    if kind not in (kinds := ("md", "html", "pdf", "json")):
        raise UsageError(f"There is no format {kind!r}{near(kind, kinds)}", hint="Use --format md, html, pdf or json.")
    page = not as_json and kind in ("html", "pdf")
    if before and not page:
        raise UsageError("--before is for pages.", hint="Add --format html; or see: mockint compare")
    if kind == "pdf" and not as_json and out is None:
        raise UsageError("A PDF is not for the terminal.", hint="Name a file: --out report.pdf")
    store = Home(settled(config, home, None, {}).home)
    graded = [one for one in store.ids() if store.grade_files(one)] if session == "last" else []
    name = graded[-1] if graded else store.resolve(session)
    transcript, found = transcript_of(store, name), store.grade(name, number)
    data = as_json or kind == "json"
    trust = trust_in(store, transcript, found)
    if page:
        from mockint.pages import print_page, report_page

        text = report_page(transcript, found, trust, _earlier(store, name, before) if before else None)
        if kind == "pdf" and out:
            print_page(text, out)
            return
    elif data:
        text = json.dumps(as_data(transcript, found, trust), ensure_ascii=False, indent=1)
    else:
        text = markdown(transcript, found, trust)
    if out:
        write(out, text)
    elif sys.stdout.isatty() and kind == "md" and not data:
        Screen.to_stdout().markdown(text)
    else:
        typer.echo(text, nl=data)


def _earlier(store: Home, name: str, given: str) -> Grade:
    """Returns the grade that is meant: one of this session by its number, or that of another session that is shown."""
    if given.isdecimal() and len(given) <= 4:
        return store.grade(name, int(given))
    return store.grade(store.resolve(given), None)


def replay(
    session: SessionName = "last",
    verify: Annotated[bool, typer.Option("--verify", help="Make the grade again from its recorded replies.")] = False,
    speed: Annotated[float, typer.Option(help="How many times as fast as it was; 0 is at once.", min=0)] = 0,
    number: Annotated[
        Optional[int], typer.Option("--grade", help="Which grade to verify; by default the newest that has a score.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Play an interview back, or verify that its grade follows from what was recorded."""
    from mockint.clock import SystemClock
    from mockint.store import Home

    if number is not None and not verify:
        raise UsageError("--grade is for --verify.", hint=f"Say: mockint replay {session} --verify --grade {number}")
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
    from mockint.grading.grader import differences, grade_parts, regrader
    from mockint.grading.judge import PROMPT
    from mockint.prompts import load_prompt
    from mockint.sharing import counted_again
    from mockint.store import read_log
    from mockint.transcript import fold, log_digest

    found, clock = store.grade(name, number), SystemClock()
    events = read_log(store.log(name)).events[: found.stamp.events]
    if not events:
        raise SessionError(
            f"The grade of {name!r} does not follow from what is recorded: it has read nothing of the log.",
            hint="The grade was changed after it was made.",
        )
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
            log_hash=log_digest(events),
        )
    )
    unlike = differences(found, again)
    redacted, levels = found.stamp.redacted_from is not None, not unlike
    if redacted and unlike:
        unlike = differences(found, counted_again(found, events))
    if as_json:
        result = {"session": name, "verified": not unlike, "differences": unlike}
        about = {"redacted": True, "levels_verified": levels} if redacted else {}
        typer.echo(json.dumps(result | about, ensure_ascii=False))
    if unlike:
        raise SessionError(
            f"The grade of {name!r} does not follow from what is recorded:\n"
            + "\n".join(f"  {line}" for line in unlike),
            hint="The log or the grade was changed after it was made, or by another version of mockint.",
        )
    if not as_json:
        if not any(answer.verdicts for answer in found.answers):
            typer.echo("Nothing was graded in it, so there is nothing to verify.")
            return
        if redacted:
            _tell_of_redaction(found, levels=levels)
            return
        typer.echo(f"Verified: {_what_was_verified(found)}.")
        typer.echo("Made again from what is recorded, every verdict and point came out the same.", err=True)


def _what_was_verified(found: Grade, *, replies: bool = True) -> str:
    from mockint.wording import many

    told = [many(sum(len(answer.verdicts) for answer in found.answers), "verdict")]
    if replies:
        came = sum(exchange.reply is not None for exchange in found.calls)
        told.append(many(came, "recorded reply", "recorded replies"))
        if failed := len(found.calls) - came:
            told.append(many(failed, "recorded failure"))
    return ", ".join([*told, f"signal {found.signal}"])


def _tell_of_redaction(found: Grade, *, levels: bool) -> None:
    if levels:
        typer.echo(f"Verified as redacted: {_what_was_verified(found)}.")
        told = "Made again from the redacted log and replies, every verdict and point came out the same."
    else:
        typer.echo(f"Verified as redacted, but for the levels: {_what_was_verified(found, replies=False)}.")
        told = (
            "The quotes stand in the answers, and the points, the score and the signal follow from the levels. The levels "
            "themselves do not come out of the redacted words, and could not be verified."
        )
    typer.echo(told, err=True)
    typer.echo(
        "Words were taken out of this session after it was graded; that only they were changed cannot be seen from here. "
        f"The grade was made of a transcript with the hash {found.stamp.redacted_from}.",
        err=True,
    )


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
