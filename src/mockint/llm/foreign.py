"""The one table that says what each exception of the model libraries means: no use in asking again, or worth a try later.

Rows go by the class's name, and by its parents' where it has no row: litellm derives its own exceptions from openai's and
gives them the same names, and so neither library is imported to read this.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

from mockint.clock import SystemClock
from mockint.errors import ModelError, ModelRefused, ModelUnavailable

LATER = "Try again later, or name another model."
REACH = (
    "Check that its server runs and that the provider's base_url is right; else try again later, or name another model."
)
SECURE = "Check the provider's base_url: whether it begins with http or https, its host, and its certificate."
SHORTER = "What is sent is more than this server takes; use another model."
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
    "JSONDecodeError",
    "JSONSchemaValidationError",
    "MidStreamFallbackError",
    "RateLimitError",
    "ServiceUnavailableError",
    "Timeout",
    "TransportError",
    "UnicodeDecodeError",
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
CONNECTION = {"APIConnectionError", "TransportError"}
BY_STATUS = {"APIError", "APIStatusError", "OpenAIError"}
"""The general ones, which say no more than their status does."""

SHAPES = {400, 415, 422}
"""A server that does not know a `response_format` or a tool answers with one of these."""
MAY_WORK_LATER = {408, 409, 425, 429, 529}
MISCONFIGURED = {
    "CERTIFICATE_VERIFY_FAILED",
    "HTTP_REQUEST",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
"""Why a TLS handshake fails that will fail again."""

LONGEST_TOLD = 300
"""Characters of what a library or a server says that are told."""
HIDDEN = "(key)"
_KEY = re.compile(r"\b(?:sk|pk|gsk|xai|hf|r8)[-_][A-Za-z0-9*_-]{8,}|\bAIza[A-Za-z0-9_-]{20,}|(?<=Bearer )[^\s'\"]{8,}")
"""What the providers' keys look like."""


def row(kind: type[BaseException]) -> str | None:
    """Returns the name of the row that decides about an exception class; None when it has none."""
    names = (base.__name__ for base in kind.__mro__)
    return next((name for name in names if name in UNAVAILABLE | BY_STATUS or name in REFUSED), None)


def translate(exc: Exception, name: str, *, key: str | None = None) -> ModelError:
    """Returns mockint's error for a library's, raised while the model `name` was asked. Neither the key nor what looks like one is in it."""
    found, status = row(type(exc)), _status(exc)
    told = f"{name}: {_without_keys(_told(exc, found), key)[:LONGEST_TOLD]}"
    if getattr(exc, "code", None) == "insufficient_quota":
        return ModelRefused(told, hint=QUOTA)
    if any(isinstance(cause, ssl.SSLError) and cause.reason in MISCONFIGURED for cause in _causes(exc)):
        return ModelRefused(told, hint=SECURE)
    if re.search(r"missing \S+ api key", str(exc), re.IGNORECASE):  # litellm's, in the guise of a lost connection
        return ModelRefused(f"There is no API key for {name}.", hint=KEY)
    # litellm gives its bare APIError the status 500 where it knows none.
    known = status if (found, status) != ("APIError", 500) else 0
    later = known in MAY_WORK_LATER or known >= 500
    if found in UNAVAILABLE or later or isinstance(exc, OSError):
        hint = REACH if found in CONNECTION else LATER
        return ModelUnavailable(told, hint=hint, retry_after=_retry_after(exc))
    hint = REFUSED.get(found or "", SHORTER if known == 413 else CHECK)
    shape = (hint == ASKED or known in SHAPES) and getattr(exc, "code", None) != "context_length_exceeded"
    return ModelRefused(told, hint=hint, shape=shape)


def hidden(exc: ModelError, key: str | None) -> ModelError:
    """Returns the error without the key that was sent, which some servers repeat, and without what else looks like one."""
    exc.what = _without_keys(exc.what, key)
    exc.args = (exc.what,)
    return exc


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yields an exception and what it was raised from, the outermost first."""
    here: BaseException | None = exc
    while here is not None:
        yield here
        here = here.__cause__ or here.__context__


def _status(exc: Exception) -> int:
    """Returns the HTTP status; for an error in the midst of a reply, the code that it gives itself; 0 when there is none."""
    body = getattr(exc, "body", None)
    for given in (getattr(exc, "status_code", None), body.get("code") if isinstance(body, Mapping) else None):
        if isinstance(given, int | str) and str(given).isdecimal():
            return int(given)
    return 0


def _told(exc: Exception, found: str | None) -> str:
    """Returns in one line what happened. Of a connection, what lies at the bottom; the library says "Connection error."."""
    if found in ("JSONDecodeError", "UnicodeDecodeError"):
        return f"the reply is broken off or no JSON ({exc})"
    told = [text for cause in _causes(exc) if (text := _words(cause))] or [type(exc).__name__]
    if found not in CONNECTION:
        return told[0]
    url: Any = getattr(_request(exc), "url", None)
    where = f" to {url.host}{f':{url.port}' if url.port else ''}" if url else ""
    return f"the connection{where} failed: {told[-1]}"


def _words(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return f"TLS: {cause.reason.replace('_', ' ').lower()}"
    if isinstance(cause, OSError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0)
    return (str(cause).strip().splitlines() or [""])[0]


def _request(exc: Exception) -> object:
    """Returns the request that failed; None when the exception does not know it."""
    with suppress(RuntimeError):  # httpx's way of saying so
        return getattr(exc, "request", None)
    return None


def _without_keys(text: str, key: str | None) -> str:
    return _KEY.sub(HIDDEN, text.replace(key, HIDDEN) if key else text)


def _retry_after(exc: Exception) -> float | None:
    """Returns the server's Retry-After in seconds, counted from its own date when it is one; None when there is none."""
    headers = getattr(exc, "litellm_response_headers", None) or getattr(getattr(exc, "response", None), "headers", None)
    given = headers.get("retry-after") if isinstance(headers, Mapping) else None
    if not headers or not given:
        return None
    with suppress(ValueError):
        return max(0.0, float(given))
    with suppress(ValueError, TypeError):
        now = parsedate_to_datetime(headers["date"]) if headers.get("date") else SystemClock().now()
        return max(0.0, (parsedate_to_datetime(given) - now).total_seconds())
    return None
