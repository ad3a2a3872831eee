"""The only reader of the environment, and the only place that decides which settings are in force.

Later layers win: defaults, the user's file, the project's file, `MOCKINT_…` variables, flags. Importing this module reads
nothing. (pydantic-settings would do a part of it for 60 ms of every start, and cannot say where a value came from.)
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from mockint.content import Frozen, default_config, default_home, explain, project_config, roots
from mockint.errors import ContentError, UsageError

OFFLINE = "offline"
PREFIX = "MOCKINT_"
NESTED = "__"
NOT_SETTINGS = {"MOCKINT_CONFIG", "MOCKINT_HOME"}
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
"""What stands in the names of variables that hold what nobody may read."""
SHORTEST_SECRET = 8
"""Characters; what is shorter is a stand-in for a key, or a word."""


def is_reference(value: str) -> bool:
    return value == OFFLINE or all(value.partition("/"))


def _reference(value: str) -> str:
    if not is_reference(value):
        raise ValueError(f"must be {OFFLINE!r} or PROVIDER/MODEL, not {value!r}")
    return value


Reference = Annotated[str, AfterValidator(_reference)]
"""A model: "offline", or PROVIDER/MODEL."""


class Models(Frozen):
    interviewer: Reference = OFFLINE
    grader: Reference = OFFLINE
    fallback: tuple[Reference, ...] = ()
    """Tried in order when a model is unavailable."""


class Provider(Frozen):
    """An OpenAI-compatible server; or, without a base_url, a provider that a client library knows by its name."""

    base_url: str | None = Field(default=None, min_length=1)
    insecure: bool = False
    """Whether an http:// base_url may name another machine than this one: what is said, and the key, can then be read on the way."""
    api_key_env: str | None = None
    """The name of a variable, never the key itself."""
    api_key_keyring: str | None = None
    """SERVICE/USER in the system's keyring, in place of a variable."""
    adapter: Literal["openai", "litellm"] = "openai"
    """Which client library speaks to it; with litellm, a provider by the name of one of seven (docs/providers.md) is spoken to in its own
    protocol."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=None, ge=1)
    """Most calls at once."""

    @property
    def key_source(self) -> str | None:
        """Where its key comes from: the keyring's entry, or the variable's name; None when it needs none."""
        return self.api_key_keyring or self.api_key_env

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("must be the name of a variable, such as LAB_KEY, and not the key itself")
        return value

    @field_validator("api_key_keyring")
    @classmethod
    def _names_both(cls, value: str | None) -> str | None:
        if value is not None and not all(value.partition("/")):
            raise ValueError("must be SERVICE/USER")
        return value

    @model_validator(mode="after")
    def _is_private(self) -> Self:
        if self.base_url is None:
            return self
        url = urlsplit(self.base_url)
        if url.username or url.password:
            raise ValueError("base_url must hold no name and no password; api_key_env names the key's variable")
        if url.scheme not in ("http", "https") or not url.hostname or not self.base_url.isprintable():
            raise ValueError(f"base_url must be an http or https address, not {self.base_url!r}")
        try:
            url.port  # noqa: B018  (it is read from the text when it is asked for)
        except ValueError:
            raise ValueError(f"base_url must have a port from 0 to 65535, not {url.netloc!r}") from None
        if url.scheme == "http" and not self.insecure and not _is_here(url.hostname):
            raise ValueError(
                f"base_url sends what is said, and the key, to {url.hostname} without TLS; use https, or set insecure = true"
            )
        return self


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


class Limits(Frozen):
    deadline_seconds: float = Field(default=60, gt=0, allow_inf_nan=False)
    """For one exchange with a model, its retries included."""
    tries: int = Field(default=4, ge=1, le=10)
    reply_tokens: int | None = Field(default=None, ge=64)
    """Most tokens of one reply; a small model that goes round in circles is stopped there. Those that reason count that in."""
    usd_per_session: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    offline_when_spent: bool = False
    """Whether a session whose grading has met that limit is graded by the offline grader too, as a grade of its own."""


class Interview(Frozen):
    level: Literal["junior", "mid", "senior", "staff"] = "mid"
    minutes: int = Field(default=30, ge=1, le=240)
    probes: int = Field(default=2, ge=0, le=6)
    """Most follow-up questions about one question."""
    strict_time: bool = False
    """Submit what stands when a question's time is up."""
    self_rate: bool = False
    """Ask for a rating of one's own answers at the end."""


