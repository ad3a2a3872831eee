"""The judge of tests/bench/peers.py: an OpenAI-compatible server on loopback, a process of its own, that answers every call rightly after 200 ms.

Prints its port, and ends when its standard input is closed. The first part of a path says in whose words the reply is (`WORDS`). An answer is
known by its `case-N` and a criterion by its `point-N`, wherever in a prompt they stand. `GET /taken` returns what came in since it was last
asked: the bodies, and the most that were in flight.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from typing import Any

from aiohttp import web

SECONDS = 0.2
QUOTED = re.compile(r'speaker="candidate">\s*((?:\S+\s+){11}\S+)')
WHY = "You name the cases in which it fails, and you say what you would measure before you decide."

Asked = dict[str, Any]
Said = Callable[[Asked, str, list[tuple[str, bool]]], dict[str, Any]]


def met(case: int, point: int) -> bool:
    """Returns the level that is right: two criteria of three are met, others for each answer."""
    return (case + point) % 3 > 0


def content(value: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": value if isinstance(value, str) else json.dumps(value)}


def mockint(_: Asked, prompt: str, found: list[tuple[str, bool]]) -> dict[str, Any]:
    said = QUOTED.search(prompt)
    assert said
    verdicts = [
        {
            "criterion": point,
            "quote": said[1] if right else None,
            "turn": 2 if right else None,
            "reason": WHY,
            "level": "met" if right else "missed",
        }
        for point, right in found
    ]
    return content({"verdicts": verdicts, "red_flags": []})


def autorubric_call(_: Asked, __: str, found: list[tuple[str, bool]]) -> dict[str, Any]:
    ((_point, right),) = found
    return content({"criterion_status": "MET" if right else "UNMET", "explanation": WHY})


def autorubric_item(_: Asked, __: str, found: list[tuple[str, bool]]) -> dict[str, Any]:
    judged = [
        {
            "criterion_id": f"c{number}",
            "criterion_status": "MET" if right else "UNMET",
            "selected_option": None,
            "explanation": WHY,
        }
        for number, (_point, right) in enumerate(found)
    ]
    return content({"judgments": judged})


def pydantic_evals(asked: Asked, _: str, found: list[tuple[str, bool]]) -> dict[str, Any]:
    ((_point, right),) = found
    graded = json.dumps({"reason": WHY, "pass": right, "score": float(right)})
    called = {"name": asked["tools"][0]["function"]["name"], "arguments": graded}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": called}],
    }


def inspect_ai(_: Asked, __: str, found: list[tuple[str, bool]]) -> dict[str, Any]:
    ((_point, right),) = found
    return content(f"{WHY}\n\nGRADE: {'C' if right else 'I'}")


def deepeval(_: Asked, __: str, found: list[tuple[str, bool]]) -> dict[str, Any]:
    ((_point, right),) = found
    return content({"reason": WHY, "score": 10 if right else 0})


WORDS: dict[str, Said] = {
    said.__name__: said for said in (mockint, autorubric_call, autorubric_item, pydantic_evals, inspect_ai, deepeval)
}


class Judge:
    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.now, self.most = 0, 0

    async def answer(self, request: web.Request) -> web.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            body = await request.text()
            self.bodies.append(body)
            reply = self.reply(request.match_info["words"], json.loads(body))
            await asyncio.sleep(SECONDS)
        finally:
            self.now -= 1
        return web.Response(text=reply, content_type="application/json")

    def reply(self, words: str, asked: Asked) -> str:
        prompt = "\n".join(texts(asked))
        case = int(re.findall(r"case-(\d+)", prompt)[0])
        points = dict.fromkeys(re.findall(r"point-(\d+)", prompt))
        message = WORDS[words](asked, prompt, [(f"point-{point}", met(case, int(point))) for point in points])
        choice = {"index": 0, "finish_reason": "tool_calls" if "tool_calls" in message else "stop", "message": message}
        usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
        whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return json.dumps(whole | {"usage": usage})

    async def taken(self, _: web.Request) -> web.Response:
        told = {"bodies": self.bodies, "most": self.most}
        self.bodies, self.most = [], 0
        return web.json_response(told)


def texts(asked: Asked) -> list[str]:
    """Returns what a request's messages say."""
    said: list[str] = []
    for message in asked["messages"]:
        given = message.get("content") or ""
        said += [given] if isinstance(given, str) else [part.get("text", "") for part in given]
    return said


async def main() -> None:
    judge = Judge()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{words}/v1/chat/completions", judge.answer)
    app.router.add_get("/taken", judge.taken)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
