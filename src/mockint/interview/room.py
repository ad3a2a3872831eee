"""The room: the loop of an interview and the only writer of events. Each event is on the disk before it is shown.

(The one exception is a model's streamed turn: it is shown as it comes and written when it is whole. Were the program to stop
between, the probe would be asked anew; nothing that the candidate said depends on it.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, TypeVar, assert_never

from mockint.clock import Clock
from mockint.events import (
    EVENT,
    AnswerGiven,
    ClarificationGiven,
    DraftSaved,
    Event,
    HintGiven,
    ModelCalled,
    Outcome,
    Paused,
    ProbeAsked,
    QuestionAsked,
    Resumed,
    SelfRated,
    SessionFinished,
    SessionStarted,
    Skipped,
)
from mockint.interview.interviewers import Interviewer, OfflineInterviewer, Spoken
from mockint.interview.moves import Ask, Finish, Listen, React, Reading, after, follow_up, next_move
from mockint.llm import Exchange, OnText
from mockint.store import Log
from mockint.transcript import Part, Transcript, Turn, TurnKind, fold, step

T = TypeVar("T")

HELP = (
    "Answer in your own words, as you would aloud.\n"
    "/hint    a hint, from vague to plain; what you say after it earns {hinted:.0%} of its points\n"
    "/repeat  the question again, and what was asked since\n"
    "/time    what is left\n"
    "/skip    on to the next question\n"
    "/pause   stop the clock and hide the question\n"
    "/edit    write the answer in your editor (Ctrl-X Ctrl-E too); it comes back to be sent\n"
    "/quit    end the interview and grade what there is\n"
    "? …      ask the interviewer something, such as: ? how many users are there\n"
    "A command on the last line leaves what stands above it as it is.\n"
    "Enter sends and Alt-Enter begins a new line (terminal.send in mockint.toml turns that round).\n"
    "Ctrl-C twice leaves; mockint resume goes on, with what you typed."
)


BARE = {"hint", "help", "skip", "repeat", "pause", "time", "quit", "edit"}
"""Commands that somebody may type without the stroke; nobody answers with one of these alone."""
_COMMAND = re.compile(rf"(/(?:{'|'.join(sorted(BARE))}))(?:\s+\S+){{0,3}}\s*", re.IGNORECASE)
_ASKS = re.compile(r"(?!\?)(?:\S+\s+){0,24}\S*\w\?", re.IGNORECASE)
"""A short question and nothing else: it is put to the interviewer."""


def is_command(text: str) -> bool:
    """Whether it looks like a command that stands alone."""
    return text.startswith("/") and text[1:].strip().isalpha()


GAVE_UP = "That is all right. Let us go on to something else."
SKIPPED = "Then we leave that one."
KEPT = "What you typed meanwhile is kept; it stands there to be sent when you go on."
STANDS_IN = "The model was stopped; the embedded interviewer stands in for this turn."

CLOSING: dict[Outcome, str] = {
    "completed": "That was the last question. Thank you; the interview ends here.",
    "expired": "Time is up, so we stop here. Thank you.",
    "quit": "The interview ends here.",
}


@dataclass(frozen=True)
class Listening:
    """What a candidate, or their screen, needs to know while the interviewer listens."""

    part: Part
    number: int
    of: int
    question_seconds_left: float
    session_seconds_left: float
    draft: str
    paused: bool = False
    strict: bool = False
    """Whether what stands is submitted when the time is up."""
    again: Callable[[], None] = lambda: None
    """Shows the question again, and all that was said about it."""

    @property
    def seconds_left(self) -> float:
        """Until the question's time or the session's is up, whichever is first."""
        return min(self.question_seconds_left, self.session_seconds_left)


@dataclass(frozen=True)
class Heard:
    text: str | None
    """None when the candidate is gone: the input has ended."""
    seconds: float
    """How long the program listened."""
    cut: bool = False
    """Whether the clock ended it in the middle."""
    answer: bool = False
    """Whether it is an answer whatever it looks like: no command, and no question back."""


class Interrupted(Exception):
    """The candidate would not wait any longer for a model."""


class Left(Exception):
    """The candidate went away without ending the session, to go on later.

    Args:
        seconds: how long the program had listened.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds


Speak = Callable[[Interviewer, OnText], Coroutine[Any, Any, Spoken]]
"""Has an interviewer say something, showing what comes in pieces."""

SaveDraft = Callable[[str, float], None]
"""Called with the text so far and the seconds listened, whenever what is typed should be safe."""


