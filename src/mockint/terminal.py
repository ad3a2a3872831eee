"""The room's terminal: what a candidate sees and types. With `cli`, the only importer of the terminal libraries.

The conversation goes to stderr; stdout is for results. No text reaches the terminal with control characters in it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import unicodedata
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO, TypeVar

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from mockint.clock import Clock
from mockint.config import prefers_plain
from mockint.interview.room import Candidate, Heard, Interrupted, Left, Listening, SaveDraft, clock_time, is_command
from mockint.transcript import Part, Turn, TurnKind

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.layout.processors import Processor

SAVED_EVERY = 2.0
"""Seconds between savings of a draft."""
AGAIN_WITHIN = 2.0
"""Seconds within which a second Ctrl-C leaves the room."""
SOON = 120.0
"""Seconds before the end from which the footer says so."""
WIDEST = 100
"""Columns of text that are still easy to read."""
PATIENCE = 0.5
"""Seconds of silence after which the screen says that the interviewer thinks."""
T = TypeVar("T")

WITH_BARS, BAR = 60, 20
"""Columns from which the scorecard has bars, and how long they are."""

LABELS: dict[TurnKind, str] = {
    "hint": "Hint",
    "clarification": "Interviewer",
    "probe": "Interviewer",
    "answer": "You",
    "asked": "You",
}


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

    def __init__(self, console: Console | None = None, *, plain: bool = False) -> None:
        self._plain = plain or prefers_plain()
        self._console = console or Console(stderr=True, highlight=False, no_color=True if self._plain else None)
        self._waiting = False
        """Whether the line that says so is on the screen."""
        self._column: int | None = None
        """Where a stream of pieces stands; None when none is shown."""
        self._begun = ""
        """The word that the last piece may have cut in two."""

    async def attend(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for a model, and tells for how long once it is long; Ctrl-C stops the work and raises Interrupted."""
        task = asyncio.ensure_future(work)
        telling = asyncio.create_task(self._tell_waiting())
        before, stopped = signal.getsignal(signal.SIGINT), False

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, ValueError, RuntimeError):  # no signals there, or not the main thread
            loop.add_signal_handler(signal.SIGINT, stop)
        try:
            return await task
        except asyncio.CancelledError:
            if not stopped:
                raise
            raise Interrupted from None
        finally:
            telling.cancel()
            self._end_waiting()
            with suppress(NotImplementedError, ValueError, RuntimeError):
                if loop.remove_signal_handler(signal.SIGINT):
                    signal.signal(signal.SIGINT, before)

    async def _tell_waiting(self) -> None:
        if self._plain or not self._console.is_terminal:
            return
        await asyncio.sleep(PATIENCE)
        waited = 0
        while True:
            if self._column is None:
                said = f"  The interviewer is thinking … {waited} s" if waited else "  The interviewer is thinking …"
                self._console.file.write(f"\r\x1b[2m{said}\x1b[0m" if self._console.color_system else f"\r{said}")
                self._console.file.flush()
                self._waiting = True
            await asyncio.sleep(1 if waited else 1 - PATIENCE)
            waited += 1

    def _end_waiting(self) -> None:
        if self._waiting:
            self._console.file.write("\r\x1b[2K")
            self._console.file.flush()
            self._waiting = False

    def turn(self, kind: TurnKind, text: str, *, heading: str = "") -> None:
        self._end_waiting()
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
        self._end_waiting()
        if self._column is None:
            self._console.print()
            self._console.print(Text("Interviewer:", style="bold"), end="")
            self._column = len("Interviewer:")
        *words, self._begun = (self._begun + safe(text)).replace("\n", " ").split(" ")
        for word in words:
            self._word(word)
        self._console.file.flush()

    def note(self, text: str) -> None:
        self._end_waiting()
        self._end_stream()
        self._console.print()
        self._console.print(Padding(Text(safe(text), style="dim"), (0, 0, 0, 2), expand=False), width=self._width)

    def hide(self) -> None:
        if self._console.is_terminal and not self._plain:
            self._console.clear()

    def markdown(self, text: str) -> None:
        if self._plain:
            self._console.out(safe(text), highlight=False)
        else:
            self._console.print(Markdown(safe(text)), width=self._width)

    def scorecard(self, signal: str, rows: Sequence[tuple[str, float | None, str, int | None]], *, about: str) -> None:
        """Shows what an interview came to, on one screen.

        Args:
            rows: a question's title, its score from 0 to 1, its state in words, and the candidate's own rating from 1 to 5.
            about: what the score rests on.
        """
        from rich.table import Table

        rated = any(rating for *_, rating in rows)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=rated)
        table.add_column("")
        table.add_column("")
        table.add_column("Graded", justify="right")
        if rated:
            table.add_column("You said", justify="right")
        bars = self._width >= WITH_BARS and not self._plain
        for title, score, state, rating in rows:
            bar = "█" * round(score * BAR) + "░" * (BAR - round(score * BAR)) if bars and score is not None else ""
            told = state if score is None else f"{score:.2f}"
            table.add_row(Text(safe(title)), bar, told, *([f"{rating} of 5" if rating else "–"] if rated else []))
        self._console.print()
        self._console.print(Text(f"Signal: {safe(signal)}", style="bold"))
        self._console.print(Text(safe(about)), width=self._width)
        self._console.print()
        self._console.print(table, width=self._width)

    def _say(self, label: str, text: str) -> None:
        said = Text.assemble((f"{label}: " if label else "", "bold"), safe(" ".join(text.split())))
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
def keys_kept(keep: Callable[[str], None] | None = None) -> Iterator[None]:
    """Keeps what is typed between two prompts, while the interviewer speaks, off the screen and as it was typed: else the terminal echoes
    it into the interviewer's words, makes a new line of Enter, and drops all of it at Ctrl-C. What nobody has read at the end does not
    reach the shell.

    Args:
        keep: given that as text; without it, it is discarded.
    """
    if not a_person_is_here():
        yield
        return
    try:
        import termios

        source = sys.stdin.fileno()
        before = termios.tcgetattr(source)
    except (ImportError, OSError, ValueError, termios.error):  # no terminal, or another system
        yield
        return
    quiet = [*before]
    quiet[0] &= ~termios.ICRNL
    # Not ~ICANON: a long paste would then fill the terminal's buffer, and Ctrl-C wait behind it.
    quiet[3] = quiet[3] & ~termios.ECHO | termios.NOFLSH
    termios.tcsetattr(source, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        try:
            if keep:
                keep(_unread())
        finally:
            with suppress(termios.error):  # the terminal is gone
                termios.tcflush(source, termios.TCIFLUSH)
                termios.tcsetattr(source, termios.TCSANOW, before)


def _unread() -> str:
    """Takes what was typed and no prompt has read, and returns it as it would stand in an answer; other keys leave nothing."""
    from prompt_toolkit.input import create_input
    from prompt_toolkit.input.typeahead import get_typeahead
    from prompt_toolkit.keys import Keys

    source = create_input()
    presses = get_typeahead(source)
    with source.raw_mode():
        while more := source.read_keys():
            presses += more
    text = ""
    for press in presses:
        match press.key:
            case Keys.ControlM | Keys.ControlJ:
                text += "\n"
            case Keys.ControlH:
                text = text[:-1]
            case Keys.BracketedPaste:
                text += press.data.replace("\r\n", "\n").replace("\r", "\n")
            case Keys():
                pass
            case typed:
                text += typed
    return text


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows a bar on stderr while the work goes on, if a person is there; yields what moves it by one."""
    from rich.progress import Progress  # 20 ms

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


class BatchBar:
    """A bar on stderr, if a person is there: how many of how many, how many a second, what was spent, and the time that is left."""

    def __init__(self, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[spent]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,  # where it is a file or a pipe, results belong there
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("grading", total=total, rate="", spent="")

    def step(self, usd: float) -> None:
        """Moves on by one."""
        speed = self._bar.tasks[0].speed
        rate = f"{speed:.3g} a second" if speed else ""
        self._bar.update(self._task, advance=1, rate=rate, spent=f"{usd:.2f} USD" if usd else "")

    def line(self, text: str) -> None:
        """Prints a result: above the bar where both are on the same screen."""
        if self._bar.live.is_started and sys.stdout.isatty():
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(text)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


class Shown:
    """Another candidate, whose words are shown as they are given: a script's are typed by nobody."""

    def __init__(self, candidate: Candidate, screen: Screen) -> None:
        self._candidate, self._screen = candidate, screen

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        heard = await self._candidate.listen(listening, save=save)
        if heard.text is not None:
            self._screen.answer(heard.text)
        return heard

    async def rate(self, part: Part) -> int | None:
        return await self._candidate.rate(part)


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

    async def rate(self, part: Part) -> int | None:
        del part
        return rating(self._stream.readline())


SCALE = "From 1 (badly) to 5 (very well); Enter leaves it out."


def rating(text: str) -> int | None:
    """Returns the rating from 1 to 5 that a text is, or None."""
    return int(text) if text.strip() in {"1", "2", "3", "4", "5"} else None


AGAIN = "Ctrl-C again within two seconds leaves; all is saved."
EDITING = "Your editor opens. Save and close it to come back; the answer is sent from here."


class _TimeUp(Exception):
    """The clock ends the typing."""


class Typist:
    """A candidate at a terminal: several lines, a live clock, drafts saved while typing."""

    def __init__(
        self, screen: Screen, clock: Clock, *, send: Literal["enter", "alt-enter"] = "enter", plain: bool = False
    ) -> None:
        self._screen, self._clock, self._send, self._plain = screen, clock, send, plain or prefers_plain()
        self._interrupted = -AGAIN_WITHIN
        self._editing: asyncio.Task[None] | None = None
        self._edited = 0.0
        """When the editor was last closed, in the clock's seconds."""

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        # 0.1 s: it is imported once a person sits there.
        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import create_output

        began = self._clock.seconds()

        def elapsed() -> float:
            return self._clock.seconds() - began

        def interrupted() -> None:
            save(session.default_buffer.text, elapsed())
            again = elapsed() + began - self._interrupted < AGAIN_WITHIN
            self._interrupted = elapsed() + began
            if self._plain or not session.app.renderer.height_is_known:  # there is no footer to say it in
                session.app.exit(exception=Left(elapsed()) if again else KeyboardInterrupt())
            elif again:
                session.app.exit(exception=Left(elapsed()))

        def edit() -> None:
            self._edit(session)

        session: PromptSession[str] = PromptSession(
            multiline=True,
            key_bindings=_keys(self._send, edit=edit, interrupt=interrupted),
            bottom_toolbar=None if self._plain else lambda: self._footer(listening, elapsed()),
            refresh_interval=0 if self._plain else 0.5,
            prompt_continuation="  ",
            input_processors=[word_wrap()],
            output=create_output(stdout=sys.stderr),
            enable_open_in_editor=True,
            interrupt_exception=KeyboardInterrupt,
        )
        if not self._plain and not listening.paused:
            _after_resize(session, listening.again)
        saving = asyncio.create_task(self._keep_saving(session, elapsed, save))
        limit = listening.seconds_left if listening.strict and not listening.paused else None
        watching = asyncio.create_task(self._cut_off(session, limit, elapsed))
        draft = listening.draft
        opening: Callable[[], None] | None = None

        try:
            while True:
                try:
                    text = await session.prompt_async("\n> ", default=draft, pre_run=opening)
                except _TimeUp:
                    return Heard(session.default_buffer.text, max(limit or 0.0, self._edited - began), cut=True)
                except (KeyboardInterrupt, EOFError):
                    opening = None
                    draft = session.default_buffer.text
                    self._interrupted = elapsed() + began
                    self._screen.note(AGAIN)
                    continue
                before, _, command = text.rstrip().rpartition("\n")
                if command.strip().lower() == "/edit":
                    self._screen.note(EDITING)
                    opening, draft = edit, before
                    continue
                if listening.paused and text.strip() and not is_command(text.strip()):
                    save(text, elapsed())  # Enter only ends the pause: it stands there to be sent
                    return Heard("", elapsed())
                return Heard(text, elapsed())
        finally:
            for task in (saving, watching):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def rate(self, part: Part) -> int | None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import create_output

        session: PromptSession[str] = PromptSession(
            output=create_output(stdout=sys.stderr), interrupt_exception=KeyboardInterrupt
        )
        self._screen.note(f"How well did you answer “{part.question.title}”? {SCALE}")
        while True:
            try:
                text = await session.prompt_async("> ")
            except (KeyboardInterrupt, EOFError):
                return None
            if not text.strip() or (found := rating(text)):
                return found if text.strip() else None
            self._screen.note(f"That is no rating. {SCALE}")

    def _edit(self, session: PromptSession[str]) -> None:
        """Opens the editor on what stands there; what it saves comes back to be sent from here."""
        self._editing = session.default_buffer.open_in_editor(validate_and_handle=False)
        self._editing.add_done_callback(lambda _: setattr(self, "_edited", self._clock.seconds()))

    async def _cut_off(self, session: PromptSession[str], limit: float | None, elapsed: Callable[[], float]) -> None:
        """Ends the typing when the time is up, whatever stands there; never without a limit.

        An open editor is waited for, since its file is not read before it is closed; what it saves is late.
        """
        if limit is None:
            return
        while elapsed() < limit or not session.app.is_running or (self._editing and not self._editing.done()):
            await asyncio.sleep(min(0.2, max(0.01, limit - elapsed())))
        session.app.exit(exception=_TimeUp())

    async def _keep_saving(self, session: PromptSession[str], elapsed: Callable[[], float], save: SaveDraft) -> None:
        while True:
            await asyncio.sleep(SAVED_EVERY)
            save(session.default_buffer.text, elapsed())

    def _footer(self, listening: Listening, elapsed: float) -> StyleAndTextTuples:
        from prompt_toolkit.application import get_app

        width = get_app().output.get_size().columns
        if self._clock.seconds() - self._interrupted < AGAIN_WITHIN:
            return [("bold", f" {AGAIN}"[:width])]
        return footer(listening, elapsed, send=self._send, width=width)


def footer(
    listening: Listening, elapsed: float, *, send: Literal["enter", "alt-enter"], width: int
) -> StyleAndTextTuples:
    """Returns the line below what is typed: the clocks in words and colour, then as much of the help as there is room for."""
    if listening.paused:
        return [("", f" Paused: press {'Enter' if send == 'enter' else 'Alt-Enter'} to go on")]
    question, session = listening.question_seconds_left - elapsed, listening.session_seconds_left - elapsed
    style, words = "", f"{clock_time(question)} left"
    up = "what stands is sent" if listening.strict else "finish your sentence"
    if question <= 0 or session <= 0:
        style, words = "bold fg:ansired", f"time is up ({clock_time(min(question, session))}): {up}"
    elif question <= SOON and listening.part.budget_seconds > 2 * SOON:
        style, words = "fg:ansiyellow", f"{clock_time(question)} left: wrap up"
    elif question <= listening.part.budget_seconds / 2:
        words = f"{clock_time(question)} left, half is gone"
    place = f" Question {listening.number}/{listening.of}: "
    if listening.strict and question > 0:
        words += " (strict)"
    keys = "Enter sends, Alt-Enter: line" if send == "enter" else "Alt-Enter sends, Enter: line"
    rest, room = "", width - len(place) - len(words)
    for more in (f" · session {clock_time(session)}", " · /help", f" · {keys}", f" · {keys.split(',')[0]}"):
        if len(rest) + len(more) <= room and keys not in rest:
            rest += more
    return [("", place), (style, words), ("", rest)]


def _after_resize(session: PromptSession[str], again: Callable[[], None]) -> None:
    """Has the conversation shown anew when the window gets another size: a terminal breaks the old lines anew by itself, and what was
    typed would stand there twice.
    """
    app = session.app

    def resized() -> None:
        # Not renderer.clear(): it asks where the cursor is before the conversation has moved it.
        app.renderer.erase(leave_alternate_screen=False)
        app.output.erase_screen()
        app.output.cursor_goto(0, 0)
        app.output.flush()
        again()
        app.renderer.request_absolute_cursor_position()
        app.invalidate()

    app._on_resize = resized  # type: ignore[method-assign]


def word_wrap() -> Processor:
    """Returns what moves a word that would be cut at the edge to the next row, by blanks that are shown and not typed."""
    from prompt_toolkit.formatted_text.utils import fragment_list_width
    from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
    from prompt_toolkit.layout.utils import explode_text_fragments

    class WordWrap(Processor):
        def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
            given = explode_text_fragments(transformation_input.fragments)
            room = transformation_input.width - PROMPT
            if room < 2 or fragment_list_width(given) <= room:
                return Transformation(given)
            places = wrapped([part[1] for part in given], room)
            fragments: StyleAndTextTuples = []
            for number, part in enumerate(given):
                fragments += [("", " ")] * (places[number] - len(fragments))
                if places[number + 1] > places[number]:
                    fragments.append(part)
            back = {place: number for number, place in enumerate(places)}

            def to_source(place: int) -> int:
                while place not in back and place < places[-1]:
                    place += 1
                return back.get(place, len(given))

            return Transformation(fragments, lambda number: places[min(number, len(given))], to_source)

    return WordWrap()


def wrapped(characters: Sequence[str], room: int) -> list[int]:
    """Returns the place of each character in a line that is filled up with blanks so that rows of `room` columns cut no word that
    fits one, and the place after the last. A blank for which a row has no room left is not shown: it shares the next one's place.
    """
    places, place, column, start = [], 0, 0, 0
    while start < len(characters):
        end = start + 1
        if not characters[start].isspace():
            while end < len(characters) and not characters[end].isspace():
                end += 1
        width = sum(cell_len(character) for character in characters[start:end])
        if column and column + width > room and width <= room and not characters[start].isspace():
            place += room - column
            column = 0
        for character in characters[start:end]:
            size = cell_len(character)
            if character.isspace() and column + size > room:
                places.append(place)
                continue
            column = size if column + size > room else column + size
            places.append(place)
            place += 1
        start = end
    return [*places, place]


PROMPT = 2
"""Columns of what stands before each row of an answer."""


def _keys(
    send: Literal["enter", "alt-enter"], *, edit: Callable[[], None], interrupt: Callable[[], None]
) -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    def submit(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    keys.add("enter")(submit if send == "enter" else new_line)
    keys.add("escape", "enter")(new_line if send == "enter" else submit)
    keys.add("c-j")(new_line)
    keys.add("c-x", "c-e")(lambda _: edit())
    keys.add("c-c")(lambda _: interrupt())
    return keys


def a_person_is_here() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
