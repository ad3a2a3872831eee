"""The real program in a real pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

import pexpect
import pyte

HURRIED = """
import sys
import time
sys.argv[0] = "mockint"
from mockint.clock import SystemClock
SystemClock.seconds = lambda self: {} * time.monotonic()
from mockint.cli import main
main()
"""


class Terminal:
    """The program in a pseudo-terminal, and what its screen shows."""

    def __init__(
        self,
        home: Path,
        *words: str,
        columns: int = 80,
        rows: int = 24,
        hurry: int = 1,
        cwd: Path | None = None,
        **environment: str,
    ) -> None:
        """Starts the program; its clock runs `hurry` times as fast as it should."""
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self.child = pexpect.spawn(
            sys.executable,
            ["-c", HURRIED.format(hurry), *words, "--home", str(home)],
            dimensions=(rows, columns),
            env={"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
            cwd=cwd,
            encoding="utf-8",
            timeout=10,
        )

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def resize(self, columns: int, rows: int = 24) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def settle(self) -> None:
        """Feeds the screen until nothing more is about to change, but for the clock."""
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            with suppress(pexpect.TIMEOUT, pexpect.EOF):
                self._feed(self.child.read_nonblocking(4096, timeout=0.1))

    def _feed(self, data: str) -> None:
        self._stream.feed(data)
        if "\x1b[6n" in data:  # asks where the cursor is
            self.child.send(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")

    def ended(self) -> int | None:
        """Waits for the end, and returns the exit code."""
        while self.child.isalive():
            with suppress(pexpect.TIMEOUT, pexpect.EOF):
                self._stream.feed(self.child.read_nonblocking(4096, timeout=0.1))
        self.child.close()
        code: int | None = self.child.exitstatus
        return code

    def until(self, *what: str) -> str:
        """Feeds the screen until it shows all of them."""
        for _ in range(200):
            if all(part in self.text for part in what):
                return self.text
            try:
                self._feed(self.child.read_nonblocking(4096, timeout=0.1))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
        assert all(part in self.text for part in what), f"{what} not on the screen:\n{self.text}"
        return self.text

    def type(self, keys: str) -> None:
        self.child.send(keys)
