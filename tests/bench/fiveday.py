"""A candidate who follows a plan of five days, played through the program itself: `python -m tests.bench.fiveday`.

Prints every day's plan, what was asked and why, the scores, and the queue of what is due. The candidate knows little at first: of the
questions that are new, every fifth is answered well, and half of the rest badly. What was asked before, or asks for what was missed
elsewhere, has been read up on and is answered well, but for every sixth.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

import yaml

import mockint.clock
from mockint.bank import Bank, load_bank
from mockint.cli import main
from mockint.content import roots
from mockint.study.review import Siblings, find_siblings

FIRST = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)
LOOP, MINUTES = "full-ai-engineer", "45"


class Evening:
    """A clock that says what it is told, and goes on by what is waited."""

    at = FIRST

    def now(self) -> datetime:
        return Evening.at

    def seconds(self) -> float:
        return Evening.at.timestamp()

    def sleep(self, seconds: float) -> None:
        Evening.at += timedelta(seconds=seconds)


def ran(*words: str) -> tuple[str, str]:
    """Runs mockint in this process and returns what it wrote to its two streams."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["mockint", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as exc:
            if exc.code:
                raise RuntimeError(f"mockint {' '.join(words)} ended with {exc.code}: {err.getvalue()}") from exc
    return out.getvalue(), err.getvalue()


class Candidate:
    def __init__(self, bank: Bank, siblings: Siblings) -> None:
        self.asked: dict[str, int] = {}
        self.read_up: set[str] = set()
        self._siblings = siblings
        self._samples = {
            name: {sample.name.split("-")[0]: sample.text for sample in bank.samples(question)}
            for name, question in bank.questions.items()
        }

    def script(self) -> str:
        return yaml.safe_dump({name: {"answer": self._answer(name)} for name in self._samples})

    def quality(self, name: str) -> str:
        luck = crc32(f"{name} {self.asked.get(name, 0)}".encode())
        if name in self.asked or name in self.read_up:
            return "middling" if luck % 6 == 0 else "strong"
        if luck % 5 == 0:
            return "strong"
        return "weak" if luck % 2 else "middling"

    def learn(self, report: dict[str, object]) -> None:
        """Reads up on what was missed."""
        answers = report["grade"]["answers"]  # type: ignore[index]
        for answer in answers:
            self.asked[answer["question"]] = self.asked.get(answer["question"], 0) + 1
            for verdict in answer["verdicts"]:
                if verdict["points"] == 0:
                    key = (answer["question"], verdict["criterion"])
                    self.read_up |= {other for other, _ in self._siblings.get(key, ())}

    def _answer(self, name: str) -> str:
        samples = self._samples[name]
        return samples.get(self.quality(name), next(iter(samples.values()))).strip()


def queue() -> str:
    """Returns the head of what is due, as the program has it."""
    from mockint.cli.plan import _history
    from mockint.cli.shared import settled
    from mockint.study.review import due, outlook

    settings = settled(None, None, None, {})
    bank = load_bank(roots())
    sittings, siblings = _history(settings, bank)
    now = mockint.clock.local(Evening.at)
    waiting = due(sittings, bank, now, siblings=siblings)
    known = outlook(sittings, bank, now, siblings=siblings)
    lines = [f"  {len(waiting)} of {len(known)} points are due"]
    lines += [
        f"    {one.urgency:.2f}  recall {one.retrievability:.2f} x weight {one.weight:g}  {one.criterion} ({one.question}), {one.last}"
        for one in waiting[:4]
    ]
    return "\n".join(lines)


def day(candidate: Candidate, folder: Path, bank: Bank) -> None:
    print(f"\n===== {Evening.at:%a %d %b}, before =====\n{queue()}\n\n{ran('plan')[0].rstrip()}")
    for number in range(1, 9):
        script = folder / "candidate.yaml"
        script.write_text(candidate.script(), encoding="utf-8")
        out, err = ran("start", "--plan", "--seed", str(number), "--json", "--answers", str(script))
        result = json.loads(out)
        if result["id"] is None:
            print(f"\n  {result['why']}")
            return
        told = err.split("Session ")[0].rstrip()
        print(f"\n--- {result['id'].rpartition('-')[0]}: {result['score']:.2f}, {result['signal']}\n{told}")
        report = json.loads(ran("report", result["id"], "--format", "json")[0])
        for answer in report["grade"]["answers"]:
            name = answer["question"]
            score = "–" if answer["score"] is None else f"{answer['score']:.2f}"
            met = "".join(
                {None: "?", 0.0: "."}.get(v["points"], "+" if v["points"] == 1 else "o") for v in answer["verdicts"]
            )
            minutes = bank.question(name).minutes
            print(f"    {minutes:>3} min  {name:<30} {score:<5} {met:<8} ({candidate.quality(name)} answer)")
        candidate.learn(report)
        Evening.at += timedelta(minutes=20)
    raise RuntimeError("the plan of one day did not come to an end")


def play() -> None:
    os.environ["TZ"] = "UTC"
    mockint.clock.SystemClock = Evening  # type: ignore[misc, assignment]
    bank = load_bank(roots())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MOCKINT_HOME"] = str(folder / "home")
        candidate = Candidate(bank, find_siblings(bank))
        ran("plan", "--date", str((FIRST + timedelta(5)).date()), "--loop", LOOP, "--minutes-a-day", MINUTES)
        for number in range(5):
            Evening.at = FIRST + timedelta(number, hours=-1 if number == 1 else 0)
            day(candidate, folder, bank)
        Evening.at = FIRST + timedelta(5, hours=-9)
        print(f"\n===== the morning of the interview =====\n{queue()}\n\n{ran('plan')[0]}")


if __name__ == "__main__":
    play()
