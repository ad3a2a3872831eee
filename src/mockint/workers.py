"""The only place that spreads offline grading over this machine's cores.

A worker is this program again, `python -m mockint.workers`, fed through its standard input: once with all that grading takes, then with
lines; what it writes is grades. It ends when its input does, and so with the process that started it. (A pool of the standard library would
be given up whole when one of its processes dies, and can then hang at the end.)
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from mockint.batch import By, Desk, Item, Questions, error_line
from mockint.clock import SystemClock
from mockint.errors import MockintError
from mockint.grading.grader import Calls, offline
from mockint.results import Line
from mockint.rubric import TargetLevel

CHUNK = 25
"""Lines that a worker takes at a time: 0.1 s of work, so that sending them costs little beside it."""
ENOUGH = 400
"""Lines from which several processes are worth their start: half a second each."""
AHEAD = 2
"""Chunks for each worker: one that it works on, and one that lies ready."""
TIMES_BROKEN = 2
"""Times that a chunk is tried whose worker dies; then its lines are tried one by one."""
_LENGTH = 8
"""Bytes before each message, which say how long it is."""


@dataclass(frozen=True)
class Job:
    """All that the offline grader needs elsewhere."""

    questions: Questions
    level: TargetLevel
    at: datetime | None = None

    def desk(self) -> Desk:
        return Desk(self.questions, self.level, offline, SystemClock(), self.at)


def grade_all(desk: Desk, items: Sequence[Item]) -> list[Line]:
    async def work() -> list[Line]:
        return [await desk.grade(item) for item in items]

    return asyncio.run(work())


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes:
    """Grades offline in processes of this machine. One that dies, for want of memory say, is replaced."""

    chunk = CHUNK

    def __init__(self, job: Job, *, workers: int) -> None:
        self.at_once = workers * AHEAD
        self.by = (By.of(offline(Calls())),)
        self._job = _framed(job)
        self._idle: asyncio.Queue[asyncio.subprocess.Process | None] = asyncio.Queue()
        for _ in range(workers):
            self._idle.put_nowait(None)
        self.running: set[asyncio.subprocess.Process] = set()

    async def grade(self, items: Sequence[Item]) -> list[Line]:
        for _ in range(TIMES_BROKEN):
            if (lines := await self._there(items)) is not None:
                return lines
        if len(items) == 1:
            told = f"{items[0].place}: the process that graded it died, {TIMES_BROKEN} times"
            return [error_line(items[0].place, MockintError.exit_code, told)]
        return [line for item in items for line in await self.grade([item])]

    async def close(self) -> None:
        for process in self.running:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _there(self, items: Sequence[Item]) -> list[Line] | None:
        """Returns what a worker makes of the items; None when it died of them."""
        process = await self._idle.get()
        try:
            process = process or await self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(_framed(list(items)))
            await process.stdin.drain()
            length = int.from_bytes(await process.stdout.readexactly(_LENGTH), "big")
            lines: list[Line] = pickle.loads(await process.stdout.readexactly(length))  # noqa: S301  (of our own worker)
        except (asyncio.IncompleteReadError, OSError):
            if process:
                self.running.discard(process)
                await process.wait()
            self._idle.put_nowait(None)
            return None
        self._idle.put_nowait(process)
        return lines

    async def _started(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "mockint.workers", stdin=pipe, stdout=pipe)
        self.running.add(process)
        assert process.stdin is not None
        process.stdin.write(self._job)
        return process


@asynccontextmanager
async def in_processes(job: Job, *, workers: int) -> AsyncIterator[Processes]:
    engine = Processes(job, workers=workers)
    try:
        yield engine
    finally:
        await engine.close()


def _framed(value: Any) -> bytes:
    data = pickle.dumps(value)
    return len(data).to_bytes(_LENGTH, "big") + data


def _read(file: BinaryIO) -> Any:
    """Raises EOFError at the end."""
    length = file.read(_LENGTH)
    if len(length) < _LENGTH:
        raise EOFError
    return pickle.loads(file.read(int.from_bytes(length, "big")))  # noqa: S301  (of the process that started this one)


def main() -> None:
    """Grades what comes in, until nothing more does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get between the grades
    with suppress(EOFError, BrokenPipeError):
        desk = _read(sys.stdin.buffer).desk()
        while True:
            out.write(_framed(grade_all(desk, _read(sys.stdin.buffer))))
            out.flush()


if __name__ == "__main__":
    main()
