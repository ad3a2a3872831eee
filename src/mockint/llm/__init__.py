"""The only door to a language model: messages and an optional schema in, a `Reply` out.

An adapter makes one try and translates its library's exceptions; `Model` adds what all of them share: one retry policy, one
deadline, and the check of structured replies.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, Protocol

from pydantic import BaseModel, TypeAdapter, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from typing_extensions import TypeVar

from mockint.clock import Clock
from mockint.config import OFFLINE, Config, Provider
from mockint.content import Frozen, digest, write_cache
from mockint.errors import ModelError, ModelRefused, ModelUnavailable
from mockint.llm.pace import Allowance, Pace

T = TypeVar("T", bound=BaseModel, default=BaseModel)
R = TypeVar("R")
Role = Literal["interviewer", "grader"]
Way = Literal["schema", "json", "tool", "text"]
WAYS: tuple[Way, ...] = ("schema", "json", "tool", "text")
"""How a reply of a given shape is asked for: a strict JSON schema; JSON mode with the schema in words; a tool that must be called; words
alone.
"""
OnText = Callable[[str], None]
"""Called with each piece of a streamed reply. One that holds pieces back may have a method `again`: it says whether nothing was passed
on yet, and then forgets what it holds, for the reply begins anew.
"""

LONGEST_REPLY = 200_000
"""Characters; a server that sends more is not answering the question."""
MOST_BRACES = 50
"""Places in a text where an object is looked for."""
DOWN_AFTER, LEFT_ALONE = 3, 30.0
"""Replies in a row that a provider fails to give, tries included, until it is taken to be down; and the seconds it is left alone."""
LIKELY_REPLY = 2_000
"""Tokens that a reply is taken to have, where there is a limit to what may be spent, until one has come."""
LONGEST_WAIT = 30.0
"""Seconds of a server's Retry-After that are obeyed; beyond it the call fails at once."""


class Message(Frozen):
    role: Literal["system", "user", "assistant"]
    content: str


class Usage(Frozen):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    usd: float | None = None
    """None when the price is not known."""
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        known = [usage.usd for usage in (self, other) if usage.calls]
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            usd=None if None in known or not known else sum(usd for usd in known if usd is not None),
            calls=self.calls + other.calls,
        )

    def times(self, count: int) -> Usage:
        """Returns the usage of so many of these."""
        return sum((self for _ in range(count)), Usage())


class Exchange(Frozen):
    """One recorded exchange with a model: enough to play it again, and nothing secret."""

    role: Role
    purpose: str
    model: str
    prompt: str
    """The hash of the prompt file."""
    messages: tuple[Message, ...]
    reply: str | None
    cut_off: bool = False
    usage: Usage
    tries: int
    seconds: float
    error: str | None = None
    hint: str | None = None
    """What to do about the error."""


@dataclass(frozen=True)
class Raw:
    """What one try brought."""

    text: str
    usage: Usage
    cut_off: bool = False
    left: Allowance | None = None
    """What the provider says may still be sent."""
    way: Way | None = None
    """How the shape was asked for."""


@dataclass(frozen=True)
class Reply(Generic[T]):
    text: str
    parsed: T | None
    """The reply as the schema that was asked for; None without a schema, or when the text does not fit it."""
    problem: str | None
    """What is wrong with the text, in words that can be sent back to the model."""
    cut_off: bool
    usage: Usage
    seconds: float
    tries: int
    model: str
    """The one that replied."""
    way: Way | None = None
    """How the schema was asked for; None when that is not known."""


class Asked(Protocol):
    """A model, or several that stand in for one another."""

    @property
    def name(self) -> str: ...

    async def reply(
        self, messages: Sequence[Message], *, schema: type[T] | None = None, on_text: OnText | None = None
    ) -> Reply[T]:
        """As `Model.reply`."""


class Adapter(Protocol):
    """One way to reach a model.

    It may have a method `price`, which puts the price to a usage, and be `patient`: its calls go together and take hours, so that neither a
    pace nor a circuit is for them.
    """

    name: str

    async def call(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None, on_text: OnText | None, deadline: float
    ) -> Raw:
        """Makes one try of at most `deadline` seconds. Raises ModelRefused or ModelUnavailable."""

    async def close(self) -> None:
        """Lets go of its connections; they belong to the event loop in which they were made."""


