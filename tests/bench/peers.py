"""Measures what mockint's client costs beside the bare SDKs and beside peers: time, CPU, memory, and the tokens of grading one answer.

    .venv/bin/python tests/bench/peers.py --peers-python PYTHON [--peers-python PYTHON] [--rounds 3] [--only NAME]

1,000 judgements of a criterion are made by each client, in a process of its own, against a server on loopback (tests/bench/peers/server.py)
that answers rightly after 200 ms, with 50 and with 250 requests in flight. The clients take turns, and each figure is the median of its
rounds. CPU is the whole process's, imports included, and beside it what was used after them; memory is the most that was resident.
PYTHON is an interpreter in which peers are installed:

    python3 -m venv PEERS && PEERS/bin/pip install autorubric pydantic-evals 'pydantic-ai-slim[openai]' inspect-ai openai deepeval

What is not installed in any of them is named and left out. Each client's levels and number of calls are checked; a row that is wrong says so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from tokenizers import Tokenizer

from mockint.bank import load_bank
from mockint.batch import part_of
from mockint.content import roots
from mockint.grading.judge import PROMPT, Ruling
from mockint.llm import strict_schema
from mockint.prompts import load_prompt
from mockint.transcript import Part

HERE = Path(__file__).parent / "peers"
JUDGEMENTS, CRITERIA = 1000, 10
"""So many answers are graded, of so many criteria each, that the judgements are 1,000."""
QUESTION, LONGEST = "hybrid-search", 300
"""The bank's question that is asked, and the seconds after which a client is given up."""
QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_UPDATE_WARNING_OPT_IN": "0",
    "DO_NOT_TRACK": "1",
    "INSPECT_DISPLAY": "none",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LOGFIRE_SEND_TO_LOGFIRE": "false",
}
"""No telemetry, and nothing that is fetched: the clients see loopback only."""


@dataclass(frozen=True)
class Row:
    name: str
    client: str
    """The file that drives it."""
    mode: str = ""
    words: str = "mockint"
    """In whose words the server replies."""
    needs: str = ""
    """The package without which it is left out."""
    whole: bool = False
    """Whether it asks once an answer."""
    peer: bool = False

    def calls(self, answers: int, criteria: int) -> int:
        return answers if self.whole else answers * criteria


FLOOR = Row("bare aiohttp", "bare", "aiohttp", needs="aiohttp")
SDK = Row("bare openai SDK, its default transport", "bare", "openai", needs="openai")
SDK_BEST = Row("bare openai SDK, aiohttp transport", "bare", "openai-aiohttp", needs="aiohttp")
LITELLM = Row("bare litellm", "bare", "litellm", needs="litellm")
SINGLE = Row("mockint (openai), call for call", "ours", "single")
GRADES = Row("mockint (openai), as it grades", "ours", "grade", whole=True)
SINGLE_LITELLM = Row("mockint (litellm), call for call", "ours", "single", needs="litellm")
GRADES_LITELLM = Row("mockint (litellm), as it grades", "ours", "grade", needs="litellm", whole=True)
ROWS = (
    FLOOR,
    SDK_BEST,
    SDK,
    SINGLE,
    Row("bare openai SDK, aiohttp transport, a call an answer", "bare", "openai-aiohttp", needs="aiohttp", whole=True),
    Row("bare openai SDK, its default transport, a call an answer", "bare", "openai", needs="openai", whole=True),
    GRADES,
    LITELLM,
    SINGLE_LITELLM,
    Row("bare litellm, a call an answer", "bare", "litellm", needs="litellm", whole=True),
    GRADES_LITELLM,
    Row("autorubric, a call an item", "autorubric", "per_item", "autorubric_item", "autorubric", True, True),
    Row("autorubric, a call a criterion", "autorubric", "per_criterion", "autorubric_call", "autorubric", peer=True),
    Row("pydantic-evals, LLMJudge", "pydantic_evals", "", "pydantic_evals", "pydantic_evals", peer=True),
    Row("inspect-ai, model_graded_qa", "inspect_ai", "", "inspect_ai", "inspect_ai", peer=True),
    Row("deepeval, G-Eval with steps", "deepeval", "", "deepeval", "deepeval", peer=True),
)


