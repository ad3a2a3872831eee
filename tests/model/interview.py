"""Holds one whole interview with a real model on one thread, through the commands that people type, and checks what it left behind.

    .venv/bin/python tests/model/interview.py PYTHON

PYTHON runs serve.py, which says what it needs. Two of the bank's questions are asked, and examples/candidate.yaml answers; the same model
interviews and grades. It is far too small to do either well, and how well it does is not looked at: a criterion may stay unscored. What
must hold is that the log has every answer, that every quote stands in the candidate's own turn, that the server kept every structured
reply to its schema, and that the grade can be made again from what is recorded.

Prints the transcript, and the seconds and tokens of each call. Ends with 1 and the reason when something does not hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.request import Request, urlopen

from pydantic import BaseModel, ValidationError

from mockint.content import Frozen
from mockint.events import ModelCalled
from mockint.grades import Grade
from mockint.grading.judge import Ruling
from mockint.interview.interviewers import Notes
from mockint.interview.script import NO_MORE, Lines, load_script
from mockint.llm import Exchange, strict_schema
from mockint.store import Home, read_log
from mockint.transcript import Part, Transcript, fold

HERE = Path(__file__).parent
CANDIDATE = HERE.parents[1] / "examples" / "candidate.yaml"
QUESTIONS = ("agent-versus-chain", "fine-tune-or-prompt")
"""Six criteria each, as few as a question of the bank has."""
CONFIG = """
[models]
interviewer = "lab/smollm2"
grader = "lab/smollm2"

[providers.lab]
base_url = "{url}"

[limits]
deadline_seconds = 240  # the server has one slot, and the judge asks about both questions at once
tries = 1               # a call that fails would fail again

