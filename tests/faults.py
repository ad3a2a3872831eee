"""A loopback server that speaks chat completions badly: every way in which a provider, or what lies before it, can fail a call."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any, Literal, Self

from mockint.clock import SystemClock

Call = Literal["read", "probe", "clarify", "judge"]
CALLS: tuple[Call, ...] = ("read", "probe", "clarify", "judge")
STREAMED: tuple[Call, ...] = ("probe", "clarify")

ANSWER = "You boil the water until it bubbles, and the café holds it warm."
SPEECH = "And what would you do about the café’s own kettle, if it were twice as large?"
NOTES = {"criteria": [{"criterion": "boiling", "mark": "partial"}], "wrong": [], "gave_up": False}
RULED = {"quote": ANSWER, "turn": 2, "reason": "They say so – naïvely.", "level": "partial"}
RULING = {
    "verdicts": [{"criterion": name, **RULED} for name in ("boiling", "pouring", "holding", "cleaning")],
    "red_flags": [],
}
REPLIES: dict[Call, str] = {
    "read": json.dumps(NOTES),
    "probe": SPEECH,
    "clarify": SPEECH,
    "judge": json.dumps(RULING, ensure_ascii=False),
}
HTML = "<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head><body>{}</body></html>"


@dataclass
class Asked:
    """One request, and the connection on which it is answered."""

    writer: asyncio.StreamWriter
    call: Call
    key: str
    """The API key that was sent, which some gateways repeat in their errors."""
    streamed: bool
    now: str
    """The date that the server gives itself."""

    async def head(self, status: int, headers: dict[str, str], *, length: int | None) -> None:
        """Sends the head; without a length the body ends with the connection."""
        sized = {"content-length": str(length)} if length is not None else {"connection": "close"}
        lines = [f"{name}: {value}" for name, value in ({"date": self.now} | headers | sized).items()]
        self.writer.write("\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, "", ""]).encode())
        await self.writer.drain()

    async def send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.head(status, {"content-type": kind} | named, length=len(body))
        self.writer.write(body)
        await self.writer.drain()

    async def reply(self, **how: Any) -> None:
        """Answers as it should be, but for what `how` changes (see `whole` and `chunks`)."""
        await self.send(200, self.body(**how), how.pop("kind", self.kind))

    def body(self, *, kind: str = "", **how: Any) -> bytes:
        del kind
        made = {"text": REPLIES[self.call]} | how
        return b"".join(chunks(**made)) if self.streamed else whole(**made)

    @property
    def kind(self) -> str:
        return "text/event-stream" if self.streamed else "application/json"

    async def reset(self) -> None:
        """Drops the connection with a reset, after what was sent had time to arrive."""
        await asyncio.sleep(0.01)
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


def whole(
    text: str | None, *, finish: str = "stop", refusal: str | None = None, twice: bool = False, choices: bool = True
) -> bytes:
    """Returns a chat completion."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
    given = [choice] * (2 if twice else 1) if choices else []
    done = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": given, "usage": usage}
    return json.dumps(done, ensure_ascii=False).encode()


