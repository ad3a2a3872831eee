"""Holds many interviews, one after the other and at once, with a model that fails 30 % of its calls, and looks whether any lost or mixed up something.

    .venv/bin/python -m tests.bench.soak [--row 200] [--at-once 20] [--tries 4] [--seed 1]

All are held in one process, through one client with one pool of connections, each in its own log. A session that breaks off is gone on
with from its log, as `mockint resume` does. Waits between tries are cut to 10 ms. Prints the counts; ends with 1 and a line for each
thing that does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.builders import Shown, planned, started
from tests.flaky import MARKER, Flaky, flaky, level_of

from mockint.clock import SystemClock
from mockint.config import load_config
from mockint.content import digest, roots
from mockint.errors import ModelError
from mockint.events import AnswerGiven, ClarificationGiven, Event, ModelCalled, ProbeAsked
from mockint.grades import Grade
from mockint.grading.grader import differences, grade_parts, judges, regrader
from mockint.grading.judge import PROMPT
from mockint.interview.interviewers import PROMPTS, ModelInterviewer
from mockint.interview.room import Heard, Listening, Room, SaveDraft
from mockint.llm import Adapter, Exchange, Model, Recorder, connect
from mockint.prompts import load_prompt
from mockint.store import Home, Log, read_log
from mockint.transcript import Part, fold

T = TypeVar("T")

QUESTIONS = ("kettle", "pot")
BACKOFF = 0.01
"""Seconds, the longest wait between tries; what is waited for as shipped is no part of what is looked at here."""
MOST_RESUMED = 30
"""Times that one session is gone on with before that counts as never reaching its end."""


@dataclass
class Candidate:
    """Asks back once about each question, then answers; every line carries the session's marker."""

    marker: str
    submitted: list[str] = field(default_factory=list)

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        part, name = listening.part, listening.part.question.id
        if not any(turn.kind == "clarification" for turn in part.turns):
            return Heard(f"? how large may the {name} of {self.marker} be", 2.0)
        number = sum(turn.kind == "answer" for turn in part.turns) + 1
        self.submitted.append(
            f"In the {name} of {self.marker} the water boils until it bubbles, as I say in answer {number}."
        )
        return Heard(self.submitted[-1], 5.0)

    async def rate(self, part: Part) -> int | None:
        return None


@dataclass
class Session:
    """One interview: what the candidate did, what was kept of it, and how often it had to be gone on with."""

    home: Home
    candidate: Candidate
    screen: Shown = field(default_factory=Shown)
    resumed: int = 0
    ended: bool = False
    grade: Grade | None = None

    @property
    def marker(self) -> str:
        return self.candidate.marker

    @property
    def log(self) -> Path:
        return self.home.log(self.marker)

    @property
    def events(self) -> tuple[Event, ...]:
        return read_log(self.log).events

    @property
    def exchanges(self) -> list[Exchange]:
        asked = [event.exchange for event in self.events if isinstance(event, ModelCalled)]
        return [*asked, *(self.grade.calls if self.grade else ())]


@dataclass(frozen=True)
class Models:
    """Makes models that share one adapter, and so its connections."""

    adapter: Adapter
    tries: int

    def one(self) -> Model:
        return Model(self.adapter, SystemClock(), deadline_seconds=20, tries=self.tries, longest_backoff=BACKOFF)


async def hold(session: Session, models: Models) -> None:
    """Holds an interview to its end, however often it breaks off, and grades it."""
    while not session.ended and session.resumed <= MOST_RESUMED:
        try:
            await interview(session, models.one())
            session.ended = True
        except ModelError:
            session.resumed += 1
    events = session.events
    prompt, transcript, model = load_prompt(roots(), PROMPT), fold(events), models.one()
    session.grade = await grade_parts(
        session.marker,
        transcript.parts,
        level=transcript.started.level,
        scale=transcript.started.scale,
        grader_for=judges(lambda keep: Recorder(model, role="grader", keep=keep), prompt),
        clock=SystemClock(),
        events=len(events),
        log_hash=digest([event.model_dump(mode="json") for event in events]),
    )
    session.home.add_grade(session.marker, session.grade)


