"""The command line. Each command reads its flags, wires the pieces together, and prints the result.

Commands import what they run when they run it, so that `--help` costs typer alone: a start of 0.1 s, not 0.4 s.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated, NoReturn

import typer

from mockint import __version__
from mockint.cli import bank, grading, imports, interview, plan, setup, sharing, study, views
from mockint.cli.shared import complain
from mockint.errors import MockintError, SessionError

app = typer.Typer(
    name="mockint",
    help="A timed mock interview for AI engineers, with a grade that can be checked. Begin with: mockint start --track rag",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bank_app = typer.Typer(help="Browse, check and write questions and rubrics.", no_args_is_help=True)
config_app = typer.Typer(help="See the settings in force, and where each comes from.", no_args_is_help=True)
for command in (
    interview.start,
    interview.resume,
    grading.grade,
    views.report,
    views.replay,
    sharing.compare,
    study.history,
    plan.plan,
    setup.doctor,
    setup.models,
    grading.calibrate,
):
    app.command()(command)
app.command("import")(imports.import_interviews)
app.command("export")(sharing.export_session)
for name in ("list", "show", "lint", "test", "stats", "new"):
    bank_app.command(name)(getattr(bank, f"bank_{name}"))
for name in ("show", "path", "init"):
    config_app.command(name)(getattr(setup, f"config_{name}"))
app.add_typer(bank_app, name="bank")
app.add_typer(config_app, name="config")


def main() -> NoReturn:
    """Runs the command line: every error of mockint's own becomes two lines and its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows another one
    try:
        app(standalone_mode=True)
    except MockintError as exc:
        complain(exc)
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as exc:
        complain(
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