class _Shown:
    """Passes a stream on, to a listener or to another of these, and remembers that it has begun: what was seen is not begun again."""

    def __init__(self, on_text: OnText) -> None:
        self._on_text = on_text
        self.begun = False

    def __call__(self, piece: str) -> None:
        self.begun = True
        self._on_text(piece)

    def again(self) -> bool:
        """Whether nothing was seen yet; a listener that holds back is asked, and then forgets what it holds."""
        again = getattr(self._on_text, "again", None)
        if self.begun and again is not None and again():
            self.begun = False
        return not self.begun


def tokens(texts: Iterable[str]) -> int:
    """Returns about how many tokens texts are, at four characters of English a token."""
    return sum(map(len, texts)) // 4


@dataclass
class Circuit:
    """Stops asking a provider that is down: after so many failures in a row it is left alone for a while, then tried again. One that refuses
    so often in a row whatever it is asked, for its key say, is asked no more.
    """

    after: float = DOWN_AFTER
    waiting: Callable[[str], None] | None = None
    """Where calls wait meanwhile rather than fail, and for as long as it is too much at once: told so, once for each such while."""
    failures: int = 0
    failed_at: float = 0.0
    """When it was last seen to be down, in the clock's seconds."""
    refusals: int = 0
    """In a row, of whatever was asked."""
    last: ModelRefused | None = None
    """Why it is asked no more."""
    _told_at: float = 0.0
    _busy: bool = False

    async def closed(self, name: str, clock: Clock) -> None:
        """Raises ModelUnavailable while the provider is left alone, or waits for the end of that; ModelRefused when it is asked no more."""
        if self.last:
            raise ModelRefused(self.last.what, hint=self.last.hint, whoever=True)
        while self.failures >= self.after and (left := LEFT_ALONE - (clock.seconds() - self.failed_at)) > 0:
            told = f"{name} failed {self.failures} times in a row; it is asked again in {math.ceil(left)} seconds."
            if self.waiting is None:
                raise ModelUnavailable(told, hint="Wait, or name another model; models.fallback names one for good.")
            if self._told_at < self.failed_at:
                self._told_at = self.failed_at
                self.waiting(told)
            await asyncio.sleep(left)

    def refused(self, exc: ModelRefused) -> None:
        self.refusals = self.refusals + 1 if exc.whoever else 0
        if self.refusals >= DOWN_AFTER:
            self.last = exc

    def waits_out(self, exc: ModelError) -> bool:
        """Whether a call that failed so begins anew rather than fail: it only was too much at once, and can wait."""
        return isinstance(exc, ModelUnavailable) and exc.busy and self.waiting is not None

    def busy(self, name: str) -> None:
        if self.waiting and not self._busy:
            self._busy = True
            self.waiting(f"{name} takes no more at once: it is asked again and again until it does.")

    def failed(self, now: float) -> None:
        self.failures, self.failed_at = self.failures + 1, now

    def replied(self) -> None:
        self.failures = self.refusals = 0


