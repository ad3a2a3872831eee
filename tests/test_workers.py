"""Offline grading over processes: the same grades, whoever makes them, and a process that dies is replaced."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mockint.bank import load_bank
from mockint.batch import Batch, Here, Item, Questions, items
from mockint.content import roots
from mockint.results import Line, Memory, Results
from mockint.workers import Job, Processes, in_processes
from tests.conftest import Run

AT = datetime(2026, 11, 25, tzinfo=UTC)
SAID = "BM25 matches the literal term, so product codes are found; the two ranked lists are merged by their ranks. Number {}."


def lines(count: int) -> list[str]:
    rows = [{"id": f"a-{n}", "question": "hybrid-search", "answer": SAID.format(n)} for n in range(count)]
    return [json.dumps(row) for row in rows] + ["not json"]


@pytest.fixture(scope="module")
def job() -> Job:
    return Job(Questions(load_bank(roots())).read_all(), "mid", AT)


async def graded(engine: Any, job: Job, given: Sequence[str]) -> list[Line]:
    results = Results(Memory())
    try:
        batch = Batch(engine, results, questions=job.questions, level="mid")
        return [line async for line in batch.grade(items(given, "a"))]
    finally:
        results.close()


def by_id(made: Sequence[Line]) -> list[str]:
    return sorted(json.dumps(line, sort_keys=True) for line in made)


def test_grades_are_the_same_bytes_in_however_many_processes(job: Job) -> None:
    async def work() -> tuple[list[Line], list[Line]]:
        async with in_processes(job, workers=2) as engine:
            there = await graded(engine, job, lines(60))
        return there, await graded(Here(job.desk(), at_once=1), job, lines(60))

    there, here = asyncio.run(work())
    assert len(there) == 61
    assert by_id(there) == by_id(here)


def test_process_that_is_killed_is_replaced_and_its_lines_are_graded(job: Job) -> None:
    async def work() -> list[Line]:
        async with in_processes(job, workers=2) as engine:
            first = await engine.grade([Item("a", 1, lines(1)[0])])
            for process in engine.running:
                process.kill()
            rest = await asyncio.gather(*(engine.grade([Item("a", n, lines(9)[n])]) for n in range(1, 9)))
        return [*first, *(line for some in rest for line in some)]

    made = asyncio.run(work())
    assert [line["id"] for line in made] == [f"a-{n}" for n in range(9)]
    assert all("error" not in line for line in made)


def test_lines_beside_one_that_kills_its_process_are_graded(job: Job) -> None:
    class Deadly(Processes):
        async def _there(self, given: Sequence[Item]) -> list[Line] | None:
            working = asyncio.create_task(super()._there(given))
            while any("poison" in item.text for item in given) and not working.done():
                for process in self.running:
                    process.kill()
                await asyncio.sleep(0.01)
            return await working

    async def work() -> list[Line]:
        engine = Deadly(job, workers=1)
        try:
            return await engine.grade([Item("a", n, text) for n, text in enumerate([*lines(1)[:1], poison], 1)])
        finally:
            await engine.close()

    poison = json.dumps({"id": "p", "question": "hybrid-search", "answer": "poison"})
    good, bad = asyncio.run(work())
    assert good["id"] == "a-0"
    assert bad == {"id": "a:2", "error": {"code": 1, "message": "a:2: the process that graded it died, 2 times"}}


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text("\n".join(lines(3000)) + "\n")
    words = [sys.executable, "-m", "mockint", "grade", str(source), "--home", str(tmp_path), "--workers", "2"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    children = children_of(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(children) == 2
    for _ in range(500):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.02)
    pytest.fail("the workers go on without anybody to work for")


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_batch_killed_in_the_middle_goes_on_with_every_line_once(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jsonl", tmp_path / "g.jsonl"
    source.write_text("\n".join(lines(600)) + "\n")
    words = [sys.executable, "-m", "mockint", "grade", str(source), "--out", str(out), "--home", str(tmp_path / "home")]
    process = subprocess.Popen([*words, "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if out.is_file() and out.read_bytes().count(b"\n") > 100:
            break
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = out.read_bytes().count(b"\n")
    assert 100 < before < 600
    done = subprocess.run([*words, "--workers", "2"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert f"{before} of {out} by the same grader stay" in done.stderr
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(line["id"] for line in kept) == sorted([*(f"a-{n}" for n in range(600)), "a.jsonl:601"])


def test_batch_that_is_interrupted_says_how_to_go_on_and_leaves_the_table_of_before(tmp_path: Path) -> None:
    source, out, table = tmp_path / "a.jsonl", tmp_path / "g.jsonl", tmp_path / "s.csv"
    source.write_text("\n".join(lines(600)) + "\n")
    table.write_text("of before")
    words = ["grade", str(source), "--out", str(out), "--summary", str(table), "--home", str(tmp_path / "home")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mockint", *words, "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    for _ in range(600):
        if out.is_file() and out.stat().st_size:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 130
    count = out.read_bytes().count(b"\n")
    assert 0 < count < 600
    assert f"Stopped after {count} grades. They are in {out}: the same command goes on." in told
    assert "Traceback" not in told
    assert table.read_text() == "of before"


def test_summary_and_cohort_are_of_all_lines_those_of_earlier_runs_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(lines(3)))
    run("grade", "a.jsonl", "--out", "g.jsonl")
    (tmp_path / "b.jsonl").write_text(json.dumps({"id": "b", "question": "hybrid-search", "answer": SAID}))
    done = run("grade", "b.jsonl", "--out", "g.jsonl", "--summary", "s.csv", "--cohort", "c.json")
    assert done.code == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 6
    assert json.loads((tmp_path / "c.json").read_text())["lines"] == 5
    alone = run("grade", "b.jsonl", "--summary", "s.csv", "--cohort", "c.md")
    assert alone.code == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 2
    assert run("grade", "b.jsonl", "--cohort", "c.pdf").code == 2


def test_lines_that_are_no_grades_are_left_out_of_the_table_and_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(lines(3)))
    run("grade", "a.jsonl", "--out", "g.jsonl")
    with (tmp_path / "g.jsonl").open("a") as out:
        out.write('\n# mine\n{"id": 7}\n')
    done = run("grade", "a.jsonl", "--out", "g.jsonl", "--cohort", "c.json")
    assert done.code == 0
    assert "2 lines of earlier grades are neither" in done.err
    assert json.loads((tmp_path / "c.json").read_text())["lines"] == 4


def test_file_that_cannot_be_written_is_refused_before_anything_is_graded(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(lines(3)))
    for option, name in (("--summary", "none/s.csv"), ("--cohort", "none/c.md")):
        done = run("grade", "a.jsonl", "--out", "g.jsonl", option, name)
        assert done.code == 2
        assert "is no folder to write to" in done.err
    assert not (tmp_path / "g.jsonl").exists()


def test_cohort_says_how_far_two_graders_agree(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(lines(3)))
    run("grade", "a.jsonl", "--out", "first.jsonl")
    second = [json.loads(line) for line in (tmp_path / "first.jsonl").read_text().splitlines()]
    for line in second:
        if "error" not in line:
            line["stamp"]["model"] = "another"
            line["answers"][0]["score"] -= 0.1
    (tmp_path / "second.jsonl").write_text("\n".join(map(json.dumps, second)) + "\n")
    words = ("grade", "a.jsonl", "--out", "first.jsonl")
    assert run(*words, "--beside", "second.jsonl").code == 2
    assert "none was compared" in run(*words, "--cohort", "c.json", "--beside", "first.jsonl").err
    assert run(*words, "--cohort", "c.json", "--beside", "second.jsonl").code == 0
    report = json.loads((tmp_path / "c.json").read_text())
    (pair,) = report["spread"]["pairs"]
    assert (pair["answers"], pair["agreement"]) == (3, 1.0)
    assert pair["mean_absolute_difference"] == pytest.approx(0.1)
    assert report["lines"] == 4
