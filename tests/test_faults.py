"""Every fault of a provider at every call of an interview: how the call ends, after how many tries, and what is left on the disk.

    .venv/bin/python -m tests.test_faults

writes what the runs give into docs/faults.md.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx
import jinja2
import pytest
from tenacity import wait_random_exponential

from mockint.clock import SystemClock
from mockint.config import Config, load_config
from mockint.content import roots
from mockint.errors import ModelError, ModelRefused, ModelUnavailable
from mockint.events import AnswerGiven, ClarificationGiven, ModelCalled, ProbeAsked
from mockint.grades import Grade
from mockint.grading.grader import grade_parts, judges
from mockint.grading.judge import ASKED_AGAIN
from mockint.interview.interviewers import PROMPTS, ModelInterviewer, Spoken
from mockint.interview.moves import Probe, Reading
from mockint.interview.room import Heard, Listening, Room, SaveDraft
from mockint.llm import WAYS, Connections, Model, Recorder
from mockint.llm.foreign import REACH, translate
from mockint.llm.scripted import ScriptedAdapter
from mockint.prompts import load_prompt
from mockint.report import markdown
from mockint.store import Home, Log, read_log
from mockint.transcript import Part, fold
from tests.builders import SCALE, Shown, planned, started
from tests.conftest import ROOT, Run
from tests.faults import ANSWER, CALLS, FAULTS, REPLIES, RULED, SPEECH, STREAMED, Call, Fault, Server

T = TypeVar("T")
TABLE = ROOT / "docs" / "faults.md"
CANDIDATE = ROOT / "examples" / "candidate.yaml"
TRIES = 3
KEY = "planted.4f1d2c7e.9a0b"
MORE = "I would put a lid on it and pour with care."
QUESTION = "how many users are there"
SLACK = 1.0
"""Seconds over the deadline that a busy machine may take."""
MOST = {
    "read": TRIES * len(WAYS),
    "probe": TRIES * 2,
    "clarify": TRIES * 2,
    "judge": TRIES * len(WAYS) * (1 + ASKED_AGAIN),
}
"""Requests that the policy allows a call: its tries, times the ways to ask for a shape, or times what is said again or asked again."""
NAMED = re.compile(r"\b(Try|Check|Wait|name|use|Use|top it up|give it longer|Start|Correct)\b")
"""What a hint that says what to do has in it."""


# What is expected


@dataclass(frozen=True)
class End:
    """How a call ends, after how many requests.

    `unavailable` and `refused` are errors with exit code 5; `late` is `unavailable` because the deadline has passed. `recovered`
    is a good reply after a bad one, `accepted` a good reply at once; `cut short` and `as sent` are spoken as they came, and with
    `stood in` authored words end the turn. `not heard` is a reading that says nothing, and `unscored` a grade without a verdict.
    """

    outcome: str
    tries: int

    def __str__(self) -> str:
        return f"{self.outcome}, {self.tries}"


Row = dict[Call, tuple[End, End]]
"""By call: the end when the fault lasts, and when only the first request meets it."""


def row(read: str, probe: str, clarify: str, judge: str) -> Row:
    """Reads "outcome, tries / outcome, tries"; what stands once is so in both cases."""

    def ends(text: str) -> tuple[End, End]:
        both = [End(name, int(tries)) for name, tries in re.findall(r"([a-z][a-z ]*), (\d+)", text)]
        return both[0], both[-1]

    return {"read": ends(read), "probe": ends(probe), "clarify": ends(clarify), "judge": ends(judge)}


def alike(interviewer: str, judge: str) -> Row:
    return row(interviewer, interviewer, interviewer, judge)


BOTH, UNSCORED = "unavailable, 3 / recovered, 2", "unscored, 3 / recovered, 2"
RETRIED = alike(BOTH, UNSCORED)
REFUSED = alike("refused, 1", "unscored, 1")
AT_ONCE = alike("unavailable, 1", "unscored, 1")
LATE = alike("late, 1", "unscored, 1")
ACCEPTED = alike("accepted, 1", "accepted, 1")

EXPECTED: dict[str, Row] = {
    "connection refused": RETRIED,
    "reset before the headers": RETRIED,
    "reset in the headers": RETRIED,
    "reset after the headers": RETRIED,
    "TLS to a port without it": REFUSED,
    "no HTTP": RETRIED,
    # A shape may be at fault: each way of asking for one is tried once.
    "400": row("refused, 4 / recovered, 2", "refused, 1", "refused, 1", "unscored, 4 / recovered, 2"),
    "401": REFUSED,
    "403": REFUSED,
    "404, no such model": REFUSED,
    "408": RETRIED,
    "409": RETRIED,
    "413": REFUSED,
    "429, Retry-After in seconds": RETRIED,
    "429, Retry-After as a date": RETRIED,
    "429, no Retry-After": RETRIED,
    "429, Retry-After below zero": RETRIED,
    "429, Retry-After past the deadline": AT_ONCE,
    "429, Retry-After of an hour": AT_ONCE,
    "500": RETRIED,
    "502": RETRIED,
    "503": RETRIED,
    "529": RETRIED,
    "HTML page with 200": RETRIED,
    "HTML page with 502": RETRIED,
    "error object with 200": RETRIED,
    "slow first byte": LATE,
    "slow drip": LATE,
    "cut inside a code point, length announced": RETRIED,
    "cut inside a code point, length unknown": RETRIED,
    "broken envelope": RETRIED,
    "duplicate chunks": row("accepted, 1", "as sent, 1", "as sent, 1", "accepted, 1"),
    "empty choices": RETRIED,
    "null content": RETRIED,
    "refusal field": REFUSED,
    "content_filter finish": REFUSED,
    "cut off at the length": row("not heard, 1", "stood in, 1", "stood in, 1", UNSCORED),
    "truncated text": row("not heard, 1", "cut short, 1", "cut short, 1", UNSCORED),
    "JSON in a code fence": row("accepted, 1", "as sent, 1", "as sent, 1", "accepted, 1"),
    "an object inside another, without end": row("not heard, 1", "as sent, 1", "as sent, 1", UNSCORED),
    "wrong content type": ACCEPTED,
    "stream for whole, whole for stream": RETRIED,
    "50 MB of text": REFUSED,
}


# One run


_backed_off: ContextVar[Callable[[], None]] = ContextVar("backed_off", default=lambda: None)


_templates: dict[str, jinja2.Template] = {}


def _once(
    make: Callable[[jinja2.Environment, str], jinja2.Template],
) -> Callable[[jinja2.Environment, str], jinja2.Template]:
    def made(environment: jinja2.Environment, source: str) -> jinja2.Template:
        if source not in _templates:
            _templates[source] = make(environment, source)
        return _templates[source]

    return made


@contextmanager
def no_time_lost() -> Iterator[None]:
    """Sets the planted key, and makes the wait between two tries nothing where the server does not ask for one.

    What else costs time and is tried elsewhere is left out: trusted certificates (20 ms a client), flushes to the disk, and
    compiling the same prompt for each call.
    """

    def wait(self: object, state: object) -> float:
        _backed_off.get()()
        return 0.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wait_random_exponential, "__call__", wait)
        patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *where, **given: None)
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(jinja2.Environment, "from_string", _once(jinja2.Environment.from_string))
        patch.setattr(jinja2.Environment, "get_template", _once(jinja2.Environment.get_template))
        patch.setenv("PLANTED_KEY", KEY)
        yield


@dataclass
class Candidate:
    """Answers, asks once the first probe stands, and answers again; which comes next follows from the transcript."""

    sent: list[str] = field(default_factory=list)

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        kinds = [turn.kind for turn in listening.part.turns]
        text = f"? {QUESTION}" if kinds[-1] == "probe" and "clarification" not in kinds else MORE
        text = text if "answer" in kinds else ANSWER
        if not text.startswith("?"):
            self.sent.append(text)
        return Heard(text, 10.0)

    async def rate(self, part: Part) -> int | None:
        return None


@dataclass
class Mixed:
    """Makes one call of an interview, the first of its kind, with a model whose server fails, and all others by a script."""

    ill: ModelInterviewer | None
    well: dict[Call, ModelInterviewer]
    call: Call
    seconds: float | None = None
    """How long the call in question took."""
    heard: Reading | None = None

    async def read(self, part: Part) -> Reading:
        reading = await self._made("read", lambda who: who.read(part))
        self.heard = self.heard or reading
        return reading

    async def probe(self, part: Part, probe: Probe, *, show: Callable[[str], None]) -> Spoken:
        return await self._made("probe", lambda who: who.probe(part, probe, show=show))

    async def clarify(self, part: Part, asked: str, *, show: Callable[[str], None]) -> Spoken:
        return await self._made("clarify", lambda who: who.clarify(part, asked, show=show))

    async def _made(self, call: Call, make: Callable[[ModelInterviewer], Coroutine[Any, Any, T]]) -> T:
        if self.ill is None or call != self.call or self.seconds is not None:
            return await make(self.well[call])
        began = SystemClock().seconds()
        try:
            return await make(self.ill)
        finally:
            self.seconds = SystemClock().seconds() - began


@dataclass
class Ran:
    end: End
    seconds: float
    wrong: list[str] = field(default_factory=list)
    """What must never be, and was."""
    told: str = ""
    """The error's two lines."""

    def must(self, holds: object, told: str) -> None:
        if not holds:
            self.wrong.append(told)


