"""A loopback server that speaks Amazon Bedrock's Converse, its binary event stream and its signatures included.

The frames and the signatures are made here by what AWS describes, and not by the library that the client has for them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.protocols import PROMPT_TOKENS, REPLY_TOKENS, Arrived, Refusal, Wire, cut, dumped, pieces

REGION = "eu-central-1"
ACCESS_KEY, SECRET = "AKIAPLANTEDPLANTED12", "planted/secret+of+forty+characters/000001"
_STRING = 7
"""The type of a frame's header whose value is a string."""
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/bedrock/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


class Bedrock(Wire):
    """POST /model/MODEL/converse and /converse-stream, with a bearer token."""

    provider, model = "bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"
    variables = "AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_BEARER_TOKEN_BEDROCK"
    settings: Mapping[str, str] = {"AWS_REGION_NAME": REGION}
    stream_type = "application/vnd.amazon.eventstream"
    fields = frozenset(
        {"additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig", "inferenceConfig"}
        | {"messages", "outputConfig", "performanceConfig", "promptVariables", "requestMetadata", "serviceTier"}
        | {"system", "toolConfig"}
    )

    def paths(self) -> tuple[str, str]:
        at = f"/model/{quote(self.model, safe='')}"
        return f"{at}/converse", f"{at}/converse-stream"

    def asked(self, arrived: Arrived) -> str:
        return arrived.path.split("/")[2].replace("%3A", ":")

    def turns(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [
            *(("system", block["text"]) for block in body["system"]),
            *((message["role"], block["text"]) for message in body["messages"] for block in message["content"]),
        ]

    def schema(self, body: Mapping[str, Any]) -> Any:
        shape = body["outputConfig"]["textFormat"]
        return json.loads(shape["structure"]["jsonSchema"]["schema"]) if shape["type"] == "json_schema" else None

    def unauthorized(self) -> Refusal:
        told = "Authentication failed: Please make sure your API Key is valid."
        return Refusal(403, {"Message": told}, {"x-amzn-errortype": "AccessDeniedException"})

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"message": message}

    def streams(self, arrived: Arrived) -> bool:
        return arrived.path == self.paths()[1]

    def plain(self, arrived: Arrived, text: str) -> dict[str, Any]:
        block: dict[str, Any] = {"text": text}
        if name := arrived.body.get("toolConfig", {}).get("toolChoice", {}).get("tool", {}).get("name"):
            block = {"toolUse": {"toolUseId": "tooluse_1", "name": name, "input": json.loads(text)}}
        stop = "tool_use" if "toolUse" in block else "end_turn"
        message = {"role": "assistant", "content": [block]}
        return {"output": {"message": message}, "stopReason": stop, **self._counted()}

    def parts(self, arrived: Arrived, text: str) -> list[bytes]:
        """Cuts after the first byte of every character of the text that has several; checksums are no text."""
        stream, places = b"", list[int]()
        for kind, event in self._events(text):
            payload = dumped(event | {"p": "abcdefghij"}).encode()
            sent = frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)
            begins = len(stream) + len(sent) - 4 - len(payload)
            places += [begins + at for at, byte in enumerate(payload) if byte >= 0xC0]
            stream += sent
        return cut(stream, places)

    def _events(self, text: str) -> list[tuple[str, dict[str, Any]]]:
        return [
            ("messageStart", {"role": "assistant"}),
            *(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in pieces(text)),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", self._counted()),
        ]

    def _counted(self) -> dict[str, Any]:
        usage = {"inputTokens": PROMPT_TOKENS, "outputTokens": REPLY_TOKENS}
        return {"usage": {**usage, "totalTokens": PROMPT_TOKENS + REPLY_TOKENS}, "metrics": {"latencyMs": 1}}


class Nova(Bedrock):
    """A model that is given a tool which it must call."""

    model = "amazon.nova-pro-v1:0"

    def schema(self, body: Mapping[str, Any]) -> Any:
        [tool] = [tool["toolSpec"] for tool in body["toolConfig"]["tools"]]
        chosen = body["toolConfig"]["toolChoice"] == {"tool": {"name": tool["name"]}}
        return tool["inputSchema"]["json"] if chosen else None


class SignedBedrock(Bedrock):
    """With an access key, by which requests are signed; the secret is not sent."""

    wanted = ACCESS_KEY

    def key(self, headers: Mapping[str, str]) -> str | None:
        found = _SIGNED.fullmatch(headers.get("authorization", ""))
        return found[1] if found else None

    def refused(self, arrived: Arrived) -> Refusal | None:
        if early := super().refused(arrived):
            return early
        found = _SIGNED.fullmatch(arrived.headers["authorization"])
        assert found is not None
        _, day, region, names, signature = found.groups()
        if region != REGION or signature != signed(arrived, day=day, names=names.split(";")):
            told = "The request signature we calculated does not match the signature you provided."
            return Refusal(403, {"message": told}, {"x-amzn-errortype": "InvalidSignatureException"})
        return None

    def unauthorized(self) -> Refusal:
        told = "The security token included in the request is invalid."
        return Refusal(403, {"message": told}, {"x-amzn-errortype": "UnrecognizedClientException"})


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Returns one message of an event stream: lengths, their CRC, headers, payload, the CRC of it all."""
    head = b"".join(
        struct.pack(f">B{len(name)}sBH{len(value)}s", len(name), name.encode(), _STRING, len(value), value.encode())
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return message + struct.pack(">I", zlib.crc32(message))


def signed(arrived: Arrived, *, day: str, names: list[str]) -> str:
    """Returns the request's signature, version 4, with the secret that belongs to the access key."""
    sent = "".join(f"{name}:{' '.join(arrived.headers[name].split())}\n" for name in names)
    body = hashlib.sha256(arrived.raw).hexdigest()
    request = "\n".join(["POST", quote(arrived.path), "", sent, ";".join(names), body])
    scope = f"{day}/{REGION}/bedrock/aws4_request"
    told = ["AWS4-HMAC-SHA256", arrived.headers["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest()]
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, "\n".join(told).encode(), "sha256").hex()
