"""A loopback server that speaks chat completions and fails a share of its calls at random, the same ones for the same seed.

It plays the interviewer's and the judge's model. All that it says is taken from what it is asked, so that a reply tells whose session it
belongs to: a session's answers carry its marker, and so do the probes, the replies and the quotes that it gets.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tests.faults import chunks, whole
from tests.servers import Handler, serving

Fault = Literal["500", "429", "reset", "no choices"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
CRITERIA = ("boiling", "pouring", "holding", "cleaning")
"""Those of `tests.builders.rubric`."""
LEVELS = ("missed", "partial", "met")
MARKER = re.compile(r"marker-[a-z]+-\d+")
_SAID = re.compile(r'speaker="candidate">(.*?)</turn>', re.DOTALL)


@dataclass
class Flaky:
    """
    Args:
        share: how many of its calls it fails, from 0 to 1.
    """

    seed: int
    share: float
    url: str = ""
    calls: int = 0
    failures: Counter[Fault] = field(default_factory=Counter)
    _times: Counter[bytes] = field(default_factory=Counter)
    """How often each request has come."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, body: bytes) -> Fault | None:
        """Returns how the call fails. It depends on the request and on how often that has come, and on no other session's."""
        with self._lock:
            self.calls += 1
            self._times[body] += 1
            drawn = random.Random(f"{self.seed} {self._times[body]} {body.decode()}")
            found = drawn.choice(FAULTS) if drawn.random() < self.share else None
            if found:
                self.failures[found] += 1
        return found


def level_of(quote: str, criterion: str) -> str:
    """Returns the level that the judge's model gives: any, and always the same for the same words."""
    return random.Random(f"{quote} {criterion}").choice(LEVELS)


def reply_to(request: dict[str, Any]) -> str:
    told = request["messages"][-1]["content"]
    match request.get("response_format", {}).get("json_schema", {}).get("name"):
        case "Notes":
            return json.dumps({"criteria": [], "wrong": [], "gave_up": False})
        case "Ruling":
            rated = [
                {"criterion": name, "quote": quote, "turn": 2, "reason": "They say so.", "level": level_of(quote, name)}
                for quote in [next(said for said in _SAID.findall(told) if "answer" in said)]
                for name in CRITERIA
            ]
            return json.dumps({"verdicts": rated, "red_flags": []})
        case _:
            return f"Go on from there: what does {MARKER.findall(told)[-1]} do when there is twice the water?"


@contextmanager
def flaky(*, seed: int, share: float = 0.3) -> Iterator[Flaky]:
    served = Flaky(seed, share)

    class Fails(Handler):
        def answer(self) -> None:
            body = self.body()
            request = json.loads(body)
            streamed = bool(request.get("stream"))
            match served.fault(body):
                case "reset":
                    self._reset()
                case "500":
                    self.send_whole(500, json.dumps({"error": {"message": "out of order"}}).encode(), {})
                case "429":
                    self.send_whole(429, json.dumps({"error": {"message": "too many"}}).encode(), {"retry-after": "0"})
                case "no choices":
                    self._say(None, streamed=streamed, choices=False)
                case None:
                    self._say(reply_to(request), streamed=streamed)

        def _say(self, text: str | None, *, streamed: bool, choices: bool = True) -> None:
            body = b"".join(chunks(text, choices=choices)) if streamed else whole(text, choices=choices)
            self.send_whole(200, body, {"content-type": "text/event-stream"} if streamed else {})

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())  # not close(): the files made from the socket keep it open
            self.close_connection = True

    with serving(Fails) as address:
        served.url = f"{address}/v1"
        yield served