@dataclass
class Cell:
    """One fault at one call of one interview, in a folder of its own."""

    fault: Fault
    call: Call
    lasting: bool
    folder: Path
    candidate: Candidate = field(default_factory=Candidate)
    screen: Shown = field(default_factory=Shown)
    refusals: int = 0

    async def run(self) -> Ran:
        async with Server(self.fault, self.call, self.lasting) as ill:

            def backed_off() -> None:
                self.refusals += not self.fault.listening
                ill.backed_off()

            _backed_off.set(backed_off)
            connections = Connections(
                configured(self.folder, "ill", ill.url, deadline=self.fault.deadline), SystemClock()
            )
            ran = await connections.closing(
                self._judged(connections) if self.call == "judge" else self._held(connections)
            )
            arrived = ill.arrived
            if not self.fault.listening:
                arrived = [0.0] * self.refusals + arrived
            ran.end = End(self._recovered(ran.end.outcome, len(arrived)), len(arrived))
            self._check_files(ran)
            self._check_requests(ran, ill.arrived)
        return ran

    def _recovered(self, outcome: str, tries: int) -> str:
        return "recovered" if outcome == "accepted" and tries > 1 else outcome

    @property
    def _home(self) -> Home:
        return Home(self.folder)

    @property
    def _name(self) -> str:
        return started().session

    async def _held(self, connections: Connections) -> Ran:
        """Runs the interview until the call fails or all is over, and goes on with a sound model where it failed."""
        error, mixed = await self._interview(connections)
        ran = Ran(End(_kind(error) if error else self._reply_taken(mixed), 0), mixed.seconds or 0.0)
        if error:
            self._check_error(ran, error)
            again, _ = await self._interview(None)
            ran.must(again is None, f"the session does not go on: {again}")
        transcript = fold(read_log(self._home.log(self._name)).events)
        ran.must(transcript.outcome == "completed", "the session does not come to its end")
        ran.must(ran.seconds <= self.fault.deadline + SLACK, f"it took {ran.seconds:.1f} seconds")
        return ran

    async def _interview(self, ill: Connections | None) -> tuple[ModelError | None, Mixed]:
        files = {name: load_prompt(roots(), name) for name in PROMPTS}
        with Log(self._home.log(self._name)) as log:
            room = Room(log, clock=SystemClock(), candidate=self.candidate, screen=self.screen)
            if not log.events:
                room.begin(started(planned(), probes=1))
            well = {
                call: ModelInterviewer(Recorder(sound(call), role="interviewer", keep=room.keep), files)
                for call in CALLS
            }
            failing = ill.recorder("ill/m", role="interviewer", keep=room.keep) if ill else None
            mixed = Mixed(ModelInterviewer(failing, files) if failing else None, well, self.call)
            try:
                await room.run(mixed)
            except ModelError as exc:
                return exc, mixed
        return None, mixed

    def _reply_taken(self, mixed: Mixed) -> str:
        events = read_log(self._home.log(self._name)).events
        if self.call == "read":
            assert mixed.heard is not None
            return "accepted" if mixed.heard.marks == {"boiling": "partial"} else "not heard"
        kind = ProbeAsked if self.call == "probe" else ClarificationGiven
        turn = next(event for event in events if isinstance(event, kind))
        if turn.authored:
            return "stood in"
        said = turn.text
        return "accepted" if said == SPEECH else "cut short" if SPEECH.startswith(said) else "as sent"

    async def _judged(self, connections: Connections) -> Ran:
        """Holds a sound interview, then grades it."""
        error, _ = await self._interview(None)
        assert error is None
        events = read_log(self._home.log(self._name)).events
        transcript, began = fold(events), SystemClock().seconds()
        made = await grade_parts(
            self._name,
            transcript.parts,
            level="mid",
            scale=SCALE,
            grader_for=judges(
                lambda keep: connections.recorder("ill/m", role="grader", keep=keep), load_prompt(roots(), "judge")
            ),
            clock=SystemClock(),
        )
        ran = Ran(End("accepted", 0), SystemClock().seconds() - began)
        self._home.add_grade(self._name, made)
        self._home.write_report(self._name, markdown(transcript, made))
        scored = [verdict for verdict in made.answers[0].verdicts if verdict.state == "scored"]
        if len(scored) < len(made.answers[0].verdicts):
            ran.end = End("partly scored" if scored else "unscored", 0)
        self._check_grade(ran, made)
        asked = sum(exchange.purpose == "judge" for exchange in made.calls)
        ran.must(ran.seconds <= asked * self.fault.deadline + SLACK, f"it took {ran.seconds:.1f} seconds")
        return ran

    def _check_error(self, ran: Ran, error: ModelError) -> None:
        ran.must(error.exit_code == 5, f"its exit code is {error.exit_code}")
        lines = [error.what, error.hint]
        ran.told = "\n".join(lines)
        ran.must(all(line.strip() and len(line.splitlines()) == 1 for line in lines), f"not two lines: {lines}")
        ran.must("ill/m" in error.what, f"the model is not named: {error.what}")
        ran.must(len(error.what) > len("ill/m: ") + 8, f"nothing is said of what happened: {error.what}")
        ran.must(not re.search(r"<\w|Connection error", error.what), f"it says nothing to a person: {error.what}")
        ran.must(NAMED.search(error.hint), f"it does not say what to do: {error.hint}")
        ran.must(KEY not in error.what + error.hint, "the key is in the message")

    def _check_grade(self, ran: Ran, made: Grade) -> None:
        answer = made.answers[0]
        for verdict in answer.verdicts:
            if verdict.state == "scored":
                given = (verdict.level, verdict.evidence[0].quote)
                ran.must(given == (RULED["level"], RULED["quote"]), f"a verdict that nobody gave: {given}")
            else:
                ran.must(len(verdict.why.splitlines()) == 1, f"no reason in one line: {verdict.why!r}")
        if ran.end.outcome == "unscored":
            ran.must(
                (made.score, answer.score, answer.coverage, answer.state, made.signal)
                == (None, None, 0.0, "ungraded", "insufficient evidence"),
                "a score was invented",
            )

    def _check_files(self, ran: Ran) -> None:
        events = read_log(self._home.log(self._name)).events
        answers = [event.text for event in events if isinstance(event, AnswerGiven)]
        ran.must(answers == self.candidate.sent == [ANSWER, MORE], f"answers sent and kept differ: {answers}")
        calls = [event.exchange for event in events if isinstance(event, ModelCalled)]
        ran.must(
            self.call == "judge" or any(call.purpose == self.call and call.model.startswith("ill") for call in calls),
            "the call is not in the log",
        )
        for path in self.folder.rglob("*"):
            ran.must(path.is_dir() or KEY.encode() not in path.read_bytes(), f"the key is in {path.name}")
        ran.must(KEY not in "".join(self.screen.texts), "the key is on the screen")

    def _check_requests(self, ran: Ran, arrived: Sequence[float]) -> None:
        ran.must(len(arrived) <= MOST[self.call], f"{len(arrived)} requests arrived")
        gaps = [after - before for before, after in itertools.pairwise(arrived)]
        first = gaps if self.lasting else gaps[:1]
        ran.must(all(gap >= 0.95 * self.fault.retry_after for gap in first), f"Retry-After was not kept: {gaps}")


