"""What the tests share: a clock that stands still, a small bank, a session played by a script, and a loopback server."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Handler, serving

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--live", action="store_true", help="allow real model calls over the network")


@pytest.fixture(autouse=True)
def no_real_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses any connection that leaves this machine, and keeps the user's own settings out."""
    for name in ("MOCKINT_CONFIG", "MOCKINT_HOME", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    if request.config.getoption("--live"):
        return
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test called {address}; real calls need --live")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@dataclass
class StandingClock:
    """A clock that moves only when it is told to."""

    at: datetime = datetime(2026, 11, 24, 18, 12, tzinfo=UTC)
    passed: float = 0.0

    def now(self) -> datetime:
        return self.at + timedelta(seconds=self.passed)

    def seconds(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@dataclass
class ChatServer:
    """An OpenAI-compatible server whose replies the test writes: text, or a status with headers."""

    url: str
    replies: Callable[[dict[str, Any]], str | tuple[int, dict[str, str]]]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    served = ChatServer("", lambda request: "ready")

    class Answers(Handler):
        def answer(self) -> None:
            request = json.loads(self.body())
            served.requests.append(request)
            served.headers.append(dict(self.headers))
            reply = served.replies(request)
            if isinstance(reply, tuple):
                error = json.dumps({"error": {"message": f"status {reply[0]}", "type": "x", "code": None}})
                body = reply[1].get("x-body", error).encode()
                return self.send_whole(reply[0], body, {"content-type": "application/json", **reply[1]})
            usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
            head = {"id": "c1", "created": 1, "model": request["model"]}
            if not request.get("stream"):
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
                done = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
                return self.send_whole(200, json.dumps(done).encode(), {"content-type": "application/json"})
            chunks: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
            chunks += [{"delta": {"content": reply[i : i + 9]}, "finish_reason": None} for i in range(0, len(reply), 9)]
            chunks += [{"delta": {}, "finish_reason": "stop"}]
            lines = [
                {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, **chunk}]} for chunk in chunks
            ]
            lines.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
            stream = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n\n"
            return self.send_whole(200, stream.encode(), {"content-type": "text/event-stream"})

    with serving(Answers) as address:
        served.url = f"{address}/v1"
        yield served


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs mockint in this process, as its script does, in a folder and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOCKINT_HOME", str(tmp_path / "home"))

    def ran(*words: str | Path, stdin: str = "") -> Ran:
        from mockint.cli import main

        monkeypatch.setattr("sys.argv", ["mockint", *map(str, words)])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return Ran(int(ended.value.code or 0), told.out, told.err)

    return ran
