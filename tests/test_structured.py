"""How the shape of a reply is asked for: from the strictest way to the plainest, found out by asking, and remembered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from mockint.config import load_config
from mockint.errors import ModelRefused, ModelUnavailable
from mockint.llm import DOWN_AFTER, LEFT_ALONE, WAYS, Circuit, Message, Model, Raw, Reply, Usage, Ways, connect
from mockint.llm.pace import Pace
from mockint.llm.scripted import ScriptedAdapter
from tests.conftest import ChatServer, StandingClock


class Verdict(BaseModel):
    level: str
    quote: str | None = None


GOOD = '{"level": "met", "quote": "a } b"}'
ASKED = [Message(role="system", content="Judge."), Message(role="user", content="So?")]


def way_of(request: dict[str, Any]) -> str:
    if "tools" in request:
        return "tool"
    kind = request.get("response_format", {}).get("type")
    return {"json_schema": "schema", "json_object": "json", None: "text"}[kind]


def called(arguments: str) -> tuple[int, dict[str, str]]:
    call = {"id": "t1", "type": "function", "function": {"name": "Verdict", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    body = {"id": "c1", "created": 1, "model": "m", "object": "chat.completion", "choices": [choice]}
    return 200, {"x-body": json.dumps(body)}


@pytest.fixture(params=["openai", "litellm"])
def model(request: pytest.FixtureRequest, chat_server: ChatServer, tmp_path: Path) -> Model:
    return connected(chat_server, tmp_path, request.param)


def connected(chat_server: ChatServer, tmp_path: Path, adapter: str = "openai") -> Model:
    path = tmp_path / "m.toml"
    path.write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\nadapter = "{adapter}"\n')
    return connect("lab/m", config=load_config(file=path, home=tmp_path), clock=StandingClock())


def ask(model: Model, times: int = 1) -> list[Reply[Verdict]]:
    async def work() -> list[Reply[Verdict]]:
        try:
            return [await model.reply(ASKED, schema=Verdict) for _ in range(times)]
        finally:
            await model.adapter.close()

    return asyncio.run(work())


@pytest.mark.parametrize("taken", WAYS)
def test_way_that_is_refused_is_followed_by_the_next_and_the_one_that_was_taken_is_remembered(
    model: Model, chat_server: ChatServer, taken: str
) -> None:
    def replies(request: dict[str, Any]) -> str | tuple[int, dict[str, str]]:
        way = way_of(request)
        if WAYS.index(way) < WAYS.index(taken):
            return 400, {}
        return called(GOOD) if way == "tool" else f"Here it is:\n```json\n{GOOD}\n```" if way == "text" else GOOD

    chat_server.replies = replies
    for reply in ask(model, times=2):
        assert reply.parsed == Verdict(level="met", quote="a } b")
    ways = [way_of(request) for request in chat_server.requests]
    assert ways == [*WAYS[: WAYS.index(taken) + 1], taken]


def only(*ways: str) -> Any:
    """Replies in these ways, and refuses the others."""

    def replies(request: dict[str, Any]) -> str | tuple[int, dict[str, str]]:
        return GOOD if way_of(request) in ways else (400, {})

    return replies


def test_way_is_remembered_from_one_run_to_the_next(chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.replies = only("text")
    ask(connected(chat_server, tmp_path))
    chat_server.requests.clear()
    (reply,) = ask(connected(chat_server, tmp_path))
    assert [way_of(request) for request in chat_server.requests] == ["text"]
    assert reply.way == "text"


def test_way_of_another_run_that_is_refused_now_is_followed_by_the_others(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.replies = only("text")
    ask(connected(chat_server, tmp_path))
    chat_server.replies, chat_server.requests = only("json"), []
    (reply,) = ask(connected(chat_server, tmp_path))
    assert reply.way == "json"
    assert [way_of(request) for request in chat_server.requests] == ["text", "schema", "json"]


def test_damaged_file_of_ways_is_as_if_there_were_none(chat_server: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "ways.json").write_text('{"lab/m": "by post"')
    chat_server.replies = lambda request: GOOD
    assert ask(connected(chat_server, tmp_path))[0].way == "schema"


def test_ways_that_two_processes_find_out_are_both_kept(tmp_path: Path) -> None:
    one, two = (Ways(tmp_path / "ways.json") for _ in range(2))
    one.keep("lab/a", "json")
    two.keep("lab/b", "text")
    one.keep("lab/c", "tool")
    found = Ways(tmp_path / "ways.json")
    assert [found.known(f"lab/{name}") for name in "abc"] == ["json", "text", "tool"]


def test_refusal_of_a_shape_that_was_taken_before_ends_it(model: Model, chat_server: ChatServer) -> None:
    replies: list[Any] = [GOOD, (400, {})]
    chat_server.replies = lambda request: replies.pop(0)
    with pytest.raises(ModelRefused):
        ask(model, times=2)
    assert len(chat_server.requests) == 2


def test_words_are_told_the_schema_in_the_system_s_turn(model: Model, chat_server: ChatServer) -> None:
    chat_server.replies = lambda request: GOOD if way_of(request) == "text" else (422, {})
    ask(model)
    system = chat_server.requests[-1]["messages"][0]
    assert system["content"].startswith("Judge.")
    assert '"additionalProperties": false' in system["content"]


def test_refusal_of_every_way_is_the_refusal_of_the_first(model: Model, chat_server: ChatServer) -> None:
    chat_server.replies = lambda request: (400, {})
    with pytest.raises(ModelRefused):
        ask(model)
    assert len(chat_server.requests) == len(WAYS)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusal_that_is_not_for_the_shape_ends_it(model: Model, chat_server: ChatServer, status: int) -> None:
    chat_server.replies = lambda request: (status, {})
    with pytest.raises(ModelRefused):
        ask(model)
    assert len(chat_server.requests) == 1


@pytest.mark.parametrize(
    ("text", "level"),
    [
        pytest.param(GOOD, "met", id="bare"),
        pytest.param(f"<think>{{x}} maybe {{}}</think>\n{GOOD} Done.", "met", id="among words and other braces"),
        pytest.param('{"level": "met", "quote": ', None, id="truncated"),
        pytest.param('{"grade": "met"}', None, id="another shape"),
        pytest.param("{" * 5000, None, id="braces without end"),
        pytest.param('{"level":' * 20_000, None, id="an object inside another, without end"),
        pytest.param(f'{{"level": "met", "quote": {"[" * 20_000}', None, id="a list inside another, without end"),
        pytest.param('{"level": NaN}', None, id="what is no JSON but Python's"),
        pytest.param('{"level": ' + "9" * 5000 + "}", None, id="a number without end"),
        pytest.param('[{"level": "met"}]', "met", id="in a list"),
        pytest.param('{"level": ["met"], "quote": 7}', None, id="other types"),
    ],
)
def test_object_is_found_among_words_and_not_guessed(text: str, level: str | None) -> None:
    model = Model(ScriptedAdapter([text]), StandingClock(), tries=1)
    reply = asyncio.run(model.reply(ASKED, schema=Verdict))
    assert (reply.parsed.level if reply.parsed else None) == level
    assert (reply.problem is None) == (level is not None)


class Down:
    """A provider that is down until it is told otherwise."""

    name = "down/m"

    def __init__(self) -> None:
        self.calls, self.up = 0, False

    async def call(self, messages: Any, *, schema: Any, on_text: Any, deadline: float) -> Raw:
        self.calls += 1
        await asyncio.sleep(0)
        if not self.up:
            raise ModelUnavailable("down", hint="wait", retry_after=0)
        return Raw("ready", Usage(calls=1))

    async def close(self) -> None:
        pass


def test_provider_that_is_down_is_left_alone_for_a_while_and_then_asked_again() -> None:
    adapter, clock = Down(), StandingClock()
    model = Model(adapter, clock, tries=2, circuit=Circuit())
    for _ in range(DOWN_AFTER + 2):
        with pytest.raises(ModelUnavailable):
            asyncio.run(model.reply(ASKED))
    assert adapter.calls == 2 * DOWN_AFTER, "the last two were not sent"
    adapter.up = True
    clock.sleep(LEFT_ALONE)
    assert asyncio.run(model.reply(ASKED)).text == "ready"
    assert model.circuit.failures == 0


def test_calls_that_wait_for_their_turn_are_not_sent_to_a_provider_that_went_down_meanwhile() -> None:
    adapter = Down()
    model = Model(adapter, StandingClock(), tries=1, pace=Pace(at_once=1))

    async def ten() -> list[Any]:
        return await asyncio.gather(*(model.reply(ASKED) for _ in range(10)), return_exceptions=True)

    assert all(isinstance(failed, ModelUnavailable) for failed in asyncio.run(ten()))
    assert adapter.calls == DOWN_AFTER
