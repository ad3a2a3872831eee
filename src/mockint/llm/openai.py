"""The adapter for OpenAI and for every server that speaks its chat completions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import openai  # 0.4 to 0.6 s; this module is imported only when a model of this kind is asked for
from pydantic import BaseModel

from mockint.errors import ModelError, ModelRefused, ModelUnavailable
from mockint.llm import LONGEST_REPLY, Message, OnText, Raw, Usage, Way
from mockint.llm.foreign import hidden, repeats_key, translate
from mockint.llm.pace import allowance
from mockint.llm.prices import priced
from mockint.llm.structured import Negotiation


class ChatAdapter:
    """A model that is asked for chat completions, whichever library carries them: the way of asking for a shape is found out, errors are
    translated, and tokens are priced.

    Args:
        to: what is in every request, the model's name first of all.
        own: whether it is somebody's own server; what that costs is in no provider's price list.
        key: the key that is sent, if it is known; it is kept out of errors.
        known: how the model was asked for a shape in another run.
        keep: called with how it is asked, when that is news.
    """

    def __init__(
        self,
        name: str,
        *,
        to: dict[str, Any],
        own: bool,
        key: str | None,
        known: Way | None = None,
        keep: Callable[[Way], None] = lambda _: None,
    ) -> None:
        self.name = name
        self._negotiation = Negotiation(known, keep)
        self._to, self._own, self._key = to, own, key

    async def call(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None, on_text: OnText | None, deadline: float
    ) -> Raw:
        # In whole seconds, since litellm opens new connections for each new time-out; `Model` keeps to the deadline itself.
        within = math.ceil(deadline)
        asked = {**self._to, "messages": [message.model_dump() for message in messages], "timeout": within}
        if schema:
            raw = await self._negotiation.ask(asked, schema, lambda shaped: self._send(shaped, on_text))
        else:
            raw = await self._send(asked, on_text)
        return replace(raw, usage=self.price(raw.usage))

    def price(self, usage: Usage) -> Usage:
        return usage if self._own else priced(usage, self.name)

    async def _send(self, asked: dict[str, Any], on_text: OnText | None) -> Raw:
        with translated(self.name, self._key, self.price):
            if not on_text:
                done, headers = await self._create(**asked)
                return replace(raw_of(done, self.name), left=allowance(headers))
            stream, headers = await self._create(**asked, stream=True, stream_options={"include_usage": True})
            try:
                return replace(await gather(stream, on_text, self.name), left=allowance(headers))
            finally:
                await self._end(stream)

    async def _create(self, **asked: Any) -> tuple[Any, Mapping[str, str]]:
        """Returns what the library makes of the request, a completion or a stream of its chunks, and the headers that came first."""
        raise NotImplementedError

    async def _end(self, stream: Any) -> None:
        """Lets go of a stream."""


class OpenAIAdapter(ChatAdapter):
    def __init__(
        self,
        name: str,
        *,
        served_as: str,
        base_url: str | None = None,
        api_key: str | None = None,
        reply_tokens: int | None = None,
        **ways: Any,
    ) -> None:
        self._client, sent = client(name, base_url, api_key, http_client=openai.DefaultAioHttpClient())
        to = {"model": served_as} | longest(reply_tokens, own=base_url is not None)
        super().__init__(name, to=to, own=base_url is not None, key=sent, **ways)

    async def close(self) -> None:
        await self._client.close()

    async def _create(self, **asked: Any) -> tuple[Any, Mapping[str, str]]:
        came = await self._client.chat.completions.with_raw_response.create(**asked)
        return came.parse(), came.headers

    async def _end(self, stream: Any) -> None:
        await stream.close()


def client(name: str, base_url: str | None, api_key: str | None, **how: Any) -> tuple[openai.AsyncOpenAI, str | None]:
    """Returns the library's client, which retries nothing by itself, and the key that it sends; None where it sends none.

    Raises:
        ModelRefused: there is no key.
    """
    # A local server needs no key, and the library insists on one.
    key = api_key or ("none" if base_url else None)
    try:
        made = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, **how)
    except openai.OpenAIError as exc:
        raise ModelRefused(
            f"There is no API key for {name}.", hint="export OPENAI_API_KEY=…, or configure a provider."
        ) from exc
    return made, None if key == "none" else made.api_key


@contextmanager
def translated(name: str, key: str | None, price: Callable[[Usage], Usage]) -> Iterator[None]:
    """Raises for whatever goes wrong within it an error of mockint's: without the key, and with its usage priced."""
    try:
        yield
    except ModelError as exc:
        exc.usage = exc.usage and price(exc.usage)
        raise hidden(exc, key) from None
    except Exception as exc:  # noqa: BLE001  (a server that speaks the protocol badly makes the library raise whatever it likes)
        raise translate(exc, name, key=key) from (None if repeats_key(exc, key) else exc)


