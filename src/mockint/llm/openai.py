"""The adapter for OpenAI and for every server that speaks its chat completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import openai  # 0.4 to 0.6 s; this module is imported only when a model of this kind is asked for
from pydantic import BaseModel

from mockint.errors import ModelError, ModelRefused, ModelUnavailable
from mockint.llm import LONGEST_REPLY, Message, OnText, Raw, Usage
from mockint.llm.foreign import hidden, translate
from mockint.llm.prices import priced
from mockint.llm.structured import Negotiation


class OpenAIAdapter:
    def __init__(self, name: str, *, served_as: str, base_url: str | None = None, api_key: str | None = None) -> None:
        self.name = name
        self._served_as = served_as
        self._own = base_url is not None
        self.negotiation = Negotiation()
        # A local server needs no key, and the library insists on one.
        key = api_key or ("none" if base_url else None)
        try:
            self._client = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0)
        except openai.OpenAIError as exc:
            raise ModelRefused(
                f"There is no API key for {name}.", hint="export OPENAI_API_KEY=…, or configure a provider."
            ) from exc

    async def call(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None, on_text: OnText | None, deadline: float
    ) -> Raw:
        asked: dict[str, Any] = {
            "model": self._served_as,
            "messages": [message.model_dump() for message in messages],
            "timeout": deadline,
        }
        if schema:
            raw = await self.negotiation.ask(asked, schema, lambda shaped: self._send(shaped, on_text))
        else:
            raw = await self._send(asked, on_text)
        # What somebody else's server costs is not in OpenAI's price list.
        return raw if self._own else replace(raw, usage=priced(raw.usage, self.name))

    async def _send(self, asked: dict[str, Any], on_text: OnText | None) -> Raw:
        try:
            if on_text:
                return await self._stream(asked, on_text)
            return raw_of(await self._client.chat.completions.create(**asked), self.name)
        except ModelError as exc:
            raise hidden(exc, self._client.api_key) from None
        except Exception as exc:  # a server that speaks the protocol badly makes the library raise whatever it likes
            raise translate(exc, self.name) from exc

    async def close(self) -> None:
        await self._client.close()

    async def _stream(self, asked: dict[str, Any], on_text: OnText) -> Raw:
        stream = await self._client.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        )
        async with stream:
            return await gather(stream, on_text, self.name)


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
            refused.append(getattr(chunk.choices[0].delta, "refusal", None) or "")
            finish = chunk.choices[0].finish_reason or finish
            if piece := chunk.choices[0].delta.content:
                pieces.append(piece)
                length += len(piece)
                on_text(piece)
        if getattr(chunk, "usage", None):
            usage = usage_of(chunk.usage)
        if length > LONGEST_REPLY:
            raise ModelRefused(f"{name} sent more than {LONGEST_REPLY} characters.", hint="Try another model.")
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
            raise ModelUnavailable(
                f"{name}: {' '.join(told.split())[:300]}", hint="Try again later, or name another model."
            )
        raise ModelUnavailable(f"{name} sent a reply without choices.", hint="Check base_url, or try another model.")
    choice = done.choices[0]
    called = getattr(choice.message, "tool_calls", None)
    text = choice.message.content or (called[0].function.arguments if called else "") or ""
    if len(text) > LONGEST_REPLY:
        raise ModelRefused(f"{name} sent more than {LONGEST_REPLY} characters.", hint="Try another model.")
    refused = getattr(choice.message, "refusal", None) or ""
    return _checked(text, usage_of(done.usage), choice.finish_reason, name, refused=refused)


def usage_of(usage: Any) -> Usage:
    """Returns the provider's count of tokens; 0 where it gives none."""
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        prompt_tokens=getattr(usage, "prompt_tokens", 0) or 0,
        completion_tokens=getattr(usage, "completion_tokens", 0) or 0,
        cached_tokens=getattr(details, "cached_tokens", 0) or 0,
        calls=1,
    )


def _checked(text: str, usage: Usage, finish: str | None, name: str, *, refused: str) -> Raw:
    if refused.strip() and not text.strip():
        raise ModelRefused(f"{name} refused: {' '.join(refused.split())[:300]}", hint="Try another model.")
    if finish in ("tool_calls", "function_call"):
        finish = "stop"
    if finish == "content_filter":
        raise ModelRefused(f"{name}: the provider's policy stopped the reply.", hint="Try another model.")
    if not text.strip():
        raise ModelUnavailable(f"{name} sent an empty reply.", hint="Try again, or name another model.")
    return Raw(text, usage, cut_off=finish in (None, "length"))
