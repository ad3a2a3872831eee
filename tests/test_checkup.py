"""Whether mockint can work here, and which model each role would use."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mockint.config import Provider, load_config
from mockint.content import Problem, roots
from mockint.errors import ContentError
from mockint.lint import lint
from tests.conftest import ChatServer, Run


@pytest.fixture(autouse=True)
def linted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped content is the same for every test, and the lint of it takes a second."""
    monkeypatch.setattr("mockint.checkup.lint", lambda folders: shipped() if folders == roots() else lint(folders))


@cache
def shipped() -> list[Problem]:
    return lint(roots())


def config(path: Path, text: str) -> Path:
    (path / "m.toml").write_text(text)
    return path / "m.toml"


def test_all_is_well_without_a_model(run: Run, tmp_path: Path) -> None:
    done = run("doctor", "--json")
    assert done.code == 0
    assert {one["name"] for one in done.json} == {"config", "content", "home", "clock", "terminal", "models"}
    assert all(one["good"] for one in done.json)


def test_missing_key_and_damaged_content_are_told_with_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own" / "bank" / "rag").mkdir(parents=True)
    (tmp_path / "own" / "bank" / "rag" / "x.yaml").write_text("id: y\n")
    file = config(tmp_path, '[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "NO_SUCH_KEY"\n')
    done = run("doctor", "--config", file, "--content", tmp_path / "own")
    assert done.code == 3
    assert "BAD  key" in done.out
    assert "export NO_SUCH_KEY=" in done.out
    assert "See: mockint bank lint" in done.out


def test_home_that_cannot_be_written_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("doctor", "--home", tmp_path / "file" / "home")
    assert done.code == 3
    assert "name another with --home" in done.out


def test_clock_that_went_back_is_told(run: Run, tmp_path: Path) -> None:
    late = tmp_path / "home" / "sessions" / "29991231-235959-rag-abcd"
    late.mkdir(parents=True)
    (late / "events.jsonl").write_text("")
    done = run("doctor")
    assert done.code == 3
    assert "BAD  clock" in done.out


def test_fallback_does_not_stand_in_for_the_model_that_is_tried(
    run: Run, tmp_path: Path, chat_server: ChatServer
) -> None:
    file = config(
        tmp_path,
        f'[models]\nfallback = ["good/m"]\n[limits]\ntries = 1\n[providers.good]\nbase_url = "{chat_server.url}"\n'
        '[providers.down]\nbase_url = "http://127.0.0.1:9/v1"\n',
    )
    assert run("doctor", "--model", "down/m", "--config", file).code == 5
    assert not chat_server.requests