class Candidate(Protocol):
    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        """Waits for the candidate. Raises Left when they leave without ending the session."""

    async def rate(self, part: Part) -> int | None:
        """Returns what the candidate makes of their own answer, from 1 to 5, or None when they would rather not say."""


class Screen(Protocol):
    """Where the conversation is shown."""

    def turn(self, kind: TurnKind, text: str, *, heading: str = "") -> None:
        """Shows something the interviewer said."""

    def piece(self, text: str) -> None:
        """Shows a piece of what the interviewer is saying."""

    def note(self, text: str) -> None:
        """Shows something that is no part of the conversation."""

    def hide(self) -> None:
        """Takes what was shown out of sight."""

    async def attend(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for a model, showing that it is waited for. Raises Interrupted when the candidate would not wait."""


class Room:
    def __init__(self, log: Log, *, clock: Clock, candidate: Candidate, screen: Screen) -> None:
        self._log, self._clock, self._candidate, self._screen = log, clock, candidate, screen
        self._now: Transcript | None = fold(log.events) if log.events else None

    @property
    def now(self) -> Transcript:
        if self._now is None:
            raise ValueError("the session has not begun")
        return self._now

    def begin(self, started: SessionStarted) -> None:
        self._log.append(started)
        self._now = fold([started])

    def keep(self, exchange: Exchange) -> None:
        """Writes down an exchange with the interviewer's model."""
        part = self.now.part or self.now.parts[0]
        self._write(ModelCalled, question=part.question.id, exchange=exchange)

    def keep_unread(self, text: str) -> None:
        """Writes down, below the draft that stands, what was typed and not heard before the room was left, if a question is open."""
        part, before = self.now.part, self.now.draft
        if part and self.now.outcome is None:
            self._draft(part, self.now.t, below=True)(text.strip(), 0.0)
            if self.now.draft != before:
                self._screen.note(KEPT)

    async def run(self, interviewer: Interviewer) -> Transcript:
        """Goes on from wherever the log stands until the session is finished, and returns its transcript.

        Raises:
            ModelError: the interviewer's model fails; the session is saved up to here.
            Left: the candidate left; likewise.
        """
        self._recall()
        while self.now.outcome is None:
            match move := next_move(self.now):
                case Listen(part):
                    await self._listen(part, interviewer)
                case React(part):
                    await self._react(part, interviewer)
                case Ask(part):
                    self._ask(part)
                case Finish(outcome):
                    await self._close(outcome)
                case _:
                    assert_never(move)
        return self.now

    async def _close(self, outcome: Outcome) -> None:
        """Asks for the ratings that are still wanted, and finishes."""
        to_rate = [part for part in self.now.parts if part.answered and part.rating is None]
        if self.now.started.self_rate and to_rate:
            self._screen.note(CLOSING[outcome])
            for part in to_rate:
                rating = await self._candidate.rate(part)
                if rating is not None:
                    self._write(SelfRated, question=part.question.id, rating=rating)
            return self._write(SessionFinished, outcome=outcome)
        return self._finish(outcome)

    def _finish(self, outcome: Outcome, *, t: float | None = None) -> None:
        self._write(SessionFinished, t=t, outcome=outcome)
        self._screen.note(CLOSING[outcome])

    def _recall(self) -> None:
        """Shows, after a break, what was said about the question that is open: the last word may be an answer."""
        match next_move(self.now):
            case Listen(part) | React(part) if not self.now.paused:
                self._again(part.question.id)

    def _again(self, question: str) -> None:
        """Shows the question and all that both have said about it."""
        part = next(part for part in self.now.parts if part.question.id == question)
        self._show(part, part.turns)

    def _repeat(self, part: Part) -> None:
        """Shows the question, and what was asked since the last answer."""
        answered = max((turn.number for turn in part.turns if turn.kind == "answer"), default=0)
        self._show(part, [turn for turn in part.turns if turn.number > answered and turn.speaker == "interviewer"])

    def _show(self, part: Part, turns: Sequence[Turn]) -> None:
        """Shows the question, and of these turns the others."""
        self._screen.turn("question", part.question.ask.strip(), heading=self._heading(part))
        for turn in turns:
            if turn.kind != "question":
                self._screen.turn(turn.kind, turn.text)

    def _ask(self, part: Part) -> None:
        text = part.question.ask.strip()
        self._write(QuestionAsked, question=part.question.id, turn=self.now.turns + 1, text=text)
        self._screen.turn("question", text, heading=self._heading(part))

    async def _react(self, part: Part, interviewer: Interviewer) -> None:
        stopped = False
        try:
            reading = await self._screen.attend(interviewer.read(part))
        except Interrupted:
            self._screen.note(STANDS_IN)
            reading, stopped = await OfflineInterviewer().read(part), True
        probe = follow_up(self.now, part, reading)
        if probe is None:
            return await self._move_on(reading)

        def speak(who: Interviewer, show: OnText) -> Coroutine[Any, Any, Spoken]:
            return who.probe(part, probe, show=show)

        said = await (_stood_in(speak) if stopped else self._spoken(speak, interviewer))
        about: dict[str, Any] = {"about": probe.about, "probe": probe.kind}
        self._write(ProbeAsked, question=part.question.id, turn=self.now.turns + 1, **about, **asdict(said))
        self._screen.turn("probe", said.text)
        return None

    async def _move_on(self, reading: Reading) -> None:
        match after(self.now):
            case Ask(part):
                if reading.gave_up:
                    self._screen.note(GAVE_UP)
                self._ask(part)
            case Finish(outcome):
                await self._close(outcome)

    async def _spoken(self, speak: Speak, interviewer: Interviewer) -> Spoken:
        """Waits for what the interviewer says; when the candidate will not, the embedded one ends the turn."""
        shown: list[str] = []

        def show(piece: str) -> None:
            shown.append(piece)
            self._screen.piece(piece)

        try:
            return await self._screen.attend(speak(interviewer, show))
        except Interrupted:
            self._screen.note(STANDS_IN)
            return await _stood_in(speak, begun="".join(shown).strip())

    async def _listen(self, part: Part, interviewer: Interviewer) -> None:
        began = self.now.t
        paused = self.now.paused
        try:
            heard = await self._candidate.listen(self._listening(part), save=self._draft(part, began, below=paused))
        except Left as left:
            if not paused and (t := round(began + left.seconds, 2)) > self.now.t:
                self._write(DraftSaved, t=t, question=part.question.id, text=self.now.draft)
            raise
        if paused:
            self._write(Resumed)
            self._recall()
            if not (heard.text and heard.text.strip()):
                return None
        t = max(self.now.t, round(began + (0.0 if paused else heard.seconds), 2))
        text = None if heard.text is None else heard.text.strip()
        if heard.cut:
            return self._cut(part, text or "", t)
        if heard.answer and text:
            return self._answer(part, text, t)
        kept = ""
        if text and (found := _COMMAND.fullmatch(text.rpartition("\n")[2].strip())):
            kept, text = text.rpartition("\n")[0].rstrip(), found.group(1).lower()
        await self._hear(text, part, t, interviewer)
        if kept and self.now.outcome is None and self.now.part is not None:
            self._write(DraftSaved, question=part.question.id, text=kept)
        return None

    async def _hear(self, text: str | None, part: Part, t: float, interviewer: Interviewer) -> None:
        """Takes up what a candidate sent: a command, a question back, or an answer."""
        match text:
            case None | "/quit":
                self._finish("quit", t=t)
            case "" | "/help" | "/time" | "/repeat":
                self._aside(part, t)
                self._help_out(text, part)
            case "/pause":
                self._aside(part, t)
                self._write(Paused, t=t)
                self._screen.hide()
                self._screen.note("Paused: the clock stands still.")
            case "/skip":
                self._write(Skipped, t=t, question=part.question.id)
                self._screen.note(SKIPPED)
            case "/hint":
                self._hint(part, t)
            case "?":
                self._aside(part, t)
                self._screen.note("Ask the interviewer something after it, such as: ? how many users are there")
            case _ if text.lower().strip(" .!?") in BARE:
                self._aside(part, t)
                self._screen.note(f"That is no answer yet. Did you mean /{text.lower().strip(' .!?')}?")
            case _ if _ASKS.fullmatch(text):
                await self._clarify(part, text, t, interviewer)
            case _ if text.startswith("?") and text.strip("? "):
                await self._clarify(part, text.lstrip("? "), t, interviewer)
            case _ if not text.strip("? ") or (text.startswith("/") and text[1:].isalpha()):
                self._aside(part, t)
                self._screen.note(f"There is no command {text}. See /help.")
            case _:
                self._answer(part, text, t)

    def _answer(self, part: Part, text: str, t: float, *, cut: bool = False) -> None:
        self._write(AnswerGiven, t=t, question=part.question.id, turn=self.now.turns + 1, text=text, cut=cut)

    def _cut(self, part: Part, text: str, t: float) -> None:
        """Submits what stands when the time is up; a command that was being typed is no answer."""
        if text and not text.startswith(("/", "?")):
            self._answer(part, text, t, cut=True)
            return self._screen.note("Time is up: what you had typed is your answer.")
        self._write(Skipped, t=t, question=part.question.id, cut=True)
        return self._screen.note("Time is up for this question.")

    def _aside(self, part: Part, t: float) -> None:
        """Writes down that the clock ran and that nothing typed is left: a command is no answer, and its time is not free."""
        self._write(DraftSaved, t=t, question=part.question.id, text="")

    def _help_out(self, command: str, part: Part) -> None:
        match command:
            case "/help":
                self._screen.note(HELP.format(hinted=self.now.started.scale.hinted))
            case "/time":
                self._screen.note(self._times(part))
            case "/repeat":
                self._repeat(part)
            case _:
                self._screen.note("Nothing was said. Answer, ask with ?, or see /help.")

    def _hint(self, part: Part, t: float) -> None:
        if part.hints >= len(part.question.hints):
            self._aside(part, t)
            return self._screen.note("There is no further hint for this question.")
        share = self.now.started.scale.hinted
        text = part.question.hints[part.hints].strip()
        self._write(HintGiven, t=t, question=part.question.id, turn=self.now.turns + 1, text=text)
        price = f"From here on, what you say on this question earns {share:.0%} of its points."
        first = part.hints == 0
        return self._screen.turn("hint", f"({price}) {text}" if first else text)

    async def _clarify(self, part: Part, asked: str, t: float, interviewer: Interviewer) -> None:
        self._write(DraftSaved, t=t, question=part.question.id, text=f"? {asked}")
        said = await self._spoken(lambda who, show: who.clarify(part, asked, show=show), interviewer)
        turn = self.now.turns + 2
        self._write(ClarificationGiven, question=part.question.id, turn=turn, asked=asked, **asdict(said))
        self._screen.turn("clarification", said.text)

    def _draft(self, part: Part, began: float, *, below: bool) -> SaveDraft:
        """Returns what keeps a draft: in the place of the one that stands, or below it."""
        before = f"{self.now.draft}\n" if below and self.now.draft else ""

        def save(text: str, seconds: float) -> None:
            if is_command(text) or (below and not text):
                return
            text = before + text
            if text != self.now.draft:
                t = max(self.now.t, round(began + seconds, 2))
                self._write(DraftSaved, t=t, question=part.question.id, text=text)

        return save

    def _write(self, kind: type[Any], *, t: float | None = None, **values: Any) -> None:
        """Builds the next event, writes it, and takes it into the transcript. `t` stays where it was unless it is given."""
        at = self._clock.now()
        # A byte that is no text in this locale arrives as a lone surrogate, which UTF-8 cannot hold.
        values = {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in values.items()}
        event: Event = EVENT.validate_python(
            kind(seq=self.now.last + 1, at=at, t=self.now.t if t is None else t, **values)
        )
        self._log.append(event)
        self._now = step(self.now, event)

    def _listening(self, part: Part) -> Listening:
        return Listening(
            part,
            number=self.now.parts.index(part) + 1,
            of=len(self.now.parts),
            question_seconds_left=part.budget_seconds - (self.now.t - (part.began or 0.0)),
            session_seconds_left=self.now.budget_seconds - self.now.t,
            draft="" if self.now.paused else self.now.draft,
            paused=self.now.paused,
            strict=self.now.started.strict_time,
            again=lambda: self._again(part.question.id),
        )

    def _heading(self, part: Part) -> str:
        place = [other.question.id for other in self.now.parts].index(part.question.id) + 1
        return f"Question {place} of {len(self.now.parts)} · {part.question.title} · {part.question.minutes} min"

    def _times(self, part: Part) -> str:
        t = self.now.t
        question, session = part.budget_seconds - (t - (part.began or 0.0)), self.now.budget_seconds - t
        return f"Left for this question: {clock_time(question)}. Left in the session: {clock_time(session)}."


async def _stood_in(speak: Speak, *, begun: str = "") -> Spoken:
    """Has the embedded interviewer speak for a model that was stopped, after the words that it had begun with."""
    said = await speak(OfflineInterviewer(), lambda _: None)
    return replace(said, text=f"{begun} … {said.text}" if begun else said.text, authored=True)


def clock_time(seconds: float) -> str:
    """Returns "4:05", or "−0:30" when that much is over."""
    whole = int(abs(seconds))
    return f"{'−' if seconds <= -1 else ''}{whole // 60}:{whole % 60:02}"
