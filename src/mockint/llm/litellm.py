"""The adapter for every provider that litellm speaks to: Anthropic, Gemini, Mistral, Ollama, Azure, Bedrock and more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from mockint.config import quiet_litellm
from mockint.llm.openai import ChatAdapter

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


class LitellmAdapter(ChatAdapter):
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
        provider = name.partition("/")[0]
        if provider in ("ollama", "ollama_chat"):
            litellm.model_cost.setdefault(name, {"litellm_provider": provider} | UNLISTED)
        if base_url is None or provider in OWN_PROTOCOL:
            # What is not given here, litellm looks for in the provider's own variables.
            given = {"api_base": base_url, "api_key": api_key}
            to: dict[str, Any] = {"model": name} | {what: value for what, value in given.items() if value}
        else:
            to = {"model": f"openai/{served_as}", "api_base": base_url, "api_key": api_key or "none"}
        once = {"num_retries": 0, "max_retries": 0}
        longest = {"max_tokens": reply_tokens} if reply_tokens else {}
        super().__init__(name, to=to | once | longest, own=base_url is not None, key=api_key, **ways)

    async def close(self) -> None:
        await litellm.close_litellm_async_clients()

    async def _create(self, **asked: Any) -> tuple[Any, Mapping[str, str]]:
        came = await litellm.acompletion(**asked)
        headers = came._hidden_params.get("additional_headers") or {}
        return came, {name.removeprefix("llm_provider-"): str(value) for name, value in headers.items()}

    async def _end(self, stream: Any) -> None:
        if close := getattr(stream, "aclose", None):  # not all that it may return has one
            await close()
