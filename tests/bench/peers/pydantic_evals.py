"""Drives pydantic-evals: an answer is a case, each criterion an LLM judge of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found]
from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]
from pydantic_evals import Case, Dataset  # type: ignore[import-not-found]
from pydantic_evals.evaluators import LLMJudge  # type: ignore[import-not-found]

Job = dict[str, Any]
Levels = dict[str, dict[str, bool]]


def prepare(job: Job) -> Callable[[], Awaitable[Levels]]:
    model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=job["base_url"], api_key="none"))
    said = {answer["id"]: answer["text"] for answer in job["answers"]}
    judges = [
        LLMJudge(
            rubric=criterion["text"],
            model=model,
            include_input=True,
            assertion={"evaluation_name": criterion["id"], "include_reason": True},
        )
        for criterion in job["criteria"]
    ]
    cases = [Case(name=name, inputs=job["question"], metadata=name) for name in said]
    # Cases are what it lets one limit; each asks all its judges at once.
    at_once = max(1, job["in_flight"] // len(judges))

    async def work() -> Levels:
        texts = iter(said.values())

        async def answered(_: str) -> str:
            text: str = next(texts)  # cases are begun in their order
            return text

        dataset = Dataset(name="peers", cases=cases, evaluators=judges)
        report = await dataset.evaluate(answered, max_concurrency=at_once, progress=False)
        return {
            case.name: {name: bool(result.value) for name, result in case.assertions.items()} for case in report.cases
        }

    return work
