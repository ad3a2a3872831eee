"""The port to a model: retries, deadline, structured replies, and the adapters against a real loopback server."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from mockint.clock import SystemClock
from mockint.config import load_config, quiet_litellm
from mockint.content import Frozen
from mockint.errors import ContentError, ModelRefused, ModelUnavailable
from mockint.llm import (
    Connections,
    Exchange,
    Fallback,
    Message,
    Model,
    Raw,
    Recorder,
    Spending,
    Usage,
    connect,
    foreign,
)
from mockint.llm.prices import priced
from mockint.llm.recorded import RecordedAdapter
from mockint.llm.scripted import ScriptedAdapter
from tests.conftest import ChatServer

HELLO = [Message(role="user", content="Hello")]
DOWN = ModelUnavailable("down", hint="later", retry_after=0)
ADAPTERS = ["openai", "litellm"]


class Shape(Frozen):
    word: str


def model(*replies: str | Exception, **settings: Any) -> tuple[Model, ScriptedAdapter]:
    adapter = ScriptedAdapter(list(replies))
    return Model(adapter, SystemClock(), **settings), adapter


def ask(asked: Model, **how: Any) -> Any:
    async def and_close() -> Any:
        try:
            return await asked.reply(HELLO, **how)
        finally:
            await asked.adapter.close()

    return asyncio.run(and_close())


def test_unavailable_model_is_asked_again_and_the_tries_are_counted() -> None:
    asked, adapter = model(DOWN, DOWN, "here")
    reply = ask(asked)
    assert (reply.text, reply.tries, len(adapter.asked)) == ("here", 3, 3)


def test_tries_end() -> None:
    asked, adapter = model(*[DOWN] * 9, tries=4)
    with pytest.raises(ModelUnavailable):
        ask(asked)
    assert len(adapter.asked) == 4


def test_refusal_is_not_asked_again() -> None:
    asked, adapter = model(ModelRefused("bad key", hint="x"), "here")
    with pytest.raises(ModelRefused):
        ask(asked)
    assert len(adapter.asked) == 1


def test_long_retry_after_fails_at_once() -> None:
    asked, adapter = model(ModelUnavailable("busy", hint="x", retry_after=3600), "here")
    with pytest.raises(ModelUnavailable, match="busy"):
        ask(asked)
    assert len(adapter.asked) == 1


def test_try_that_would_come_after_the_deadline_is_not_waited_for() -> None:
    adapter = ScriptedAdapter([ModelUnavailable("busy", hint="x", retry_after=5), "here"])
    began = SystemClock().seconds()
    with pytest.raises(ModelUnavailable, match="busy"):
        ask(Model(adapter, SystemClock(), deadline_seconds=1))
    assert len(adapter.asked) == 1
    assert SystemClock().seconds() - began < 1


def test_stream_of_which_nothing_was_passed_on_begins_again() -> None:
    class Holds:
        def __init__(self) -> None:
            self.held = ""

        def __call__(self, piece: str) -> None:
            self.held += piece

        def again(self) -> bool:
            self.held = ""
            return True

    class Breaks:
        name = "breaks"
        calls = 0

        async def call(self, messages: Sequence[Message], *, on_text: Any, **how: Any) -> Raw:
            self.calls += 1
            on_text("Well, ")
            if self.calls == 1:
                raise ModelUnavailable("cut", hint="x", retry_after=0)
            return Raw("Well, ", Usage(calls=1))

        async def close(self) -> None: ...

    listener = Holds()
    assert ask(Model(Breaks(), SystemClock()), on_text=listener).tries == 2
    assert listener.held == "Well, "


def test_deadline_holds_over_all_tries() -> None:
    class Slow:
        name = "slow"

        async def call(self, messages: Sequence[Message], **how: Any) -> Raw:
            await asyncio.sleep(30)
            return Raw("never", Usage())

        async def close(self) -> None: ...

    began = SystemClock().seconds()
    with pytest.raises(ModelUnavailable, match=r"within 0\.1 seconds"):
        ask(Model(Slow(), SystemClock(), deadline_seconds=0.1))
    assert SystemClock().seconds() - began < 5


def test_stream_that_has_begun_is_not_begun_again() -> None:
    class Breaks:
        name = "breaks"
        calls = 0

        async def call(self, messages: Sequence[Message], *, on_text: Any, **how: Any) -> Raw:
            self.calls += 1
            on_text("Well, ")
            raise DOWN

        async def close(self) -> None: ...

    adapter = Breaks()
    shown: list[str] = []
    with pytest.raises(ModelUnavailable):
        ask(Model(adapter, SystemClock()), on_text=shown.append)
    assert (adapter.calls, shown) == (1, ["Well, "])


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        pytest.param('{"word": "a"}', "a", id="as asked"),
        pytest.param('```json\n{"word": "a"}\n```', "a", id="in a fence"),
        pytest.param('{"word": "a", "more": 1}', None, id="a key too many"),
        pytest.param('{"word": "a', None, id="cut off"),
        pytest.param("a", None, id="no JSON"),
    ],
)
def test_structured_reply_is_checked(text: str, parsed: str | None) -> None:
    reply = ask(model(text)[0], schema=Shape)
    assert (reply.parsed.word if reply.parsed else None) == parsed
    assert (reply.problem is None) == (parsed is not None)


def test_recorded_replies_come_back_and_nothing_else_does() -> None:
    kept: list[Exchange] = []
    recorder = Recorder(model("one", "two")[0], role="grader", keep=kept.append)
    for _ in range(2):
        asyncio.run(recorder.reply(HELLO, purpose="judge", prompt="p"))
    again = Model(RecordedAdapter(kept, name="m"), SystemClock())
    assert [ask(again).text, ask(again).text] == ["one", "two"]
    with pytest.raises(ModelRefused, match="no recorded reply"):
        ask(again)


def test_failed_call_is_recorded_too() -> None:
    kept: list[Exchange] = []
    recorder = Recorder(model(ModelRefused("bad key", hint="x"))[0], role="grader", keep=kept.append)
    with pytest.raises(ModelRefused):
        asyncio.run(recorder.reply(HELLO, purpose="judge", prompt="p"))
    assert kept[0].error == "bad key"


def test_usage_adds_up_and_unknown_prices_stay_unknown() -> None:
    known, unknown = Usage(prompt_tokens=1, usd=0.5, calls=1), Usage(prompt_tokens=2, calls=1)
    assert (known + known).usd == 1.0
    assert (known + unknown).usd is None
    assert (Usage() + known).usd == 0.5
    assert (known + unknown).prompt_tokens == 3


# The adapters, over HTTP


def over_http(server: ChatServer, adapter: str, tmp_path: Path, **limits: Any) -> Model:
    file = tmp_path / "mockint.toml"
    file.write_text(
        f'[providers.lab]\nbase_url = "{server.url}"\napi_key_env = "LAB_KEY"\nadapter = "{adapter}"\n'
        + "[limits]\n"
        + "".join(f"{name} = {value}\n" for name, value in ({"tries": 3} | limits).items())
    )
    return connect("lab/tiny", config=load_config(file=file), clock=SystemClock())


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-planted-key")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_plain_reply_over_http(adapter: str, chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.replies = lambda request: f"You said {request['messages'][-1]['content']}."
    reply = ask(over_http(chat_server, adapter, tmp_path))
    assert reply.text == "You said Hello."
    assert reply.usage.prompt_tokens == 100
    assert reply.usage.completion_tokens == 7
    assert chat_server.requests[0]["model"] == "tiny"
    assert chat_server.headers[0]["authorization"] == "Bearer sk-planted-key"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_streamed_reply_over_http(adapter: str, chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.replies = lambda request: "A reply that comes in pieces – é, 中文 – and ends."
    shown: list[str] = []
    reply = ask(over_http(chat_server, adapter, tmp_path), on_text=shown.append)
    assert "".join(shown) == reply.text == "A reply that comes in pieces – é, 中文 – and ends."
    assert len(shown) > 3
    assert reply.usage.completion_tokens == 7


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_structured_reply_over_http(adapter: str, chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.replies = lambda request: json.dumps({"word": "yes"})
    reply = ask(over_http(chat_server, adapter, tmp_path), schema=Shape)
    assert reply.parsed == Shape(word="yes")
    asked = chat_server.requests[0]["response_format"]["json_schema"]
    assert asked["strict"] is True
    assert asked["schema"]["additionalProperties"] is False


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        pytest.param(400, ModelRefused, 1, id="400"),
        pytest.param(401, ModelRefused, 1, id="401"),
        pytest.param(403, ModelRefused, 1, id="403"),
        pytest.param(404, ModelRefused, 1, id="404"),
        pytest.param(408, ModelUnavailable, 3, id="408"),
        pytest.param(413, ModelRefused, 1, id="413"),
        pytest.param(422, ModelRefused, 1, id="422"),
        pytest.param(429, ModelUnavailable, 3, id="429"),
        pytest.param(500, ModelUnavailable, 3, id="500"),
        pytest.param(503, ModelUnavailable, 3, id="503"),
        pytest.param(529, ModelUnavailable, 3, id="529"),
    ],
)
def test_status_is_translated_and_tries_do_not_multiply(
    adapter: str, status: int, error: type[Exception], requests: int, chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.replies = lambda request: (status, {"retry-after": "0"})
    with pytest.raises(error) as caught:
        ask(over_http(chat_server, adapter, tmp_path))
    assert len(chat_server.requests) == requests
    assert "sk-planted-key" not in str(caught.value)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_server_that_is_gone_is_unavailable(adapter: str, chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.url = "http://127.0.0.1:9/v1"
    with pytest.raises(ModelUnavailable):
        ask(over_http(chat_server, adapter, tmp_path, tries=1))


def test_missing_key_is_named_and_not_guessed(chat_server: ChatServer, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("LAB_KEY")
    with pytest.raises(ContentError, match="LAB_KEY"):
        over_http(chat_server, "openai", tmp_path)


# A row for every foreign exception


@pytest.mark.parametrize("library", ["openai", "litellm.exceptions"])
def test_every_foreign_exception_has_a_row(library: str) -> None:
    quiet_litellm()
    named = list(vars(importlib.import_module(library)).values())
    classes = {kind for kind in named if inspect.isclass(kind) and issubclass(kind, Exception)}
    own = {kind for kind in classes if kind.__module__.startswith(library.split(".")[0])}
    assert len(own) > 10
    general = {kind.__name__ for kind in own if foreign.row(kind) in foreign.BY_STATUS} - foreign.BY_STATUS
    assert (general, [kind.__name__ for kind in own if foreign.row(kind) is None]) == (set(), [])


def test_no_exception_has_two_rows() -> None:
    assert not foreign.UNAVAILABLE & foreign.REFUSED.keys()


def test_schema_without_defaults_is_closed_all_the_way_down() -> None:
    from mockint.grading.judge import Ruling
    from mockint.llm import strict_schema

    def objects(shape: Any) -> list[dict[str, Any]]:
        if isinstance(shape, list):
            return [found for part in shape for found in objects(part)]
        if not isinstance(shape, dict):
            return []
        own = [shape] if shape.get("type") == "object" else []
        return own + [found for part in shape.values() for found in objects(part)]

    found = objects(strict_schema(Ruling)["json_schema"]["schema"])
    assert len(found) == 3
    assert all(
        shape["additionalProperties"] is False and set(shape["required"]) == set(shape["properties"]) for shape in found
    )
    assert issubclass(Ruling, BaseModel)


def test_next_model_is_asked_when_the_first_is_unavailable_and_the_record_names_it() -> None:
    first, _ = model(DOWN, tries=1)
    second, _ = model("from the second")
    second.adapter.name = "lab/second"
    kept: list[Exchange] = []
    fallback = Fallback(first, ("lab/second",), lambda name: second)
    reply = ask_recorded(Recorder(fallback, role="grader", keep=kept.append))
    assert reply.text == "from the second"
    assert [exchange.model for exchange in kept] == ["lab/second"]


@pytest.mark.parametrize("error", [ModelRefused("no key", hint="x"), DOWN], ids=["refused", "nobody left"])
def test_fallback_is_for_the_unavailable_and_ends(error: Exception) -> None:
    asked: list[str] = []

    def other(name: str) -> Model:
        asked.append(name)
        return model(DOWN, tries=1)[0]

    with pytest.raises(type(error)):
        ask_recorded(Recorder(Fallback(model(error, tries=1)[0], ("b/b",), other), role="grader", keep=lambda _: None))
    assert asked == ([] if isinstance(error, ModelRefused) else ["b/b"])


def ask_recorded(recorder: Recorder) -> Any:
    return asyncio.run(recorder.reply(HELLO, purpose="p", prompt="x"))


def test_stream_that_was_shown_is_not_begun_again_by_another_model() -> None:
    class Breaks(ScriptedAdapter):
        async def call(self, messages: Any, *, schema: Any, on_text: Any, deadline: float) -> Raw:
            on_text("And what ab")
            raise DOWN

    first = Model(Breaks([]), SystemClock())
    with pytest.raises(ModelUnavailable):
        asyncio.run(Fallback(first, ("b/b",), lambda name: model("x")[0]).reply(HELLO, on_text=lambda piece: None))


def test_configured_fallback_takes_over_over_http(chat_server: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        f'[models]\nfallback = ["up/b"]\n[providers.down]\nbase_url = "http://127.0.0.1:9/v1"\n'
        f'[providers.up]\nbase_url = "{chat_server.url}"\n[limits]\ntries = 1\n'
    )
    connections = Connections(load_config(file=tmp_path / "m.toml"), SystemClock())
    reply = asyncio.run(connections.closing(connections.connect("down/a").reply(HELLO)))
    assert (reply.text, reply.model) == ("ready", "up/b")


class Costs(ScriptedAdapter):
    def __init__(self, usd: float | None) -> None:
        super().__init__(["x"] * 9)
        self.usd = usd

    async def call(self, messages: Any, **how: Any) -> Raw:
        return Raw((await super().call(messages, **how)).text, Usage(calls=1, usd=self.usd))


def test_call_that_may_pass_the_limit_is_not_made() -> None:
    adapter, spending = Costs(0.2), Spending(limit=0.5)
    recorder = Recorder(Model(adapter, SystemClock()), role="grader", keep=lambda _: None, spending=spending)
    ask_recorded(recorder)
    ask_recorded(recorder)
    with pytest.raises(ModelRefused, match=r"0\.40 of 0\.50 USD"):
        ask_recorded(recorder)
    assert len(adapter.asked) == 2


def test_unknown_price_is_said_to_be_unknown() -> None:
    spending = Spending(limit=0.5)
    recorder = Recorder(Model(Costs(None), SystemClock()), role="grader", keep=lambda _: None, spending=spending)
    ask_recorded(recorder)
    assert spending.unknown


def test_price_comes_from_the_map_and_counts_cached_tokens_apart() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=100_000, calls=1)
    full = priced(usage, "openai/gpt-5-mini").usd
    cheaper = priced(usage.model_copy(update={"cached_tokens": 900_000}), "openai/gpt-5-mini").usd
    assert full is not None
    assert cheaper is not None
    assert 0 < cheaper < full
    assert priced(usage, "openai/no-such-model").usd is None


def test_limit_holds_for_calls_at_the_same_time() -> None:
    adapter, spending = Costs(0.3), Spending(limit=0.5)
    recorder = Recorder(Model(adapter, SystemClock()), role="grader", keep=lambda _: None, spending=spending)

    async def four() -> list[Any]:
        asked = (recorder.reply(HELLO, purpose="p", prompt="x") for _ in range(4))
        return await asyncio.gather(*asked, return_exceptions=True)

    done = asyncio.run(four())
    assert sum(isinstance(one, ModelRefused) for one in done) == 3
    assert spending.spent == pytest.approx(0.3)


@pytest.mark.parametrize("body", ['{"choices":[{"index":0}]}', '{"choices": "x"}', "not json", "[]"])
def test_server_that_speaks_the_protocol_badly_is_an_error_with_a_name(
    body: str, chat_server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_server, "replies", lambda request: (200, {"x-body": body}))
    with pytest.raises((ModelRefused, ModelUnavailable)):
        ask(over_http(chat_server, "openai", tmp_path, tries=1))


def test_word_that_stands_in_for_a_missing_key_is_not_taken_for_one(chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.replies = lambda request: (401, {"x-body": json.dumps({"error": {"message": "none of the keys fits"}})})
    file = tmp_path / "keyless.toml"
    file.write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    with pytest.raises(ModelRefused, match="none of the keys fits"):
        ask(connect("lab/tiny", config=load_config(file=file), clock=SystemClock()))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_longest_reply_is_asked_for_only_where_the_user_set_it(
    chat_server: ChatServer, tmp_path: Path, adapter: str
) -> None:
    ask(over_http(chat_server, adapter, tmp_path))
    ask(over_http(chat_server, adapter, tmp_path, reply_tokens=500))
    assert [request.get("max_tokens") for request in chat_server.requests] == [None, 500]


def test_failed_exchange_is_kept_with_its_tries_and_seconds() -> None:
    clock, kept = SystemClock(), list[Exchange]()
    adapter = ScriptedAdapter([DOWN, DOWN])
    recorder = Recorder(Model(adapter, clock, tries=2), role="grader", keep=kept.append)
    with pytest.raises(ModelUnavailable):
        asyncio.run(recorder.reply(HELLO, purpose="judge", prompt="p"))
    assert [exchange.tries for exchange in kept] == [2]
    assert kept[0].seconds >= 0
