"""The only place that keeps to what a provider allows: so many requests and tokens a minute, so many requests at once.

What it allows stands in the config, and in the headers of its replies.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime

from aiolimiter import AsyncLimiter

from mockint.clock import SystemClock

LONGEST_HOLD = 60.0
"""Seconds that a provider's headers can hold calls back: limits are by the minute, and one of a day is told by its refusal."""
NAMES = ("x-ratelimit-remaining-{0}", "anthropic-ratelimit-{0}-remaining", "x-ratelimit-{0}-remaining")
RESETS = ("x-ratelimit-reset-{0}", "anthropic-ratelimit-{0}-reset", "x-ratelimit-{0}-reset")
"""As OpenAI and those who follow it name them, and as Anthropic does."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Left:
    """What is left of one limit, and the seconds until it is whole again."""

    count: int
    seconds: float


@dataclass(frozen=True)
class Allowance:
    """What a reply's headers say is left; None where they say nothing."""

    requests: Left | None = None
    tokens: Left | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds until a call can be made again; None while one can."""
        spent = [left.seconds for left in (self.requests, self.tokens) if left and left.count <= 0]
        return max(spent, default=None)


def allowance(headers: Mapping[str, str]) -> Allowance | None:
    """Reads the headers of a reply. Source: the providers' pages on rate limits, as of 2026-11."""
    found = Allowance(_left(headers, "requests"), _left(headers, "tokens"))
    return found if found.requests or found.tokens else None


def _left(headers: Mapping[str, str], what: str) -> Left | None:
    count = next((given for name in NAMES if (given := headers.get(name.format(what)))), None)
    reset = next((given for name in RESETS if (given := headers.get(name.format(what)))), None)
    seconds = _seconds(reset) if reset else None
    if count is None or seconds is None or not re.fullmatch(r"-?\d{1,12}", count.strip()):
        return None
    return Left(int(count), seconds)


def _seconds(text: str) -> float | None:
    """Reads a number of seconds, `1m2.5s`, or a date in ISO 8601; None for anything else."""
    text = text.strip()
    if parts := re.findall(r"(\d{1,9}(?:\.\d{1,9})?)(ms|[smhd])", text):
        whole = "".join(map("".join, parts)) == text
        return sum(float(number) * _UNITS[unit] for number, unit in parts) if whole else None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return float(text)
    with suppress(ValueError, TypeError):
        return max(0.0, (datetime.fromisoformat(text) - SystemClock().now()).total_seconds())
    return None


@dataclass
class _Window:
    """What may still be sent until a moment; afterwards nothing is known."""

    left: float = 0.0
    until: float = 0.0

    def wait(self, size: int, now: float) -> float:
        return self.until - now if now < self.until and self.left < size else 0.0


@dataclass
class Pace:
    """Keeps to what a provider allows; a call waits for its turn before its deadline runs."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    at_once: int | None = None
    _requests: _Window = field(default_factory=_Window)
    _tokens: _Window = field(default_factory=_Window)

    def __post_init__(self) -> None:
        self._by_request = AsyncLimiter(self.requests_per_minute, 60) if self.requests_per_minute else None
        self._by_token = AsyncLimiter(self.tokens_per_minute, 60) if self.tokens_per_minute else None
        self._gate = asyncio.Semaphore(self.at_once) if self.at_once else None

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Waits until a call of so many tokens may be made, and holds its place among those that are made at once."""
        async with self._gate or nullcontext():
            await self.again(size)
            yield

    async def again(self, size: int) -> None:
        """Waits until a call may be made in a place that is held already."""
        if self._by_request:
            await self._by_request.acquire()
        if self._by_token:
            await self._by_token.acquire(min(self.tokens_per_minute or 0, 1 + size))
        while (seconds := self._wait(size)) > 0:
            await asyncio.sleep(seconds)
        self._requests.left -= 1
        self._tokens.left -= size

    def told(self, found: Allowance | None) -> None:
        """Takes in what a reply's headers said."""
        now = asyncio.get_running_loop().time()
        for window, left in ((self._requests, found and found.requests), (self._tokens, found and found.tokens)):
            if left:
                window.left, window.until = left.count, now + min(left.seconds, LONGEST_HOLD)

    def hold(self, seconds: float) -> None:
        """Holds every call back for so long: the provider asked for it."""
        self.told(Allowance(requests=Left(0, seconds)))

    def _wait(self, size: int) -> float:
        now = asyncio.get_running_loop().time()
        return max(self._requests.wait(1, now), self._tokens.wait(size, now))
