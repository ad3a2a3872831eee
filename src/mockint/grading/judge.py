"""The LLM judge: asks a model for levels and quotes, and believes neither before code has checked them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mockint.content import Frozen
from mockint.errors import ModelError
from mockint.evidence import locate
from mockint.grading import Flagged, Opinion, Rated, Unrated, Words
from mockint.grading.attempts import addressed
from mockint.llm import Message, Recorder, Reply
from mockint.prompts import Prompt
from mockint.rubric import Rubric
from mockint.transcript import Part

PROMPT = "judge"
ASKED_AGAIN = 2
"""Times that a reply which fails its check is asked for again."""
LONGEST_QUOTE = 120
"""Characters of a quote that a problem names."""
REMINDER = 200
"""Characters of a reply that was cut off which are sent back."""


class Ruled(Frozen):
    criterion: str
    quote: str | None
    turn: int | None
    reason: str
    level: str


class Pointed(Frozen):
    id: str
    quote: str
    turn: int


class Ruling(Frozen):
    """The judge's reply."""

    verdicts: tuple[Ruled, ...]
    red_flags: tuple[Pointed, ...]


@dataclass
class _Sheet:
    """What has been accepted so far, and what is wrong with the rest."""

    part: Part
    rated: dict[str, Rated] = field(default_factory=dict)
    flags: dict[str, Flagged] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        return [criterion.id for criterion in self.part.rubric.criteria if criterion.id not in self.rated]


class Judge:
    kind: Literal["judge"] = "judge"

    def __init__(self, model: Recorder, prompt: Prompt, *, votes: int = 1) -> None:
        self._model, self._prompt, self.votes = model, prompt, votes
        self.model = model.name
        self.prompt = prompt.digest

    async def opinion(self, part: Part) -> Opinion:
        """One call a vote, and at most two more for what failed its check. Never raises for what a model says.

        Each vote after the first sees the criteria in another order, the same order each time the answer is graded.
        """
        ballots = [await self._vote(part, number) for number in range(self.votes)]
        return ballots[0] if self.votes == 1 else _counted(part.rubric, ballots)

    async def _vote(self, part: Part, number: int) -> Opinion:
        criteria = list(part.rubric.criteria)
        if number:
            random.Random(f"{part.question.id} {number}").shuffle(criteria)  # noqa: S311 (a repeatable order)
        rubric = part.rubric.model_copy(update={"criteria": tuple(criteria)})
        rendered = self._prompt.render(question=part.question, rubric=rubric, turns=part.turns)
        messages = [Message.model_validate({"role": role, "content": text}) for role, text in rendered]
        sheet = _Sheet(part)
        for _ in range(1 + ASKED_AGAIN):
            try:
                reply = await self._model.reply(messages, purpose="judge", prompt=self.prompt, schema=Ruling)
            except ModelError as exc:
                sheet.problems |= dict.fromkeys(sheet.missing, _sentences(exc.what, exc.hint))
                break
            if reply.parsed is None:
                sheet.problems = dict.fromkeys(sheet.missing, reply.problem or "The reply cannot be read.")
                again = reply.problem or ""
            else:
                _check(sheet, reply.parsed)
                again = "\n".join(f"- {name}: {why}" for name, why in sheet.problems.items())
            if not sheet.problems:
                break
            messages = [*messages, *_once_more(sheet, again, reply)]
        return _opinion(sheet)


def _check(sheet: _Sheet, ruling: Ruling) -> None:
    """Takes over what holds, and writes down what is wrong with each other thing."""
    criteria = sheet.part.rubric.by_id
    by_number = {turn.number: turn for turn in sheet.part.answers}
    turns = {number: turn.text for number, turn in by_number.items()}
    named = [ruled.criterion for ruled in ruling.verdicts]
    sheet.problems = {}
    for ruled in ruling.verdicts:
        if ruled.criterion not in criteria or ruled.criterion in sheet.rated:
            continue
        criterion = criteria[ruled.criterion]
        if named.count(ruled.criterion) > 1:
            sheet.problems[criterion.id] = "It was rated more than once."
        elif ruled.level not in criterion.levels:
            sheet.problems[criterion.id] = f"It has no level {ruled.level!r}; it has {', '.join(criterion.levels)}."
        elif ruled.quote is None and ruled.level != criterion.lowest:
            sheet.problems[criterion.id] = f"Level {ruled.level!r} needs a quote from the candidate."
        elif ruled.quote is None:
            sheet.rated[criterion.id] = Rated(criterion.id, ruled.level, (), ruled.reason)
        elif words := _find(ruled.quote, ruled.turn, turns):
            if ruled.level != criterion.lowest and addressed(words.quote, by_number[words.turn]):
                sheet.problems[criterion.id] = (
                    f"The judge's quote {_named(ruled.quote)} is addressed to the judge; it is no evidence."
                )
                continue
            sheet.rated[criterion.id] = Rated(criterion.id, ruled.level, (words,), ruled.reason)
        else:
            sheet.problems[criterion.id] = _invented(ruled.quote)
    for name in sheet.missing:
        sheet.problems.setdefault(name, "It was not rated.")
    known = {flag.id for flag in sheet.part.rubric.red_flags}
    for pointed in ruling.red_flags:
        if pointed.id in known and pointed.id not in sheet.flags:
            if words := _find(pointed.quote, pointed.turn, turns):
                sheet.flags[pointed.id] = Flagged(pointed.id, words)
            else:
                sheet.problems[pointed.id] = _invented(pointed.quote)