def test_model_is_tried_in_three_ways(run: Run, tmp_path: Path, chat_server: ChatServer) -> None:
    def replies(request: dict[str, Any]) -> str | tuple[int, dict[str, str]]:
        kind = request.get("response_format", {}).get("type")
        if kind == "json_schema":
            return 400, {}
        return json.dumps({"word": "ready"}) if kind else "one two three four five six seven"

    chat_server.replies = replies
    file = config(tmp_path, f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    done = run("doctor", "--model", "lab/m", "--config", file)
    assert done.code == 0
    assert "lab/m answered in" in done.out
    assert "its words come in" in done.out
    assert "in JSON mode" in done.out


def test_model_that_is_gone_is_told_in_words_and_with_its_code(run: Run, tmp_path: Path) -> None:
    file = config(tmp_path, '[providers.lab]\nbase_url = "http://127.0.0.1:9/v1"\n[limits]\ntries = 1\n')
    done = run("doctor", "--model", "lab/m", "--config", file)
    assert done.code == 5
    assert "BAD  model" in done.out


@pytest.mark.parametrize("name", ["lab/gpt-4o", "lab/m"], ids=["a name in the price list", "a name of one's own"])
def test_price_at_an_address_of_one_s_own_is_unknown(
    run: Run, tmp_path: Path, chat_server: ChatServer, name: str
) -> None:
    file = config(tmp_path, f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    assert "at an unknown price" in run("doctor", "--model", name, "--config", file).out


def test_file_that_was_named_is_the_one_that_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mockint.toml").write_text("")
    assert f"config      file {tmp_path / 'm.toml'}\n" in run("doctor", "--config", config(tmp_path, "")).out
    assert "config      project file mockint.toml\n" in run("doctor").out


def test_what_a_server_says_cannot_write_on_the_terminal(run: Run, tmp_path: Path, chat_server: ChatServer) -> None:
    error = json.dumps({"error": {"message": "\x1b[2Jgone\x07", "type": "x", "code": None}})
    chat_server.replies = lambda request: (400, {"x-body": error})
    file = config(tmp_path, f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    done = run("doctor", "--model", "lab/m", "--config", file)
    assert "gone" in done.out
    assert not {"\x1b", "\x07"} & set(done.out)


@pytest.mark.parametrize("name", ["gpt-5-mini", "openai/", "/m"])
def test_model_without_a_provider_is_a_usage_error(run: Run, name: str) -> None:
    done = run("doctor", "--model", name)
    assert done.code == 2
    assert "PROVIDER/MODEL" in done.err


def test_provider_that_nobody_knows_is_named_with_what_to_do(run: Run) -> None:
    done = run("doctor", "--model", "lab/qwen3")
    assert done.code == 5
    assert "There is no provider 'lab'" in done.out
    assert "base_url under [providers.NAME]" in done.out
    assert done.err == ""


def test_models_of_each_role_and_where_their_keys_come_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-planted")
    file = config(
        tmp_path,
        '[models]\ninterviewer = "anthropic/claude-sonnet-4-5"\ngrader = "lab/q"\nfallback = ["openai/gpt-5-mini"]\n'
        '[providers.lab]\nbase_url = "http://localhost:8000/v1"\napi_key_env = "LAB_KEY"\n'
        '[providers.spare]\nbase_url = "https://models.example/v1"\napi_key_env = "SPARE_KEY"\nadapter = "litellm"\n',
    )
    done = run("models", "--config", file, "--json")
    found = [(row["role"], row["reference"], row["through"], row["key"]) for row in done.json]
    assert found == [
        ("interviewer", "anthropic/claude-sonnet-4-5", "litellm", "the provider's own variable"),
        ("grader", "lab/q", "openai", "from LAB_KEY"),
        ("fallback", "openai/gpt-5-mini", "openai", "the provider's own variable"),
        ("", "spare/…", "litellm", "missing: SPARE_KEY"),
    ]
    assert "sk-planted" not in done.out + run("models", "--config", file).out


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("http://192.168.0.7:8000/v1", "without TLS", id="another machine"),
        pytest.param("http://localhost.evil.example/v1", "without TLS", id="a name that only looks like this machine"),
        pytest.param("https://user:secret@models.example/v1", "no name and no password", id="a password in it"),
        pytest.param("ftp://127.0.0.1/v1", "must be an http or https address", id="another protocol"),
        pytest.param("models.example/v1", "must be an http or https address", id="no protocol"),
    ],
)
def test_address_that_would_give_things_away_is_refused(tmp_path: Path, url: str, told: str) -> None:
    with pytest.raises(ContentError) as raised:
        load_config(file=config(tmp_path, f'[providers.lab]\nbase_url = "{url}"\n'))
    assert told in raised.value.what
    assert "secret" not in raised.value.what


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/v1", "http://[::1]:1/v1", "http://localhost/v1", "https://a.example"]
)
def test_address_of_this_machine_needs_no_tls(url: str) -> None:
    assert Provider(base_url=url).base_url == url


def test_unsafe_address_is_allowed_by_name() -> None:
    assert Provider(base_url="http://10.0.0.2/v1", insecure=True).insecure


def test_key_comes_from_the_keyring_when_that_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = {("mockint", "lab"): "sk-from-the-ring"}
    ring, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    vars(ring)["get_password"] = lambda service, user: held.get((service, user))
    vars(errors)["KeyringError"] = RuntimeError
    monkeypatch.setitem(sys.modules, "keyring", ring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    found = load_config(
        file=config(tmp_path, '[providers.lab]\nbase_url = "https://a.example"\napi_key_keyring = "mockint/lab"\n')
    )
    assert found.key(found.settings.providers["lab"]) == "sk-from-the-ring"
    both = Provider(base_url="https://a.example", api_key_keyring="mockint/lab", api_key_env="LAB_KEY")
    assert both.key_source == "mockint/lab", "the source that is told is the one that is used"
    with pytest.raises(ContentError, match="holds no key"):
        found.key(Provider(base_url="https://a.example", api_key_keyring="mockint/other"))


def test_provider_that_is_spoken_to_in_its_own_protocol_has_its_own_variables(run: Run, tmp_path: Path) -> None:
    file = config(tmp_path, '[providers.bedrock]\nbase_url = "http://127.0.0.1:9"\nadapter = "litellm"\n')
    assert "bedrock: the provider's own variable" in run("doctor", "--config", file).out
