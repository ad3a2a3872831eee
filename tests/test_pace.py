"""What a provider allows: so many requests and tokens a minute, so many at once, from the config and from its replies' headers."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from mockint.clock import SystemClock
from mockint.config import load_config
from mockint.errors import ModelError
from mockint.llm import Connections, Message, Reply
from mockint.llm.pace import MINUTE, Allowance, Left, Pace, _Minute, allowance
from tests.conftest import ChatServer

SOON = 0.05
"""Seconds in which a call that need not wait has its turn."""


async def waits(pace: Pace, size: int = 1) -> bool:
    """Whether a call has to wait for its turn."""
    try:
        async with asyncio.timeout(SOON), pace.turn(size):
            return False
    except TimeoutError:
        return True


def test_calls_wait_for_their_turn_in_the_minute() -> None:
    async def work() -> None:
        pace = Pace(requests_per_minute=2)
        assert [await waits(pace) for _ in range(3)] == [False, False, True]
        few = Pace(tokens_per_minute=100)
        assert not await waits(few, 1000), "more than a minute holds is sent alone"
        assert await waits(few, 10)

    asyncio.run(work())


def test_no_minute_has_more_than_it_may_wherever_it_begins() -> None:
    minute, now, sent = _Minute(10), 0.0, list[tuple[float, int]]()
    for count in [1] * 30 + [4, 3, 10, 1, 1, 25, 2] * 5:
        now += 0.3 + minute.wait(count, now + 0.3)
        minute.take(count, now)
        sent.append((now, min(count, 10)))
    for begin, _ in sent:
        assert sum(count for at, count in sent if begin <= at < begin + MINUTE - 1e-6) <= 10
    assert now < sum(count for _, count in sent) / 10 * MINUTE * 1.5, "and it is no slower than it must be"


def test_call_that_is_given_up_while_it_waits_takes_nothing_from_the_others() -> None:
    async def work() -> None:
        pace = Pace(requests_per_minute=2, tokens_per_minute=100, at_once=1)
        assert not await waits(pace, 50)
        for _ in range(3):
            assert await waits(pace, 60)
        assert not await waits(pace, 40), "the second request of the minute, and its last tokens"

    asyncio.run(work())


def test_long_call_is_not_overtaken_by_short_ones() -> None:
    async def work() -> None:
        pace = Pace(tokens_per_minute=100)
        assert not await waits(pace, 50)
        async with asyncio.TaskGroup() as group:
            long = group.create_task(pace.again(90))
            await asyncio.sleep(0)
            assert await waits(pace, 5)
            long.cancel()
        assert not await waits(pace, 5)

    asyncio.run(work())


def test_what_the_provider_asked_for_is_not_forgotten_for_what_another_reply_says() -> None:
    async def work() -> None:
        pace = Pace()
        pace.hold(0.2)
        pace.hold(0)
        pace.told(Allowance(requests=Left(10, 60)))
        assert await waits(pace)
        await asyncio.sleep(0.2)
        assert not await waits(pace)

    asyncio.run(work())


def test_no_more_are_made_at_once_than_may_be() -> None:
    async def work() -> None:
        pace = Pace(at_once=2)
        async with AsyncExitStack() as held:
            for _ in range(2):
                await held.enter_async_context(pace.turn(1))
            assert await waits(pace)
        assert not await waits(pace)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        pytest.param(
            {"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1m2.5s"},
            Allowance(requests=Left(3, 62.5)),
            id="OpenAI",
        ),
        pytest.param(
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"},
            Allowance(tokens=Left(0, 0.12)),
            id="milliseconds",
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7"},
            Allowance(requests=Left(0, 7)),
            id="bare seconds",
        ),
        pytest.param(
            {
                "anthropic-ratelimit-requests-remaining": "9",
                "anthropic-ratelimit-requests-reset": "2020-01-01T00:00:00Z",
            },
            Allowance(requests=Left(9, 0)),
            id="Anthropic",
        ),
        pytest.param({"x-ratelimit-remaining-requests": "3"}, None, id="no reset"),
        pytest.param(
            {"x-ratelimit-remaining-requests": "many", "x-ratelimit-reset-requests": "soon"}, None, id="nonsense"
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "5s or so"}, None, id="half of it"
        ),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_headers_are_read_as_providers_write_them(headers: dict[str, str], found: Allowance | None) -> None:
    assert allowance(headers) == found


def test_spent_allowance_holds_calls_back_until_it_is_whole_again() -> None:
    async def work() -> None:
        pace = Pace()
        pace.told(Allowance(requests=Left(1, 0.2), tokens=Left(1000, 60)))
        assert [await waits(pace) for _ in range(2)] == [False, True]
        await asyncio.sleep(0.2)
        assert not await waits(pace)
        pace.told(Allowance(tokens=Left(50, 60)))
        assert [await waits(pace, 40), await waits(pace, 40)] == [False, True]

    asyncio.run(work())


async def both(connections: Connections) -> list[float]:
    """Returns the seconds that two calls took, one after the other, of two models of one provider."""
    took = []
    for name in ("lab/one", "lab/two"):
        began = time.perf_counter()
        await connections.connect(name).reply([Message(role="user", content="Hello")])
        took.append(time.perf_counter() - began)
    return took


def connected(server: ChatServer, folder: Path, adapter: str) -> Connections:
    file = folder / "m.toml"
    file.write_text(f'[providers.lab]\nbase_url = "{server.url}"\nadapter = "{adapter}"\n[limits]\ntries = 1\n')
    return Connections(load_config(file=file, home=folder), SystemClock())


@pytest.mark.parametrize("adapter", ["openai", "litellm"])
def test_models_of_a_provider_wait_for_what_its_replies_say_is_spent(
    chat_server: ChatServer, tmp_path: Path, adapter: str
) -> None:
    body = {
        "id": "c1",
        "created": 1,
        "model": "m",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ready"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    spent = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "400ms"}
    chat_server.replies = lambda request: (200, {"x-body": json.dumps(body)} | spent)
    connections = connected(chat_server, tmp_path, adapter)
    _, second = asyncio.run(connections.closing(both(connections)))
    assert second > 0.3


@pytest.mark.parametrize("adapter", ["openai", "litellm"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"retry-after": "0.4"}, id="Retry-After"),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "400ms"}, id="a spent limit alone"
        ),
    ],
)
def test_refusal_for_now_holds_the_provider_s_other_calls_back(
    chat_server: ChatServer, tmp_path: Path, adapter: str, headers: dict[str, str]
) -> None:
    replies: list[str | tuple[int, dict[str, str]]] = [(429, headers), "ready"]
    chat_server.replies = lambda request: replies.pop(0)
    connections = connected(chat_server, tmp_path, adapter)

    async def work() -> float:
        with pytest.raises(ModelError):
            await connections.connect("lab/one").reply([Message(role="user", content="Hello")])
        began = time.perf_counter()
        await connections.connect("lab/two").reply([Message(role="user", content="Hello")])
        return time.perf_counter() - began

    assert asyncio.run(connections.closing(work())) > 0.3


def test_work_that_can_wait_is_not_lost_to_a_server_that_takes_less_at_once(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    lock, begun, taken = threading.Lock(), 0.0, 0

    def replies(asked: object) -> str | tuple[int, dict[str, str]]:
        nonlocal begun, taken
        with lock:
            now = time.monotonic()
            if now - begun > 0.1:
                begun, taken = now, 0
            taken += 1
            return "ready" if taken <= 4 else (429, {"retry-after": "0.1"})

    chat_server.replies = replies
    (tmp_path / "m.toml").write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n[limits]\ntries = 2\n')
    config, told = load_config(file=tmp_path / "m.toml", home=tmp_path), list[str]()

    async def asked_of(connections: Connections) -> tuple[int, int]:
        model = connections.connect("lab/m")
        asked = [Message(role="user", content="Hello")]
        came = await asyncio.gather(*(model.reply(asked) for _ in range(40)), return_exceptions=True)
        replies = [one for one in came if isinstance(one, Reply)]
        return len(replies), sum(reply.tries for reply in replies)

    async def work(**how: Any) -> tuple[int, int]:
        connections = Connections(config, SystemClock(), **how)
        return await connections.closing(asked_of(connections))

    few, _ = asyncio.run(work())
    assert few < 40
    begun_with = len(chat_server.requests)
    assert asyncio.run(work(waiting=told.append)) == (40, len(chat_server.requests) - begun_with)
    assert len(told) == 1
