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
from mockint.config import SHORTEST_SECRET, secrets
from mockint.errors import ModelError, ModelRefused, ModelUnavailable
from mockint.llm.pace import allowance

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
ADDRESS = "Set providers.NAME.base_url, or the variable that the provider has for it (docs/providers.md)."
UNKNOWN = "Check its spelling; a server of your own has its base_url under [providers.NAME] (docs/providers.md)."
AWS = "Check the API key or the AWS credentials, and AWS_REGION_NAME (docs/providers.md)."

UNAVAILABLE = {
    "APIConnectionError",
    "APIResponseValidationError",
    "APITimeoutError",
    "BadGatewayError",
    "ClientResponseError",
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
CONNECTION = {"APIConnectionError", "ClientResponseError", "TransportError"}
"""aiohttp says ClientResponseError of what is no HTTP."""
DISGUISES = {"APITimeoutError", "InternalServerError"}
"""What openai's aiohttp transport and litellm say of a connection that failed, whatever the reason."""
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

_NO_KEY = re.compile(r"missing (?:\S+ api key|credentials\. please pass)|unable to locate credentials", re.IGNORECASE)
_NO_ADDRESS = re.compile(r"must provide one of the `base_url`|no api base provided", re.IGNORECASE)
_NO_PROVIDER = re.compile(r"llm provider not provided", re.IGNORECASE)
_WRONG_KEY = re.compile(r"no connected db", re.IGNORECASE)
"""What litellm's proxy says of a key that it does not know, when it has no database."""
_NO_PACKAGE = re.compile(r"pip install ([A-Za-z0-9_-]+)")
_OF_AWS = re.compile(
    r"config profile \(.*\) could not be found|invalid aws region|partial credentials found|request signature we calculated"
    r"|security token included in the request|make sure your api key is valid",
    re.IGNORECASE,
)
"""What litellm and AWS say where the set-up is at fault; some of it comes in the guise of a lost connection, some without a status."""

LONGEST_TOLD = 300
"""Characters of what a library or a server says that are told."""
MOST_READ = 10_000
"""Characters of an exception that are looked at: some hold all that a server sent."""
HIDDEN = "(key)"
_KEY = re.compile(
    r"\b(?:sk|pk|gsk|xai|hf|r8)[-_][A-Za-z0-9*_-]{8,}|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\b(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=_-]{20,}|(?<=Bearer )[^\s'\"]{8,}"
)
"""What the providers' keys look like."""


def row(kind: type[BaseException]) -> str | None:
    """Returns the name of the row that decides about an exception class; None when it has none."""
    names = (base.__name__ for base in kind.__mro__)
    return next((name for name in names if name in UNAVAILABLE | BY_STATUS or name in REFUSED), None)


def translate(exc: Exception, name: str, *, key: str | None = None) -> ModelError:
    """Returns mockint's error for a library's, raised while the model `name` was asked. Neither the key nor what looks like one is in it."""
    found, status = row(type(exc)), _status(exc)
    if found in DISGUISES and any(isinstance(c, OSError) and (c.errno or 0) > 0 for c in _causes(exc)):
        found = "APIConnectionError"
    told = f"{name}: {_without_keys(_told(exc, found), key)[:LONGEST_TOLD]}"
    if _code(exc) == "insufficient_quota":
        return ModelRefused(told, hint=QUOTA, whoever=True)
    if any(_tls(cause) in MISCONFIGURED for cause in _causes(exc)):
        return ModelRefused(told, hint=SECURE)
    if wrong := _set_up(exc, name, key):
        return wrong
    # litellm gives its bare APIError the status 500 where it knows none.
    known = status if (found, status) != ("APIError", 500) else 0
    later = known in MAY_WORK_LATER or known >= 500
    if found in UNAVAILABLE or later or isinstance(exc, OSError):
        hint = REACH if found in CONNECTION else LATER
        return ModelUnavailable(told, hint=hint, retry_after=_retry_after(exc), busy=known == 429)
    hint = REFUSED.get(found or "", SHORTER if known == 413 else CHECK)
    shape = (hint == ASKED or known in SHAPES) and _code(exc) != "context_length_exceeded"
    return ModelRefused(told, hint=hint, shape=shape, whoever=hint in (KEY, NAME, QUOTA))


def _set_up(exc: Exception, name: str, key: str | None) -> ModelRefused | None:
    """Returns the error of a library that lacks what the user has to give it; None when it lacks nothing."""
    said = str(exc)[:MOST_READ]
    if _NO_KEY.search(said):
        return ModelRefused(f"There is no API key for {name}.", hint=AWS if name.startswith("bedrock/") else KEY)
    if _WRONG_KEY.search(said):
        return ModelRefused(f"{name}: {_without_keys(_words(exc), key)[:LONGEST_TOLD]}", hint=KEY)
    if _NO_PROVIDER.search(said):
        return ModelRefused(f"There is no provider {name.partition('/')[0]!r} for {name}.", hint=UNKNOWN)
    if _NO_ADDRESS.search(said):
        return ModelRefused(f"There is no address for {name}.", hint=ADDRESS)
    for cause in _causes(exc):
        if isinstance(cause, ImportError) and (package := _NO_PACKAGE.search(str(cause)[:MOST_READ])):
            return ModelRefused(
                f"{name} needs the package {package[1]}, which is not installed.",
                hint=f"Install it: pip install {package[1]}",
            )
    causes = _causes(exc) if name.startswith("bedrock/") else ()
    told = [text for cause in causes if _OF_AWS.search(text := _words(cause))]
    return ModelRefused(f"{name}: {_without_keys(told[-1], key)[:LONGEST_TOLD]}", hint=AWS) if told else None


def hidden(exc: ModelError, key: str | None) -> ModelError:
    """Returns the error, no longer than is told, without the key that was sent, which some servers repeat, and what else looks like one."""
    exc.what = _without_keys(exc.what, key)[:LONGEST_TOLD]
    exc.args = (exc.what,)
    return exc


def repeats_key(exc: Exception, key: str | None) -> bool:
    """Whether a key may stand in a library's exception, or in what that was raised from: a traceback would show it."""
    told = [str(cause) for cause in _causes(exc)]
    return any(len(text) > MOST_READ or _without_keys(text, key) != text for text in told)


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
        if re.fullmatch(r"[1-5]\d\d", str(given)):
            return int(str(given))
    return 0


def _code(exc: Exception) -> object:
    """Returns the provider's own code, which the libraries set; others' exceptions may have one that they warn of."""
    return getattr(exc, "__dict__", {}).get("code")


def _told(exc: Exception, found: str | None) -> str:
    """Returns in one line what happened. Of a connection, what lies at the bottom; the library says "Connection error."."""
    if found in ("JSONDecodeError", "UnicodeDecodeError"):
        return f"the reply is broken off or no JSON ({exc})"
    told = [text for cause in _causes(exc) if (text := _words(cause))] or [type(exc).__name__]
    if found not in CONNECTION:
        return told[0]
    return f"the connection{_where(exc)} failed: {told[-1]}"


def _where(exc: Exception) -> str:
    """Returns in words which host could not be reached; litellm's own exceptions name OpenAI's, whichever it was."""
    for cause in _causes(exc):
        url: Any = getattr(_request(cause), "url", None)
        if url and not type(cause).__module__.startswith("litellm."):
            return f" to {url.host}{f':{url.port}' if url.port else ''}"
    return ""


def _words(cause: BaseException) -> str:
    if reason := _tls(cause):
        return f"TLS: {reason.replace('_', ' ').lower()}"
    if isinstance(cause, OSError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0)
    return (str(cause)[:MOST_READ].strip().splitlines() or [""])[0]


def _tls(cause: BaseException) -> str | None:
    """Returns why a TLS connection failed, in the library's own word; aiohttp's errors are of the kind and have none."""
    return getattr(cause, "reason", None) if isinstance(cause, ssl.SSLError) else None


def _request(exc: BaseException) -> object:
    """Returns the request that failed; None when the exception does not know it."""
    with suppress(RuntimeError):  # httpx's way of saying so
        return getattr(exc, "request", None)
    return None


def _without_keys(text: str, key: str | None) -> str:
    """A short key, a stand-in such as "x", is taken for one only where it stands alone."""
    for secret in sorted({key or "", *secrets()} - {""}, key=len, reverse=True):
        alone = r"\b" if len(secret) < SHORTEST_SECRET else ""
        text = re.sub(f"{alone}{re.escape(secret)}{alone}", HIDDEN, text)
    return _KEY.sub(HIDDEN, text)


def _retry_after(exc: Exception) -> float | None:
    """Returns the seconds after which the server wants to be asked again: its Retry-After, counted from its own date when it is one, or
    when the limit that it names is whole again; None when it says neither, or less than nothing.
    """
    headers = getattr(exc, "litellm_response_headers", None) or getattr(getattr(exc, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    given = headers.get("retry-after")
    if not given:
        left = allowance(headers) if _status(exc) == 429 else None
        return left.seconds if left else None
    seconds = -1.0
    with suppress(ValueError, TypeError):
        now = parsedate_to_datetime(headers["date"]) if headers.get("date") else SystemClock().now()
        seconds = (parsedate_to_datetime(given) - now).total_seconds()
    with suppress(ValueError):
        seconds = float(given)
    return seconds if seconds >= 0 else None
