"""The only place that keeps to what a provider allows: so many requests and tokens a minute, so many requests at once.

What it allows stands in the config, and in the headers of its replies.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime

from mockint.clock import SystemClock

MINUTE = 60.0
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
class _Minute:
    """So many in any sixty seconds. (A leaky bucket lets twice as many through in the first of them.)"""

    most: int
    _sent: deque[tuple[float, int]] = field(default_factory=deque)
    """When, and how many."""
    _sum: int = 0

    def wait(self, count: int, now: float) -> float:
        """Returns the seconds until so many more may be sent; what is more than a minute holds waits for an empty one."""
        while self._sent and self._sent[0][0] <= now - MINUTE:
            self._sum -= self._sent.popleft()[1]
        over, until = self._sum + min(count, self.most) - self.most, now
        for at, gone in self._sent:
            if over <= 0:
                break
            over, until = over - gone, at + MINUTE
        return until - now

    def take(self, count: int, now: float) -> None:
        self._sent.append((now, min(count, self.most)))
        self._sum += min(count, self.most)


@dataclass
class Pace:
    """Keeps to what a provider allows; a call waits for its turn before its deadline runs."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    at_once: int | None = None
    _requests: _Window = field(default_factory=_Window)
    _tokens: _Window = field(default_factory=_Window)
    _held_until: float = 0.0

    def __post_init__(self) -> None:
        self._by_request = _Minute(self.requests_per_minute) if self.requests_per_minute else None
        self._by_token = _Minute(self.tokens_per_minute) if self.tokens_per_minute else None
        self._gate = asyncio.Semaphore(self.at_once) if self.at_once else None
        self._line = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Waits until a call of so many tokens may be made, and holds its place among those that are made at once."""
        async with self._gate or nullcontext():
            await self.again(size)
            yield

    async def again(self, size: int) -> None:
        """Waits until a call may be made in a place that is held already. Calls go in the order in which they came."""
        async with self._line:
            while (seconds := self._wait(size)) > 0:
                await asyncio.sleep(seconds)
            self._take(size)

    def told(self, found: Allowance | None) -> None:
        """Takes in what a reply's headers said."""
        now = asyncio.get_running_loop().time()
        for window, left in ((self._requests, found and found.requests), (self._tokens, found and found.tokens)):
            if left:
                window.left, window.until = left.count, now + min(left.seconds, LONGEST_HOLD)

    def hold(self, seconds: float) -> None:
        """Holds every call back for so long, whatever other replies say is left: the provider asked for it."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)

    def _wait(self, size: int) -> float:
        now = asyncio.get_running_loop().time()
        return max(
            self._held_until - now,
            self._requests.wait(1, now),
            self._tokens.wait(size, now),
            self._by_request.wait(1, now) if self._by_request else 0.0,
            self._by_token.wait(1 + size, now) if self._by_token else 0.0,
        )

    def _take(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self._requests.left -= 1
        self._tokens.left -= size
        if self._by_request:
            self._by_request.take(1, now)
        if self._by_token:
            self._by_token.take(1 + size, now)
