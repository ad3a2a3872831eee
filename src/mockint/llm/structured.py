"""The only place that says how a reply of a given shape is asked for: four ways, from the strictest to the plainest.

Which of them a model accepts is found out by asking: what it refuses is followed by the next way, and the way that it took is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import BaseModel

from mockint.errors import ModelRefused
from mockint.llm import Raw, strict_schema

Way = Literal["schema", "json", "tool", "text"]
WAYS: tuple[Way, ...] = ("schema", "json", "tool", "text")
"""A strict JSON schema; JSON mode with the schema in words; a tool that must be called; words alone."""


class Negotiation:
    """The way that one model takes, as far as it is known."""

    def __init__(self) -> None:
        self._at = 0

    @property
    def way(self) -> Way:
        return WAYS[self._at]

    async def ask(
        self, asked: dict[str, Any], schema: type[BaseModel], send: Callable[[dict[str, Any]], Awaitable[Raw]]
    ) -> Raw:
        """Sends the request in the first way that is not refused for its shape.

        Raises:
            ModelRefused: every way was refused; the error is of the first one, since no shape is at fault then.
        """
        first: ModelRefused | None = None
        for at in range(self._at, len(WAYS)):
            try:
                raw = await send(asked | shaped(asked, schema, WAYS[at]))
            except ModelRefused as exc:
                if not exc.shape:
                    raise
                first = first or exc
                continue
            self._at = at
            return raw
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