def _kind(error: ModelError) -> str:
    if isinstance(error, ModelRefused):
        return "refused"
    return "late" if "did not answer within" in error.what else "unavailable"


def configured(folder: Path, name: str, url: str, *, deadline: float) -> Config:
    file = folder / "mockint.toml"
    file.write_text(
        f'[providers.{name}]\nbase_url = "{url}"\napi_key_env = "PLANTED_KEY"\n'
        f"[limits]\ntries = {TRIES}\ndeadline_seconds = {deadline}\n"
    )
    return load_config(file=file, home=folder)


def sound(call: Call) -> Model:
    """Returns a model that gives this call's good reply, from a script."""
    return Model(ScriptedAdapter(lambda messages: REPLIES[call]), SystemClock())


async def run_fault(fault: Fault, folder: Path) -> dict[Call, tuple[Ran, Ran]]:
    """Runs the fault at every call, lasting, and at the first request only where a second one is expected.

    All calls at once; for a heavy fault one after the other, and lasting only.
    """
    gate = asyncio.Semaphore(1 if fault.heavy else 8)

    async def one(call: Call, lasting: bool) -> Ran:
        place = folder / f"{call}-{lasting}"
        place.mkdir()
        async with gate:
            return await Cell(fault, call, lasting, place).run()

    async def both(call: Call) -> tuple[Ran, Ran]:
        if EXPECTED[fault.name][call][0].tries == 1 or fault.heavy:
            lasting = await one(call, True)
            return lasting, lasting
        lasting, once = await asyncio.gather(one(call, True), one(call, False))
        return lasting, once

    return dict(zip(CALLS, await asyncio.gather(*map(both, CALLS)), strict=True))


