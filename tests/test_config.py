"""The settings in force: which layer wins, where each comes from, and what is said of a wrong one."""

from __future__ import annotations

import re
import tomllib
import traceback
from pathlib import Path

import pytest

from mockint.config import Config, Provider, Settings, flat, load_config, places
from mockint.content import default_home
from mockint.errors import ContentError, UsageError
from tests.conftest import Run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    (tmp_path / "user" / "mockint").mkdir(parents=True)
    return tmp_path


def test_later_layers_win_and_each_value_knows_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = folder / "user" / "mockint" / "mockint.toml"
    user.write_text('[models]\ninterviewer = "a/user"\ngrader = "a/user"\nfallback = ["a/user"]\n[limits]\ntries = 2\n')
    (folder / "mockint.toml").write_text('[models]\ninterviewer = "b/project"\ngrader = "b/project"\n')
    monkeypatch.setenv("MOCKINT_MODELS__GRADER", "c/environment")
    monkeypatch.setenv("MOCKINT_INTERVIEW__MINUTES", "45")
    found = load_config(flags={"interview": {"minutes": 50}})
    settings = found.settings
    assert (settings.models.interviewer, settings.models.grader) == ("b/project", "c/environment")
    assert settings.models.fallback == ("a/user",)
    assert (settings.limits.tries, settings.interview.minutes, settings.interview.level) == (2, 50, "mid")
    assert found.origin["models.interviewer"] == "project file mockint.toml"
    assert found.origin["models.grader"] == "environment"
    assert found.origin["interview.minutes"] == "flags"
    assert found.origin["limits.tries"] == f"user file {user}"
    assert found.origin["interview.level"] == "default"


def test_named_file_stands_in_for_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mockint.toml").write_text('[models]\ngrader = "b/project"\n')
    (folder / "mine.toml").write_text('[models]\ninterviewer = "d/mine"\n')
    assert load_config(file=Path("mine.toml")).settings.models.grader == "offline"
    monkeypatch.setenv("MOCKINT_CONFIG", "mine.toml")
    assert load_config().settings.models.interviewer == "d/mine"
    assert places() == [("file", Path("mine.toml"))]
    with pytest.raises(UsageError):
        load_config(file=Path("none.toml"))


def test_every_wrong_setting_is_told_with_its_layer_and_the_right_spelling(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mockint.toml").write_text('[models]\ngradr = "x/y"\n[interview]\nlevel = "chief"\n')
    monkeypatch.setenv("MOCKINT_MODELS__INTERVIEWER", "gpt")
    with pytest.raises(ContentError) as caught:
        load_config()
    told = caught.value.what
    assert "project file mockint.toml: models.gradr: unknown key; did you mean 'grader'?" in told
    assert "interview.level: 'chief' is not one of them" in told
    assert "environment: models.interviewer: must be 'offline' or PROVIDER/MODEL, not 'gpt'" in told


def test_file_that_is_no_toml_is_named(folder: Path) -> None:
    (folder / "mockint.toml").write_text("[models\n")
    with pytest.raises(ContentError, match=r"mockint\.toml: not TOML"):
        load_config()


def test_key_is_read_from_the_variable_that_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mockint.toml").write_text(
        '[providers.lab]\nbase_url = "http://127.0.0.1:8000/v1"\napi_key_env = "LAB_KEY"\n'
    )
    found = load_config()
    provider = found.settings.providers["lab"]
    with pytest.raises(ContentError, match="'LAB_KEY'"):
        found.key(provider)
    monkeypatch.setenv("LAB_KEY", "k-1")
    assert found.key(provider) == "k-1"


def test_written_file_is_commented_valid_and_not_overwritten(run: Run, folder: Path) -> None:
    assert run("config", "init").out.strip() == "mockint.toml"
    assert run("config", "show").code == 0
    assert run("config", "init").code == 2
    assert str(folder / "home") in run("config", "path").out


def test_one_flag_or_one_line_swaps_the_provider(run: Run, folder: Path) -> None:
    (folder / "mockint.toml").write_text('models.interviewer = "lab/qwen3"\n')
    rows = {row["key"]: row for row in run("config", "show", "--json").json}
    assert rows["models.interviewer"] == {
        "key": "models.interviewer",
        "value": "lab/qwen3",
        "from": "project file mockint.toml",
    }


def test_written_file_names_every_setting_and_changes_none(run: Run, folder: Path) -> None:
    run("config", "init")
    text = (folder / "mockint.toml").read_text()
    assert not any(tomllib.loads(text).values()), "so that a project's file takes nothing from the user's own"
    named = tomllib.loads(re.sub(r"^# (?=\[[\w.]+\]|\w+ *= )", "", text, flags=re.MULTILINE))
    assert Settings.model_validate(named)
    every = Settings(providers={"lab": Provider()}).model_dump(mode="json")
    assert {key for key, _ in flat(named)} == {key for key, _ in flat(every)}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('api_key_env = "sk-planted-key"', id="in place of its variable's name"),
        pytest.param('api_key = "sk-planted-key"', id="under a name that is not known"),
        pytest.param('base_url = "ftp://me:sk-planted-key@models.example/v1"', id="in the address"),
    ],
)
def test_key_that_stands_in_the_file_is_refused_and_not_repeated(folder: Path, text: str) -> None:
    (folder / "mockint.toml").write_text(f"[providers.lab]\n{text}\n")
    with pytest.raises(ContentError) as caught:
        load_config()
    assert "providers.lab" in caught.value.what
    assert "sk-planted-key" not in "".join(traceback.format_exception(caught.value)) + caught.value.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("[limits]\ndeadline_seconds = inf", "finite number", id="no deadline"),
        pytest.param("[limits]\nusd_per_session = nan", "finite number", id="no limit"),
        pytest.param('[providers.lab]\nbase_url = "http://127.0.0.1:80000/v1"', "port from 0 to 65535", id="port"),
        pytest.param('[providers.lab]\nbase_url = "http://127.0.0.1:x/v1"', "port from 0 to 65535", id="no port"),
        pytest.param('[providers.lab]\nbase_url = "http://127.0.0.1/v1\\n"', "http or https", id="a line end"),
    ],
)
def test_value_that_would_break_a_call_is_refused_before_it(folder: Path, text: str, told: str) -> None:
    (folder / "mockint.toml").write_text(text)
    with pytest.raises(ContentError, match=told):
        load_config()


def test_file_of_an_editor_that_marks_utf_8_is_read(folder: Path) -> None:
    (folder / "mockint.toml").write_text('[models]\ngrader = "b/é"\n', encoding="utf-8-sig")
    assert load_config().settings.models.grader == "b/é"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param(" k-1\n", None, id="white space around it"),
        pytest.param("\n", "is not set", id="white space alone"),
        pytest.param("k-…", "no key has", id="as the hint was copied"),
    ],
)
def test_key_is_taken_without_what_no_key_has(
    folder: Path, monkeypatch: pytest.MonkeyPatch, value: str, told: str | None
) -> None:
    monkeypatch.setenv("LAB_KEY", value)
    config = Config(Settings(), {}, default_home())
    provider = Provider(base_url="http://127.0.0.1/v1", api_key_env="LAB_KEY")
    if told is None:
        assert config.key(provider) == "k-1"
        return
    with pytest.raises(ContentError, match=told) as caught:
        config.key(provider)
    assert "k-…" not in caught.value.what
