"""What a candidate sees: harmless text, whole words, a footer that fits, and the real program in a real pseudo-terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest
from rich.console import Console

from mockint.interview.room import Listening
from mockint.terminal import Screen, footer, safe
from mockint.transcript import Part
from tests.builders import planned
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("\x1b[31mred\x07", "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}", id="escape"),
        pytest.param("a\u202eb\u2066c", "abc", id="bidirectional override"),
        pytest.param("zero\u200bwidth\ufeff", "zerowidth", id="zero width"),
        pytest.param("两行\nok\tx", "两行\nok    x", id="newline and tab"),
        pytest.param("👩\u200d💻", "👩\u200d💻", id="a joined emoji stays whole"),
    ],
)
def test_text_reaches_the_terminal_without_control_characters(text: str, shown: str) -> None:
    assert safe(text) == shown


def screen(width: int) -> tuple[Screen, io.StringIO]:
    file = io.StringIO()
    return Screen(Console(file=file, width=width)), file


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_streamed_turn_is_whole_words_within_the_width_however_it_is_cut(size: int) -> None:
    text = "And what would you measure, over which queries, before you told anybody that reranking had helped?"
    shown, file = screen(30)
    for start in range(0, len(text), size):
        shown.piece(text[start : start + size])
    shown.turn("probe", text)
    lines = file.getvalue().splitlines()
    assert " ".join(" ".join(lines).split()) == f"Interviewer: {text}"
    assert max(len(line) for line in lines) <= 30


def test_turn_after_a_stream_is_shown_again() -> None:
    shown, file = screen(60)
    shown.piece("One")
    shown.turn("probe", "One")
    shown.turn("probe", "Two")
    assert file.getvalue().split() == ["Interviewer:", "One", "Interviewer:", "Two"]


def listening(left: float, session: float = 900, **changes: Any) -> Listening:
    plan = planned()
    return Listening(Part(plan.question, plan.rubric, "x"), 2, 4, left, session, "", **changes)


def line(at: Listening, width: int, send: Any = "enter") -> str:
    return "".join(part[1] for part in footer(at, 0.0, send=send, width=width))


@pytest.mark.parametrize("width", [40, 60, 80, 120, 250])
@pytest.mark.parametrize("left", [280.0, 100.0, -5.0])
def test_footer_fits_and_always_tells_the_time(left: float, width: int) -> None:
    told = line(listening(left), width)
    assert len(told) <= max(width, 62)
    assert "Question 2/4" in told
    assert ("time is up" if left < 0 else "left") in told


def test_footer_says_in_words_what_its_colours_say() -> None:
    assert "half is gone" in line(listening(140), 120)
    assert "wrap up" in line(listening(100), 120)
    assert "time is up" in line(listening(-30), 120)
    assert "time is up" in line(listening(100, session=-1), 120)
    assert "Alt-Enter to go on" in line(listening(100, paused=True), 80, "alt-enter")


class Terminal:
    """The program in a pseudo-terminal, and what its screen shows."""

    def __init__(self, home: Path, *words: str, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "mockint", *words, "--home", str(home)],
            dimensions=(rows, columns),
            env={"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
            encoding="utf-8",
            timeout=10,
        )

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def until(self, *what: str) -> str:
        """Feeds the screen until it shows all of them."""
        for _ in range(200):
            if all(part in self.text for part in what):
                return self.text
            try:
                data = self.child.read_nonblocking(4096, timeout=0.1)
                if "\x1b[6n" in data:  # asks where the cursor is
                    self.child.send(f"\x1b[{self._screen.cursor.y + 1};{self._screen.cursor.x + 1}R")
                self._stream.feed(data)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
        assert all(part in self.text for part in what), f"{what} not on the screen:\n{self.text}"
        return self.text

    def type(self, keys: str) -> None:
        self.child.send(keys)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Any]:
    opened: list[Terminal] = []

    def opens(*words: str, **how: Any) -> Terminal:
        opened.append(Terminal(tmp_path, *words, **how))
        return opened[-1]

    yield opens
    for one in opened:
        one.child.close(force=True)


ONE = ("start", "--question", "hybrid-search")


def test_interview_typed_at_80_by_24(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1 of 1", "Question 1/1:", "left", "/help")
    room.type("/hint\r")
    room.until("Hint:", "earns 40%")
    room.type("Both run and reciprocal rank fusion merges the two result lists.\r")
    room.until("Interviewer:")
    room.type("I don't know\r")
    room.until("Signal:", "Report:")
    room.child.expect(pexpect.EOF)
    room.child.close()
    assert room.child.exitstatus == 0


def test_two_interrupts_leave_with_the_draft_saved_and_resume_brings_it_back(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("Exact strings such as part")
    room.until("such as part")
    room.type("\x03")
    room.until("again within two seconds")
    room.type("\x03")
    room.until("mockint resume")
    room.child.expect(pexpect.EOF)
    room.child.close()
    assert room.child.exitstatus == 130
    again = program("resume")
    again.until("Going on with", "Question 1 of 1", "> Exact strings such as part")


def test_pasted_answer_of_5000_characters_is_kept_exactly(program: Any, tmp_path: Path) -> None:
    text = "".join(f"Line {n}: both retrievers run, and the lists are merged.\n" for n in range(95))[:5000].rstrip()
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type(f"\x1b[200~{text}\x1b[201~")
    room.until("Line 8")
    room.type("\r")
    room.until("Interviewer:")
    log = next(tmp_path.glob("sessions/*/events.jsonl")).read_text()
    assert text.replace("\n", "\\n") in log


def test_pause_hides_the_question_s_clock_and_goes_on(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("/pause\r")
    room.until("Paused: press Enter to go on")
    room.type("\r")
    room.until("Question 1/1:")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_screen_without_colour_or_cursor_still_works(program: Any, environment: dict[str, str]) -> None:
    room = program(*ONE, **environment)
    room.until("Question 1 of 1", ">")
    room.type("/quit\r")
    room.until("insufficient evidence")


def test_conversation_and_result_through_a_pipe(tmp_path: Path) -> None:
    import subprocess

    command = [sys.executable, "-m", "mockint", *ONE, "--home", str(tmp_path)]
    answers = ["--answers", str(ROOT / "examples" / "candidate.yaml")]
    done = subprocess.run([*command, *answers], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == 1
    assert "\x1b" not in done.stdout + done.stderr
