"""The port to a model: retries, deadline, structured replies, and the adapters against a real loopback server."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import itertools
import json
import traceback
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
    LONGEST_REPLY,
    Connections,
    Exchange,
    Fallback,
    Message,
    Model,
    Raw,
    Recorder,
    Reply,
    Spending,
    Usage,
    connect,
    foreign,
)
from mockint.llm.prices import priced
from mockint.llm.recorded import RecordedAdapter
from mockint.llm.scripted import ScriptedAdapter
from tests.conftest import ChatServer
from tests.faults import SPEECH, Asked, Fault, Server, chunks, drip, late

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


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_try_that_brought_nothing_of_use_is_counted_in_what_was_used(
    adapter: str, streamed: bool, chat_server: ChatServer, tmp_path: Path
) -> None:
    replies = iter(["", "here"])
    chat_server.replies = lambda asked: next(replies)
    reply = ask(over_http(chat_server, adapter, tmp_path), on_text=(lambda piece: None) if streamed else None)
    assert (reply.text, reply.tries) == ("here", 2)
    assert (reply.usage.prompt_tokens, reply.usage.calls) == (200, 2)


def test_call_that_failed_after_it_was_paid_for_is_spent_and_recorded(chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.replies = lambda asked: ""
    kept: list[Exchange] = []
    spending = Spending()
    asked = over_http(chat_server, "openai", tmp_path, tries=2)

    async def work() -> None:
        try:
            recorder = Recorder(asked, role="grader", keep=kept.append, spending=spending)
            await recorder.reply(HELLO, purpose="judge", prompt="sha256:0")
        finally:
            await asked.adapter.close()

    with pytest.raises(ModelUnavailable, match="empty"):
        asyncio.run(work())
    (exchange,) = kept
    assert (exchange.reply, exchange.usage.prompt_tokens, exchange.usage.calls) == (None, 200, 2)
    assert spending.unknown, "it was paid for, at a price that nobody knows"


def test_what_a_model_used_before_it_failed_is_counted_with_its_fallback_s_reply() -> None:
    paid = ModelUnavailable("empty", hint="x", retry_after=0)
    paid.usage = Usage(prompt_tokens=500, calls=1)
    first, _ = model(paid, tries=1)
    second, _ = model("here")
    reply = asyncio.run(Fallback(first, ("other",), lambda name: second).reply(HELLO))
    assert reply.text == "here"
    assert reply.usage.prompt_tokens > 500
    assert reply.usage.calls == 2


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


def test_stream_of_which_nothing_was_passed_on_begins_again_where_there_is_a_fallback_too() -> None:
    class Breaks(ScriptedAdapter):
        async def call(self, messages: Any, *, schema: Any, on_text: Any, deadline: float) -> Raw:
            self.asked.append(tuple(messages))
            on_text("Well, ")
            raise DOWN

    class Holds:
        held = ""

        def __call__(self, piece: str) -> None:
            self.held += piece

        def again(self) -> bool:
            self.held = ""
            return True

    first, listener = Breaks([]), Holds()
    second, _ = model("from the second")
    fallback = Fallback(Model(first, SystemClock(), tries=2), ("b/b",), lambda name: second)
    assert asyncio.run(fallback.reply(HELLO, on_text=listener)).text == listener.held == "from the second"
    assert len(first.asked) == 2


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


def repeats_the_key(place: str) -> str:
    key = "sk-planted-key"
    return json.dumps({"error": {"message": f"your key is {key!r}", "type": key, "code": None}, "at": place})


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("status", [200, 401, 500])
def test_key_that_a_server_repeats_is_in_no_traceback(
    adapter: str, status: int, chat_server: ChatServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chat_server.replies = lambda request: (status, {"x-body": repeats_the_key("body"), "x-key": "sk-planted-key"})
    with pytest.raises((ModelRefused, ModelUnavailable)) as caught:
        ask(over_http(chat_server, adapter, tmp_path, tries=1))
    told = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert "sk-planted-key" not in told


def test_key_of_a_variable_that_only_the_library_knows_is_hidden_too(
    chat_server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "Qx7planted9Zr2")
    told = json.dumps({"error": {"message": "Qx7planted9Zr2 is no key of ours"}})
    chat_server.replies = lambda request: (401, {"x-body": told})
    file = tmp_path / "m.toml"
    file.write_text(f'[providers.mistral]\nbase_url = "{chat_server.url}"\nadapter = "litellm"\n')
    with pytest.raises(ModelRefused, match="is no key of ours") as caught:
        ask(connect("mistral/m", config=load_config(file=file), clock=SystemClock()))
    assert "Qx7planted9Zr2" not in "".join(traceback.format_exception(caught.value))


def test_key_is_hidden_before_an_error_is_cut() -> None:
    told = foreign.hidden(ModelUnavailable("x" * (foreign.LONGEST_TOLD - 5) + "planted-key", hint="x"), "planted-key")
    assert told.what == "x" * (foreign.LONGEST_TOLD - 5) + foreign.HIDDEN


def test_error_of_50_mb_holds_nothing_up() -> None:
    error = OSError("sk-planted-key " * 3_500_000)
    began = SystemClock().seconds()
    assert "(key)" in foreign.translate(error, "lab/m").what
    assert foreign.repeats_key(error, "sk-planted-key")
    assert SystemClock().seconds() - began < 1


def test_stand_in_for_a_key_does_not_make_an_error_unreadable() -> None:
    told = foreign.hidden(ModelUnavailable("lab/max: the key x expired", hint="x"), "x").what
    assert told == "lab/max: the key (key) expired"


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    "given",
    [
        pytest.param("-5", id="negative"),
        pytest.param("nan", id="no number"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", id="a date gone by"),
        pytest.param("Thu, 01 Jan 1970 00:00:00", id="a date without a zone"),
        pytest.param("soon", id="a word"),
    ],
)
def test_retry_after_that_says_nothing_leaves_the_wait_to_the_policy(
    adapter: str, given: str, chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.replies = lambda request: (429, {"retry-after": given})
    with pytest.raises(ModelUnavailable) as caught:
        ask(over_http(chat_server, adapter, tmp_path, tries=1))
    assert caught.value.retry_after is None


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("given", ["1e9", "inf", "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_retry_after_without_end_ends_it_at_once(
    adapter: str, given: str, chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.replies = lambda request: (429, {"retry-after": given})
    with pytest.raises(ModelUnavailable):
        ask(over_http(chat_server, adapter, tmp_path))
    assert len(chat_server.requests) == 1


async def comments(asked: Asked) -> None:
    """Keeps a stream alive, and never says anything in it."""
    await asked.head(200, {"content-type": "text/event-stream"}, length=None)
    while True:
        asked.writer.write(b": still here\n\n" * 100)
        await asked.writer.drain()
        await asyncio.sleep(0.001)


async def headers(asked: Asked) -> None:
    """Sends one header after the other, and no end of them."""
    asked.writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        asked.writer.write(f"x-{number}: {number}\r\n".encode())
        await asked.writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "act",
    [pytest.param(act, id=act.__name__) for act in (late, drip, comments, headers)],
)
def test_no_call_outlasts_its_deadline(adapter: str, streamed: bool, act: Any, tmp_path: Path) -> None:
    clock = SystemClock()

    async def work() -> float:
        async with Server(Fault("slow", act), "probe", lasting=True) as server:
            model = over_http(ChatServer(server.url, lambda request: ""), adapter, tmp_path, deadline_seconds=0.4)
            began = clock.seconds()
            with pytest.raises(ModelUnavailable):
                await model.reply(HELLO, on_text=(lambda piece: None) if streamed else None)
            await model.adapter.close()
            return clock.seconds() - began

    assert asyncio.run(work()) < 1.4


async def asked_of(act: Any, tmp_path: Path, **how: Any) -> Reply[Any]:
    """Asks a server that does this with each request, once."""
    async with Server(Fault("", act), "probe", lasting=True) as server:
        asked = over_http(ChatServer(server.url, lambda request: ""), "openai", tmp_path, tries=1)
        try:
            return await asked.reply(HELLO, **how)
        finally:
            await asked.adapter.close()


def test_piece_that_is_too_long_is_not_shown(tmp_path: Path) -> None:
    choice = {"index": 0, "finish_reason": None, "delta": {"content": "x" * (LONGEST_REPLY + 1)}}
    chunk = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk", "choices": [choice]}

    async def at_once(asked: Asked) -> None:
        await asked.send(200, f"data: {json.dumps(chunk)}\n\n".encode(), asked.kind)

    shown: list[str] = []
    with pytest.raises(ModelRefused, match="more than"):
        asyncio.run(asked_of(at_once, tmp_path, on_text=shown.append))
    assert shown == []


def test_stream_whose_end_is_followed_by_silence_is_whole(tmp_path: Path) -> None:
    async def and_stays(asked: Asked) -> None:
        await asked.head(200, {"content-type": asked.kind}, length=None)
        asked.writer.write(asked.body())
        await asked.writer.drain()
        await asyncio.sleep(30)

    reply = asyncio.run(asked_of(and_stays, tmp_path, on_text=lambda piece: None))
    assert (reply.text, reply.cut_off) == (SPEECH, False)
    assert reply.seconds < 5


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_stream_that_is_not_read_to_its_end_is_let_go(adapter: str, tmp_path: Path) -> None:
    let_go = asyncio.Event()

    async def without_end(asked: Asked) -> None:
        await asked.head(200, {"content-type": asked.kind}, length=None)
        event = next(chunks("word " * 1_000_000))
        try:
            while True:
                asked.writer.write(event)
                await asked.writer.drain()
        except ConnectionError:
            let_go.set()

    async def work() -> None:
        async with Server(Fault("", without_end), "probe", lasting=True) as server:
            asked = over_http(ChatServer(server.url, lambda request: ""), adapter, tmp_path, tries=1)
            with pytest.raises(ModelRefused, match="more than") as caught:
                await asked.reply(HELLO, on_text=lambda piece: None)
            await asyncio.wait_for(let_go.wait(), 3)
            assert caught
            await asked.adapter.close()

    asyncio.run(work())


@pytest.mark.parametrize("sent", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"x" * 9000])
def test_server_that_speaks_something_else_than_http_is_named_with_what_to_do(sent: bytes, tmp_path: Path) -> None:
    async def speak(asked: Asked) -> None:
        asked.writer.write(sent)
        await asked.writer.drain()
        asked.writer.close()

    with pytest.raises(ModelUnavailable, match="lab/tiny: the connection failed: ") as caught:
        asyncio.run(asked_of(speak, tmp_path))
    assert caught.value.hint == foreign.REACH


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        pytest.param({"prompt_tokens": 12.0, "completion_tokens": -3}, (12, 0, 0), id="a fraction and a negative"),
        pytest.param({"prompt_tokens": "many", "completion_tokens": None}, (0, 0, 0), id="words"),
        pytest.param(
            {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}},
            (5, 1, 5),
            id="more cached than sent",
        ),
        pytest.param(7, (0, 0, 0), id="no object"),
    ],
)
def test_count_of_tokens_that_is_none_costs_no_reply(
    usage: Any, counted: tuple[int, int, int], chat_server: ChatServer, tmp_path: Path
) -> None:
    message = {"role": "assistant", "content": "ready"}
    body = {"id": "c", "created": 1, "model": "m", "object": "chat.completion", "usage": usage}
    body |= {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    chat_server.replies = lambda request: (200, {"x-body": json.dumps(body)})
    reply = ask(over_http(chat_server, "openai", tmp_path))
    used = reply.usage
    assert (used.prompt_tokens, used.completion_tokens, used.cached_tokens) == counted


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_server_that_is_gone_is_unavailable(adapter: str, chat_server: ChatServer, tmp_path: Path) -> None:
    chat_server.url = "http://127.0.0.1:9/v1"
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:9 failed: Connection refused|Connection refused"):
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


class Slowly(Costs):
    """Counts how many of its calls are made at once; the first one fails where that is wanted."""

    def __init__(self, usd: float | None, *, fails: BaseException | None = None) -> None:
        super().__init__(usd)
        self.now = self.most = 0
        self.fails = fails

    async def call(self, messages: Any, **how: Any) -> Raw:
        self.now, fails = self.now + 1, self.fails
        self.most, self.fails = max(self.most, self.now), None
        try:
            await asyncio.sleep(0.01)
            if fails:
                raise fails
            return await super().call(messages, **how)
        finally:
            self.now -= 1


def at_once(adapter: Slowly, spending: Spending, count: int, **how: Any) -> list[Any]:
    recorder = Recorder(Model(adapter, SystemClock()), role="grader", keep=lambda _: None, spending=spending, **how)

    async def all_of_them() -> list[Any]:
        asked = (recorder.reply(HELLO, purpose="p", prompt="x") for _ in range(count))
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_call_waits_for_those_under_way_rather_than_be_refused_for_what_they_may_cost() -> None:
    adapter, spending = Slowly(0.1), Spending(limit=0.65, dearest=0.3)
    done = at_once(adapter, spending, 8)
    assert sum(isinstance(one, ModelRefused) for one in done) == 4, "0.4 are spent then, and one may cost 0.3"
    assert adapter.most == 2
    assert spending.spent == pytest.approx(0.4)


@pytest.mark.parametrize("fails", [ModelRefused("no", hint="x"), asyncio.CancelledError()], ids=["failed", "cancelled"])
def test_room_of_a_call_that_came_to_nothing_is_given_back(fails: BaseException) -> None:
    adapter, spending = Slowly(0.2, fails=fails), Spending(limit=0.5)
    done = at_once(adapter, spending, 3)
    assert [type(one) for one in done] == [type(fails), Reply, Reply]
    assert (spending.under_way, spending.reserved, spending.met) == (0, 0.0, False)


def test_price_that_is_known_beforehand_is_kept_aside_from_the_first_call_on() -> None:
    def price(usage: Usage) -> Usage:
        assert usage.completion_tokens
        return usage.model_copy(update={"usd": 0.2})

    adapter, spending = Slowly(0.1), Spending(limit=0.5)
    assert sum(isinstance(one, ModelRefused) for one in at_once(adapter, spending, 9, price=price)) == 5
    assert adapter.most == 2
    assert spending.spent == pytest.approx(0.4)


def test_small_sums_are_told_as_what_they_are() -> None:
    def price(usage: Usage) -> Usage:
        return usage.model_copy(update={"usd": 0.00425})

    (refused,) = at_once(Slowly(0.1), Spending(limit=0.003), 1, price=price)
    assert str(refused) == "0.00 of 0.003 USD are spent, and the next call may pass the limit: it may cost 0.0043."


def test_calls_without_a_price_need_not_wait_for_one_another() -> None:
    adapter = Slowly(None)
    at_once(adapter, Spending(limit=0.5), 5, price=lambda usage: usage)
    assert adapter.most == 5


def test_what_several_sessions_may_spend_is_kept_from_one_event_loop_to_the_next() -> None:
    spending = Spending(limit=0.5)
    for _ in range(2):
        assert all(isinstance(one, Reply) for one in at_once(Slowly(None), spending, 3))


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