async def interview(session: Session, model: Model) -> None:
    """Goes on with an interview from its log. Raises ModelError when it breaks off, and leaves the log closed."""
    with Log(session.log) as log:
        room = Room(log, clock=SystemClock(), candidate=session.candidate, screen=session.screen)
        if not log.events:
            room.begin(started(*map(planned, QUESTIONS), session=session.marker, probes=1))
        prompts = {name: load_prompt(roots(), name) for name in PROMPTS}
        await room.run(ModelInterviewer(Recorder(model, role="interviewer", keep=room.keep), prompts))


async def soak(server: Flaky, home: Home, *, row: int, at_once: int, tries: int) -> list[Session]:
    """Returns the sessions, held: `row` of them one after the other, then `at_once` together."""
    config = home.path / "mockint.toml"
    config.write_text(f'[providers.lab]\nbase_url = "{server.url}"\n', encoding="utf-8")
    models = Models(connect("lab/m", config=load_config(file=config), clock=SystemClock()).adapter, tries)
    one_by_one = [Session(home, Candidate(f"marker-row-{number}")) for number in range(row)]
    together = [Session(home, Candidate(f"marker-together-{number}")) for number in range(at_once)]
    try:
        for session in one_by_one:
            await hold(session, models)
        await asyncio.gather(*(hold(session, models) for session in together))
    finally:
        await models.adapter.close()
    return [*one_by_one, *together]


def wrong_with(session: Session) -> list[str]:
    """Returns, in words, what was lost or mixed up in a session that was held, what is still locked, and what was invented."""
    found = [*_answers(session), *_others_text(session), *_lock(session), *_invented(session)]
    return [f"{session.marker}: {told}" for told in found]


async def unlike_recorded(session: Session) -> list[str]:
    """Makes the grade that lies on the disk again from its recorded replies, and returns what comes out otherwise."""
    grade, events, clock = session.home.grade(session.marker), session.events, SystemClock()
    transcript = fold(events)
    again = await grade_parts(
        session.marker,
        transcript.parts,
        level=grade.target_level,
        scale=transcript.started.scale,
        grader_for=regrader(grade, prompt=load_prompt(roots(), PROMPT), clock=clock),
        clock=clock,
        events=len(events),
        log_hash=digest([event.model_dump(mode="json") for event in events]),
    )
    return [f"{session.marker}: {told}" for told in differences(grade, again)]


def _answers(session: Session) -> Iterator[str]:
    if not session.ended:
        yield f"it broke off {session.resumed} times and never reached its end"
    kept = [event.text for event in session.events if isinstance(event, AnswerGiven)]
    if kept != session.candidate.submitted:
        yield f"{session.candidate.submitted} were submitted, and {kept} are in the log"
    said = [event for event in session.events if isinstance(event, ProbeAsked | ClarificationGiven)]
    if len(kept) != 2 * len(QUESTIONS) or len(said) != 2 * len(QUESTIONS) or any(event.authored for event in said):
        yield f"{len(kept)} answers and {len(said)} turns of a model's are in the log"


def _others_text(session: Session) -> Iterator[str]:
    kept = [path.read_text(encoding="utf-8") for path in session.log.parent.rglob("*.json*")]
    for where, text in (("its files", "".join(kept)), ("its screen", "".join(session.screen.texts))):
        if (markers := set(MARKER.findall(text))) != {session.marker}:
            yield f"{where} hold text of {sorted(markers)}"


def _lock(session: Session) -> Iterator[str]:
    before = session.log.read_bytes()
    try:
        with Log(session.log):
            pass
    except Exception as exc:  # noqa: BLE001 (whatever keeps it from being opened is what is looked for)
        yield f"its log cannot be opened again: {exc}"
    if session.log.read_bytes() != before:
        yield "its log was changed by opening it"


