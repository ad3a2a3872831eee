"""A model whose replies are written beforehand: the test suite's, and a demonstration's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel

from mockint.errors import ModelRefused
from mockint.llm import Message, OnText, Raw, Usage

Script = Callable[[Sequence[Message]], str | Exception]


class ScriptedAdapter:
    """Replies from a list, in order, or from a function of the messages; an exception in either is raised."""

    name = "scripted"

    def __init__(self, replies: Sequence[str | Exception] | Script) -> None:
        self._replies = replies if callable(replies) else list(replies)
        self.asked: list[tuple[Message, ...]] = []

    async def call(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None, on_text: OnText | None, deadline: float
    ) -> Raw:
        del schema, deadline
        self.asked.append(tuple(messages))
        if callable(self._replies):
            reply = self._replies(messages)
        elif self._replies:
            reply = self._replies.pop(0)
        else:
            raise ModelRefused("The script has no reply left.", hint="Give it as many replies as there are calls.")
        if isinstance(reply, Exception):
            raise reply
        if on_text:
            for piece in reply.splitlines(keepends=True):
                on_text(piece)
        words = sum(len(message.content.split()) for message in messages)
        return Raw(reply, Usage(prompt_tokens=words, completion_tokens=len(reply.split()), calls=1))

    async def close(self) -> None:
        """Has nothing to let go of."""
