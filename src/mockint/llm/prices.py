"""The only place that knows what a token costs: the price map that litellm ships, read without loading litellm."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from mockint.llm import Usage

MAP = "model_prices_and_context_window_backup.json"


def priced(usage: Usage, reference: str, *, of: Literal["calls", "batches"] = "calls") -> Usage:
    """Returns the usage with its price in US dollars; without one when the map does not know PROVIDER/MODEL, or not what its batches cost."""
    rates = _rates()
    rate = rates.get(reference) or rates.get(reference.partition("/")[2], {})
    tail = "_batches" if of == "batches" else ""
    fresh, written = rate.get(f"input_cost_per_token{tail}"), rate.get(f"output_cost_per_token{tail}")
    if fresh is None or written is None:
        return usage
    cached = rate.get(f"cache_read_input_token_cost{tail}", fresh)
    paid = (usage.prompt_tokens - usage.cached_tokens) * fresh + usage.cached_tokens * cached
    return usage.model_copy(update={"usd": paid + usage.completion_tokens * written})


@cache
def _rates() -> dict[str, Any]:
    found = find_spec("litellm")
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (path := Path(folder) / MAP).is_file():
            rates: dict[str, Any] = json.loads(path.read_bytes())  # 30 ms
            return rates
    return {}