class Terminal(Frozen):
    send: Literal["enter", "alt-enter"] = "enter"
    """The key that sends an answer; the other one starts a new line."""
    plain: bool = False
    """No footer, no colours, no redraws: for screen readers. `/time` tells what is left."""


class Content(Frozen):
    paths: tuple[Path, ...] = ()


class Settings(Frozen):
    models: Models = Models()
    providers: dict[str, Provider] = Field(default_factory=dict)
    limits: Limits = Limits()
    interview: Interview = Interview()
    terminal: Terminal = Terminal()
    content: Content = Content()

    def library(self, reference: Reference) -> Literal["openai", "litellm"]:
        """Returns which client library speaks to a model: its provider's, or for one without an address of its own the one that knows it."""
        name = reference.partition("/")[0]
        provider = self.providers.get(name)
        if provider and provider.base_url:
            return provider.adapter
        return "openai" if name == "openai" else "litellm"


@dataclass(frozen=True)
class Layer:
    name: str
    """Where it comes from: "user file …", "environment", "flags"."""
    values: dict[str, Any]


@dataclass(frozen=True)
class Config:
    """The settings in force, with the layer that each came from, by dotted key."""

    settings: Settings
    origin: dict[str, str]
    home: Path
    files: tuple[str, ...] = ()
    """The config files that were read."""
    at: datetime | None = None
    """When a batch's grades say that they were made, so that the same input gives the same bytes: SOURCE_DATE_EPOCH, if it is set."""

    @property
    def folders(self) -> tuple[Path, ...]:
        return roots(self.settings.content.paths)

    def key(self, provider: Provider) -> str | None:
        """Returns the provider's API key, from the keyring or the environment; None when it needs none, or has a variable of its own.

        Raises:
            ContentError: what should hold it does not, or holds what can be no key.
        """
        if provider.api_key_keyring:
            return _checked(_from_keyring(provider.api_key_keyring), provider.api_key_keyring)
        if provider.api_key_env is None:
            return None
        if value := os.environ.get(provider.api_key_env, "").strip():
            return _checked(value, provider.api_key_env)
        where = f" for {provider.base_url}" if provider.base_url else ""
        raise ContentError(
            f"The variable {provider.api_key_env!r}, which holds the key{where}, is not set.",
            hint=f"export {provider.api_key_env}=… and start again.",
        )


