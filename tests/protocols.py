"""Loopback servers that speak the providers' own protocols, and refuse what those providers refuse.

Each answers on its provider's own paths, wants its provider's own key header, and describes replies, streams and errors as that
provider does. What a server was asked is kept as it came.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.servers import Handler
from tests.servers import serving as loopback

KEY = "sk-planted-key"
PROMPT_TOKENS, REPLY_TOKENS = 123, 45
PIECE = 3
"""Characters in one event of a stream."""
PAUSE = 0.004
"""Seconds between the parts of a stream, so that they arrive one by one."""

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
JSON = "application/json"


@dataclass(frozen=True)
class Arrived:
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    raw: bytes
    """The body as it came."""


@dataclass(frozen=True)
class Refusal:
    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Wire:
    """One provider's protocol, as its server sees it."""

    provider: str
    """As references name it."""
    model: str
    base: str = ""
    """What the base URL ends in."""
    stream_type = SSE
    fields: frozenset[str] = frozenset()
    """The request's top-level fields that the provider knows; empty when it overlooks the others."""

    variables: tuple[str, str]
    """The client library's own variables for the address and for the key."""
    settings: Mapping[str, str] = {}
    """What else the client library is told by variables."""
    wanted: str | None = KEY
    """The key that it takes; None when it needs none."""

    def paths(self) -> tuple[str, str]:
        """Returns where a plain and where a streamed reply is asked for."""
        raise NotImplementedError

    def key(self, headers: Mapping[str, str]) -> str | None:
        """Returns the key from where this provider expects it."""
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def asked(self, arrived: Arrived) -> str:
        """Returns the name of the model that is to reply."""
        return str(arrived.body["model"])

    def turns(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Returns (role, text) of each message, from where this provider reads them."""
        return [(message["role"], message["content"]) for message in body["messages"]]

    def schema(self, body: Mapping[str, Any]) -> Any:
        """Returns the JSON schema of the reply, from where this provider reads it."""
        raise NotImplementedError

    def refused(self, arrived: Arrived) -> Refusal | None:
        if arrived.path not in self.paths():
            return Refusal(404, self.error(404, f"no route {arrived.path}"))
        if self.wanted is not None and self.key(arrived.headers) != self.wanted:
            return self.unauthorized()
        if unknown := sorted(arrived.body.keys() - self.fields) if self.fields else []:
            return self.unknown(unknown)
        return None

    def unauthorized(self) -> Refusal:
        return Refusal(401, self.error(401, "no valid key"))

    def unknown(self, names: list[str]) -> Refusal:
        return Refusal(400, self.error(400, f"{', '.join(names)}: Extra inputs are not permitted"))

    def error(self, status: int, message: str) -> dict[str, Any]:
        raise NotImplementedError

    def streams(self, arrived: Arrived) -> bool:
        return bool(arrived.body.get("stream"))

    def plain(self, arrived: Arrived, text: str) -> dict[str, Any]:
        raise NotImplementedError

    def stream(self, arrived: Arrived, text: str) -> str:
        raise NotImplementedError

    def parts(self, arrived: Arrived, text: str) -> list[bytes]:
        """Returns a stream as it is sent, cut after the first byte of every character that has several."""
        stream = self.stream(arrived, text).encode()
        return cut(stream, (at for at, byte in enumerate(stream) if byte >= 0xC0))


class Anthropic(Wire):
    """POST /v1/messages."""

    provider, model = "anthropic", "claude-sonnet-4-5"
    variables = "ANTHROPIC_API_BASE", "ANTHROPIC_API_KEY"
    fields = frozenset(
        {"max_tokens", "messages", "metadata", "model", "output_config", "output_format", "stop_sequences", "stream"}
        | {"system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p"}
    )

    def paths(self) -> tuple[str, str]:
        return "/v1/messages", "/v1/messages"

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-api-key")

    def turns(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [
            *(("system", block["text"]) for block in body["system"]),
            *((message["role"], block["text"]) for message in body["messages"] for block in message["content"]),
        ]

    def schema(self, body: Mapping[str, Any]) -> Any:
        return body["output_format"]["schema"]

    def refused(self, arrived: Arrived) -> Refusal | None:
        if early := super().refused(arrived):
            return early
        if "anthropic-version" not in arrived.headers:
            return Refusal(400, self.error(400, "anthropic-version: header is required"))
        missing = {"max_tokens", "messages", "model"} - arrived.body.keys()
        if missing:
            return Refusal(400, self.error(400, f"{missing}: Field required"))
        if any(message["role"] not in ("user", "assistant") for message in arrived.body["messages"]):
            return Refusal(400, self.error(400, "messages: Unexpected role"))
        return None

    def error(self, status: int, message: str) -> dict[str, Any]:
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(status, "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    def plain(self, arrived: Arrived, text: str) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "text", "text": text}
        if arrived.body.get("tool_choice", {}).get("type") == "tool":
            name = arrived.body["tool_choice"]["name"]
            block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": json.loads(text)}
        stop = "tool_use" if block["type"] == "tool_use" else "end_turn"
        return self._message([block], stop, {"input_tokens": PROMPT_TOKENS, "output_tokens": REPLY_TOKENS})

    def stream(self, arrived: Arrived, text: str) -> str:
        begun = self._message([], None, {"input_tokens": PROMPT_TOKENS, "output_tokens": 1})
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(text)]
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": REPLY_TOKENS},
            },
            {"type": "message_stop"},
        ]
        return "".join(f"event: {event['type']}\ndata: {dumped(event)}\n\n" for event in events)

    def _message(self, content: list[dict[str, Any]], stop: str | None, usage: dict[str, int]) -> dict[str, Any]:
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": self.model}
        return {**head, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}


class UnlistedClaude(Anthropic):
    """A model of Anthropic's that litellm's list does not have, which is given a tool to call."""

    model = "claude-of-next-year"

    def schema(self, body: Mapping[str, Any]) -> Any:
        tool = body["tools"][0]
        return tool["input_schema"] if body["tool_choice"] == {"type": "tool", "name": tool["name"]} else None


class Gemini(Wire):
    """POST /v1beta/models/MODEL:generateContent and :streamGenerateContent?alt=sse."""

    provider, model, base = "gemini", "gemini-2.5-flash", "/v1beta"
    variables = "GEMINI_API_BASE", "GEMINI_API_KEY"
    fields = frozenset(
        {"cachedContent", "contents", "generationConfig", "safetySettings", "systemInstruction", "system_instruction"}
        | {"toolConfig", "tools"}
    )

    def paths(self) -> tuple[str, str]:
        at = f"/v1beta/models/{self.model}"
        return f"{at}:generateContent", f"{at}:streamGenerateContent?alt=sse"

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-goog-api-key")

    def asked(self, arrived: Arrived) -> str:
        return arrived.path.rpartition("/")[2].partition(":")[0]

    def turns(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [
            *(("system", part["text"]) for part in body["system_instruction"]["parts"]),
            *((content["role"], part["text"]) for content in body["contents"] for part in content["parts"]),
        ]

    def schema(self, body: Mapping[str, Any]) -> Any:
        made = body["generationConfig"]
        return made["response_json_schema"] if made["response_mime_type"] == "application/json" else None

    def unauthorized(self) -> Refusal:
        """Gemini calls a bad key an invalid argument."""
        body = self.error(400, "API key not valid. Please pass a valid API key.")
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        body["error"]["details"] = [{"@type": kind, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
        return Refusal(400, body)

    def error(self, status: int, message: str) -> dict[str, Any]:
        named = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}[status]
        return {"error": {"code": status, "message": message, "status": named}}

    def streams(self, arrived: Arrived) -> bool:
        return arrived.path == self.paths()[1]

    def plain(self, arrived: Arrived, text: str) -> dict[str, Any]:
        return self._response(text, "STOP", REPLY_TOKENS)

    def stream(self, arrived: Arrived, text: str) -> str:
        *first, last = pieces(text)
        events = [*(self._response(piece, None, 1) for piece in first), self._response(last, "STOP", REPLY_TOKENS)]
        return "".join(f"data: {dumped(event)}\r\n\r\n" for event in events)

    def _response(self, text: str, finish: str | None, tokens: int) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        usage = {"promptTokenCount": PROMPT_TOKENS, "candidatesTokenCount": tokens}
        usage["totalTokenCount"] = PROMPT_TOKENS + tokens
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": self.model,
            "responseId": "r1",
        }


class UnlistedGemini(Gemini):
    """A model of Google's that litellm's list does not have, which is told the schema in words."""

    model = "gemini-of-next-year"

    def schema(self, body: Mapping[str, Any]) -> Any:
        told = body["contents"][-1]["parts"][-1]["text"]
        return json.loads(told[told.index("{") : told.rindex("}") + 1])


class Completions(Wire):
    """What they share whose replies look like OpenAI's."""

    def schema(self, body: Mapping[str, Any]) -> Any:
        return body["response_format"]["json_schema"]["schema"]

    def plain(self, arrived: Arrived, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "tool_calls": None}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return self._head(arrived, "chat.completion") | {"choices": [choice], "usage": self.usage()}

    def stream(self, arrived: Arrived, text: str) -> str:
        choices: list[dict[str, Any]] = [
            {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
            for piece in ("", *pieces(text))
        ]
        choices.append({"index": 0, "delta": {"content": ""}, "finish_reason": "stop"})
        head = self._head(arrived, "chat.completion.chunk")
        events = [{**head, "choices": [choice]} for choice in choices]
        events = self.counted(events)
        return self.before() + "".join(f"data: {dumped(event)}\n\n" for event in events) + "data: [DONE]\n\n"

    def before(self) -> str:
        return ""

    def counted(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns a stream's events with the usage where this provider puts it."""
        return [*events[:-1], {**events[-1], "usage": self.usage()}]

    def usage(self) -> dict[str, Any]:
        total = PROMPT_TOKENS + REPLY_TOKENS
        return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": REPLY_TOKENS, "total_tokens": total}

    def _head(self, arrived: Arrived, kind: str) -> dict[str, Any]:
        return {"id": "c1", "object": kind, "created": 1, "model": arrived.body["model"]}


class OpenAI(Completions):
    """POST /v1/chat/completions, with the usage in an event of its own."""

    provider, model, base = "openai", "gpt-5-mini", "/v1"
    variables = "OPENAI_BASE_URL", "OPENAI_API_KEY"

    def paths(self) -> tuple[str, str]:
        return "/v1/chat/completions", "/v1/chat/completions"

    def error(self, status: int, message: str) -> dict[str, Any]:
        code = {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(status)
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}

    def counted(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*events, {**events[-1], "choices": [], "usage": self.usage()}]


class Proxy(OpenAI):
    """litellm's proxy without a database, as one of version 1.108.7 answered."""

    provider, model = "proxy", "team-model"

    def unauthorized(self) -> Refusal:
        error = {"message": "No connected db.", "type": "no_db_connection", "param": None, "code": "400"}
        return Refusal(400, {"error": error})

    def counted(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The event with the usage has a choice too, without a word."""
        return [*events, {**events[-1], "choices": [{"index": 0, "delta": {}}], "usage": self.usage()}]


class Mistral(Completions):
    """POST /v1/chat/completions, where fields that Mistral does not know are an error."""

    provider, model, base = "mistral", "mistral-small-latest", "/v1"
    # For a chat, litellm 1.110 overlooks MISTRAL_API_BASE.
    variables = "MISTRAL_AZURE_API_BASE", "MISTRAL_API_KEY"
    fields = frozenset(
        {"frequency_penalty", "max_tokens", "messages", "metadata", "model", "n", "parallel_tool_calls", "prediction"}
        | {"presence_penalty", "prompt_mode", "random_seed", "response_format", "safe_prompt", "stop", "stream"}
        | {"temperature", "tool_choice", "tools", "top_p"}
    )

    def paths(self) -> tuple[str, str]:
        return "/v1/chat/completions", "/v1/chat/completions"

    def unauthorized(self) -> Refusal:
        return Refusal(401, {"detail": "Unauthorized"})

    def unknown(self, names: list[str]) -> Refusal:
        kinds = [
            {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
            for name in names
        ]
        error = {"object": "error", "message": {"detail": kinds}, "type": "invalid_request_error"}
        return Refusal(422, {**error, "param": None, "code": None})

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = "rate_limited" if status == 429 else "invalid_request_error"
        return {"object": "error", "message": message, "type": kind, "param": None, "code": "1300"}


class OpenRouter(Completions):
    """POST /api/v1/chat/completions, with comments in the stream and the vendor in the model's name."""

    provider, model, base = "openrouter", "qwen/qwen3-32b", "/api/v1"
    variables = "OPENROUTER_API_BASE", "OPENROUTER_API_KEY"

    def paths(self) -> tuple[str, str]:
        return "/api/v1/chat/completions", "/api/v1/chat/completions"

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": {"code": status, "message": message}, "user_id": "user_1"}

    def before(self) -> str:
        return ": OPENROUTER PROCESSING\n\n" * 2

    def counted(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        empty = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        return [*events, {**events[-1], "choices": [empty], "usage": self.usage()}]

    def usage(self) -> dict[str, Any]:
        return super().usage() | {"cost": 0.00012, "is_byok": False}

    def _head(self, arrived: Arrived, kind: str) -> dict[str, Any]:
        return super()._head(arrived, kind) | {"provider": "Somebody"}


class Ollama(Wire):
    """POST /api/chat, a line of JSON an event; a key is wanted, as by its cloud or a server in front of it."""

    provider, model, stream_type = "ollama_chat", "llama3.2", NDJSON
    variables = "OLLAMA_API_BASE", "OLLAMA_API_KEY"

    def paths(self) -> tuple[str, str]:
        return "/api/chat", "/api/chat"

    def schema(self, body: Mapping[str, Any]) -> Any:
        return body["format"]

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": message}

    def streams(self, arrived: Arrived) -> bool:
        return bool(arrived.body.get("stream", True))

    def plain(self, arrived: Arrived, text: str) -> dict[str, Any]:
        return self._part(arrived, text) | self._end()

    def stream(self, arrived: Arrived, text: str) -> str:
        parts = [self._part(arrived, piece) | {"done": False} for piece in pieces(text)]
        return "".join(f"{dumped(part)}\n" for part in [*parts, self._part(arrived, "") | self._end()])

    def _part(self, arrived: Arrived, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"model": arrived.body["model"], "created_at": "2026-11-24T18:12:00.5Z", "message": message}

    def _end(self) -> dict[str, Any]:
        counted = {"prompt_eval_count": PROMPT_TOKENS, "eval_count": REPLY_TOKENS}
        return {"done": True, "done_reason": "stop", "total_duration": 5_000_000, **counted}


@dataclass
class Served:
    """A running server: what it says next, and what it was asked."""

    wire: Wire
    url: str
    """With what this provider's base URL ends in."""
    text: str | Callable[[Arrived], str] = "ready"
    busy: list[str] = field(default_factory=list)
    """The Retry-After of each request that is refused with 429, before one is answered."""
    ends_after: int | None = None
    """When it is set, a stream ends in good order after so many of its parts."""
    arrived: list[Arrived] = field(default_factory=list)
    broken: int = 0
    """Parts of streams that ended within a character."""

    def says(self, arrived: Arrived) -> str:
        return self.text if isinstance(self.text, str) else self.text(arrived)

    def answer(self, arrived: Arrived) -> Refusal | None:
        if refused := self.wire.refused(arrived):
            return refused
        if self.busy:
            return Refusal(429, self.wire.error(429, "too many requests"), {"retry-after": self.busy.pop(0)})
        return None


@contextmanager
def serving(wire: Wire) -> Iterator[Served]:
    """Runs a server on a free port until the block ends."""
    served = Served(wire, "")
    with loopback(_handler(served)) as address:
        served.url = f"{address}{wire.base}"
        yield served


def pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def dumped(event: dict[str, Any]) -> str:
    """Returns JSON with its characters as they are, not escaped."""
    return json.dumps(event, ensure_ascii=False)


def cut(stream: bytes, after: Iterable[int]) -> list[bytes]:
    """Cuts a stream after the bytes at these places."""
    cuts = [0, *(at + 1 for at in after), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(cuts)]


def ends_within_a_character(part: bytes) -> bool:
    return bool(part) and part[-1] >= 0xC0


def _handler(served: Served) -> type[Handler]:
    class Speaks(Handler):
        def answer(self) -> None:
            raw = self.body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            arrived = Arrived(self.path, headers, json.loads(raw), raw)
            served.arrived.append(arrived)
            if refused := served.answer(arrived):
                self.send_whole(refused.status, dumped(refused.body).encode(), refused.headers)
            elif served.wire.streams(arrived):
                self._chunked(served.wire.parts(arrived, served.says(arrived)))
            else:
                self.send_whole(200, dumped(served.wire.plain(arrived, served.says(arrived))).encode(), {})

        def _chunked(self, parts: list[bytes]) -> None:
            self.send_response(200)
            self.send_header("content-type", served.wire.stream_type)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for part in parts[: served.ends_after]:
                served.broken += ends_within_a_character(part)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
                time.sleep(PAUSE)
            self.wfile.write(b"0\r\n\r\n")

    return Speaks