def chunks(
    text: str | None, *, finish: str = "stop", refusal: str | None = None, twice: bool = False, choices: bool = True
) -> Iterator[bytes]:
    """Yields the events of a stream."""
    size = max(9, len(text or "") // 100)
    deltas: list[dict[str, Any]] = [{"content": (text or "")[i : i + size]} for i in range(0, len(text or ""), size)]
    deltas = deltas or [{"content": None, "refusal": refusal}]
    for delta, ends in [*((delta, None) for delta in deltas), ({}, finish)]:
        given = [{"index": 0, "delta": delta, "finish_reason": ends}] if choices else []
        line = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": given}
        event = f"data: {json.dumps(line, ensure_ascii=False)}\n\n".encode()
        yield event * (2 if twice else 1)
    yield b"data: [DONE]\n\n"


Act = Callable[[Asked], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    name: str
    act: Act
    deadline: float = 10.0
    """Seconds that one call may take."""
    scheme: str = "http"
    listening: bool = True
    retry_after: float = 0.0
    """Seconds between one request and the next that the server asks for."""
    heavy: bool = False
    """Whether so much is sent that one call at a time is enough."""


@dataclass
class Server:
    """A server on a port of its own that fails one call of an interview: at the first request only, or at every one."""

    fault: Fault
    call: Call
    lasting: bool
    arrived: list[float] = field(default_factory=list)
    """When each request came, in seconds."""

    async def __aenter__(self) -> Self:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._listens = self.fault.listening
        self.url = f"{self.fault.scheme}://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._server = await asyncio.start_server(self._serve, sock=self._socket, start_serving=self._listens)
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *ended: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def backed_off(self) -> None:
        """Is called when a client waits before it tries again: a server that did not listen begins to, unless its fault lasts."""
        if not self._listens and not self.lasting:
            self._listens = True
            self._socket.listen()
            self._tasks.add(asyncio.ensure_future(self._server.start_serving()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    await self._one(reader, writer)
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        self.arrived.append(SystemClock().seconds())
        if first == b"\x16":  # a TLS handshake, which is no HTTP
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            return writer.close()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()[1:]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = json.loads(await reader.readexactly(int(headers["content-length"])))
        now = format_datetime(SystemClock().now(), usegmt=True)
        asked = Asked(
            writer,
            self.call,
            headers.get("authorization", "").removeprefix("Bearer "),
            bool(request.get("stream")),
            now,
        )
        if self.lasting or (len(self.arrived) == 1 and self.fault.listening):
            await self.fault.act(asked)
        else:
            await asked.reply()
        return None


def status(code: int, **headers: str) -> Act:
    async def act(asked: Asked) -> None:
        told = {"message": f"no: your key is {asked.key!r}", "type": "x", "code": None}
        await asked.send(code, json.dumps({"error": told}).encode(), "application/json", **headers)

    return act


def page(code: int) -> Act:
    async def act(asked: Asked) -> None:
        await asked.send(code, HTML.format(asked.key).encode(), "text/html")

    return act


def replying(**how: Any) -> Act:
    return lambda asked: asked.reply(**how)


def reset_after(sent: bytes) -> Act:
    async def act(asked: Asked) -> None:
        asked.writer.write(sent)
        await asked.reset()

    return act


async def no_http(asked: Asked) -> None:
    """Answers as a server of another protocol does, at whose port the client was sent."""
    asked.writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await asked.writer.drain()
    asked.writer.close()


async def reset_in_the_body(asked: Asked) -> None:
    await asked.head(200, {"content-type": asked.kind}, length=4000)
    await asked.reset()


async def dated(asked: Asked) -> None:
    """Asks for a pause of one second, as a date on the server's own clock."""
    now = SystemClock().now().replace(microsecond=0)
    asked.now = format_datetime(now, usegmt=True)
    await status(429, retry_after=format_datetime(now + timedelta(seconds=1), usegmt=True))(asked)


async def late(asked: Asked) -> None:
    await asyncio.sleep(30)


async def drip(asked: Asked) -> None:
    """Sends a byte at a time, which would take longer than anybody waits."""
    body = asked.body()
    await asked.head(200, {"content-type": asked.kind}, length=len(body))
    for place in range(len(body)):
        asked.writer.write(body[place : place + 1])
        await asked.writer.drain()
        await asyncio.sleep(0.001 if place < len(body) // 4 else 30)


def cut(*, announced: bool) -> Act:
    """Ends the connection between the two bytes of an é or ï; the length was announced, or the end is the connection's."""

    async def act(asked: Asked) -> None:
        text = (
            REPLIES[asked.call] if asked.call != "read" else json.dumps({**NOTES, "wrong": ["é"]}, ensure_ascii=False)
        )
        body = asked.body(text=text)
        await asked.head(200, {"content-type": asked.kind}, length=len(body) if announced else None)
        asked.writer.write(body[: next(i for i, byte in enumerate(body) if byte == 0xC3) + 1])
        await asked.writer.drain()
        asked.writer.close()

    return act


async def broken_envelope(asked: Asked) -> None:
    body = asked.body()
    broken = body.replace(b'"choices"', b'"choi', 1) if asked.streamed else body[: len(body) // 2]
    await asked.send(200, broken, asked.kind)


async def error_with_200(asked: Asked) -> None:
    """As gateways do that find out too late that the model behind them is overloaded."""
    told = json.dumps({"error": {"message": f"overloaded: {asked.key}", "code": 503}})
    await asked.send(200, (f"data: {told}\n\n" if asked.streamed else told).encode(), asked.kind)


async def no_stream(asked: Asked) -> None:
    """Answers whole what was asked for as a stream, and as a stream what was asked for whole."""
    asked.streamed = not asked.streamed
    await asked.reply()


async def truncated(asked: Asked) -> None:
    text = REPLIES[asked.call]
    await asked.reply(text=text[: len(text) * 2 // 3])


async def at_the_length(asked: Asked) -> None:
    text = REPLIES[asked.call]
    await asked.reply(text=text[: len(text) * 2 // 3], finish="length")


async def fenced(asked: Asked) -> None:
    await asked.reply(text=f"Here it is:\n```json\n{REPLIES[asked.call]}\n```\n")


@cache
def _large(streamed: bool) -> bytes:
    text = "word " * 10_000_000
    return b"".join(chunks(text)) if streamed else whole(text)


async def endless(asked: Asked) -> None:
    await asked.send(200, _large(asked.streamed), asked.kind)


FAULTS: tuple[Fault, ...] = (
    Fault("connection refused", late, listening=False),
    Fault("reset before the headers", reset_after(b"")),
    Fault("reset in the headers", reset_after(b"HTTP/1.1 200 OK\r\nContent-Ty")),
    Fault("reset after the headers", reset_in_the_body),
    Fault("TLS to a port without it", late, scheme="https"),
    Fault("no HTTP", no_http),
    Fault("400", status(400)),
    Fault("401", status(401)),
    Fault("403", status(403)),
    Fault("404, no such model", status(404)),
    Fault("408", status(408)),
    Fault("409", status(409)),
    Fault("413", status(413)),
    Fault("429, Retry-After in seconds", status(429, retry_after="0.1"), retry_after=0.1),
    Fault("429, Retry-After as a date", dated, retry_after=1.0),
    Fault("429, no Retry-After", status(429)),
    Fault("429, Retry-After below zero", status(429, retry_after="-5")),
    Fault("429, Retry-After past the deadline", status(429, retry_after="20"), deadline=0.4, retry_after=20),
    Fault("429, Retry-After of an hour", status(429, retry_after="3600"), retry_after=3600),
    Fault("500", status(500)),
    Fault("502", status(502)),
    Fault("503", status(503)),
    Fault("529", status(529)),
    Fault("HTML page with 200", page(200)),
    Fault("HTML page with 502", page(502)),
    Fault("error object with 200", error_with_200),
    Fault("slow first byte", late, deadline=0.4),
    Fault("slow drip", drip, deadline=0.4),
    Fault("cut inside a code point, length announced", cut(announced=True)),
    Fault("cut inside a code point, length unknown", cut(announced=False)),
    Fault("broken envelope", broken_envelope),
    Fault("duplicate chunks", replying(twice=True)),
    Fault("empty choices", replying(choices=False)),
    Fault("null content", replying(text=None)),
    Fault("refusal field", replying(text=None, refusal="I cannot help with that.")),
    Fault("content_filter finish", replying(finish="content_filter")),
    Fault("cut off at the length", at_the_length),
    Fault("truncated text", truncated),
    Fault("JSON in a code fence", fenced),
    Fault("an object inside another, without end", replying(text='{"a":' * 2_000)),
    Fault("wrong content type", replying(kind="text/plain")),
    Fault("stream for whole, whole for stream", no_stream),
    Fault("50 MB of text", endless, heavy=True),
)
