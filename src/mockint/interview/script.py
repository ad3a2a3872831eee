"""A scripted candidate: plays answers from a file, so that a whole interview runs without a person or a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from mockint.content import Frozen, load
from mockint.errors import ContentError
from mockint.interview.room import Heard, Listening, SaveDraft
from mockint.rubric import Text
from mockint.transcript import Part

SPOKEN_PER_SECOND = 2.3
"""Words: about 140 a minute, as people speak; used where a script does not say how long an answer took."""
NO_MORE = "I have nothing to add to that."


class Lines(Frozen):
    """What the candidate says about one question."""

    answer: Text
    probes: tuple[Text, ...] = ()
    """What they say to the first probe, the second …; after these, that they have nothing to add."""
    took_seconds: float | None = Field(default=None, ge=0)
    """For the answer; by default as long as speaking it takes."""
    rating: int | None = Field(default=None, ge=1, le=5)
    """What they think of their own answer, when they are asked to rate it."""


Script = Mapping[str, Lines]


def load_script(path: Path) -> Script:
    """Returns the lines by question id. Raises ContentError with every problem of the file."""
    script: Script = load(path, dict[str, Lines])
    for question, lines in script.items():
        for text in (lines.answer, *lines.probes):
            if text.startswith(("/", "?")):
                raise ContentError(
                    f"{path}: {question}: {text.split()[0]!r} is a command, and a script holds answers.",
                    hint="Leave the question out to skip it.",
                )
    return script


class ScriptedCandidate:
    """Skips a question that the script lacks. Where it is in the script follows from the transcript alone."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def listen(self, listening: Listening, *, save: SaveDraft) -> Heard:
        del save
        part = listening.part
        lines = self._script.get(part.question.id)
        if lines is None:
            return Heard("/skip", 0.0)
        said = sum(turn.kind == "answer" for turn in part.turns)
        if said == 0:
            took = lines.took_seconds
            return Heard(lines.answer, _spoken(lines.answer) if took is None else took, answer=True)
        text = lines.probes[said - 1] if said <= len(lines.probes) else NO_MORE
        return Heard(text, _spoken(text), answer=True)

    async def rate(self, part: Part) -> int | None:
        lines = self._script.get(part.question.id)
        return lines.rating if lines else None


def _spoken(text: str) -> float:
    return round(len(text.split()) / SPOKEN_PER_SECOND, 1)