@cache
def ran(fault: Fault) -> dict[Call, tuple[Ran, Ran]]:
    """Returns for each call what came of the fault when it lasts, and when it does not."""
    with no_time_lost(), tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run_fault(fault, Path(folder)))


# What is told about it


def table(rows: dict[str, dict[Call, tuple[Ran, Ran]]]) -> str:
    """Returns docs/faults.md."""
    lines = ["| fault | " + " | ".join(CALLS) + " |", "|---" * (len(CALLS) + 1) + "|"]
    for name, made in rows.items():
        lines.append(f"| {name} | " + " | ".join(_told(*made[call]) for call in CALLS) + " |")
    return INTRODUCTION + "\n".join(lines) + "\n"


def _told(lasting: Ran, once: Ran) -> str:
    shown = [f"{one.end}, {one.seconds:.2f} s" for one in (lasting, once)]
    return shown[0] if once is lasting else "; ".join(shown)


INTRODUCTION = f"""# What a provider can do wrong, and what then happens

Each fault is made by a real server on loopback, at each call of an interview: `read` (what an answer shows, structured), `probe`
and `clarify` (streamed), and `judge` (the grade, structured). A cell holds how the call ended, how many requests were made and how many
seconds it took; after a semicolon, the same where only the first request meets the fault. The tries are limited to {TRIES}, a
call's deadline is ten seconds, 0.4 where the fault is slowness, and the wait between two tries is left out unless the server
asks for it. This table is written by `.venv/bin/python -m tests.test_faults`; a test compares all but the seconds with a run.

- recovered: a bad reply, then a good one. accepted: a good one at once. Either way the interview goes on.
- unavailable: asked again and still failing. late: the deadline passed. refused: no use in asking again. Each ends with exit code 5,
  the session saved up to the last thing said, and the command that goes on with it.
- not heard: the reading of an answer says nothing, so that all of it may still be asked about. cut short, as sent: the text is spoken as
  it came, less than was meant, or more. stood in: what broke off is ended with the question's authored words.
- unscored: the criteria stay without a verdict, with the reason; no score is made up.

In every cell each answer that was sent is in the log, and the API key is in no file, even where the server repeats it.

"""


