"""The offline grader: no model, no network. It finds what a candidate said that covers a criterion, and how far it does (`match`).

It sees words, not meaning: a right answer in words that nobody foresaw is rated too low. What it rests on is always the quote
that it gives.
"""

from __future__ import annotations

from typing import Literal

from mockint import evidence, match
from mockint.content import digest
from mockint.grading import Flagged, Opinion, Rated, Words
from mockint.grading.attempts import PATTERNS, own_words
from mockint.match import Heard, Match
from mockint.rubric import Criterion
from mockint.transcript import Part

RAISED = 0.6
"""The cover of a misconception's cues from which it counts as claimed."""


class OfflineGrader:
    kind: Literal["offline"] = "offline"
    model = "offline"
    votes = 1

    @property
    def prompt(self) -> str:
        return digest({"weights": match.weights_digest(), "raised": RAISED, "attempts": PATTERNS})

    async def opinion(self, part: Part) -> Opinion:
        return rate(part)


def rate(part: Part) -> Opinion:
    """Returns the offline opinion of one question's answers: the same answers get the same one."""
    told = [turn.text for turn in part.turns if turn.speaker == "interviewer"]
    said = evidence.own(own_words(part).passages, told)
    heard = Heard(said, ask=part.question.ask)
    criteria = part.rubric.criteria
    ratings = tuple(_rated(c, match.match(c, [other for other in criteria if other is not c], heard)) for c in criteria)
    flags = tuple(
        Flagged(flag.id, Words(claimed.turn, claimed.text))
        for flag in part.rubric.red_flags
        if (claimed := evidence.claim(flag.cues, said, least=RAISED))
    )
    return Opinion(ratings, flags)


def _rated(criterion: Criterion, found: Match) -> Rated:
    names = tuple(criterion.levels)
    if not found.reached or found.passage is None:
        return Rated(
            criterion.id, names[0], (), "Nothing that you said comes near enough in its words to what is asked for."
        )
    words = (Words(found.passage.turn, found.passage.text),)
    return Rated(
        criterion.id,
        names[found.reached],
        words,
        "Of all that you said, these words come nearest to what is asked for.",
    )
