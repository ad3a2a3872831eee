"""Measures what a candidate waits for in the room: a key until it is shown, and Enter until the interviewer's first word.

    .venv/bin/python tests/bench/room.py [ROUNDS]

The real program runs in a pseudo-terminal against a server on loopback that streams at once; the bare client is the same SDK asking the same
server for the same reply in this process, in turns with the program.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pexpect

WORDS = " ".join(f"word{number}" for number in range(40))


class Prompt(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        chunks = [{"delta": {"content": f"{word} "}, "index": 0} for word in WORDS.split()]
        lines = [{"id": "1", "object": "chat.completion.chunk", "choices": [chunk]} for chunk in chunks]
        body = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@contextmanager
def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prompt)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def bare(client: openai.OpenAI) -> float:
    began = time.perf_counter()
    asked: Any = [{"role": "user", "content": "how many users?"}]
    with client.chat.completions.create(model="m", messages=asked, stream=True) as stream:
        next(iter(stream))
        return time.perf_counter() - began


def until(child: pexpect.spawn[str], what: str) -> None:
    """Waits for a text, and answers meanwhile where the cursor is, as a terminal does."""
    while child.expect_exact([what, "\x1b[6n"]):
        child.send("\x1b[9;1R")


def told(name: str, seconds: list[float]) -> None:
    cut = statistics.quantiles(seconds, n=100)
    print(f"{name:<44} median {1000 * cut[49]:.1f} ms, 99 in 100 within {1000 * cut[98]:.1f} ms, of {len(seconds)}")


def main(rounds: int) -> None:
    with served() as url, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mockint.toml"
        config.write_text(f'[models]\ninterviewer = "lab/m"\n[providers.lab]\nbase_url = "{url}"\n')
        start = ["-m", "mockint", "start", "--question", "hybrid-search", "--home", folder, "--config", str(config)]
        child = pexpect.spawn(sys.executable, start, dimensions=(40, 100), encoding="utf-8", timeout=20)
        child.delaybeforesend = None
        until(child, "Question 1/1:")
        keys = []
        for number in range(20 * rounds):
            key = "QWRTZUIOPX"[number % 10]
            began = time.perf_counter()
            child.send(key)
            child.expect_exact(key)
            keys.append(time.perf_counter() - began)
            time.sleep(0.013)
        child.send("\x15")
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        ours, theirs = [], []
        for _ in range(rounds):
            time.sleep(0.3)
            child.send("? how many users")
            until(child, "users")
            time.sleep(0.3)
            began = time.perf_counter()
            child.send("\r")
            until(child, "word0")
            ours.append(time.perf_counter() - began)
            until(child, "Question 1/1:")
            theirs.append(bare(client))
        child.close(force=True)
    told("a key until it is shown, the footer ticking", keys)
    told("Enter until the interviewer's first word", ours)
    told("the bare client until its first word", theirs)
    print(
        f"the program's own share: {1000 * (statistics.median(ours) - statistics.median(theirs)):.1f} ms at the median"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 20)
