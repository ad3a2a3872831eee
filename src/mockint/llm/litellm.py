"""The adapter for every provider that litellm speaks to: Anthropic, Gemini, Mistral, Ollama, Azure, Bedrock and more."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from mockint.config import quiet_litellm
from mockint.errors import ModelError
from mockint.llm import Message, OnText, Raw
from mockint.llm.foreign import hidden, translate
from mockint.llm.openai import gather, raw_of
from mockint.llm.prices import priced
from mockint.llm.structured import Negotiation

quiet_litellm()
# Its types redefine what pydantic would say at length; none of it concerns a user.
warnings.filterwarnings("ignore", message="Items? .* on TypedDict class", category=UserWarning)
import litellm  # noqa: E402  (2 s and 160 MiB; the lines above keep it from the network and from printing)

litellm.suppress_debug_info = True

OWN_PROTOCOL = {"anthropic", "azure", "bedrock", "gemini", "mistral", "ollama_chat", "openrouter"}
"""Providers that are spoken to in their own protocol at a `base_url` too; a server of any other name speaks OpenAI's."""
UNLISTED = {
    "mode": "chat",
    "input_cost_per_token": 0.0,
    "output_cost_per_token": 0.0,
    "supports_function_calling": True,
}
"""What litellm is told of an Ollama model: of one that it does not know it asks the server, once a reply, and blocks the event loop."""


class LitellmAdapter:
    def __init__(
        self, name: str, *, served_as: str | None = None, base_url: str | None = None, api_key: str | None = None
    ) -> None:
        self.name = name
        self._own = base_url is not None
        self.negotiation = Negotiation()
        provider = name.partition("/")[0]
        if provider in ("ollama", "ollama_chat"):
            litellm.model_cost.setdefault(name, {"litellm_provider": provider} | UNLISTED)
        if base_url is None or provider in OWN_PROTOCOL:
            # What is not given here, litellm looks for in the provider's own variables.
            given = {"api_base": base_url, "api_key": api_key}
            self._to: dict[str, Any] = {"model": name} | {what: value for what, value in given.items() if value}
        else:
            self._to = {"model": f"openai/{served_as}", "api_base": base_url, "api_key": api_key or "none"}

    async def call(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None, on_text: OnText | None, deadline: float
    ) -> Raw:
        asked: dict[str, Any] = {
            **self._to,
            "messages": [message.model_dump() for message in messages],
            "timeout": deadline,
            "num_retries": 0,
            "max_retries": 0,
        }
        if schema:
            raw = await self.negotiation.ask(asked, schema, lambda shaped: self._send(shaped, on_text))
        else:
            raw = await self._send(asked, on_text)
        return raw if self._own else replace(raw, usage=priced(raw.usage, self.name))

    async def _send(self, asked: dict[str, Any], on_text: OnText | None) -> Raw:
        try:
            if on_text:
                stream = await litellm.acompletion(**asked, stream=True, stream_options={"include_usage": True})
                return await gather(stream, on_text, self.name)
            return raw_of(await litellm.acompletion(**asked), self.name)
        except ModelError as exc:
            raise hidden(exc, self._to.get("api_key")) from None
        except Exception as exc:
            raise hidden(translate(exc, self.name), self._to.get("api_key")) from exc

    async def close(self) -> None:
        await litellm.close_litellm_async_clients()