def _invented(session: Session) -> Iterator[str]:
    """Looks whether each verdict is the judge's, and each that the judge did not give is unscored."""
    assert session.grade is not None
    failed = sum(exchange.error is not None for exchange in session.grade.calls)
    ungraded = [answer for answer in session.grade.answers if answer.state == "ungraded"]
    if len(ungraded) != failed or len(session.grade.calls) != len(QUESTIONS):
        yield f"{failed} of {len(session.grade.calls)} calls of the judge failed, and {len(ungraded)} answers are ungraded"
    for answer in session.grade.answers:
        states = {verdict.state for verdict in answer.verdicts}
        if states != ({"unscored"} if answer in ungraded else {"scored"}):
            yield f"{answer.question}: its criteria are {sorted(states)}, and it is {answer.state}"
        if (answer.score is None) != (answer in ungraded):
            yield f"{answer.question}: its score is {answer.score}, and it is {answer.state}"
        first = next(text for text in session.candidate.submitted if answer.question in text)
        for verdict in answer.verdicts:
            quotes = [evidence.quote for evidence in verdict.evidence]
            if verdict.state == "scored" and (quotes != [first] or verdict.level != level_of(first, verdict.criterion)):
                yield f"{answer.question}, {verdict.criterion}: {verdict.level} for {quotes} is not what the judge said"


@dataclass(frozen=True)
class Count:
    """What happened, in numbers."""

    sessions: int
    calls: int
    failures: int
    exchanges: int
    """What mockint wanted a reply to, each with its tries."""
    tries: int
    """Those of the exchanges, as recorded."""
    broken_off: int
    """Exchanges that failed after their last try."""
    resumed: int
    """Sessions that needed it."""
    unscored: int

    @property
    def retries(self) -> int:
        return self.calls - self.exchanges


def count(server: Flaky, sessions: list[Session]) -> Count:
    exchanges = [exchange for session in sessions for exchange in session.exchanges]
    answers = [answer for session in sessions if session.grade for answer in session.grade.answers]
    return Count(
        sessions=len(sessions),
        calls=server.calls,
        failures=server.failures.total(),
        exchanges=len(exchanges),
        tries=sum(exchange.tries for exchange in exchanges),
        broken_off=sum(exchange.error is not None for exchange in exchanges),
        resumed=sum(session.resumed > 0 for session in sessions),
        unscored=sum(verdict.state == "unscored" for answer in answers for verdict in answer.verdicts),
    )


def uncounted(counted: Count) -> list[str]:
    """Looks whether the server was called as often as the records say; else somebody tried in secret, or gave up too soon."""
    if counted.calls == counted.tries:
        return []
    return [f"the server was called {counted.calls} times, and {counted.tries} tries are told of"]


def main() -> None:
    options = argparse.ArgumentParser()
    for name, default in (("--row", 200), ("--at-once", 20), ("--tries", 4), ("--seed", 1)):
        options.add_argument(name, type=int, default=default)
    chosen = options.parse_args()
    wrong: list[str] = []
    for title, row, at_once in (("in a row", chosen.row, 0), ("at once", 0, chosen.at_once)):
        with tempfile.TemporaryDirectory() as folder, flaky(seed=chosen.seed) as server:
            began = time.perf_counter()
            held = asyncio.run(soak(server, Home(Path(folder)), row=row, at_once=at_once, tries=chosen.tries))
            taken = time.perf_counter() - began
            counted = count(server, held)
            wrong += uncounted(counted)
            for session in held:
                wrong += wrong_with(session) + asyncio.run(unlike_recorded(session))
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(server.failures.items()))
        print(
            f"{counted.sessions} interviews {title}: {taken:.1f} s; {counted.calls} calls, {counted.failures} failed "
            f"({counted.failures / counted.calls:.0%}: {kinds}), {counted.retries} retries;\n  "
            f"{counted.broken_off} of {counted.exchanges} replies never came, {counted.resumed} sessions were resumed "
            f"({sum(session.resumed for session in held)} times), {counted.unscored} criteria stayed unscored"
        )
    print(*(wrong or ["nothing lost, mixed up, held or invented"]), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
