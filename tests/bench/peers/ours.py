"""Drives mockint: as it grades, or with one call of its client for each criterion."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mockint.bank import load_bank
from mockint.batch import grade_answers
from mockint.clock import SystemClock
from mockint.config import load_config
from mockint.grading.grader import judges
from mockint.grading.judge import PROMPT, Ruling
from mockint.llm import Connections, Message
from mockint.prompts import load_prompt

Job = dict[str, Any]
Levels = dict[str, dict[str, bool]]
MODEL = "lab/m"


def prepare(job: Job) -> Callable[[], Awaitable[Levels]]:
    config = load_config(file=Path(job["config"]))
    connections = Connections(config, SystemClock())
    model = connections.connect(MODEL)
    gate = asyncio.Semaphore(job["in_flight"])

    async def single() -> Levels:
        levels: Levels = defaultdict(dict)

        async def one(call: dict[str, Any]) -> None:
            messages = [Message.model_validate(message) for message in call["messages"]]
            async with gate:
                reply = await model.reply(messages, schema=Ruling)
            for verdict in reply.parsed.verdicts if reply.parsed else ():
                levels[call["case"]][verdict.criterion] = verdict.level == "met"

        await asyncio.gather(*map(one, job["calls"]))
        return levels

    if job["mode"] == "single":
        return lambda: connections.closing(single())
    bank, prompt = load_bank(config.folders), load_prompt(config.folders, PROMPT)
    rows = [{"id": row["id"], "question": job["question_id"], "answer": row["text"]} for row in job["answers"]]

    async def grade() -> Levels:
        maker = judges(lambda keep: connections.recorder(MODEL, role="grader", keep=keep), prompt)
        lines = (json.dumps(row) for row in rows)
        graded = grade_answers(
            lines, "answers", bank, level="mid", maker=maker, clock=SystemClock(), at_once=job["in_flight"]
        )
        return {
            grade["id"]: {
                verdict["criterion"]: verdict["level"] == "met"
                for answer in grade["answers"]
                for verdict in answer["verdicts"]
                if verdict["state"] == "scored"
            }
            async for grade in graded
        }

    return lambda: connections.closing(grade())
