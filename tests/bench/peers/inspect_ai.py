"""Drives inspect-ai: a sample for each criterion of each answer, with the answer as its output, scored by model_graded_qa."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from inspect_ai import Task, eval_async  # type: ignore[import-not-found]
from inspect_ai.dataset import Sample  # type: ignore[import-not-found]
from inspect_ai.model import GenerateConfig, ModelOutput, get_model  # type: ignore[import-not-found]
from inspect_ai.scorer import model_graded_qa  # type: ignore[import-not-found]
from inspect_ai.solver import solver  # type: ignore[import-not-found]

Job = dict[str, Any]
Levels = dict[str, dict[str, bool]]


def answered() -> Any:
    async def solve(state: Any, generate: Any) -> Any:
        state.output = ModelOutput.from_content("given", state.metadata["answer"])
        return state

    return solve


def prepare(job: Job) -> Callable[[], Awaitable[Levels]]:
    config = GenerateConfig(max_connections=job["in_flight"])
    model = get_model("openai-api/lab/m", base_url=job["base_url"], api_key="none", config=config)
    samples = [
        Sample(
            id=f"{answer['id']}/{criterion['id']}",
            input=job["question"],
            target=criterion["text"],
            metadata={"answer": answer["text"]},
        )
        for answer in job["answers"]
        for criterion in job["criteria"]
    ]

    async def work() -> Levels:
        task = Task(dataset=samples, solver=solver(answered)(), scorer=model_graded_qa(model=model))
        (log,) = await eval_async(task, model=model, max_samples=job["in_flight"], log_dir="logs", score_display=False)
        levels: Levels = defaultdict(dict)
        for sample in log.samples or ():
            case, point = sample.id.split("/")
            levels[case][point] = sample.scores["model_graded_qa"].value == "C"
        return levels

    return work
