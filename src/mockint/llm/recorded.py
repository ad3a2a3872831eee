"""A model that repeats what was recorded, and refuses to answer anything else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from mockint.errors import ModelRefused
from mockint.llm import Exchange, Message, OnText, Raw, request_digest


class RecordedAdapter:
    """Replays exchanges by their messages; the same messages asked twice get the replies in their order."""

    def __init__(self, exchanges: Iterable[Exchange], *, name: str) -> None:
        self.name = name
        self._left: dict[str, list[Exchange]] = {}
        for exchange in exchanges:
            self._left.setdefault(request_digest(exchange.messages), []).append(exchange)

    @property
    def unused(self) -> int:
        return sum(len(exchanges) for exchanges in self._left.values())

    async def call(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None, on_text: OnText | None, deadline: float
    ) -> Raw:
        del schema, deadline
        waiting = self._left.get(request_digest(messages))
        if not waiting:
            raise ModelRefused(
                "There is no recorded reply to what is asked now.",
                hint="The transcript, the rubric or the prompt is not the one that was graded.",
            )
        exchange = waiting.pop(0)
        if exchange.reply is None:
            hint = exchange.hint or "It failed when it was made."
            failed = ModelRefused(exchange.error or "The recorded call failed.", hint=hint)
            failed.usage = exchange.usage
            raise failed
        if on_text:
            on_text(exchange.reply)
        return Raw(exchange.reply, exchange.usage, exchange.cut_off)

    async def close(self) -> None:
        """Has nothing to let go of."""