@dataclass(frozen=True)
class Model:
    adapter: Adapter
    clock: Clock
    deadline_seconds: float = 60.0
    tries: int = 4
    longest_backoff: float = 8.0
    circuit: Circuit = field(default_factory=Circuit)
    pace: Pace = field(default_factory=Pace)

    @property
    def name(self) -> str:
        return self.adapter.name

    async def reply(
        self, messages: Sequence[Message], *, schema: type[T] | None = None, on_text: OnText | None = None
    ) -> Reply[T]:
        """Asks, and asks again while that can help.

        A stream that has begun to show is not begun again: the listener has seen it.

        Raises:
            ModelRefused: no use in asking again.
            ModelUnavailable: still failing after the last try, or the deadline has passed. Work that can wait (`Circuit.waiting`) begins its
                tries anew when a provider only says that it was too much at once.
        """
        tries, lost = 0, Usage()
        while True:
            await self.circuit.closed(self.name, self.clock)
            async with self.pace.turn(tokens(message.content for message in messages)):
                await self.circuit.closed(self.name, self.clock)  # it may be down since this began to wait
                try:
                    reply = await self._ask(messages, schema, _Shown(on_text) if on_text else None)
                    return replace(reply, tries=tries + reply.tries, usage=lost + reply.usage)
                except ModelUnavailable as exc:
                    if not self.circuit.waits_out(exc):
                        raise
                    tries, lost = tries + exc.tries, lost + exc.usage
                    self.circuit.busy(self.name)

    async def _ask(self, messages: Sequence[Message], schema: type[T] | None, show: _Shown | None) -> Reply[T]:
        began = self.clock.seconds()

        def worth_it(state: RetryCallState) -> bool:
            return retry_if_exception_type(ModelUnavailable)(state) and not (show and not show.again())

        def left() -> float:
            return self.deadline_seconds - (self.clock.seconds() - began)

        def wait(state: RetryCallState) -> float:
            return self._wait(state, most=min(left(), LONGEST_WAIT))

        tries = AsyncRetrying(
            retry=worth_it, stop=stop_after_attempt(self.tries), wait=wait, reraise=True, sleep=asyncio.sleep
        )
        number, lost = 0, Usage()
        try:
            async with asyncio.timeout(self.deadline_seconds):
                async for attempt in tries:
                    with attempt:
                        number += 1
                        try:
                            raw = await self._try(messages, schema, show, within=left, again=number > 1)
                        except ModelError as exc:
                            lost += exc.usage or Usage()
                            raise
        except (ModelError, TimeoutError) as exc:
            failure = exc if isinstance(exc, ModelError) else self._late()
            failure.tries, failure.seconds, failure.usage = number, self.clock.seconds() - began, lost
            if isinstance(failure, ModelRefused):
                self.circuit.refused(failure)
            if isinstance(failure, ModelUnavailable) and not self.circuit.waits_out(failure):
                self.circuit.failed(self.clock.seconds())
            if failure is exc:
                raise
            raise failure from exc
        self.circuit.replied()
        raw = replace(raw, text=raw.text.encode("utf-8", "replace").decode())
        parsed, problem = _parse(raw, schema) if schema else (None, None)
        taken = self.clock.seconds() - began
        return Reply(raw.text, parsed, problem, raw.cut_off, lost + raw.usage, taken, number, self.name, raw.way)

    async def _try(
        self,
        messages: Sequence[Message],
        schema: type[BaseModel] | None,
        show: _Shown | None,
        *,
        within: Callable[[], float],
        again: bool,
    ) -> Raw:
        if again:
            await self.pace.again(tokens(message.content for message in messages))
        try:
            raw = await self.adapter.call(messages, schema=schema, on_text=show, deadline=max(within(), 0.001))
        except ModelUnavailable as exc:
            if exc.retry_after is not None and exc.retry_after <= LONGEST_WAIT:
                self.pace.hold(exc.retry_after)  # for every other call to this provider too
            raise
        self.pace.told(raw.left)
        return raw

    def _late(self) -> ModelUnavailable:
        return ModelUnavailable(
            f"{self.name} did not answer within {self.deadline_seconds:g} seconds.",
            hint="Try again, or give it longer: limits.deadline_seconds in mockint.toml.",
        )

    def _wait(self, state: RetryCallState, *, most: float) -> float:
        """Returns the seconds before the next try. Raises what failed when they are more than may be waited."""
        failure = state.outcome.exception() if state.outcome else None
        asked = failure.retry_after if isinstance(failure, ModelUnavailable) else None
        backoff = wait_random_exponential(multiplier=0.5, max=self.longest_backoff)
        seconds = backoff(state) if asked is None else asked
        if failure and seconds > most:
            raise failure
        return seconds


@dataclass(frozen=True)
class Fallback:
    """Models that are asked in order, the next one when the one before is unavailable. Each has the deadline to itself."""

    first: Model
    others: tuple[str, ...]
    connect: Callable[[str], Model]
    """Called for another one when it is needed: each brings its library."""

    @property
    def name(self) -> str:
        return self.first.name

    async def reply(
        self, messages: Sequence[Message], *, schema: type[T] | None = None, on_text: OnText | None = None
    ) -> Reply[T]:
        """As `Model.reply`; a stream that has begun to show is not begun again by another one."""
        show = _Shown(on_text) if on_text else None
        asked, lost = self.first, Usage()
        for name in (*self.others, None):
            try:
                reply = await asked.reply(messages, schema=schema, on_text=show)
            except ModelError as exc:
                exc.usage = lost = lost + (exc.usage or Usage())
                if name is None or not isinstance(exc, ModelUnavailable) or (show and not show.again()):
                    raise
                asked = self.connect(name)
            else:
                return replace(reply, usage=lost + reply.usage)
        raise AssertionError("the last model's reply or error was not given back")


