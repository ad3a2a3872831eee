"""Grades many answers offline, over this machine's cores and over a cluster of its processes: throughput, memory, and what a kill costs.

    .venv/bin/python -m tests.bench.many [--few 1000] [--many 100000] [--workers 2] [--cluster 2 4] [--of 5000]

The answers are the bank's samples, each with words of its own. First `few` and `many` are graded, and the peaks of memory compared (of the
process that writes, and of all together); `many` is killed with SIGKILL when half of it is there, and gone on with. Then `of` answers are
graded by one process and by clusters of so many workers, one of which is killed in the middle; the bytes are compared, sorted.

Prints a table; ends with 1 and the reason when a line is lost, there twice, or another.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.test_cluster import free_port, running

from mockint.bank import load_bank
from mockint.content import roots

LOOK = 0.05
"""Seconds between two looks at the memory."""
FEW = 500
"""Answers after which a run has started: what more answers take is measured from there."""
SAME_TIME = {"SOURCE_DATE_EPOCH": "1764000000"}


@dataclass
class Ran:
    seconds: float
    own_mib: float
    """The peak of the process that writes."""
    all_mib: float
    """The peak of all processes together."""
    cpu_seconds: float
    """Of the command; on a cluster that is the process which reads and writes, and the workers' not."""


def write_answers(path: Path, count: int) -> None:
    bank = load_bank(roots())
    texts = [(name, sample.text) for name, question in bank.questions.items() for sample in bank.samples(question)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            name, text = texts[number % len(texts)]
            row = {"id": f"a-{number}", "question": name, "answer": f"{text} That is take {number}."}
            file.write(json.dumps(row) + "\n")


def grade(source: Path, out: Path, *words: str, kill_at: int | None = None) -> Ran:
    """Runs the command; kills it when so many lines are there."""
    command = [
        sys.executable,
        "-m",
        "mockint",
        "grade",
        str(source),
        "--out",
        str(out),
        "--home",
        str(out.parent / "home"),
    ]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | SAME_TIME
    )
    own = everything = 0.0
    while process.poll() is None:
        held = memory(process.pid)
        own, everything = max(own, held[0]), max(everything, sum(held))
        if kill_at is not None and out.is_file() and lines_of(out) >= kill_at:
            process.kill()
        time.sleep(LOOK)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(time.perf_counter() - began, own, everything, cpu)


def memory(pid: int) -> list[float]:
    """Returns what a process and each of its children hold resident, in MiB."""
    held = [0.0]
    with suppress(OSError, IndexError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        held = []
        for name in (str(pid), *children):
            status = Path(f"/proc/{name}/status").read_text()
            held.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
    return held or [0.0]


def lines_of(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))


def ids_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line)["id"] for line in file]


def complete(path: Path, count: int) -> None:
    """Raises SystemExit when not every line is there exactly once."""
    ids = ids_of(path)
    if sorted(ids) != sorted(f"a-{number}" for number in range(count)):
        raise SystemExit(f"{path.name}: {len(ids)} lines, {len(set(ids))} ids, {count} were given")


def told(what: str, count: int, ran: Ran) -> None:
    rate = f"{count / ran.seconds:.0f}"
    print(f"| {what} | {ran.seconds:.1f} | {rate} | {ran.own_mib:.0f} | {ran.all_mib:.0f} |", flush=True)


def one_machine(folder: Path, few: int, many: int, workers: int) -> None:
    print("| what | seconds | answers a second | peak MiB, writer | peak MiB, all |\n|---|---|---|---|---|")
    peaks = []
    for count in (few, many):
        source, out = folder / f"{count}.jsonl", folder / f"{count}.out.jsonl"
        write_answers(source, count)
        ran = grade(source, out, "--workers", str(workers))
        complete(out, count)
        told(f"{count} answers, {workers} processes", count, ran)
        peaks.append(ran)
    again = folder / "killed.out.jsonl"
    first = grade(source, again, "--workers", str(workers), kill_at=many // 2)
    there = lines_of(again)
    second = grade(source, again, "--workers", str(workers))
    complete(again, many)
    told(f"killed with {there} lines there", there, first)
    told("gone on with", many - there, second)
    if sorted(out.open(encoding="utf-8")) != sorted(again.open(encoding="utf-8")):
        raise SystemExit("what was killed and gone on with has other bytes")
    few_, many_ = peaks
    print(
        f"\npeak at {many} over peak at {few}: writer {many_.own_mib / few_.own_mib:.2f}, all {many_.all_mib / few_.all_mib:.2f}"
    )
    print(f"size of the grades: {out.stat().st_size / many / 1024:.2f} KiB an answer")


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    port = free_port()
    scheduler = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    with ExitStack() as kept:
        kept.enter_context(running(*scheduler, port=port))
        processes = []
        for _ in range(workers):
            there = free_port()
            words = ("distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--no-nanny", "--nthreads", "1")
            process = running(*words, "--no-dashboard", "--listen-address", f"tcp://127.0.0.1:{there}", port=there)
            processes.append(kept.enter_context(process))
        yield f"tcp://127.0.0.1:{port}", processes


def on_clusters(folder: Path, sizes: Sequence[int], count: int) -> None:
    few, source, alone = folder / "few.jsonl", folder / "c.jsonl", folder / "c.out.jsonl"
    write_answers(few, FEW)
    write_answers(source, count)
    spent: list[str] = []
    print(
        "\n| what | seconds | answers a second | peak MiB, writer | peak MiB, with its children |\n|---|---|---|---|---|"
    )
    told("one process", count, grade(source, alone, "--workers", "1"))
    whole = sorted(alone.open(encoding="utf-8"))
    for workers in sizes:
        for killed in (False, True):
            out = folder / f"c{workers}{killed}.out.jsonl"
            with cluster(workers) as (address, processes):
                start = grade(few, folder / f"few{workers}{killed}.out.jsonl", "--cluster", address)
                if killed:

                    def kill(out: Path = out, victim: subprocess.Popen[bytes] = processes[0]) -> None:
                        while not out.is_file() or lines_of(out) < count // 3:
                            time.sleep(LOOK)
                        victim.kill()

                    threading.Thread(target=kill, daemon=True).start()
                ran = grade(source, out, "--cluster", address)
            complete(out, count)
            if sorted(out.open(encoding="utf-8")) != whole:
                raise SystemExit(f"{workers} workers: other bytes than one process")
            told(f"cluster of {workers}{', one killed in the middle' if killed else ''}", count, ran)
            taken = 1000 * (ran.cpu_seconds - start.cpu_seconds) / (count - FEW)
            spent.append(
                f"cluster of {workers}: the process that reads and writes takes {taken:.2f} ms of CPU an answer"
            )
    print("", *spent, sep="\n")


def main() -> None:
    options = argparse.ArgumentParser()
    for name, default in (("--few", 1000), ("--many", 100_000), ("--workers", 2), ("--of", 5000)):
        options.add_argument(name, type=int, default=default)
    options.add_argument("--cluster", type=int, nargs="*", default=[2, 4])
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.many:
            one_machine(folder, chosen.few, chosen.many, chosen.workers)
        on_clusters(folder, chosen.cluster, chosen.of)


if __name__ == "__main__":
    main()
