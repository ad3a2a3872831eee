"""The only place that knows what a token costs: the price map that litellm ships, read without loading litellm."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mockint.llm import Usage

MAP = "model_prices_and_context_window_backup.json"


def priced(usage: Usage, reference: str) -> Usage:
    """Returns the usage with its price in US dollars; without one when the map does not know PROVIDER/MODEL."""
    rates = _rates()
    rate = rates.get(reference) or rates.get(reference.partition("/")[2], {})
    fresh, written = rate.get("input_cost_per_token"), rate.get("output_cost_per_token")
    if fresh is None or written is None:
        return usage
    cached = rate.get("cache_read_input_token_cost", fresh)
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