def _checked(key: str, name: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise ContentError(
            f"{name!r} holds characters that no key has.", hint="Copy the key once more, and only the key."
        )
    return key


def secrets() -> set[str]:
    """Returns what the environment holds under the names that keys have: nothing of it may be told."""
    return {
        value for name, value in os.environ.items() if SECRET.search(name.upper()) and len(value) >= SHORTEST_SECRET
    }


def _from_keyring(name: str) -> str:
    service, _, user = name.partition("/")
    try:
        import keyring  # an extra: mockint[keyring]
        from keyring.errors import KeyringError
    except ImportError:
        raise ContentError(
            f"The key {name!r} is to come from the system's keyring, and the package for it is not installed.",
            hint="Install it: pip install 'mockint[keyring]'",
        ) from None
    try:
        value: str | None = keyring.get_password(service, user)
    except KeyringError as exc:
        raise ContentError(
            f"The system's keyring cannot be read: {exc}", hint="Unlock it, or use api_key_env."
        ) from exc
    if not value:
        raise ContentError(
            f"The system's keyring holds no key {name!r}.", hint=f"Put it there: keyring set {service} {user}"
        )
    return value


def load_config(
    *, file: Path | None = None, home: Path | None = None, flags: Mapping[str, Any] | None = None
) -> Config:
    """Reads every layer.

    Raises:
        UsageError: the file that was named does not exist.
        ContentError: with every problem of the settings.
    """
    files = _files(file)
    layers = [*files, Layer("environment", _environment()), Layer("flags", dict(flags or {}))]
    merged: dict[str, Any] = {}
    origin = {key: "default" for key, _ in flat(Settings().model_dump(mode="json"))}
    for layer in layers:
        _merge(merged, layer.values)
        origin |= {key: layer.name for key, _ in flat(layer.values)}
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as exc:
        keys = [".".join(str(part) for part in error["loc"]) for error in exc.errors()]
        where = [_layer_of(key, origin) for key in keys]
        told = zip(where, keys, exc.errors(), strict=True)
        lines = [f"{layer}: {key}: {explain(error, Settings)}" for layer, key, error in told]
        hint = "Correct it; every setting is listed by: mockint config show"
        raise (UsageError if set(where) == {"flags"} else ContentError)(
            "\n".join(lines), hint=hint
        ) from None  # pydantic repeats what was given, a key perhaps
    chosen = home or (Path(named) if (named := os.environ.get("MOCKINT_HOME")) else default_home())
    return Config(settings, origin, chosen.expanduser(), tuple(layer.name for layer in files), _epoch())


def _epoch() -> datetime | None:
    if not (text := os.environ.get("SOURCE_DATE_EPOCH")):
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {text!r}.", hint="It must be a number of seconds since 1970, or not set."
        ) from None


def places() -> list[tuple[str, Path]]:
    """Returns the config files that are looked for, in the order in which later ones win."""
    if named := os.environ.get("MOCKINT_CONFIG"):
        return [("file", Path(named))]
    return [("user file", default_config()), ("project file", project_config())]


def flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Returns (dotted key, value) pairs."""
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        here = f"{above}{key}"
        pairs += flat(value, f"{here}.") if isinstance(value, Mapping) and value else [(here, value)]
    return pairs


def prefers_plain() -> bool:
    """Whether the terminal cannot move its cursor."""
    return os.environ.get("TERM", "") in {"", "dumb", "unknown"}


def quiet_litellm() -> None:
    """Keeps `import litellm` from fetching a price map, loading a `.env` and printing; must run before it."""
    for name, value in (
        ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
        ("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True"),
        ("LITELLM_MODE", "PRODUCTION"),
    ):
        os.environ.setdefault(name, value)


def _files(named: Path | None) -> list[Layer]:
    found = [("file", named)] if named else places()
    layers = []
    for name, path in found:
        if path.is_file():
            layers.append(Layer(f"{name} {path}", _toml(path)))
        elif name == "file":
            raise UsageError(f"There is no config file {str(path)!r}.", hint="Write one with: mockint config init")
    return layers


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as exc:
        raise ContentError(f"{path}: not TOML: {exc}", hint="Correct the file, or write a new one.") from exc


def _environment() -> dict[str, Any]:
    """Reads MOCKINT_MODELS__GRADER=… as models.grader; values may be JSON."""
    values: dict[str, Any] = {}
    for name, text in sorted(os.environ.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            *path, last = name.removeprefix(PREFIX).lower().split(NESTED)
            inner = values
            for part in path:
                inner = inner.setdefault(part, {})
                if not isinstance(inner, dict):
                    raise ContentError(
                        f"{name} and a shorter variable of its kind are both set.", hint="Keep one of them."
                    )
            try:
                inner[last] = json.loads(text)
            except (ValueError, RecursionError):
                inner[last] = text
    return values


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _layer_of(key: str, origin: Mapping[str, str]) -> str:
    return next((name for known, name in origin.items() if f"{known}.".startswith(f"{key}.")), "settings")
