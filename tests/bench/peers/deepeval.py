"""Drives deepeval: G-Eval with its evaluation steps given, so that it makes one call a criterion and not two."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from deepeval.metrics import GEval  # type: ignore[import-not-found]
from deepeval.models import LocalModel  # type: ignore[import-not-found]
from deepeval.test_case import LLMTestCase, SingleTurnParams  # type: ignore[import-not-found]

Job = dict[str, Any]
Levels = dict[str, dict[str, bool]]


def prepare(job: Job) -> Callable[[], Awaitable[Levels]]:
    model = LocalModel(model="m", base_url=job["base_url"], api_key="none")
    read = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT]
    gate = asyncio.Semaphore(job["in_flight"])
    levels: Levels = defaultdict(dict)

    async def one(answer: dict[str, str], criterion: dict[str, str]) -> None:
        async with gate:
            metric = GEval(
                name=criterion["id"], evaluation_steps=[criterion["text"]], evaluation_params=read, model=model
            )
            case = LLMTestCase(input=job["question"], actual_output=answer["text"])
            levels[answer["id"]][criterion["id"]] = await metric.a_measure(case, _show_indicator=False) > 0.5

    async def work() -> Levels:
        await asyncio.gather(*(one(answer, criterion) for answer in job["answers"] for criterion in job["criteria"]))
        return levels

    return work
