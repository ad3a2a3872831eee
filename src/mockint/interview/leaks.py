"""The only place that keeps an interviewer's model from giving an answer away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mockint.evidence import gives_away
from mockint.llm import OnText
from mockint.transcript import Part

WINDOW = 16
"""Words that are held back while a turn is streamed: more than a cue has, so that it is seen before its first word is shown."""


def leak(part: Part, text: str) -> str | None:
    """Returns the cue, or the sentence of a highest level, that the text gives away and the candidate has not said."""
    said = " ".join(turn.text for turn in part.answers)
    return next((told for told in _answers(part) if gives_away(text, told) and not gives_away(said, told)), None)


def _answers(part: Part) -> Iterator[str]:
    for criterion in part.rubric.criteria:
        yield from criterion.cues
        yield tuple(criterion.levels.values())[-1]


class Held:
    """Passes a stream on some words late, and no further than to where it begins to give something away."""

    def __init__(self, part: Part, show: OnText) -> None:
        self._part, self._show = part, show
        self._text = ""
        self.shown = ""
        self.leak: str | None = None

    def __call__(self, piece: str) -> None:
        self._text += piece
        starts = [word.start() for word in re.finditer(r"\S+", self._text)]
        self._pass_on(self._text[: starts[-WINDOW]] if len(starts) > WINDOW else "")

    def again(self) -> bool:
        """Whether nothing was passed on yet; then what came is forgotten."""
        if self.shown:
            return False
        self._text, self.leak = "", None
        return True

    def finish(self) -> None:
        """Passes on what is left, if it is harmless."""
        self._pass_on(self._text)

    def _pass_on(self, ready: str) -> None:
        self.leak = self.leak or leak(self._part, self._text)
        if self.leak is None and len(ready) > len(self.shown):
            self._show(ready[len(self.shown) :])
            self.shown = ready
