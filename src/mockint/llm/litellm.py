"""The adapter for every provider that litellm speaks to: Anthropic, Gemini, Mistral, Ollama, Azure, Bedrock and more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from mockint.config import quiet_litellm
from mockint.errors import ModelError, ModelRefused, ModelUnavailable
from mockint.llm import Message, OnText, Raw, seconds_of, strict_schema
from mockint.llm.openai import MAY_WORK_LATER, gather, raw_of

quiet_litellm()
import litellm  # noqa: E402  (2 s and 160 MiB; the line above keeps it from the network and from printing)
import litellm.exceptions as foreign  # noqa: E402

litellm.suppress_debug_info = True

UNAVAILABLE = (
    foreign.RateLimitError,
    foreign.ServiceUnavailableError,
    foreign.InternalServerError,
    foreign.BadGatewayError,
    foreign.APIConnectionError,
    foreign.Timeout,
    foreign.MidStreamFallbackError,
    foreign.APIResponseValidationError,
    foreign.JSONSchemaValidationError,
)
REFUSED = {
    foreign.AuthenticationError: "Check the API key of the provider, in its variable.",
    foreign.PermissionDeniedError: "Check that the key may use this model.",
    foreign.NotFoundError: "Check the model's name.",
    foreign.ContextWindowExceededError: "The interview is longer than this model can read; use another model.",
    foreign.ContentPolicyViolationError: "The provider's policy stopped the reply; try another model.",
    foreign.BudgetExceededError: "The budget that litellm was given is spent.",
    foreign.BadRequestError: "The provider does not accept what is asked; check the model's name.",
    foreign.UnprocessableEntityError: "The provider does not accept what is asked; try another model.",
}
OTHERS = (foreign.APIError,)
"""Judged by their status: see `translate`."""


class LitellmAdapter:
    def __init__(
        self, name: str, *, served_as: str | None = None, base_url: str | None = None, api_key: str | None = None
    ) -> None:
        self.name = name
        self._to: dict[str, Any] = {"model": name}
        if base_url:
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
            asked["response_format"] = strict_schema(schema)
        try:
            if on_text:
                stream = await litellm.acompletion(**asked, stream=True, stream_options={"include_usage": True})
                return await gather(stream, on_text, self.name)
            raw = raw_of(done := await litellm.acompletion(**asked), self.name)
        except ModelError:
            raise
        except Exception as exc:
            raise translate(exc, self.name) from exc
        return Raw(raw.text, raw.usage.model_copy(update={"usd": _price(done)}), raw.cut_off)

    async def close(self) -> None:
        await litellm.close_litellm_async_clients()


def translate(exc: Exception, name: str) -> ModelError:
    """Returns mockint's error for one of the library's."""
    status = getattr(exc, "status_code", None)
    told = f"{name}: {(str(exc).strip() or type(exc).__name__).splitlines()[0][:300]}"
    for kind, hint in REFUSED.items():
        if isinstance(exc, kind):
            return ModelRefused(told, hint=hint)
    later = status in MAY_WORK_LATER or (
        isinstance(status, int) and status >= 500 and type(exc) is not foreign.APIError
    )
    if isinstance(exc, UNAVAILABLE) or later or status == 529 or isinstance(exc, OSError):
        headers = getattr(exc, "litellm_response_headers", None) or {}
        return ModelUnavailable(
            told, hint="Try again later, or name another model.", retry_after=seconds_of(headers.get("retry-after"))
        )
    return ModelRefused(told, hint="Check the model and its provider with: mockint doctor --model REF")


def _price(done: Any) -> float | None:
    """Returns what litellm's price map makes of the call; None when it does not know the model."""
    cost = getattr(done, "_hidden_params", {}).get("response_cost")
    return float(cost) if cost else None