@dataclass(frozen=True)
class Work:
    """What is graded: the same for every client."""

    folder: Path
    ask: str
    answers: list[dict[str, str]]
    criteria: list[dict[str, str]]
    parts: list[Part]

    @property
    def right(self) -> dict[str, dict[str, bool]]:
        """The level of each criterion of each answer; the server has the same rule in words of its own."""
        return {
            answer["id"]: {
                criterion["id"]: (_number(answer["id"]) + _number(criterion["id"])) % 3 > 0
                for criterion in self.criteria
            }
            for answer in self.answers
        }

    def job(self, row: Row, url: str, *, in_flight: int, answers: int) -> dict[str, Any]:
        job: dict[str, Any] = {
            "mode": row.mode,
            "base_url": f"{url}/{row.words}/v1",
            "in_flight": in_flight,
            "question": self.ask,
            "question_id": "peers",
            "answers": self.answers[:answers],
            "criteria": self.criteria,
        }
        if row.client == "bare" or row.mode == "single":
            job["calls"] = list(self.calls(answers, whole=row.whole))
            job["response_format"] = strict_schema(Ruling)
        if row.client == "ours":
            config = self.folder / "mockint.toml"
            config.write_text(
                f'[content]\npaths = ["{self.folder}"]\n[providers.lab]\nbase_url = "{job["base_url"]}"\n'
                f'adapter = "{row.needs or "openai"}"\n'
            )
            job["config"] = str(config)
        return job

    def calls(self, answers: int, *, whole: bool) -> Iterator[dict[str, Any]]:
        """Yields the judge's messages: one call an answer, or as tests/bench/judge_calls.py asks, one a criterion."""
        prompt = load_prompt(roots(), PROMPT)
        for answer, part in zip(self.answers[:answers], self.parts, strict=False):
            each = [part.rubric.criteria] if whole else [(criterion,) for criterion in part.rubric.criteria]
            for criteria in each:
                rubric = part.rubric.model_copy(update={"criteria": criteria})
                said = prompt.render(question=part.question, rubric=rubric, turns=part.turns)
                yield {"case": answer["id"], "messages": [{"role": role, "content": text} for role, text in said]}


