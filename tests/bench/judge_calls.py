"""Compares a judge that is asked once for a question with one that is asked once for each criterion: agreement, calls, tokens.

    .venv/bin/python tests/bench/judge_calls.py GOLD PROVIDER/MODEL [CONFIG]

GOLD is a file of rated answers, as for `mockint calibrate --gold`.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from sklearn.metrics import cohen_kappa_score

from mockint.bank import Bank, load_bank
from mockint.batch import part_of
from mockint.calibration import Gold, read_gold
from mockint.clock import SystemClock
from mockint.config import load_config
from mockint.grading.judge import PROMPT, Judge
from mockint.llm import Connections, Exchange
from mockint.prompts import Prompt, load_prompt
from mockint.rubric import Criterion
from mockint.transcript import Part

AT_ONCE = 8


async def compare(gold: list[Gold], bank: Bank, connections: Connections, reference: str, prompt: Prompt) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    connections.connect(reference)

    async def judged(part: Part, kept: list[Exchange]) -> dict[str, str | None]:
        judge = Judge(connections.recorder(reference, role="grader", keep=kept.append), prompt)
        async with gate:
            opinion = await judge.opinion(part)
        return {rating.criterion: getattr(rating, "level", None) for rating in opinion.ratings}

    async def by_criterion(part: Part, kept: list[Exchange]) -> dict[str, str | None]:
        found = await asyncio.gather(*(judged(only(part, c), kept) for c in part.rubric.criteria))
        return {name: level for one in found for name, level in one.items()}

    for name, ask in (("one call a question", judged), ("one call a criterion", by_criterion)):
        kept: list[Exchange] = []
        parts = [part_of(answer.question, answer.answer, answer.turns, bank) for answer in gold]
        given = await asyncio.gather(*(ask(part, kept) for part in parts))
        pairs = [
            (place(part, c, answer.levels[c]), place(part, c, level))
            for part, answer, levels in zip(parts, gold, given, strict=True)
            for c, level in levels.items()
            if level is not None and c in answer.levels
        ]
        stated, rated = zip(*pairs, strict=True)
        spent = [exchange.usage for exchange in kept]
        print(
            f"{name:<22} {len(pairs)} ratings  exact {sum(a == b for a, b in pairs) / len(pairs):.3f}  "
            f"kappa {cohen_kappa_score(stated, rated, weights='quadratic'):.3f}  {len(kept)} calls  "
            f"{sum(u.prompt_tokens for u in spent)} + {sum(u.completion_tokens for u in spent)} tokens"
        )


def only(part: Part, criterion: Criterion) -> Part:
    return replace(part, rubric=part.rubric.model_copy(update={"criteria": (criterion,), "red_flags": ()}))


def place(part: Part, criterion: str, level: str) -> int:
    return list(part.rubric.by_id[criterion].levels).index(level)


def main() -> None:
    config = load_config(file=Path(sys.argv[3]) if sys.argv[3:] else None)
    bank, connections = load_bank(config.folders), Connections(config, SystemClock())
    prompt = load_prompt(config.folders, PROMPT)
    asyncio.run(connections.closing(compare(read_gold(Path(sys.argv[1])), bank, connections, sys.argv[2], prompt)))


if __name__ == "__main__":
    main()