def _invented(quote: str) -> str:
    return f"The judge's quote {_named(quote)} is not in the candidate's turns."


def _named(quote: str) -> str:
    """Returns it within quotation marks; a long one ends with "…" inside them."""
    return repr(quote if len(quote) <= LONGEST_QUOTE else f"{quote[: LONGEST_QUOTE - 1].rstrip()}…")


def _sentences(message: str, advice: str) -> str:
    """Returns a message, whose full stop a server may have left out, and what to do about it."""
    message = message.rstrip()
    return f"{message}{'' if message.endswith(('.', '!', '?', '…')) else '.'} {advice}"


def _find(quote: str, turn: int | None, turns: dict[int, str]) -> Words | None:
    """Looks in the turn that was named first, then in the candidate's others."""
    for number in sorted(turns, key=lambda number: number != turn):
        if found := locate(quote, turns[number]):
            return Words(number, found)
    return None


def _once_more(sheet: _Sheet, problems: str, reply: Reply[Ruling]) -> tuple[Message, Message]:
    """Returns the reply as the model is reminded of it, and what it is asked now. Of one that was cut off only the beginning goes back,
    and half as many criteria are asked for: as long a reply would be cut off again.
    """
    wanted = list(dict.fromkeys([*sheet.missing, *sheet.problems]))
    said = reply.text
    if reply.cut_off:
        wanted, said = wanted[: (len(wanted) + 1) // 2], f"{said[:REMINDER]} …"
    asked = f"That could not be accepted:\n{problems}\n\nReply again with the same JSON shape, for these only: {', '.join(wanted)}."
    return Message(role="assistant", content=said), Message(role="user", content=asked)


def _counted(rubric: Rubric, ballots: Sequence[Opinion]) -> Opinion:
    """Returns the median level of each criterion, with the words of a vote for it, and the red flags that most votes raise."""
    ratings: list[Rated | Unrated] = []
    for criterion in rubric.criteria:
        cast = [r for ballot in ballots for r in ballot.ratings if r.criterion == criterion.id]
        rated = sorted((r for r in cast if isinstance(r, Rated)), key=lambda r: criterion.points(r.level))
        if len(rated) * 2 <= len(ballots):
            ratings.append(next(r for r in cast if isinstance(r, Unrated)))
        else:
            median = rated[(len(rated) - 1) // 2]
            ratings.append(replace(median, votes=tuple(r.level for r in rated)))
    flags: dict[str, list[Flagged]] = {}
    for flag in (flag for ballot in ballots for flag in ballot.flags):
        flags.setdefault(flag.id, []).append(flag)
    raised = tuple(found[0] for found in flags.values() if len(found) * 2 > len(ballots))
    notes = dict.fromkeys(ballot.note for ballot in ballots if ballot.note)
    return Opinion(tuple(ratings), raised, " ".join(notes) or None)


def _opinion(sheet: _Sheet) -> Opinion:
    ratings = tuple(
        sheet.rated.get(criterion.id) or Unrated(criterion.id, sheet.problems.get(criterion.id, "It was not rated."))
        for criterion in sheet.part.rubric.criteria
    )
    dropped = [
        flag.id for flag in sheet.part.rubric.red_flags if flag.id in sheet.problems and flag.id not in sheet.flags
    ]
    note = (
        f"Not held against the candidate, for want of a quote that stands: {', '.join(dropped)}." if dropped else None
    )
    return Opinion(ratings, tuple(sheet.flags.values()), note)