def work_in(folder: Path, *, criteria: int) -> Work:
    """Writes a question with so many criteria, each of two levels, since some peers know no more, and its answers."""
    bank = load_bank(roots())
    question = bank.question(QUESTION)
    others = (other for other in bank.questions.values() if other.track == question.track and other != question)
    taken = chain.from_iterable(bank.rubric(one).criteria for one in (question, *others))
    named = [criterion for _, criterion in zip(range(criteria), taken, strict=False)]
    written: list[dict[str, Any]] = [
        {
            "id": f"point-{number}",
            "asks": criterion.asks,
            "weight": criterion.weight,
            "expected_from": "junior",
            "levels": {"missed": criterion.levels[criterion.lowest], "met": [*criterion.levels.values()][-1]},
            "probe": criterion.probe,
        }
        for number, criterion in enumerate(named)
    ]
    rubric = bank.rubric(question)
    for kind, data in (
        ("bank", question.model_dump(mode="json") | {"id": "peers"}),
        (
            "rubrics",
            {
                "question": "peers",
                "version": 1,
                "competency": rubric.competency,
                "criteria": written,
                "answer": rubric.answer,
            },
        ),
    ):
        (folder / kind / question.track).mkdir(parents=True, exist_ok=True)
        (folder / kind / question.track / "peers.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    said = max((sample.text for sample in bank.samples(question)), key=len)
    answers = [
        {"id": f"case-{number}", "text": f"{said.strip()}\n(case-{number})"} for number in range(JUDGEMENTS // criteria)
    ]
    made = load_bank(roots([folder]))
    told = [
        {
            "id": point["id"],
            "text": f"{point['id']}: {point['asks']}\nmet: {point['levels']['met']}\nmissed: {point['levels']['missed']}",
        }
        for point in written
    ]
    parts = [part_of("peers", answer["text"], None, made) for answer in answers]
    return Work(folder, question.ask, answers, told, parts)


@dataclass(frozen=True)
class Taken:
    """What one run took."""

    wall: float
    process: float
    cpu: float
    cpu_after: float
    """Without the imports and what is made ready."""
    peak: float
    """MiB."""
    most: int
    """In flight at once, as the server saw it."""


@dataclass
class Found:
    runs: list[Taken] = field(default_factory=list)
    wrong: str = ""

    def median(self, name: str) -> float:
        figures: list[float] = [getattr(run, name) for run in self.runs]
        return statistics.median(figures)


@contextmanager
def serving() -> Iterator[str]:
    command = [sys.executable, "-P", str(HERE / "server.py")]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin
    assert server.stdout
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.stdin.close()
        server.wait()


def received(url: str) -> dict[str, Any]:
    """Returns what the server got since this was last asked."""
    with urllib.request.urlopen(f"{url}/taken") as response:
        told: dict[str, Any] = json.load(response)
        return told


def run(row: Row, python: str, work: Work, url: str, *, in_flight: int, answers: int) -> tuple[Taken, list[str]]:
    """Returns what a client took and what it sent. Raises RuntimeError when it fails or judges wrongly."""
    job, result = work.folder / "job.json", work.folder / "result.json"
    job.write_text(json.dumps(work.job(row, url, in_flight=in_flight, answers=answers)))
    result.unlink(missing_ok=True)
    command = [python, "-P", str(HERE / "drive.py"), str(HERE / f"{row.client}.py"), str(job), str(result)]
    said = work.folder / "said.txt"
    home = {"HOME": str(work.folder), "XDG_CONFIG_HOME": str(work.folder), "XDG_CACHE_HOME": str(work.folder)}
    with said.open("w") as out:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=work.folder, env=os.environ | QUIET | home
        )
        timer = threading.Timer(LONGEST, child.kill)
        timer.start()
        _, status, used = os.wait4(child.pid, 0)
        process = time.perf_counter() - began
        timer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
    got = received(url)
    if child.returncode or not result.exists():
        raise RuntimeError(f"ended with {child.returncode}: {said.read_text()[-300:].strip().splitlines()[-1:]}")
    told = json.loads(result.read_text())
    calls = row.calls(answers, len(work.criteria))
    if len(got["bodies"]) != calls:
        raise RuntimeError(f"made {len(got['bodies'])} calls, not {calls}")
    right = {name: levels for name, levels in work.right.items() if name in {a["id"] for a in work.answers[:answers]}}
    if told["levels"] != right:
        raise RuntimeError("its levels are not those that the server gave")
    if got["most"] > in_flight:
        raise RuntimeError(f"had {got['most']} calls in flight, not {in_flight}")
    cpu = used.ru_utime + used.ru_stime
    taken = Taken(told["wall"], process, cpu, cpu - told["set_up_cpu"], told["peak"], got["most"])
    return taken, got["bodies"]


@cache
def python_with(package: str, pythons: tuple[str, ...]) -> str | None:
    """Returns the first of the interpreters that has a package."""
    look = f"import importlib.util as u, sys; sys.exit(not u.find_spec({package!r}))"
    return next((p for p in pythons if not subprocess.run([p, "-P", "-c", look], check=False).returncode), None)


def measure(rows: Sequence[tuple[Row, str]], work: Work, url: str, *, in_flight: int, rounds: int) -> dict[Row, Found]:
    found: dict[Row, Found] = {row: Found() for row, _ in rows}
    for number in range(rounds):
        for row, python in rows:
            if found[row].wrong:
                continue
            if sys.stderr.isatty():
                told = f"{in_flight} in flight, round {number + 1}: {row.name}"
                print(f"\r\x1b[K{told}", end="", file=sys.stderr, flush=True)
            try:
                taken, _ = run(row, python, work, url, in_flight=in_flight, answers=len(work.answers))
                found[row].runs.append(taken)
            except RuntimeError as exc:
                found[row].wrong = str(exc)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    return found


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    if told := list(lines):
        print(f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", sep="\n")
        for line in told:
            print(f"| {' | '.join(line)} |")
        print(flush=True)


def costs(found: dict[Row, Found], work: Work, *, skipped: Iterable[Row]) -> Iterator[list[str]]:
    for row, one in found.items():
        calls = str(row.calls(len(work.answers), len(work.criteria)))
        if one.wrong:
            yield [row.name, calls, f"wrong: {one.wrong}", "", "", "", "", ""]
            continue
        yield [
            row.name,
            calls,
            f"{one.median('wall'):.2f}",
            f"{one.median('process'):.2f}",
            f"{one.median('cpu'):.2f}",
            f"{one.median('cpu_after'):.2f}",
            f"{one.median('peak'):.0f}",
            f"{one.median('most'):.0f}",
        ]
    for row in skipped:
        yield [row.name, "", f"skipped: {row.needs} is not installed", "", "", "", "", ""]


def ratios(found: dict[Row, Found]) -> Iterator[list[str]]:
    """Yields the ratios that there are targets for; of several to compare with, the cheapest."""
    whole = {row: one for row, one in found.items() if one.runs and not one.wrong}
    peers = [row for row in whole if row.peer]
    for name, ours, others, what, most in (
        ("call for call, against the bare openai SDK", SINGLE, [SDK, SDK_BEST], "cpu", 1.5),
        ("the same, with one transport", SINGLE, [SDK], "cpu", 1.5),
        ("the same, with one transport, after imports", SINGLE, [SDK], "cpu_after", 1.5),
        ("call for call, against the bare openai SDK", SINGLE, [SDK, SDK_BEST], "wall", 1.5),
        ("call for call, against bare litellm", SINGLE_LITELLM, [LITELLM], "cpu", 1.2),
        ("the same, after imports", SINGLE_LITELLM, [LITELLM], "cpu_after", 1.2),
        ("call for call, against bare litellm", SINGLE_LITELLM, [LITELLM], "wall", 1.2),
        ("as it grades, against the best peer", GRADES, peers, "cpu", 1 / 3),
        ("the same, after imports", GRADES, peers, "cpu_after", 1 / 3),
        ("as it grades, against the best peer", GRADES, peers, "peak", 2 / 3),
    ):
        known = [row for row in others if row in whole]
        if ours not in whole or not known:
            continue
        best = min(known, key=lambda row: whole[row].median(what))
        ratio = whole[ours].median(what) / whole[best].median(what)
        kind = {"cpu": "CPU", "cpu_after": "CPU after imports", "wall": "wall time", "peak": "memory"}[what]
        verdict = "holds" if ratio <= most else "missed"
        yield [name, kind, best.name, f"{ratio:.2f}", f"{most:.2f}", verdict]


def spent(rows: Iterable[tuple[Row, str]], work: Work, url: str) -> Iterator[list[str]]:
    """Yields the tokens that each client sends to have one answer graded: its messages, and the shapes of reply it asks for."""
    for row, python in rows:
        if row.client == "bare":
            continue
        try:
            _, bodies = run(row, python, work, url, in_flight=len(work.criteria), answers=1)
        except RuntimeError as exc:
            yield [row.name, f"wrong: {exc}", "", "", ""]
            continue
        asked = [json.loads(body) for body in bodies]
        messages = sum(tokens(text) for one in asked for text in texts(one))
        shapes = sum(tokens(json.dumps(one[k])) for one in asked for k in ("response_format", "tools") if k in one)
        yield [row.name, str(len(asked)), str(messages), str(shapes), str(messages + shapes)]


def texts(asked: dict[str, Any]) -> Iterator[str]:
    for message in asked["messages"]:
        given = message.get("content") or ""
        yield from [given] if isinstance(given, str) else [part.get("text", "") for part in given]


def tokens(text: str) -> int:
    return len(tokenizer().encode(text, add_special_tokens=False).ids)


@cache
def tokenizer() -> Tokenizer:
    """Returns Llama 2's, which wordllama ships."""
    package = find_spec("wordllama")
    assert package
    assert package.origin
    made: Tokenizer = Tokenizer.from_file(
        str(Path(package.origin).parent / "tokenizers" / "l2_supercat_tokenizer_config.json")
    )
    made.no_truncation()
    return made


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--peers-python", action="append", default=[], help="an interpreter with peers installed")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="", help="a part of the names of the rows that are measured")
    options.add_argument("--in-flight", type=int, nargs="+", default=[50, 250])
    options.add_argument("--criteria", type=int, default=CRITERIA)
    chosen = options.parse_args()
    rows, skipped = [], []
    for row in ROWS:
        if chosen.only.lower() not in row.name.lower():
            continue
        pythons = tuple(chosen.peers_python) if row.peer else (sys.executable,)
        python = python_with(row.needs or "mockint", pythons)
        if python:
            rows.append((row, python))
        else:
            skipped.append(row)
    with tempfile.TemporaryDirectory() as folder, serving() as url:
        work = work_in(Path(folder), criteria=chosen.criteria)
        print(f"{len(work.answers)} answers, {len(work.criteria)} criteria each; medians of {chosen.rounds} rounds\n")
        for in_flight in chosen.in_flight:
            found = measure(rows, work, url, in_flight=in_flight, rounds=chosen.rounds)
            head = [f"{in_flight} in flight", "calls", "wall s", "process s", "CPU s", "after imports", "peak MiB"]
            table([*head, "most at once"], costs(found, work, skipped=skipped))
            table(["mockint", "of", "beside", "ratio", "at most", ""], ratios(found))
        table(["one answer", "calls", "tokens of messages", "of shapes", "in all"], spent(rows, work, url))


if __name__ == "__main__":
    main()