def longest(reply_tokens: int | None, *, own: bool) -> dict[str, int]:
    """Returns how a request limits its reply. OpenAI's own models refuse the older name, and other servers do not know the newer one."""
    return {"max_tokens" if own else "max_completion_tokens": reply_tokens} if reply_tokens else {}


async def gather(stream: Any, on_text: OnText, name: str) -> Raw:
    """Collects a stream of chat completion chunks; a stream without a finish reason was cut off.

    Raises:
        ModelUnavailable: the stream brought nothing.
    """
    pieces: list[str] = []
    refused: list[str] = []
    usage, finish, length, chunks = Usage(calls=1), None, 0, 0
    async for chunk in stream:
        chunks += 1
        if chunk.choices:
            finish = chunk.choices[0].finish_reason or finish
            piece, refusal = (
                chunk.choices[0].delta.content or "",
                getattr(chunk.choices[0].delta, "refusal", None) or "",
            )
            length += len(piece) + len(refusal)
            if length > LONGEST_REPLY:
                raise _too_long(name)
            refused.append(refusal)
            if piece:
                pieces.append(piece)
                on_text(piece)
        if getattr(chunk, "usage", None):
            usage = usage_of(chunk.usage)
    if not chunks:
        raise ModelUnavailable(
            f"{name} sent something else than a stream of words.", hint="Check the provider's base_url."
        )
    return _checked("".join(pieces), usage, finish, name, refused="".join(refused))


def raw_of(done: Any, name: str) -> Raw:
    """Returns a chat completion as one try's result. Raises as `gather` does."""
    if not getattr(done, "choices", None):
        error = getattr(done, "error", None)
        told = str(error.get("message", error)) if isinstance(error, dict) else str(error or "")
        if told:
            raise ModelUnavailable(f"{name}: {' '.join(told.split())}", hint="Try again later, or name another model.")
        raise ModelUnavailable(f"{name} sent a reply without choices.", hint="Check base_url, or try another model.")
    choice = done.choices[0]
    called = getattr(choice.message, "tool_calls", None)
    text = choice.message.content or (called[0].function.arguments if called else "") or ""
    if len(text) > LONGEST_REPLY:
        raise _too_long(name)
    refused = getattr(choice.message, "refusal", None) or ""
    return _checked(text, usage_of(done.usage), choice.finish_reason, name, refused=refused)


def usage_of(usage: Any) -> Usage:
    """Returns the provider's count of tokens; 0 where it gives none."""
    sent = _count(usage, "prompt_tokens")
    cached = _count(getattr(usage, "prompt_tokens_details", None), "cached_tokens")
    written = _count(usage, "completion_tokens")
    return Usage(prompt_tokens=sent, completion_tokens=written, cached_tokens=min(cached, sent), calls=1)


def _count(usage: Any, name: str) -> int:
    value = getattr(usage, name, None)
    return max(0, int(value)) if isinstance(value, int | float) and math.isfinite(value) else 0


def _too_long(name: str) -> ModelRefused:
    return ModelRefused(f"{name} sent more than {LONGEST_REPLY} characters.", hint="Try another model.")


def _checked(text: str, usage: Usage, finish: str | None, name: str, *, refused: str) -> Raw:
    if wrong := _wrong(text, finish, name, refused=refused):
        wrong.usage = usage
        raise wrong
    return Raw(text, usage, cut_off=finish in (None, "length"))


def _wrong(text: str, finish: str | None, name: str, *, refused: str) -> ModelError | None:
    """Returns what is wrong with a reply that came and was paid for; None when it can be used."""
    if refused.strip() and not text.strip():
        return ModelRefused(f"{name} refused: {' '.join(refused.split())}", hint="Try another model.")
    if finish == "content_filter":
        return ModelRefused(f"{name}: the provider's policy stopped the reply.", hint="Try another model.")
    if not text.strip():
        return ModelUnavailable(f"{name} sent an empty reply.", hint="Try again, or name another model.")
    return None
