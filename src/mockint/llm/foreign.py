"""The one table that says what each exception of the model libraries means: no use in asking again, or worth a try later.

Rows go by the class's name, and by its parents' where it has no row: litellm derives its own exceptions from openai's and
gives them the same names, and so neither library is imported to read this.
"""

from __future__ import annotations

from collections.abc import Mapping

from mockint.errors import ModelError, ModelRefused, ModelUnavailable

LATER = "Try again later, or name another model."
CHECK = "Check the model and its provider with: mockint doctor --model REF"
KEY = "Check the API key: providers.NAME.api_key_env names its variable."
NAME = "Check the model's name and the provider's base_url."
ASKED = "The provider does not accept what is asked; check the model's name, or try another model."
POLICY = "The provider's policy stopped the reply; try another model."
QUOTA = "The account has no quota left; top it up or use another model."

UNAVAILABLE = {
    "APIConnectionError",
    "APIResponseValidationError",
    "APITimeoutError",
    "BadGatewayError",
    "ConflictError",
    "InternalServerError",
    "JSONSchemaValidationError",
    "MidStreamFallbackError",
    "RateLimitError",
    "ServiceUnavailableError",
    "Timeout",
    "WebSocketConnectionClosedError",
    "WebSocketQueueFullError",
}
REFUSED = {
    "AuthenticationError": KEY,
    "BadRequestError": ASKED,
    "BlockedPiiEntityError": POLICY,
    "BudgetExceededError": QUOTA,
    "ContentFilterFinishReasonError": POLICY,
    "ContentPolicyViolationError": POLICY,
    "ContextWindowExceededError": "The interview is longer than this model can read; use another model.",
    "GuardrailRaisedException": POLICY,
    "InvalidRequestError": ASKED,
    "InvalidWebhookSignatureError": CHECK,
    "LengthFinishReasonError": "The reply was longer than the model may write; try another model.",
    "MockException": CHECK,
    "ModelNotMappedError": NAME,
    "ModifyResponseException": POLICY,
    "NotFoundError": NAME,
    "PaymentRequiredError": QUOTA,
    "PermissionDeniedError": "Check that the key may use this model.",
    "SensitiveDataRouteException": POLICY,
    "UnprocessableEntityError": ASKED,
    "_AmbiguousModuleClientUsageError": CHECK,
}
BY_STATUS = {"APIError", "APIStatusError", "OpenAIError"}
"""The general ones, which say no more than their status does."""

SHAPES = {400, 415, 422}
"""A server that does not know a `response_format` or a tool answers with one of these."""
MAY_WORK_LATER = {408, 409, 425, 429, 529}


def row(kind: type[BaseException]) -> str | None:
    """Returns the name of the row that decides about an exception class; None when it has none."""
    names = (base.__name__ for base in kind.__mro__)
    return next((name for name in names if name in UNAVAILABLE | BY_STATUS or name in REFUSED), None)


def translate(exc: Exception, name: str) -> ModelError:
    """Returns mockint's error for a library's, raised while the model `name` was asked."""
    told = f"{name}: {(str(exc).strip() or type(exc).__name__).splitlines()[0][:300]}"
    found, status = row(type(exc)), getattr(exc, "status_code", None)
    if getattr(exc, "code", None) == "insufficient_quota":
        return ModelRefused(told, hint=QUOTA)
    # litellm gives its bare APIError the status 500 where it knows none.
    known = status if isinstance(status, int) and (found, status) != ("APIError", 500) else 0
    later = known in MAY_WORK_LATER or known >= 500
    if found in UNAVAILABLE or later or isinstance(exc, OSError):
        return ModelUnavailable(told, hint=LATER, retry_after=_retry_after(exc))
    hint = REFUSED.get(found or "", CHECK)
    shape = (hint == ASKED or known in SHAPES) and getattr(exc, "code", None) != "context_length_exceeded"
    return ModelRefused(told, hint=hint, shape=shape)


def _retry_after(exc: Exception) -> float | None:
    """Returns the server's Retry-After in seconds; None when there is none or it is a date."""
    headers = getattr(exc, "litellm_response_headers", None) or getattr(getattr(exc, "response", None), "headers", None)
    given = headers.get("retry-after") if isinstance(headers, Mapping) else None
    try:
        return max(0.0, float(given)) if given else None
    except ValueError:
        return None
