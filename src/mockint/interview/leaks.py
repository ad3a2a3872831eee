"""The only place that keeps an interviewer's model from giving an answer away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mockint.evidence import Giveaway, stems, words_of
from mockint.llm import OnText
from mockint.transcript import Part

WINDOW = 16
"""Words that are held back while a turn is streamed: more than a cue has, so that it is seen before its first word is shown."""


def leak(part: Part, text: str) -> str | None:
    """Returns the cue, or the sentence of a highest level, that the text gives away and the candidate has not said."""
    return next((answer.told for answer in _unsaid(part) if answer.is_in(text)), None)


def _unsaid(part: Part) -> Iterator[Giveaway]:
    said = " ".join(turn.text for turn in part.answers)
    for criterion in part.rubric.criteria:
        for told in (*criterion.cues, tuple(criterion.levels.values())[-1]):
            if not (answer := Giveaway.of(told)).is_in(said):
                yield answer


class Held:
    """Passes a stream on some words late, and no further than to where it begins to give something away."""

    def __init__(self, part: Part, show: OnText) -> None:
        self._show, self._answers = show, tuple(_unsaid(part))
        self._span = max((len(answer.words) for answer in self._answers), default=0) + WINDOW
        """Words at the end of what came that a new one can make into an answer."""
        self.shown = ""
        self.leak: str | None = None
        self._forget()

    def _forget(self) -> None:
        self._text, self._tail = "", 0
        """What came, and where the last words begin that are looked at again."""
        self._missing = [set(answer.telling) for answer in self._answers]

    def __call__(self, piece: str) -> None:
        self._text += piece
        starts = [self._tail + word.start() for word in re.finditer(r"\S+", self._text[self._tail :])]
        self._pass_on(self._text[: starts[-WINDOW]] if len(starts) > WINDOW else self.shown)
        self._tail = starts[-self._span] if len(starts) > self._span else self._tail

    def again(self) -> bool:
        """Whether nothing was passed on yet; then what came is forgotten."""
        if self.shown:
            return False
        self._forget()
        self.leak = None
        return True

    def finish(self) -> None:
        """Passes on what is left, if it is harmless."""
        self._pass_on(self._text)

    def _pass_on(self, ready: str) -> None:
        last = self._text[self._tail :]
        words, meant = words_of(last), set(stems(last))
        whole = set(stems(re.sub(r"\S+\Z", "", last)))  # the last word may go on
        for answer, missing in zip(self._answers, self._missing, strict=True):
            if self.leak is None and answer.holds(words, missing - meant):
                self.leak = answer.told
            missing -= whole
        if self.leak is None and len(ready) > len(self.shown):
            self._show(ready[len(self.shown) :])
            self.shown = ready
