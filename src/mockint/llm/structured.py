"""The only place that says how a reply of a given shape is asked for: four ways, from the strictest to the plainest.

Which of them a model accepts is found out by asking: what it refuses is followed by the next way, and the way that it took is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from mockint.errors import ModelRefused
from mockint.llm import WAYS, Raw, Way, strict_schema


class Negotiation:
    """The way that one model takes, as far as it is known.

    Args:
        known: the way that it took in another run.
        keep: called with the way that it takes, when that is news.
    """

    def __init__(self, known: Way | None = None, keep: Callable[[Way], None] = lambda _: None) -> None:
        self._at = WAYS.index(known) if known else 0
        self._keep = keep
        self._taken: Way | None = None

    async def ask(
        self, asked: dict[str, Any], schema: type[BaseModel], send: Callable[[dict[str, Any]], Awaitable[Raw]]
    ) -> Raw:
        """Sends the request in the first way that is not refused for its shape. A way from another run that is refused now is followed
        by all others: the server may have changed.

        Raises:
            ModelRefused: every way was refused; the error is of the first one, since no shape is at fault then. Neither is it where a
                request of the same shape was taken before.
        """
        first: ModelRefused | None = None
        for at in (*range(self._at, len(WAYS)), *range(self._at)):
            try:
                raw = await send(asked | shaped(asked, schema, WAYS[at]))
            except ModelRefused as exc:
                if not exc.shape or self._taken == WAYS[at]:
                    raise
                first = first or exc
                continue
            self._at, before, self._taken = at, self._taken, WAYS[at]
            if before != self._taken:
                self._keep(self._taken)
            return replace(raw, way=WAYS[at])
        assert first is not None
        raise first


def shaped(asked: dict[str, Any], schema: type[BaseModel], way: Way) -> dict[str, Any]:
    """Returns what is added to a chat completion's request."""
    strict = strict_schema(schema)
    shape = strict["json_schema"]["schema"]
    if way == "schema":
        return {"response_format": strict}
    if way == "tool":
        function = {"name": schema.__name__, "description": "Hand in the reply.", "parameters": shape}
        chosen = {"type": "function", "function": {"name": schema.__name__}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": chosen}
    told = f"Reply with one JSON object and nothing else, of this JSON schema:\n{json.dumps(shape)}"
    messages = [*asked["messages"]]
    place = next((i for i, message in enumerate(messages) if message["role"] == "system"), None)
    if place is None:
        messages.insert(0, {"role": "system", "content": told})
    else:
        messages[place] = {**messages[place], "content": f"{messages[place]['content']}\n\n{told}"}
    return {"messages": messages} | ({"response_format": {"type": "json_object"}} if way == "json" else {})
