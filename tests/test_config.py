"""The settings in force: which layer wins, where each comes from, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockint.config import load_config, places
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
