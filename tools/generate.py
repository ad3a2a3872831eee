"""Writes what is generated: the JSON schemas for editors, and the help texts in docs/commands.md.

`--check` writes nothing and fails when a file on the disk is not what would be written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from pydantic import TypeAdapter
from typer.testing import CliRunner

from mockint.bank import Loop, Question, Source
from mockint.cli import app
from mockint.config import Settings
from mockint.events import EVENT
from mockint.grades import Grade
from mockint.interview.script import Lines
from mockint.rubric import Conversation, Rubric, Samples, Scale

ROOT = Path(__file__).parents[1]
SCHEMAS: dict[str, Any] = {
    "question": Question,
    "rubric": Rubric,
    "answers": Samples,
    "scale": Scale,
    "loop": Loop,
    "conversation": Conversation,
    "sources": dict[str, Source],
    "config": Settings,
    "candidate": dict[str, Lines],
    "grade": Grade,
}
BEGIN, END = "<!-- generated: make generate -->\n", "<!-- end of what is generated -->\n"


def files() -> Iterator[tuple[Path, str]]:
    """Yields each generated file's path and text."""
    for name, kind in SCHEMAS.items():
        yield _schema(name, TypeAdapter(kind))
    yield _schema("event", EVENT)
    path = ROOT / "docs" / "commands.md"
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    yield path, before + BEGIN + "".join(_help()) + END + rest.split(END)[1]


def _schema(name: str, kind: TypeAdapter[Any]) -> tuple[Path, str]:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **kind.json_schema()}
    return ROOT / "schemas" / f"{name}.schema.json", json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _help() -> Iterator[str]:
    for command in _commands(typer.main.get_command(app), ()):
        shown = CliRunner().invoke(
            app, [*command, "--help"], env={"COLUMNS": "100", "TERM": "dumb"}, prog_name="mockint"
        )
        lines = (line.rstrip() for line in shown.stdout.strip().splitlines())
        yield f"\n## {' '.join(('mockint', *command))}\n\n```text\n" + "\n".join(lines) + "\n```\n"


def _commands(group: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        here = (*above, name)
        yield from _commands(command, here) if hasattr(command, "commands") else [here]


def main() -> int:
    stale = [(path, text) for path, text in files() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path, text in stale:
        if "--check" in sys.argv:
            sys.stderr.write(f"stale: {path.relative_to(ROOT)}; run: make generate\n")
        else:
            path.write_text(text, encoding="utf-8")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
