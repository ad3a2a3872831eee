"""Five providers over their own protocols, with the client library as it is; and the file that says how to swap them."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mockint.clock import SystemClock
from mockint.config import load_config
from mockint.content import Frozen
from mockint.errors import ModelRefused, ModelUnavailable
from mockint.llm import Message, Model, Reply, connect, strict_schema
from tests.conftest import ROOT, ChatServer
from tests.protocols import (
    KEY,
    PROMPT_TOKENS,
    REPLY_TOKENS,
    Anthropic,
    Gemini,
    Mistral,
    Ollama,
    OpenRouter,
    Served,
    UnlistedClaude,
    UnlistedGemini,
    Wire,
    serving,
)

# Of some of litellm's types, pydantic warns in the plural.
pytestmark = pytest.mark.filterwarnings("ignore:Items? .* on TypedDict class:UserWarning")

WIRES = [Anthropic(), Gemini(), Mistral(), Ollama(), OpenRouter()]
ASKED = [Message(role="system", content="Be brief."), Message(role="user", content="Hello")]
TURNS = [("system", "Be brief."), ("user", "Hello")]
WORDS = "Zwölf Stücke, 中文 und 🙂, dann das Ende."


class Shape(Frozen):
    word: str
    why: str | None = None


GOOD = '{"word": "yes", "why": null}'
SCHEMA = strict_schema(Shape)["json_schema"]["schema"]


def name_of(wire: Wire) -> str:
    return wire.provider


@pytest.fixture(autouse=True)
def no_keys_of_ones_own_and_no_other_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAB_KEY", KEY)
    elsewhere: list[Any] = []
    look_up = socket.getaddrinfo

    def here_only(host: Any, *more: Any, **how: Any) -> Any:
        if host not in ("127.0.0.1", "localhost"):
            elsewhere.append(host)
            raise socket.gaierror(f"a test looked {host} up")
        return look_up(host, *more, **how)

    monkeypatch.setattr(socket, "getaddrinfo", here_only)
    yield
    assert elsewhere == []


@pytest.fixture(params=WIRES, ids=name_of)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving(request.param) as server:
        yield server
        paths = server.wire.paths()
        assert {arrived.path for arrived in server.arrived} <= set(paths), "nothing else was asked of the server"


def over(served: Served, folder: Path, *, key_variable: str | None = "LAB_KEY", tries: int = 3) -> Model:
    """Connects through the config: a base URL, the client library, and the name of the key's variable."""
    file = folder / "mockint.toml"
    file.write_text(
        f'[providers.{served.wire.provider}]\nbase_url = "{served.url}"\nadapter = "litellm"\n'
        + (f'api_key_env = "{key_variable}"\n' if key_variable else "")
        + f"[limits]\ntries = {tries}\n"
    )
    return connect(reference(served.wire), config=load_config(file=file, home=folder), clock=SystemClock())


def reference(wire: Wire) -> str:
    return f"{wire.provider}/{wire.model}"


def ask(model: Model, **how: Any) -> Reply[Any]:
    async def and_close() -> Reply[Any]:
        try:
            return await model.reply(ASKED, **how)
        finally:
            await model.adapter.close()

    return asyncio.run(and_close())


# The wire


def test_plain_reply_and_what_was_asked(served: Served, tmp_path: Path) -> None:
    served.text = WORDS
    reply = ask(over(served, tmp_path))
    assert (reply.text, reply.cut_off, reply.tries) == (WORDS, False, 1)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (PROMPT_TOKENS, REPLY_TOKENS)
    [arrived] = served.arrived
    assert arrived.path == served.wire.paths()[0]
    assert served.wire.key(arrived.headers) == KEY
    assert served.wire.asked(arrived) == served.wire.model
    assert served.wire.turns(arrived.body) == TURNS


