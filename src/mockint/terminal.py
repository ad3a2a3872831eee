"""The room's terminal: what a candidate sees and types. With `cli`, the only importer of the terminal libraries.

The conversation goes to stderr; stdout is for results. No text reaches the terminal with control characters in it.
"""

from __future__ import annotations

import asyncio
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from mockint.clock import Clock
from mockint.config import prefers_plain
from mockint.interview.room import Candidate, Heard, Left, Listening, SaveDraft, clock_time
from mockint.transcript import Turn, TurnKind

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

SAVED_EVERY = 2.0
"""Seconds between savings of a draft."""
AGAIN_WITHIN = 2.0
"""Seconds within which a second Ctrl-C leaves the room."""
SOON = 120.0
"""Seconds before the end from which the footer says so."""
WIDEST = 100
"""Columns of text that are still easy to read."""

LABELS: dict[TurnKind, str] = {"hint": "Hint", "clarification": "Interviewer", "probe": "Interviewer"}


def safe(text: str) -> str:
    """Returns the text with every control, format and bidirectional character made visible or dropped; newlines stay."""
    kept = []
    for char in text.replace("\r\n", "\n").replace("\t", "    "):
        category = unicodedata.category(char)
        if char == "\n" or category not in ("Cc", "Cf", "Cs", "Co"):
            kept.append(char)
        elif category == "Cf" and char in "\u200d\ufeff":  # joins emoji; a byte-order mark
            kept.append(char if char == "\u200d" else "")
        else:
            kept.append("\N{REPLACEMENT CHARACTER}" if category == "Cc" else "")
    return "".join(kept)


class Screen:
    """Shows the conversation, wrapped to the width; plain lines where there is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._column: int | None = None
        """Where a stream of pieces stands; None when none is shown."""
        self._begun = ""
        """The word that the last piece may have cut in two."""

    def turn(self, kind: TurnKind, text: str, *, heading: str = "") -> None:
        if self._column is not None:
            return self._end_stream()
        if heading:
            self._console.print()
            self._console.print(Text(safe(heading), style="bold cyan"))
        return self._say(LABELS.get(kind, ""), text)

    @classmethod
    def to_stdout(cls) -> Screen:
        return cls(Console(highlight=False))

    def line(self, turn: Turn, *, heading: str = "") -> None:
        """Shows a turn of either speaker, with its number."""
        if heading:
            self._console.print()
            self._console.rule(Text(safe(heading)), align="left")
        who = "You" if turn.speaker == "candidate" else "Interviewer"
        self._say(f"{turn.number}. {who}", turn.text)

    def answer(self, text: str) -> None:
        """Shows what a candidate said who did not type it here."""
        self._say("You", text)

    def piece(self, text: str) -> None:
        """Shows the words that are complete, breaking lines between words at the width; `turn` shows the last one."""
        if self._column is None:
            self._console.print()
            self._console.print(Text("Interviewer:", style="bold"), end="")
            self._column = len("Interviewer:")
        *words, self._begun = (self._begun + safe(text)).replace("\n", " ").split(" ")
        for word in words:
            self._word(word)
        self._console.file.flush()

    def note(self, text: str) -> None:
        self._end_stream()
        self._console.print()
        self._console.print(Padding(Text(safe(text), style="dim"), (0, 0, 0, 2), expand=False), width=self._width)

    def hide(self) -> None:
        if self._console.is_terminal and not prefers_plain():
            self._console.clear()

    def markdown(self, text: str) -> None:
        self._console.print(Markdown(safe(text)), width=self._width)

    def _say(self, label: str, text: str) -> None:
        said = Text(f"{label}: ", style="bold") if label else Text()
        said.append(safe(" ".join(text.split())), style="none")
        self._console.print()
        self._console.print(said, width=self._width)

    def _word(self, word: str) -> None:
        if not word or self._column is None:
            return
        gap = " " if self._column else ""
        if self._column and self._column + 1 + cell_len(word) > self._width:
            self._console.out("\n", end="")
            gap, self._column = "", 0
        self._console.out(f"{gap}{word}", end="", highlight=False)
        self._column += len(gap) + cell_len(word)

    def _end_stream(self) -> None:
        self._word(self._begun)
        if self._column is not None:
            self._console.out("\n", end="")
        self._column, self._begun = None, ""

    @property
    def _width(self) -> int:
        return min(self._console.width, WIDEST)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows a bar on stderr while the work goes on, if a person is there; yields what moves it by one."""
    from rich.progress import Progress  # 20 ms

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


