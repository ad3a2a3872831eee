"""The only place that says whether mockint can work here: each finding is good, or says what to do."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import timedelta

from mockint.clock import Clock
from mockint.config import OFFLINE, Config, Provider
from mockint.content import Frozen
from mockint.errors import ContentError, ModelError
from mockint.lint import lint
from mockint.llm import Connections, Message, Model, Way
from mockint.store import Home
from mockint.wording import many

OWN_KEY = "the provider's own variable"
TICK = 0.005
"""Seconds in which a clock must have moved."""


WAYS_TOLD: dict[Way, str] = {
    "schema": "by a strict JSON schema",
    "json": "in JSON mode",
    "tool": "by calling a tool",
    "text": "by words alone: a reply may have to be asked for again",
}


@dataclass(frozen=True)
class Finding:
    name: str
    good: bool
    told: str
    todo: str = ""
    """What to do, when it is not good."""


@dataclass(frozen=True)
class Row:
    """What a role, or a configured provider, would use."""

    role: str
    reference: str
    through: str
    """The client library, or "embedded"."""
    where: str
    key: str
    """Whether there is one and where it comes from; never the key."""


class Ready(Frozen):
    word: str


def examine(config: Config, *, person: bool, clock: Clock) -> list[Finding]:
    """Returns what can be found out without a network."""
    found = [_files(config), _content(config), _home(config), _clock(config, clock), _terminal(person)]
    found += [_key(name, provider, config) for name, provider in config.settings.providers.items()]
    roles_ = config.settings.models
    found.append(Finding("models", True, f"interviewer {roles_.interviewer}, grader {roles_.grader}"))
    return found


async def try_model(reference: str, connections: Connections) -> list[Finding]:
    """Returns what a model can do, found out by three short calls: a plain one, a streamed one and a structured one."""
    try:
        model = connections.alone(reference)
        reply = await model.reply([Message(role="user", content="Reply with the word ready.")])
    except (ModelError, ContentError) as exc:
        return [Finding("model", False, exc.what, exc.hint)]
    price = "at an unknown price" if reply.usage.usd is None else "its price is known"
    tries = f" after {reply.tries} tries" if reply.tries > 1 else ""
    found = [Finding("model", True, f"{reference} answered in {reply.seconds:.1f} s{tries}; {price}")]
    return [*found, await _streams(model), await _structured(model)]


async def _streams(model: Model) -> Finding:
    pieces: list[str] = []
    try:
        await model.reply([Message(role="user", content="Count from one to twenty.")], on_text=pieces.append)
    except ModelError as exc:
        return Finding("streaming", False, exc.what, exc.hint)
    if len(pieces) < 2:
        return Finding("streaming", True, "it replies all at once: the interviewer's words come late, and whole")
    return Finding("streaming", True, f"its words come in {len(pieces)} pieces")


async def _structured(model: Model) -> Finding:
    asked = [Message(role="user", content='Reply with JSON: an object whose key "word" holds the word ready.')]
    try:
        reply = await model.reply(asked, schema=Ready)
    except ModelError as exc:
        return Finding("structured", False, exc.what, exc.hint)
    told = WAYS_TOLD[reply.way] if reply.way else "yes"
    if reply.parsed is None:
        return Finding("structured", False, f"{told}, and it did not fit: {reply.problem}", "Grade with another model.")
    return Finding("structured", True, told)


def roles(config: Config) -> list[Row]:
    """Returns a row for each role, each fallback, and each provider that no role uses."""
    used = config.settings.models
    named = [
        ("interviewer", used.interviewer),
        ("grader", used.grader),
        *(("fallback", name) for name in used.fallback),
    ]
    rows = [_row(role, reference, config) for role, reference in named]
    taken = {reference.partition("/")[0] for _, reference in named}
    return rows + [_row("", f"{name}/…", config) for name in config.settings.providers if name not in taken]


def _row(role: str, reference: str, config: Config) -> Row:
    if reference == OFFLINE:
        return Row(role, reference, "embedded", "here, without a network", "none is needed")
    through = config.settings.library(reference)
    name = reference.partition("/")[0]
    provider = config.settings.providers.get(name)
    if provider is None:
        return Row(role, reference, through, "the provider's own address", OWN_KEY)
    key = _source(provider) if _key(name, provider, config).good else f"missing: {provider.key_source}"
    return Row(role, reference, through, provider.base_url or "the provider's own address", key)


def _key(name: str, provider: Provider, config: Config) -> Finding:
    try:
        config.key(provider)
    except ContentError as exc:
        return Finding("key", False, f"{name}: {exc.what}", exc.hint)
    return Finding("key", True, f"{name}: {_source(provider)}")


def _source(provider: Provider) -> str:
    if provider.key_source:
        return f"from {provider.key_source}"
    return OWN_KEY if provider.adapter == "litellm" or provider.base_url is None else "none is needed"


def _files(config: Config) -> Finding:
    return Finding("config", True, "; ".join(config.files) or "none, so the defaults are in force")


def _content(config: Config) -> Finding:
    problems = lint(config.folders)
    if problems:
        return Finding("content", False, f"{len(problems)} problems", "See: mockint bank lint")
    return Finding("content", True, f"{many(len(config.folders), 'folder')}, without a problem")


def _home(config: Config) -> Finding:
    home = config.home
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"mockint")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        return Finding("home", False, f"{home}: {exc.strerror}", "Make it writable, or name another with --home.")
    return Finding("home", True, f"{home}, writable")


def _clock(config: Config, clock: Clock) -> Finding:
    """Sessions sort by when they began, and a limit is kept by a clock that goes on."""
    now, began = clock.now(), clock.seconds()
    clock.sleep(TICK)
    if clock.seconds() <= began:
        return Finding("clock", False, "it stands still", "Check the machine: no time limit can be kept on it.")
    newest = max(Home(config.home).ids(), default="")
    if newest[:15] > f"{now + timedelta(days=1):%Y%m%d-%H%M%S}":
        told = f"it says {now:%Y-%m-%d %H:%M} UTC, and the newest session is {newest}"
        return Finding("clock", False, told, "Set the machine's clock: sessions sort by the time when they began.")
    return Finding("clock", True, f"{now:%Y-%m-%d %H:%M} UTC, and it goes on")


def _terminal(person: bool) -> Finding:
    return Finding("terminal", True, "one is here" if person else "none: answers are read from standard input")
