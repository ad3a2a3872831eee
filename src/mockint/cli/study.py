"""The commands about what one has done and what comes next: history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from mockint.cli.shared import (
    AsJson,
    ConfigFile,
    HomeDir,
    complain,
    settled,
    transcript_of,
)
from mockint.errors import SessionError

if TYPE_CHECKING:
    pass


def history(as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None) -> None:
    """List the sessions, newest last, with their newest grade."""
    from mockint.report import shown
    from mockint.store import Home

    store = Home(settled(config, home, None, {}).home)
    rows: list[dict[str, Any]] = []
    damaged: list[SessionError] = []
    for name in store.ids():
        try:
            transcript = transcript_of(store, name)
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
        complain(found_damaged)