def test_client_library_s_own_variables_do_too(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, key = served.wire.variables
    monkeypatch.setenv(address, served.url)
    monkeypatch.setenv(key, KEY)
    model = connect(reference(served.wire), config=load_config(home=tmp_path), clock=SystemClock())
    assert ask(model).text == "ready"
    assert served.wire.key(served.arrived[0].headers) == KEY


def test_streamed_reply_comes_whole_out_of_parts_that_end_within_characters(served: Served, tmp_path: Path) -> None:
    served.text = WORDS
    shown: list[str] = []
    reply = ask(over(served, tmp_path), on_text=shown.append)
    assert "".join(shown) == reply.text == WORDS
    assert served.broken == sum(len(character.encode()) > 1 for character in WORDS) == 5
    assert len(shown) > 5
    assert reply.cut_off is False
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (PROMPT_TOKENS, REPLY_TOKENS)
    [arrived] = served.arrived
    assert arrived.path == served.wire.paths()[1]
    assert served.wire.turns(arrived.body) == TURNS


def test_stream_that_ends_early_is_no_whole_reply(
    served: Served, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if isinstance(served.wire, Gemini):
        reason = "litellm gives a stream of Gemini's that ends early the finish reason of a whole one"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    served.text, served.ends_after = WORDS, 3
    shown: list[str] = []
    with pytest.raises(ModelUnavailable):
        ask(over(served, tmp_path), on_text=shown.append)
    assert WORDS.startswith("".join(shown))
    assert len(served.arrived) == 1, "what was shown is not begun again"


def test_structured_reply_is_asked_for_where_the_provider_reads_it(served: Served, tmp_path: Path) -> None:
    served.text = GOOD
    reply = ask(over(served, tmp_path), schema=Shape)
    assert (reply.parsed, reply.problem) == (Shape(word="yes"), None)
    assert reply.usage.completion_tokens == REPLY_TOKENS
    [arrived] = served.arrived
    assert served.wire.schema(arrived.body) == SCHEMA
    assert served.wire.turns(arrived.body) == TURNS


@pytest.mark.parametrize("wire", [UnlistedClaude(), UnlistedGemini()], ids=name_of)
def test_model_that_the_library_does_not_list_gets_the_schema_another_way(wire: Wire, tmp_path: Path) -> None:
    with serving(wire) as served:
        served.text = GOOD
        reply = ask(over(served, tmp_path), schema=Shape)
        [arrived] = served.arrived
    assert reply.parsed == Shape(word="yes")
    assert wire.schema(arrived.body)["properties"].keys() == SCHEMA["properties"].keys()
    assert wire.schema(arrived.body)["required"] == SCHEMA["required"]


@pytest.mark.parametrize("schema", [None, Shape], ids=["plain", "structured"])
def test_wrong_key_is_refused_at_once(
    schema: type[Shape] | None, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-wrong-key")
    with pytest.raises(ModelRefused) as caught:
        ask(over(served, tmp_path), schema=schema)
    assert "API key" in caught.value.hint
    assert "sk-wrong-key" not in caught.value.what
    assert len(served.arrived) == 1


@pytest.mark.parametrize("wire", [wire for wire in WIRES if not isinstance(wire, Ollama)], ids=name_of)
def test_missing_key_is_refused(wire: Wire, tmp_path: Path) -> None:
    with serving(wire) as served, pytest.raises(ModelRefused):
        ask(over(served, tmp_path, key_variable=None, tries=1))


def test_short_retry_after_is_waited_for(served: Served, tmp_path: Path) -> None:
    served.busy = ["0"]
    reply = ask(over(served, tmp_path))
    assert (reply.text, reply.tries, len(served.arrived)) == ("ready", 2, 2)


def test_long_retry_after_is_read_and_ends_it(served: Served, tmp_path: Path) -> None:
    served.busy = ["3600"] * 3
    with pytest.raises(ModelUnavailable) as caught:
        ask(over(served, tmp_path))
    assert caught.value.retry_after == 3600
    assert len(served.arrived) == 1


# What else it does


QUIET = """
import asyncio, sys
from pathlib import Path
from mockint.clock import SystemClock
from mockint.config import load_config
from mockint.errors import ModelError
from mockint.llm import Message, connect

async def ask(model):
    try:
        return (await model.reply([Message(role="user", content="Hello")], on_text=lambda piece: None)).text
    except ModelError as exc:
        return type(exc).__name__
    finally:
        await model.adapter.close()

for name in sys.argv[2:]:
    print(asyncio.run(ask(connect(name, config=load_config(file=Path(sys.argv[1])), clock=SystemClock()))))
"""


def test_client_library_prints_nothing(tmp_path: Path) -> None:
    with serving(Gemini()) as gemini, serving(Mistral()) as mistral:
        file = tmp_path / "mockint.toml"
        file.write_text(
            "".join(
                f'[providers.{server.wire.provider}]\nbase_url = "{server.url}"\nadapter = "litellm"\n'
                'api_key_env = "LAB_KEY"\n'
                for server in (gemini, mistral)
            )
        )
        names = [reference(gemini.wire), reference(mistral.wire), "gemini/no-such-model"]
        done = subprocess.run(
            [sys.executable, "-c", QUIET, file, *names], capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.stdout, done.stderr) == ("ready\nready\nModelRefused\n", "")


@pytest.mark.parametrize("key", ["LAB_KEY", None], ids=["by its own variable", "by the library's"])
def test_key_of_a_provider_without_a_base_url(key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Anthropic()
    file = tmp_path / "mockint.toml"
    file.write_text(f'[providers.anthropic]\napi_key_env = "{key}"\n' if key else "")
    with serving(wire) as served:
        monkeypatch.setenv(wire.variables[0], served.url)
        monkeypatch.setenv(wire.variables[1], "sk-another-key" if key else KEY)
        model = connect(reference(wire), config=load_config(file=file, home=tmp_path), clock=SystemClock())
        assert ask(model).text == "ready"


def test_openai_is_reached_by_its_own_variables(
    chat_server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", chat_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = connect("openai/gpt-5-mini", config=load_config(home=tmp_path), clock=SystemClock())
    assert ask(model).text == "ready"
    assert chat_server.requests[0]["model"] == "gpt-5-mini"
    assert chat_server.headers[0]["authorization"] == f"Bearer {KEY}"


# docs/providers.md


PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
LIBRARIES = {"openai": "OpenAIAdapter", "litellm": "LitellmAdapter"}
RUN = {reference(wire).partition("/")[0] for wire in WIRES} | {"openai"}


def rows() -> list[list[str]]:
    """Returns the cells of the page's first table, without its head."""
    _, *lines = re.findall(r"^\| .*$", PAGE.partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def test_page_has_ten_providers_and_lines_for_each() -> None:
    named = {tomllib.loads(block)["models"]["grader"] for block in BLOCKS}
    assert {row[1] for row in rows()} <= named
    assert len({row[0] for row in rows()}) == len(rows()) >= 10


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: tomllib.loads(block)["models"]["grader"])
def test_lines_load_and_connect_to_the_library_that_the_page_says(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mockint.toml"
    file.write_text(block)
    config = load_config(file=file, home=tmp_path)
    name = config.settings.models.grader
    [(library, key)] = {(row[2], row[3]) for row in rows() if row[1] == name}
    own = config.settings.providers.get(name.partition("/")[0])
    assert own is None or own.api_key_env in (None, key)
    if key != "none":
        monkeypatch.setenv(key, KEY)
    model = connect(name, config=config, clock=SystemClock())
    assert (type(model.adapter).__name__, model.name) == (LIBRARIES[library], name)
    asyncio.run(model.adapter.close())


def test_page_says_truly_which_are_run_here() -> None:
    assert {row[1].partition("/")[0] for row in rows() if row[4] == "yes"} == RUN
    keys = {wire.provider: wire.variables[1] for wire in WIRES}
    said = {row[1].partition("/")[0]: row[3] for row in rows()}
    assert {provider: said[provider] for provider in keys} == keys | {"ollama_chat": "none"}
