"""Measures `mockint history` with 10,000 sessions, as ratios to `mockint --help` in the same run.

    .venv/bin/python tests/bench/history.py [SESSIONS] [ROUNDS]

A few sessions are held by a script and graded offline; the others are copies of them with ids, dates and modification times of their own.
The programs take turns, so that what else the machine does hits them alike; the median of each is compared.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
MOCKINT = [sys.executable, "-m", "mockint"]
TRACKS = ("rag", "agents", "evaluation", "safety", "infrastructure")
EACH, QUESTIONS = 2, 3
"""Sessions that are really held on each track, and their questions."""
BEGAN = datetime(2024, 1, 1, 8, tzinfo=UTC)


def main(sessions: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        patterns = [_held(home, Path(folder), track, number) for track in TRACKS for number in range(EACH)]
        copies = [_copy(patterns[number % len(patterns)], number) for number in range(sessions - len(patterns))]
        whole = [*MOCKINT, "history", "--home", str(home)]
        rebuild = _seconds(whole)
        programs = {
            "mockint --help": [*MOCKINT, "--help"],
            "history, last 20, warm": whole,
            "history, whole, warm": [*whole, "--last", str(sessions)],
            "history --json, warm": [*whole, "--json"],
        }
        taken: dict[str, list[float]] = {name: [] for name in programs}
        changed: list[float] = []
        target = copies[len(copies) // 2]
        for number in range(rounds + 1):
            for name, command in programs.items():
                taken[name].append(_seconds(command))
            grade = (target / "grades" / "0001.json").read_bytes()
            (target / "grades" / f"{number + 2:04}.json").write_bytes(grade)
            changed.append(_seconds(whole))
            time.sleep(0.2)
            _seconds(whole)
        size = (home / "cache" / "history.sqlite").stat().st_size / 2**20
    medians = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
    medians["history, one changed"] = statistics.median(changed[1:])
    base = medians["mockint --help"]
    print(f"{sessions} sessions, {rounds} rounds; an index of {size:.1f} MiB")
    for name, median in (*medians.items(), ("history, rebuilt", rebuild)):
        print(f"{name:<24} {median * 1000:8.0f} ms  {median / base:7.2f} x --help")


def _held(home: Path, folder: Path, track: str, number: int) -> Path:
    """Holds a session whose candidate says what the questions' sample answers say."""
    samples = sorted((ROOT / "rubrics" / track).glob("*.answers.yaml"))[number * QUESTIONS :][:QUESTIONS]
    said = {}
    for path in samples:
        answers = yaml.safe_load(path.read_text())
        said[path.name.removesuffix(".answers.yaml")] = {"answer": answers[number % len(answers)]["text"]}
    script = folder / "candidate.yaml"
    script.write_text(yaml.safe_dump(said))
    words = [word for question in said for word in ("--question", question)]
    command = [*MOCKINT, "start", *words, "--answers", str(script), "--home", str(home)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return home / "sessions" / name


def _copy(pattern: Path, number: int) -> Path:
    """Copies a session under another id, two hours after the one before, and returns its folder."""
    at = BEGAN + timedelta(hours=2 * number)
    folder = pattern.parent / f"{at:%Y%m%d-%H%M%S}-{pattern.name.split('-', 2)[2]}"
    folder.mkdir()
    first, _, rest = (pattern / "events.jsonl").read_bytes().partition(b"\n")
    began = first.split(b'"at":"', 1)[1].split(b'"', 1)[0]
    first = first.replace(pattern.name.encode(), folder.name.encode())
    first = first.replace(began, at.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), 1)
    (folder / "events.jsonl").write_bytes(first + b"\n" + rest)
    if (pattern / "grades").is_dir():
        (folder / "grades").mkdir()
        for grade in (pattern / "grades").iterdir():
            (folder / "grades" / grade.name).write_bytes(grade.read_bytes())
    for path in (folder / "events.jsonl", *folder.glob("grades/*"), *folder.glob("grades")):
        os.utime(path, (at.timestamp(), at.timestamp()))
    return folder


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main(*(int(word) for word in (*sys.argv[1:], *("10000", "10")[len(sys.argv) - 1 :])))
