"""The only caller of the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how long something took."""

    def now(self) -> datetime:
        """Returns the date and time in UTC."""

    def seconds(self) -> float:
        """Returns seconds on a clock that never goes back; only differences mean something."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def seconds(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def local(at: datetime) -> datetime:
    """Returns the moment in the zone of this machine, whose calendar is the user's."""
    return at.astimezone()
