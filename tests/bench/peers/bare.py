"""Drives what is no grader: aiohttp, the openai SDK and litellm, each with the calls that are laid in its job."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

Job = dict[str, Any]
Levels = dict[str, dict[str, bool]]
Ask = Callable[[list[dict[str, str]]], Awaitable[str]]


def prepare(job: Job) -> Callable[[], Awaitable[Levels]]:
    return {"aiohttp": floor, "openai": sdk, "openai-aiohttp": sdk, "litellm": litellm}[job["mode"]](job)


def floor(job: Job) -> Callable[[], Awaitable[Levels]]:
    import aiohttp

    url = f"{job['base_url']}/chat/completions"

    async def work() -> Levels:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=job["in_flight"])) as session:

            async def ask(messages: list[dict[str, str]]) -> str:
                asked = {"model": "m", "messages": messages, "response_format": job["response_format"]}
                async with session.post(url, json=asked) as response:
                    text: str = (await response.json())["choices"][0]["message"]["content"]
                    return text

            return await asked_all(job, ask)

    return work


def sdk(job: Job) -> Callable[[], Awaitable[Levels]]:
    import openai

    transport = openai.DefaultAioHttpClient() if job["mode"] == "openai-aiohttp" else None
    client: Any = openai.AsyncOpenAI(base_url=job["base_url"], api_key="none", max_retries=0, http_client=transport)

    async def ask(messages: list[dict[str, str]]) -> str:
        asked = {"model": "m", "messages": messages, "response_format": job["response_format"]}
        done = await client.chat.completions.create(**asked)
        return str(done.choices[0].message.content)

    async def work() -> Levels:
        async with client:
            return await asked_all(job, ask)

    return work


def litellm(job: Job) -> Callable[[], Awaitable[Levels]]:
    import litellm

    async def ask(messages: list[dict[str, str]]) -> str:
        done: Any = await litellm.acompletion(
            model="openai/m",
            api_base=job["base_url"],
            api_key="none",
            messages=messages,
            response_format=job["response_format"],
            num_retries=0,
            max_retries=0,
        )
        return str(done.choices[0].message.content)

    return lambda: asked_all(job, ask)


async def asked_all(job: Job, ask: Ask) -> Levels:
    gate = asyncio.Semaphore(job["in_flight"])
    levels: Levels = defaultdict(dict)

    async def one(call: dict[str, Any]) -> None:
        async with gate:
            text = await ask(call["messages"])
        for verdict in json.loads(text)["verdicts"]:
            levels[call["case"]][verdict["criterion"]] = verdict["level"] == "met"

    await asyncio.gather(*map(one, job["calls"]))
    return levels
