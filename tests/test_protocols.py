"""Nine providers over their own protocols, with the client library as it is; and the file that says how to swap them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mockint.bank import load_bank
from mockint.clock import SystemClock
from mockint.config import load_config
from mockint.content import Frozen, roots
from mockint.errors import ModelRefused, ModelUnavailable
from mockint.llm import Message, Model, Reply, connect, strict_schema
from tests.conftest import ROOT, ChatServer, Run
from tests.protocols import (
    KEY,
    PROMPT_TOKENS,
    REPLY_TOKENS,
    Anthropic,
    Arrived,
    Gemini,
    Mistral,
    Ollama,
    OpenAI,
    OpenRouter,
    Proxy,
    Refusal,
    Served,
    UnlistedClaude,
    UnlistedGemini,
    Wire,
    serving,
)
from tests.protocols_azure import Azure
from tests.protocols_bedrock import ACCESS_KEY, REGION, SECRET, Bedrock, Nova, SignedBedrock, frame

# Of some of litellm's types, pydantic warns in the plural.
pytestmark = pytest.mark.filterwarnings("ignore:Items? .* on TypedDict class:UserWarning")

WIRES = [Anthropic(), Gemini(), Mistral(), Ollama(), OpenRouter(), Azure(), Bedrock()]
ASKED = [Message(role="system", content="Be brief."), Message(role="user", content="Hello")]
TURNS = [("system", "Be brief."), ("user", "Hello")]
WORDS = "Zwölf Stücke, 中文 und 🙂, dann das Ende."


OF_A_PROVIDER = re.compile(r"^(AWS|AZURE)_|_(API_KEY|API_BASE|BASE_URL)$")


class Shape(Frozen):
    word: str
    why: str | None = None


GOOD = '{"word": "yes", "why": null}'
SCHEMA = strict_schema(Shape)["json_schema"]["schema"]


def name_of(wire: Wire) -> str:
    return wire.provider


@pytest.fixture(autouse=True)
def no_keys_of_ones_own_and_no_other_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if OF_A_PROVIDER.search(name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAB_KEY", KEY)
    # Else it is looked for in files of the user's, and on the network.
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
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
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with serving(request.param) as server:
        for name, value in server.wire.settings.items():
            monkeypatch.setenv(name, value)
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


@pytest.mark.parametrize("wire", [UnlistedClaude(), UnlistedGemini(), Nova()], ids=name_of)
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


# Amazon's signatures and streams


@pytest.fixture
def access_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION_NAME", REGION)


@pytest.mark.usefixtures("access_key")
@pytest.mark.parametrize("how", [{}, {"schema": Shape}, {"on_text": print}], ids=["plain", "structured", "streamed"])
def test_access_key_signs_and_its_secret_is_not_sent(how: dict[str, Any], tmp_path: Path) -> None:
    with serving(SignedBedrock()) as served:
        served.text = GOOD
        assert ask(over(served, tmp_path, key_variable=None), **how).text == GOOD
        [arrived] = served.arrived
    assert f"Credential={ACCESS_KEY}/" in arrived.headers["authorization"]
    assert SECRET not in f"{arrived.path} {arrived.headers} {arrived.raw.decode()}"


@pytest.mark.usefixtures("access_key")
@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another/secret", "signature"),
        ("AWS_SECRET_ACCESS_KEY", "", "Partial credentials"),
        ("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN", "security token"),
        ("AWS_REGION_NAME", "us-east-1", "signature"),
        ("AWS_REGION_NAME", "somewhere else", "Invalid AWS region"),
        ("AWS_PROFILE_NAME", "nobody", "profile (nobody)"),
    ],
)
def test_wrong_set_up_for_aws_is_refused_at_once_and_told(
    variable: str, value: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value:
        monkeypatch.setenv(variable, value)
    else:
        monkeypatch.delenv(variable)
    with serving(SignedBedrock()) as served, pytest.raises(ModelRefused) as caught:
        ask(over(served, tmp_path, key_variable=None))
    assert told in caught.value.what
    assert "AWS_REGION_NAME" in caught.value.hint
    assert len(served.arrived) <= 1
    assert not {SECRET, "another/secret"} & set(re.findall(r"\S+", caught.value.what))


@pytest.mark.usefixtures("access_key")
def test_region_may_stand_in_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")
    wire = SignedBedrock()
    with serving(wire) as served:
        file = tmp_path / "mockint.toml"
        file.write_text(f'[providers.bedrock]\nbase_url = "{served.url}"\nadapter = "litellm"\n')
        config = load_config(file=file, home=tmp_path)
        model = connect(f"bedrock/{REGION}/{wire.model}", config=config, clock=SystemClock())
        assert ask(model).text == "ready"


@pytest.mark.usefixtures("access_key")
def test_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("boto3", "botocore"):
        monkeypatch.setitem(sys.modules, name, None)
    with serving(SignedBedrock()) as served, pytest.raises(ModelRefused) as caught:
        ask(over(served, tmp_path, key_variable=None))
    what, hint = caught.value.what, caught.value.hint
    assert what == f"{reference(served.wire)} needs the package boto3, which is not installed."
    assert hint == "Install it: pip install boto3"
    assert served.arrived == []


class Repeats(Bedrock):
    """Repeats the key in its refusal, as some gateways do."""

    def refused(self, arrived: Arrived) -> Refusal | None:
        return Refusal(403, {"message": f"Authentication failed for {self.key(arrived.headers)}."})


def test_key_from_amazon_s_own_variable_is_kept_out_of_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "ABSKQmVkcm9ja0FQSUtleS" + "aB3+/" * 8 + "=="
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", key)
    monkeypatch.setenv("AWS_REGION_NAME", REGION)
    with serving(Repeats()) as served, pytest.raises(ModelRefused) as caught:
        ask(over(served, tmp_path, key_variable=None))
    assert len(served.arrived) == 1
    assert "Authentication failed for (key)" in caught.value.what
    assert not any(piece in caught.value.what for piece in re.findall(".{12}", key))


class Early(Bedrock):
    """Ends in good order after a frame, before the one that says why it stopped."""

    def parts(self, arrived: Arrived, text: str) -> list[bytes]:
        return frames(super().parts(arrived, text))[:4]


class Damaged(Bedrock):
    """Has one bit that is not what the checksum says."""

    def parts(self, arrived: Arrived, text: str) -> list[bytes]:
        begun = frames(super().parts(arrived, text))
        return [*begun[:3], begun[3].replace(b"contentBlockIndex", b"contentBlockIndey"), *begun[4:]]


class Throttled(Bedrock):
    """Breaks a stream off with an exception of its own."""

    def parts(self, arrived: Arrived, text: str) -> list[bytes]:
        told = {":message-type": "exception", ":exception-type": "throttlingException"}
        return [*frames(super().parts(arrived, text))[:4], frame(told, b'{"message": "Too many tokens"}')]


def frames(parts: list[bytes]) -> list[bytes]:
    """Returns a stream cut between its messages, whose first four bytes are their lengths."""
    stream, found = b"".join(parts), list[bytes]()
    while stream:
        length = int.from_bytes(stream[:4], "big")
        found.append(stream[:length])
        stream = stream[length:]
    return found


@pytest.mark.parametrize("wire", [Early(), Damaged(), Throttled()], ids=lambda wire: type(wire).__name__)
def test_broken_stream_of_amazon_s_is_no_whole_reply(wire: Wire, tmp_path: Path) -> None:
    shown: list[str] = []
    with serving(wire) as served:
        served.text = WORDS
        with pytest.raises(ModelUnavailable):
            ask(over(served, tmp_path), on_text=shown.append)
    assert WORDS.startswith("".join(shown))
    assert "".join(shown) != WORDS
    assert len(served.arrived) == 1, "what was shown is not begun again"


# What the set-up lacks


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_missing_key_of_azure_is_told_as_such(streamed: bool, tmp_path: Path) -> None:
    with serving(Azure()) as served, pytest.raises(ModelRefused) as caught:
        ask(over(served, tmp_path, key_variable=None), on_text=print if streamed else None)
    assert caught.value.what == "There is no API key for azure/my-deployment."
    assert served.arrived == []


def test_missing_address_of_azure_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_API_KEY", KEY)
    model = connect("azure/my-deployment", config=load_config(home=tmp_path), clock=SystemClock())
    with pytest.raises(ModelRefused) as caught:
        ask(model)
    assert caught.value.what == "There is no address for azure/my-deployment."
    assert "base_url" in caught.value.hint


@pytest.mark.parametrize("schema", [None, Shape], ids=["plain", "structured"])
def test_wrong_key_for_a_proxy_without_a_database_is_refused_at_once(
    schema: type[Shape] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-wrong-key")
    file = tmp_path / "mockint.toml"
    with serving(Proxy()) as served:
        file.write_text(f'[providers.proxy]\nbase_url = "{served.url}"\napi_key_env = "LAB_KEY"\n')
        model = connect("proxy/team-model", config=load_config(file=file, home=tmp_path), clock=SystemClock())
        with pytest.raises(ModelRefused) as caught:
            ask(model, schema=schema)
    assert "API key" in caught.value.hint
    assert len(served.arrived) == 1


@pytest.mark.parametrize("wire", [Gemini(), Ollama(), OpenRouter(), Azure(), Bedrock()], ids=name_of)
def test_host_that_cannot_be_reached_is_the_one_that_is_named(wire: Wire, tmp_path: Path) -> None:
    with serving(wire) as served:
        gone = served
    with pytest.raises(ModelUnavailable) as caught:
        ask(over(gone, tmp_path, tries=1))
    assert urlsplit(gone.url).netloc in caught.value.what
    assert "openai" not in caught.value.what


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
RUN = {wire.provider for wire in WIRES} | {"openai"}
SPOKEN: dict[str, type[Wire]] = {wire.provider: type(wire) for wire in WIRES} | {"proxy": Proxy}
"""By provider, what is spoken to it; OpenAI's protocol to all others."""
CANDIDATE = ROOT / "examples" / "candidate.yaml"
QUESTION, QUOTE = "hybrid-search", "BM25 gets those right because it matches the literal token"
ASKS = "And which of the two would you leave out first, if you had to?"