[interview]
probes = 1
"""
SHAPES: dict[str, type[BaseModel]] = {"read": Notes, "judge": Ruling}
GRADED, NOTHING_GRADED = 0, 6
"""Exit codes of `mockint start`: the second says that every criterion stayed unscored."""


@dataclass
class Served:
    url: str
    load_seconds: float
    peak_mib: int = 0
    """Known when it has stopped; 0 when it broke down."""


@contextmanager
def served(python: str) -> Iterator[Served]:
    command = [python, str(HERE / "serve.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        first = server.stdout.readline()
        if not first:
            raise SystemExit("The model's server did not start.")
        found = Served(**json.loads(first))
        try:
            yield found
        finally:
            server.stdin.close()
            if last := server.stdout.readline():
                found.peak_mib = json.loads(last)["peak_mib"]


class Weather(Frozen):
    """A shape that a model which is not held to it would not give by chance."""

    sky: Literal["clear", "cloudy"]
    wind: bool


def enforced(url: str) -> bool:
    """Whether the server keeps a reply to a strict schema when it is asked for something else."""
    asked = {
        "messages": [{"role": "user", "content": "Say the days of the week, in plain words and without JSON."}],
        "response_format": strict_schema(Weather),
    }
    request = Request(f"{url}/chat/completions", json.dumps(asked).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=120) as reply:
        choice = json.load(reply)["choices"][0]
    return choice["finish_reason"] == "stop" and fits(choice["message"]["content"], Weather)


def fits(text: str, shape: type[BaseModel]) -> bool:
    try:
        shape.model_validate_json(text)
    except ValidationError:
        return False
    return True


def mockint(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the command as it is installed, without the settings of whoever runs this."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MOCKINT_")}
    command = [Path(sys.executable).with_name("mockint"), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def missing_answers(part: Part, lines: Lines) -> list[str]:
    """Returns what is wrong with the answers in the log: there must be one to the question and one to each probe, as in the script."""
    said = [turn.text for turn in part.turns if turn.kind == "answer"]
    due = [lines.answer, *lines.probes, *[NO_MORE] * len(part.probes)][: 1 + len(part.probes)]
    if said == [text.strip() for text in due]:
        return []
    return [f"{part.question.id}: the log has {len(said)} answers, {said}, and {len(due)} were given."]


def invented_quotes(transcript: Transcript, grade: Grade) -> list[str]:
    said = {turn.number: turn.text for part in transcript.parts for turn in part.answers}
    found = [
        found for answer in grade.answers for one in (*answer.verdicts, *answer.red_flags) for found in one.evidence
    ]
    return [
        f"{q.quote!r} is not in the candidate's turn {q.turn}." for q in found if q.quote not in said.get(q.turn, "")
    ]


def misshapen(exchanges: list[Exchange]) -> list[str]:
    """Returns which structured replies are not of their schema, from the first character to the last; one that was cut off cannot be."""
    return [
        f"The reply to {exchange.purpose!r} is not of its schema: {exchange.reply!r:.200}"
        for exchange in exchanges
        if (shape := SHAPES.get(exchange.purpose)) and exchange.reply and not exchange.cut_off
        if not fits(exchange.reply, shape)
    ]


def told(exchanges: list[Exchange]) -> Iterator[str]:
    for call in exchanges:
        ends = call.error or ("cut off" if call.cut_off else "")
        used = call.usage
        yield f"{call.purpose:<7} {call.seconds:>6.1f} s {used.prompt_tokens:>6} + {used.completion_tokens:>4} tokens  {ends}"
    prompt, written = (
        sum(getattr(call.usage, f"{kind}_tokens") for call in exchanges) for kind in ("prompt", "completion")
    )
    yield f"{len(exchanges)} calls, {prompt} tokens read and {written} written"


def scored(grade: Grade) -> str:
    verdicts = [verdict for answer in grade.answers for verdict in answer.verdicts]
    unscored = [verdict.why for verdict in verdicts if verdict.state == "unscored"]
    lines = [f"{len(verdicts) - len(unscored)} of {len(verdicts)} criteria scored, signal {grade.signal}"]
    return "\n".join([*lines, *(f"  unscored: {why:.110}" for why in dict.fromkeys(unscored))])


def interview(folder: Path, url: str) -> list[str]:
    """Holds the interview in a folder, prints what happened, and returns what does not hold."""
    config, began = folder / "mockint.toml", time.perf_counter()
    config.write_text(CONFIG.format(url=url), encoding="utf-8")
    common = ("--config", config, "--home", folder)
    asked = [word for name in QUESTIONS for word in ("--question", name)]
    done = mockint("start", *asked, "--answers", CANDIDATE, *common)
    if done.returncode not in (GRADED, NOTHING_GRADED):
        return [f"mockint start ended with {done.returncode}:\n{done.stderr}"]
    taken = time.perf_counter() - began
    verified = mockint("replay", "last", "--verify", *common)
    say(mockint("replay", "last", *common).stdout)
    store, name = Home(folder), done.stdout.strip()
    events, grade = read_log(store.log(name)).events, store.grade(name)
    transcript = fold(events)
    calls = [event.exchange for event in events if isinstance(event, ModelCalled)] + [*grade.calls]
    say(*told(calls), scored(grade), f"mockint start ended with {done.returncode} after {taken:.0f} s")
    say(
        f"mockint replay --verify ended with {verified.returncode}: {verified.stdout.strip() or verified.stderr.strip()}"
    )
    return [
        *problems(transcript, load_script(CANDIDATE)),
        *invented_quotes(transcript, grade),
        *misshapen(calls),
        *([] if verified.returncode == 0 else ["The grade could not be verified."]),
    ]


def problems(transcript: Transcript, script: Mapping[str, Lines]) -> list[str]:
    found = [line for part in transcript.parts for line in missing_answers(part, script[part.question.id])]
    if transcript.outcome != "completed":
        found.append(f"The interview ended as {transcript.outcome!r}.")
    return found


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main(python: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with served(python) as server:
            say(f"{server.url}, loaded in {server.load_seconds} s")
            wrong = [] if enforced(server.url) else ["The server does not keep a reply to a strict JSON schema."]
            wrong += interview(Path(folder), server.url)
        say(f"the server's peak memory: {server.peak_mib} MiB", *wrong)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(sys.argv[1])
