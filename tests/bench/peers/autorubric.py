"""Drives autorubric: one call a criterion, or one an item."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from autorubric import Criterion, LLMConfig, Rubric  # type: ignore[import-not-found]
from autorubric.graders import CriterionGrader  # type: ignore[import-not-found]

Job = dict[str, Any]
Levels = dict[str, dict[str, bool]]


def prepare(job: Job) -> Callable[[], Awaitable[Levels]]:
    model = LLMConfig(
        model="openai/m", api_base=job["base_url"], api_key="none", max_parallel_requests=job["in_flight"]
    )
    grader = CriterionGrader(judge_model_config=model, llm_calls=job["mode"])
    rubric = Rubric([Criterion(name=c["id"], requirement=c["text"], weight=1.0) for c in job["criteria"]])

    async def one(text: str) -> dict[str, bool]:
        graded = await rubric.grade(text, grader, query=job["question"])
        return {found.criterion.name: found.final_verdict.value == "MET" for found in graded.report}

    async def work() -> Levels:
        found = await asyncio.gather(*(one(answer["text"]) for answer in job["answers"]))
        return {answer["id"]: levels for answer, levels in zip(job["answers"], found, strict=True)}

    return work