def named(block: str) -> str:
    grader: str = tomllib.loads(block)["models"]["grader"]
    return grader


def rows() -> list[list[str]]:
    """Returns the cells of the page's table of providers, without its head."""
    told = PAGE.partition("\n## What swapping a provider takes\n")[2].partition("\n## ")[0]
    _, *lines = re.findall(r"^\| .*$", told, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def row_of(name: str) -> list[str]:
    [found] = [row for row in rows() if row[1] == name]
    return found


def test_page_has_ten_providers_and_lines_for_each() -> None:
    assert {row[1] for row in rows()} == {named(block) for block in BLOCKS}
    assert len({row[0] for row in rows()}) == len(rows()) >= 10


def test_page_counts_its_lines() -> None:
    counted = {named(block): sum(bool(line.strip()) for line in block.splitlines()) for block in BLOCKS}
    assert {row[1]: int(row[4]) for row in rows()} == counted


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_lines_load_and_connect_to_the_library_that_the_page_says(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mockint.toml"
    file.write_text(block)
    config = load_config(file=file, home=tmp_path)
    name = config.settings.models.grader
    _, _, library, key, *_ = row_of(name)
    own = config.settings.providers.get(name.partition("/")[0])
    assert own is None or own.api_key_env in (None, key)
    if key != "none":
        monkeypatch.setenv(key, KEY)
    model = connect(name, config=config, clock=SystemClock())
    assert (type(model.adapter).__name__, model.name) == (LIBRARIES[library], name)
    asyncio.run(model.adapter.close())


def test_page_says_truly_which_are_run_here() -> None:
    assert {row[1].partition("/")[0] for row in rows() if row[5] == "yes"} == RUN
    keys = {wire.provider: wire.variables[1] for wire in WIRES}
    said = {row[1].partition("/")[0]: row[3] for row in rows()}
    assert {provider: said[provider] for provider in keys} == keys | {"ollama_chat": "none"}


@dataclass
class Plays:
    """What a server says as the model of an interviewer and of a grader."""

    wire: Wire
    asked: list[str] = field(default_factory=list)

    def __call__(self, arrived: Arrived) -> str:
        if self.wire.streams(arrived):
            self.asked.append("speak")
            return ASKS
        if "verdicts" not in self.wire.schema(arrived.body)["properties"]:
            self.asked.append("read")
            return json.dumps({"criteria": [], "wrong": [], "gave_up": False})
        self.asked.append("judge")
        bank = load_bank(roots())
        verdicts = [
            {"criterion": one.id, "quote": QUOTE, "turn": 2, "reason": "They say so.", "level": list(one.levels)[-1]}
            for one in bank.rubric(bank.question(QUESTION)).criteria
        ]
        return json.dumps({"verdicts": verdicts, "red_flags": []})


@contextmanager
def served_for(block: str, wire: Wire, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Writes the page's lines to mockint.toml with a loopback server's address in the place of the provider's; where they have none, it
    stands in the client library's own variable."""
    wire.model = named(block).partition("/")[2]
    with serving(wire) as served:
        here, replaced = re.subn(r'(base_url *= *)"[^"]*"', rf'\1"{served.url}"', block)
        if not replaced:
            monkeypatch.setenv(wire.variables[0], served.url)
        for name, value in wire.settings.items():
            monkeypatch.setenv(name, value)
        (folder / "mockint.toml").write_text(here)
        yield served


def interview(run: Run, name: str) -> str:
    """Holds an interview of one question, and returns what was printed and what the report says, once the grade is as it should be."""
    done = run("start", "--question", QUESTION, "--answers", CANDIDATE, "--json")
    assert (done.code, done.json["signal"]) == (0, "strong hire"), done.err
    report, grade = run("report", "last").out, run("report", "last", "--format", "json").json["grade"]
    assert grade["stamp"]["model"] == name
    assert {verdict["state"] for answer in grade["answers"] for verdict in answer["verdicts"]} == {"scored"}
    assert name in report
    assert QUOTE in report
    assert ASKS in [turn["text"] for turn in run("replay", "last", "--json").json]
    return f"{done.out}{done.err}{report}"


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_whole_interview_with_the_page_s_lines(
    block: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = named(block)
    wire = SPOKEN.get(name.partition("/")[0], OpenAI)()
    if (variable := row_of(name)[3]) == "none":
        wire.wanted = None
    else:
        monkeypatch.setenv(variable, KEY)
    plays = Plays(wire)
    with served_for(block, wire, tmp_path, monkeypatch) as served:
        served.text = plays
        told = interview(run, name)
        assert {wire.asked(arrived) for arrived in served.arrived} == {wire.model}
    assert set(plays.asked) == {"read", "speak", "judge"}
    assert KEY not in told + written(tmp_path)


@pytest.mark.usefixtures("access_key")
def test_whole_interview_with_an_access_key_of_amazon_s(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [block] = [block for block in BLOCKS if named(block).startswith("bedrock/")]
    wire = SignedBedrock()
    with served_for(block, wire, tmp_path, monkeypatch) as served:
        served.text = Plays(wire)
        told = interview(run, named(block))
    sent = "".join(f"{arrived.path}{arrived.headers}{arrived.raw.decode()}" for arrived in served.arrived)
    assert SECRET not in told + sent + written(tmp_path)
    assert ACCESS_KEY not in told + written(tmp_path)


def written(folder: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())
