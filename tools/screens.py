"""Draws the screens of a real session into docs/screens/: the program runs in a pseudo-terminal, and its screen becomes an SVG.

make screens
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text
from tests.screens import Terminal

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "screens"
COLUMNS, ROWS = 84, 24
GOOD = (
    "Embeddings blur exact strings such as part numbers, and BM25 matches them literally; embeddings find paraphrases that BM25 misses. I would run both "
    "for each query and merge the two lists by reciprocal rank fusion."
)
WRONG = "I simply add the BM25 score and the cosine similarity, the raw scores, and sort by the sum."
COLOURS = {"brown": "yellow", "default": None}


def draw(room: Terminal, name: str, title: str) -> None:
    room.settle()
    with tempfile.TemporaryFile("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        for row in range(ROWS):
            console.print(_line(room.screen, row), no_wrap=True, crop=False)
        svg = console.export_svg(title=title, theme=MONOKAI, unique_id=name)
    # Without the fonts that it would fetch: a picture of the docs asks nobody for anything.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    lines = [line.rstrip() for line in svg.splitlines()]
    (OUT / f"{name}.svg").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"docs/screens/{name}.svg")


def _line(screen: pyte.Screen, row: int) -> Text:
    line = Text(end="")
    for column in range(COLUMNS):
        cell = screen.buffer[row][column]
        style = Style(color=_colour(cell.fg), bold=cell.bold, reverse=cell.reverse, dim=False)
        line.append(cell.data, style)
    line.rstrip()
    return line


def _colour(name: str) -> str | None:
    found = COLOURS.get(name, name)
    return f"#{found}" if found and re.fullmatch(r"[0-9a-f]{6}", found) else found


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # the program is given a relative home, so that no path of here is drawn
        asked = ("start", "--question", "hybrid-search", "--question", "kv-cache", "--self-rate")
        room = Terminal(Path("home"), *asked, columns=COLUMNS, rows=ROWS, cwd=Path(folder))
        room.until("Question 1/2:")
        room.type(GOOD)
        room.until("rank fusion.")
        draw(room, "answer", "mockint start --track rag")
        room.type("\r")
        room.until("Interviewer:", "Question 1/2:")
        room.type("? how many documents are there\r")
        room.until("? how many", "Question 1/2:")
        room.type("/hint\r")
        room.until("Hint:", "Question 1/2:")
        draw(room, "probe", "a probe, a clarifying question, a hint")
        room.type(f"{WRONG}\r")
        room.until("push back", "Question 1/2:")
        draw(room, "push-back", "pushing back on a wrong claim")
        room.type("/pause\r")
        room.until("Paused: press")
        draw(room, "pause", "paused: the clock stands still, the question is hidden")
        room.type("\r")
        room.until("Question 1/2:")
        room.type("/skip\r")
        room.until("Question 2 of 2", "Question 2/2:")
        room.type(
            "The keys and values of earlier tokens, for each layer, so that they are not computed again for each new token.\r"
        )
        room.until("Interviewer:", "Question 2/2:")
        room.type("I don't know\r")
        for rating in "43":
            room.until("How well did you answer")
            room.settle()
            room.type(f"{rating}\r")
        room.until("Signal:", "Report:")
        draw(room, "scorecard", "the scorecard")
        late = Terminal(Path("home"), *asked[:3], columns=COLUMNS, rows=ROWS, cwd=Path(folder), hurry=120)
        late.until("Question 1/1:")
        late.type("Embeddings blur exact strings such as part numbers, and BM25")
        late.until("time is up")
        draw(late, "time-up", "time is up")
        for one in (room, late):
            one.child.close(force=True)


if __name__ == "__main__":
    main()
