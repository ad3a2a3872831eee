"""The commands about the settings and the machine: doctor, models and config."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mockint.cli.shared import AsJson, ConfigFile, ContentDirs, HomeDir, ModelRef, run, settled
from mockint.errors import ContentError, ModelError, UsageError


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
    from mockint.config import is_reference
    from mockint.llm import Connections
    from mockint.report import clean
    from mockint.terminal import a_person_is_here

    if model and not is_reference(model):
        raise UsageError(f"--model must be PROVIDER/MODEL, not {model!r}.", hint="Name one as in: openai/gpt-5-mini")
    settings = settled(config, home, content, {})
    findings: list[Finding] = examine(settings, person=a_person_is_here(), clock=SystemClock())
    if model:
        connections = Connections(settings, SystemClock())
        findings += run(connections.closing(try_model(model, connections)))
    if as_json:
        typer.echo(json.dumps([asdict(found) for found in findings], ensure_ascii=False))
    for found in () if as_json else findings:
        typer.echo(f"{'ok  ' if found.good else 'BAD '} {found.name:<11} {clean(found.told)}")
        if found.todo:
            typer.echo(f"     {'':<11} {clean(found.todo)}")
    if bad := {found.name for found in findings if not found.good}:
        raise typer.Exit((ModelError if bad & {"model", "streaming", "structured"} else ContentError).exit_code)


def models(as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None) -> None:
    """List the providers that are configured, and the model that each role would use."""
    from mockint.checkup import roles

    settings = settled(config, home, None, {})
    rows = roles(settings)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row.role:<12} {row.reference:<32} {row.through:<10} {row.where:<36} {row.key}")


def config_show(as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None) -> None:
    """Print every setting and the layer that it came from."""
    from mockint.config import flat

    found = settled(config, home, None, {})
    rows = [
        (key, value, found.origin.get(key, "default")) for key, value in flat(found.settings.model_dump(mode="json"))
    ]
    if as_json:
        typer.echo(json.dumps([{"key": key, "value": value, "from": origin} for key, value, origin in rows]))
        return
    for key, value, origin in rows:
        typer.echo(f"{key:<28} {json.dumps(value):<32} {origin}")


def config_path(home: HomeDir = None) -> None:
    """Print the config files that are looked for, and the home folder."""
    from mockint.config import places

    for name, path in places():
        typer.echo(f"{name:<13} {path}{'' if path.is_file() else '  (not there)'}")
    typer.echo(f"{'home':<13} {settled(None, home, None, {}).home}")


def config_init(
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path("mockint.toml"),
) -> None:
    """Write a commented mockint.toml."""
    from mockint.store import write

    if out.exists():
        raise UsageError(f"{str(out)!r} exists.", hint="Edit it, or name another file with --out.")
    write(out, Path(__file__).parents[1].joinpath("templates").joinpath("mockint.toml").read_text(encoding="utf-8"))
    typer.echo(str(out))