class Shown:
    """Another candidate, whose words are shown as they are given: a script's are typed by nobody."""

    def __init__(self, candidate: Candidate, screen: Screen) -> None:
        self._candidate, self._screen = candidate, screen

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        heard = await self._candidate.listen(listening, save=save)
        if heard.text is not None:
            self._screen.answer(heard.text)
        return heard


class Paragraphs:
    """A candidate whose answers come from a stream: a paragraph a turn, and the end of the stream ends the session."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream, self._clock = stream, clock

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        del listening, save
        began = self._clock.seconds()
        lines: list[str] = []
        while line := self._stream.readline():
            if line.strip():
                lines.append(line)
            elif lines:
                break
        return Heard("".join(lines) if lines else None, self._clock.seconds() - began)


class Typist:
    """A candidate at a terminal: several lines, a live clock, drafts saved while typing."""

    def __init__(self, screen: Screen, clock: Clock, *, send: Literal["enter", "alt-enter"] = "enter") -> None:
        self._screen, self._clock, self._send = screen, clock, send
        self._interrupted = -AGAIN_WITHIN

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        # 0.1 s: it is imported once a person sits there.
        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import create_output

        began = self._clock.seconds()

        def elapsed() -> float:
            return self._clock.seconds() - began

        session: PromptSession[str] = PromptSession(
            multiline=True,
            key_bindings=_keys(self._send),
            bottom_toolbar=None if prefers_plain() else lambda: self._footer(listening, elapsed()),
            refresh_interval=0.5,
            prompt_continuation="  ",
            output=create_output(stdout=sys.stderr),
            enable_open_in_editor=True,
            interrupt_exception=KeyboardInterrupt,
        )
        saving = asyncio.create_task(self._keep_saving(session, elapsed, save))
        draft = listening.draft
        opening: Callable[[], None] | None = None

        def opened() -> None:
            session.default_buffer.open_in_editor()

        try:
            while True:
                try:
                    text = await session.prompt_async("\n> ", default=draft, pre_run=opening)
                except (KeyboardInterrupt, EOFError):
                    opening = None
                    draft = session.default_buffer.text
                    save(draft, elapsed())
                    if elapsed() + began - self._interrupted < AGAIN_WITHIN:
                        raise Left from None
                    self._interrupted = elapsed() + began
                    self._screen.note(
                        "Press it again within two seconds to leave; everything is saved, and the clock runs on."
                    )
                    continue
                if text.strip() == "/edit":
                    opening = opened
                    continue
                return Heard(text, elapsed())
        finally:
            saving.cancel()
            with suppress(asyncio.CancelledError):
                await saving

    async def _keep_saving(self, session: PromptSession[str], elapsed: Callable[[], float], save: SaveDraft) -> None:
        while True:
            await asyncio.sleep(SAVED_EVERY)
            save(session.default_buffer.text, elapsed())

    def _footer(self, listening: Listening, elapsed: float) -> StyleAndTextTuples:
        from prompt_toolkit.application import get_app

        return footer(listening, elapsed, send=self._send, width=get_app().output.get_size().columns)


def footer(
    listening: Listening, elapsed: float, *, send: Literal["enter", "alt-enter"], width: int
) -> StyleAndTextTuples:
    """Returns the line below what is typed: the clocks in words and colour, then as much of the help as there is room for."""
    if listening.paused:
        return [("", f" Paused: press {'Enter' if send == 'enter' else 'Alt-Enter'} to go on")]
    question, session = listening.question_seconds_left - elapsed, listening.session_seconds_left - elapsed
    style, words = "", f"{clock_time(question)} left"
    if question <= 0 or session <= 0:
        style, words = "bold fg:ansired", f"time is up ({clock_time(min(question, session))}): finish your sentence"
    elif question <= SOON and listening.part.budget_seconds > 2 * SOON:
        style, words = "fg:ansiyellow", f"{clock_time(question)} left: wrap up"
    elif question <= listening.part.budget_seconds / 2:
        words = f"{clock_time(question)} left, half is gone"
    place = f" Question {listening.number}/{listening.of}: "
    keys = "Enter sends, Alt-Enter new line" if send == "enter" else "Alt-Enter sends, Enter new line"
    rest, room = "", width - len(place) - len(words)
    for more in (f" · session {clock_time(session)}", " · /help", f" · {keys}", f" · {keys.split(',')[0]}"):
        if len(rest) + len(more) <= room and keys not in rest:
            rest += more
    return [("", place), (style, words), ("", rest)]


def _keys(send: Literal["enter", "alt-enter"]) -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    def submit(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    keys.add("enter")(submit if send == "enter" else new_line)
    keys.add("escape", "enter")(new_line if send == "enter" else submit)
    keys.add("c-j")(new_line)
    return keys


def a_person_is_here() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
