"""Measures how long mockint takes to start, as a ratio to a bare typer program in the same run.

    .venv/bin/python tests/bench/startup.py [ROUNDS]

The programs take turns, so that what else the machine does hits them alike; the median of each is compared.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import typer
app = typer.Typer()

@app.command()
def hello(name: str = "you") -> None:
    typer.echo(name)

@app.command()
def bye() -> None:
    typer.echo("bye")

app()
"""


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        mockint = [sys.executable, "-m", "mockint"]
        programs = {
            "bare typer --help": [sys.executable, str(bare), "--help"],
            "mockint --help": [*mockint, "--help"],
            "mockint bank list": [*mockint, "bank", "list", "--home", folder],
        }
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(rounds + 1):
            for name, command in programs.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                seconds[name].append(time.perf_counter() - began)
        medians = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
        base = medians["bare typer --help"]
        for name, median in medians.items():
            print(f"{name:<20} {median * 1000:6.0f} ms   {median / base:.2f} x bare typer")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
