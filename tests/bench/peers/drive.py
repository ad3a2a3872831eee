"""Runs one client of tests/bench/peers.py in a process of its own, and writes down what it found and took.

    python -P drive.py CLIENT JOB RESULT

CLIENT is a file with `prepare(job)`, which returns what is then awaited: the levels, by answer and criterion, met or not. JOB is what
peers.py wrote. This runs in the peers' environments too, and imports nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import runpy
import sys
import time
from pathlib import Path


def peak_mib() -> float:
    """Returns the most memory that was resident. Not getrusage's where the system tells better: that counts the parent's before exec too."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def main(client: str, job: str, result: str) -> None:
    prepare = runpy.run_path(client)["prepare"]
    grade = prepare(json.loads(Path(job).read_text()))
    set_up = time.process_time()
    began = time.perf_counter()
    levels = asyncio.run(grade())
    taken = time.perf_counter() - began
    told = {"levels": levels, "wall": taken, "set_up_cpu": set_up, "peak": peak_mib()}
    Path(result).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