# The tests


def _base_url_named(ran: Ran) -> bool:
    return "base_url" in ran.told


def _overloaded_told(ran: Ran) -> bool:
    return "overloaded" in ran.told


@dataclass(frozen=True)
class Telling:
    name: str
    call: Call
    holds: Callable[[Ran], bool]
    """Of the call, when the fault lasts."""


TELLING: tuple[Telling, ...] = (
    *[Telling("HTML page with 200", call, _base_url_named) for call in STREAMED],
    Telling("error object with 200", "read", _overloaded_told),
)
"""Faults whose error has to say more than that there was one."""


def committed() -> dict[str, list[str]]:
    """Returns the committed table's cells without their seconds, by fault."""
    rows = [line.strip("| ").split(" | ") for line in TABLE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    return {row[0]: [re.sub(r", [\d.]+ s", "", cell) for cell in row[1:]] for row in rows[2:]}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_ends_as_stated_at_every_call(fault: Fault) -> None:
    made = ran(fault)
    found = {call: (lasting.end, once.end) for call, (lasting, once) in made.items()}
    assert found == EXPECTED[fault.name]
    wrong = {f"{call}: {told}" for call, both in made.items() for one in both for told in one.wrong}
    assert wrong == set()
    assert committed()[fault.name] == [re.sub(r", [\d.]+ s", "", _told(*made[call])) for call in CALLS]


def test_committed_table_has_a_row_for_each_fault_and_no_other() -> None:
    assert list(committed()) == [fault.name for fault in FAULTS] == list(EXPECTED)


@pytest.mark.parametrize("telling", TELLING, ids=lambda telling: f"{telling.name}, {telling.call}")
def test_error_says_what_is_wrong(telling: Telling) -> None:
    lasting, _ = ran(next(fault for fault in FAULTS if fault.name == telling.name))[telling.call]
    assert telling.holds(lasting), lasting.told


@contextmanager
def serving(fault: Fault, call: Call) -> Iterator[str]:
    """Serves a lasting fault from another thread, and yields the server's address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(fault, call, lasting=True)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    yield server.url
    asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def started_with(role: str, fault: str, call: Call, run: Run, folder: Path) -> list[str]:
    """Runs an interview from the command line whose one model fails; returns its exit code and the last two lines of its stderr."""
    fails = next(one for one in FAULTS if one.name == fault)
    with no_time_lost(), serving(fails, call) as url:
        configured(folder, "ill", url, deadline=fails.deadline)
        done = run("start", "--question", "hybrid-search", "--answers", CANDIDATE, f"--{role}", "ill/m")
    assert KEY not in done.out + done.err
    assert not any(KEY.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return [str(done.code), *done.err.strip().splitlines()[-2:]]


TOLD = ["401", "503", "connection refused", "TLS to a port without it", "slow first byte", "HTML page with 502"]


@pytest.mark.parametrize("fault", TOLD)
def test_command_ends_with_two_lines_and_how_to_go_on(fault: str, run: Run, tmp_path: Path) -> None:
    code, what, hint = started_with("interviewer", fault, "read", run, tmp_path)
    assert code == "5"
    assert what.startswith("mockint: ill/m")
    assert NAMED.search(hint)
    assert re.search(r"The session is saved; go on with: \S+( -m mockint)? resume \d{8}-\d{6}-rag-\w{4}$", hint)


@pytest.mark.parametrize("fault", TOLD)
def test_interview_that_cannot_be_graded_says_why(fault: str, run: Run, tmp_path: Path) -> None:
    code, what, why = started_with("grader", fault, "judge", run, tmp_path)
    assert code == "6"
    assert what.startswith("mockint: Nothing of '")
    assert "ill/m" in why


def test_interview_that_cannot_be_graded_says_what_to_do(run: Run, tmp_path: Path) -> None:
    *_, hint = started_with("grader", "401", "judge", run, tmp_path)
    assert NAMED.search(hint)


def test_connection_that_breaks_under_a_bare_client_is_unavailable() -> None:
    told = translate(httpx.ReadError("broken"), "ill/m")
    assert (type(told), told.what, told.hint) == (ModelUnavailable, "ill/m: the connection failed: broken", REACH)


@pytest.mark.parametrize("key", ["sk-proj-0123456789abcdef", "gsk_0123456789abcdef", "AIza0123456789abcdef0123456789"])
def test_key_that_no_request_tells_of_is_known_by_its_look(key: str) -> None:
    assert translate(ValueError(f"not {key}!"), "ill/m").what == "ill/m: not (key)!"


def main() -> None:
    rows = {fault.name: ran(fault) for fault in FAULTS}
    for name, made in rows.items():
        for told in dict.fromkeys(
            f"{call}: {told}" for call, both in made.items() for one in both for told in one.wrong
        ):
            sys.stderr.write(f"{name}: {told}\n")
    TABLE.write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