@dataclass
class Spending:
    """What the model calls of a session have cost, against what they may."""

    limit: float | None = None
    """US dollars."""
    spent: float = 0.0
    dearest: float = 0.0
    """The most that one call has cost: the next one may cost as much."""
    longest: int = 0
    """The most tokens that a reply has had: the next one may have as many."""
    unknown: bool = False
    """Whether there was a call whose price is not known: then the limit cannot be kept."""
    met: bool = False
    """Whether a call was held back for the limit."""
    under_way: int = 0
    """Calls that are not back yet: each may cost as much as the dearest."""
    reserved: float = 0.0
    """What they may cost together, as far as that was known before they were made."""
    _waiting: list[asyncio.Event] = field(default_factory=list)

    @asynccontextmanager
    async def within(self, about: float | None = None) -> AsyncIterator[None]:
        """Makes room for one call; waits while it is only what others may cost, which are under way, that stands in its way.

        Args:
            about: US dollars that it may cost; None when that is not known before a call has come back.

        Raises:
            ModelRefused: the call may pass the limit.
        """
        while not self._fits(about, beside=self.under_way):
            if not self._fits(about, beside=0):
                raise self._refused(about)
            self._waiting.append(back := asyncio.Event())
            await back.wait()
        self.under_way, self.reserved = self.under_way + 1, self.reserved + (about or 0.0)
        try:
            yield
        finally:
            self.under_way, self.reserved = self.under_way - 1, self.reserved - (about or 0.0)
            for back in self._waiting:  # in the order in which they came
                back.set()
            self._waiting.clear()

    def add(self, usage: Usage) -> None:
        self.unknown |= bool(usage.calls) and usage.usd is None
        self.spent += usage.usd or 0.0
        self.dearest = max(self.dearest, usage.usd or 0.0)
        self.longest = max(self.longest, usage.completion_tokens)

    @property
    def told(self) -> str:
        return f"{_dollars(self.spent)} of {_dollars(self.limit or 0.0)} USD are spent"

    def _fits(self, about: float | None, *, beside: int) -> bool:
        """Whether one more call keeps to the limit, beside so many that are under way, whatever these cost."""
        if self.limit is None:
            return True
        may = max(about or 0.0, self.dearest)
        if beside and about is None and not may and not self.unknown:
            return False
        held = max(self.reserved, self.dearest * beside) if beside else 0.0
        return self.spent < self.limit and self.spent + held + may <= self.limit

    def _refused(self, about: float | None) -> ModelRefused:
        self.met = True
        may = max(about or 0.0, self.dearest)
        return ModelRefused(
            f"{self.told}, and the next call may pass the limit{f': it may cost {_dollars(may)}' if may else ''}.",
            hint="Raise limits.usd_per_session (for a batch: --usd), or go on with --model offline.",
        )


def _dollars(usd: float) -> str:
    """Returns the sum to the cent, and a small one to its second figure."""
    return f"{usd:.2f}" if usd >= 0.1 or not usd else f"{usd:.2g}"


