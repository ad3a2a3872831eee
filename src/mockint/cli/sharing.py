"""The commands that set grades beside one another, and that carry sessions elsewhere: compare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mockint.cli.shared import (
    AsJson,
    ConfigFile,
    HomeDir,
    SessionName,
    settled,
)
from mockint.errors import UsageError

if TYPE_CHECKING:
    pass


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

    store = Home(settled(config, home, None, {}).home)
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