class Recorder:
    """A model that keeps every exchange, for one role, within what may be spent.

    Args:
        price: puts the price to a usage, if that is known before a call; it leaves out what has none.
    """

    def __init__(
        self,
        model: Asked,
        *,
        role: Role,
        keep: Callable[[Exchange], None],
        spending: Spending | None = None,
        price: Callable[[Usage], Usage] | None = None,
    ) -> None:
        self._model, self._role, self._keep, self._price = model, role, keep, price
        self._spending = spending or Spending()

    @property
    def name(self) -> str:
        return self._model.name

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        prompt: str,
        schema: type[T] | None = None,
        on_text: OnText | None = None,
    ) -> Reply[T]:
        """As `Model.reply`; the exchange is kept before this returns or raises."""
        made: Any = {"role": self._role, "purpose": purpose, "prompt": prompt, "messages": messages}
        try:
            async with self._spending.within(self._about(messages)):
                reply = await self._model.reply(messages, schema=schema, on_text=on_text)
                self._spending.add(reply.usage)
        except ModelError as exc:
            told = {"error": exc.what, "hint": exc.hint, "tries": exc.tries, "seconds": round(exc.seconds, 3)}
            used = exc.usage or Usage()
            self._spending.add(used)
            self._keep(Exchange(**made, **told, model=self.name, reply=None, usage=used))
            raise
        self._keep(
            Exchange(
                **made,
                model=reply.model,
                reply=reply.text,
                cut_off=reply.cut_off,
                usage=reply.usage,
                tries=reply.tries,
                seconds=round(reply.seconds, 3),
            )
        )
        return reply

    def _about(self, messages: Sequence[Message]) -> float | None:
        """Returns the US dollars that a call may cost, 0 where it has no price; None when it is not known beforehand whether it has one."""
        if self._price is None or self._spending.limit is None:
            return None
        sent, back = tokens(message.content for message in messages), self._spending.longest or LIKELY_REPLY
        return self._price(Usage(prompt_tokens=sent, completion_tokens=back, calls=1)).usd or 0.0


class Connections:
    """Connects models and closes them: what `closing` awaits may use whatever was connected.

    Args:
        adapter: makes the adapters, by their reference; by default each is this process's own.
        waiting: for work that can wait: told when calls wait for a provider that is down, rather than fail; with a fallback none waits.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        adapter: Callable[[str], Adapter] | None = None,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self._config, self._clock = config, clock
        self._waiting = None if config.settings.models.fallback else waiting
        self._made = adapter or self._adapter
        self._models: dict[str, Model] = {}
        self._paces: dict[str, Pace] = {}
        self._ways = Ways(config.home / "cache" / "ways.json")
        self.spending = Spending(config.settings.limits.usd_per_session)

    def connect(self, reference: str) -> Asked:
        """As `alone`, with the fallback models behind it."""
        others = tuple(name for name in self._config.settings.models.fallback if name not in (reference, OFFLINE))
        first = self.alone(reference)
        for name in others:  # a key that is missing shows now, not when it is needed
            if provider := self._config.settings.providers.get(name.partition("/")[0]):
                self._config.key(provider)
        return Fallback(first, others, self.alone) if others else first

    def recorder(
        self,
        reference: str,
        *,
        role: Role,
        keep: Callable[[Exchange], None],
        spending: Spending | None = None,
    ) -> Recorder:
        """Args: spending: what its calls are counted against; by default what all of these connections share."""
        asked, price = self.connect(reference), getattr(self.alone(reference).adapter, "price", None)
        return Recorder(asked, role=role, keep=keep, spending=spending or self.spending, price=price)

    def alone(self, reference: str) -> Model:
        """Returns the model behind PROVIDER/MODEL. Models of one provider share what it allows.

        Raises:
            ContentError: its provider's key is not set.
            ModelRefused: the reference is "offline", which is no model.
        """
        if reference == OFFLINE:
            raise ModelRefused("The offline interviewer has no model.", hint="Name one with --model PROVIDER/MODEL.")
        if reference not in self._models:
            provider = reference.partition("/")[0]
            limits = self._config.settings.limits
            adapter = self._made(reference)
            patient = getattr(adapter, "patient", False)
            known = None if patient else self._config.settings.providers.get(provider)
            self._models[reference] = Model(
                adapter,
                self._clock,
                deadline_seconds=limits.deadline_seconds,
                tries=limits.tries,
                circuit=Circuit(after=math.inf if patient else DOWN_AFTER, waiting=self._waiting),
                pace=self._paces.setdefault(provider, _pace(known)),
            )
        return self._models[reference]

    async def closing(self, work: Awaitable[R]) -> R:
        try:
            return await work
        finally:
            await self.close()

    async def close(self) -> None:
        for model in self._models.values():
            await model.adapter.close()

    def _adapter(self, reference: str) -> Adapter:
        options = reached(reference, self._config)
        where = place(reference, options["base_url"])
        options |= {"known": self._ways.known(where), "keep": lambda way: self._ways.keep(where, way)}
        # Each brings its library, which costs from 0.4 (openai) to 2 seconds (litellm).
        if self._config.settings.library(reference) == "litellm":
            from mockint.llm.litellm import LitellmAdapter

            return LitellmAdapter(reference, **options)
        from mockint.llm.openai import OpenAIAdapter

        return OpenAIAdapter(reference, **options)


def reached(reference: str, config: Config) -> dict[str, Any]:
    """Returns what an adapter is told of a model, whichever it is: `served_as`, `base_url`, `api_key` and `reply_tokens`.

    Raises:
        ContentError: its provider's key is not set.
    """
    provider, _, name = reference.partition("/")
    known = config.settings.providers.get(provider)
    return {
        "served_as": name,
        "base_url": known.base_url if known else None,
        "api_key": config.key(known) if known else None,
        "reply_tokens": config.settings.limits.reply_tokens,
    }


def place(reference: str, base_url: str | None) -> str:
    """Returns a model with its server, where that is somebody's own: the same name elsewhere is another model."""
    return f"{reference} {base_url}" if base_url else reference


class Ways:
    """How each model was last asked for a shape, from one run to the next; the file can be deleted and comes back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._read()

    def known(self, place: str) -> Way | None:
        return self._known.get(place)

    def keep(self, place: str, way: Way) -> None:
        """Writes the file when this is news, with what other processes have written meanwhile."""
        if self._known.get(place) != way:
            self._known |= self._read() | {place: way}
            write_cache(self._path, _WAYS.dump_json(self._known))

    def _read(self) -> dict[str, Way]:
        with suppress(OSError, ValidationError):
            return _WAYS.validate_json(self._path.read_bytes())
        return {}


_WAYS = TypeAdapter(dict[str, Way])


def _pace(provider: Provider | None) -> Pace:
    if provider is None:
        return Pace()
    return Pace(provider.requests_per_minute, provider.tokens_per_minute, provider.concurrency)


def connect(reference: str, *, config: Config, clock: Clock) -> Model:
    """As `Connections.alone`, for one model."""
    return Connections(config, clock).alone(reference)


@cache
def strict_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Returns the `response_format` that asks for a reply of this schema; it is made once, and not to be changed."""
    shape = schema.model_json_schema()
    return {"type": "json_schema", "json_schema": {"name": schema.__name__, "schema": _closed(shape), "strict": True}}


def request_digest(messages: Sequence[Message]) -> str:
    return digest([message.model_dump() for message in messages])


def _closed(shape: Any) -> Any:
    """Requires every key and refuses others, as strict mode asks."""
    if isinstance(shape, list):
        return [_closed(part) for part in shape]
    if not isinstance(shape, dict):
        return shape
    closed = {key: _closed(part) for key, part in shape.items() if key not in ("default", "title")}
    if shape.get("type") == "object" and "properties" in shape:
        closed |= {"required": list(shape["properties"]), "additionalProperties": False}
        closed["properties"] = {key: _closed(part) for key, part in shape["properties"].items()}
    return closed


def _within(text: str, schema: type[T]) -> T | None:
    """Returns the first object of the schema that stands in a text, in a code fence or among words; None when there is none."""
    decoder = json.JSONDecoder()
    for start in itertools.islice((found.start() for found in re.finditer(r"\{", text)), MOST_BRACES):
        with suppress(ValueError, RecursionError):  # pydantic's ValidationError is a ValueError too
            value, _ = decoder.raw_decode(text, start)
            return schema.model_validate_json(json.dumps(value))
    return None


def _parse(raw: Raw, schema: type[T]) -> tuple[T | None, str | None]:
    if raw.cut_off:
        return None, "The reply was cut off before its end."
    try:
        return schema.model_validate_json(raw.text), None
    except ValidationError as exc:
        if (found := _within(raw.text, schema)) is not None:
            return found, None
        first = exc.errors(include_url=False, include_context=False, include_input=False)[:5]
        told = "; ".join(f"{'.'.join(map(str, error['loc'])) or 'reply'}: {error['msg']}" for error in first)
        return None, f"The reply is not JSON of the shape that was asked for: {told}"
