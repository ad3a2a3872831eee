"""The offline grader: no model, no network. It finds the sentence that covers a criterion's cues best, and how far it does.

It sees words, not meaning: a right answer in words that no cue foresaw is rated too low. What it rests on is always the
quote that it gives.
"""

from __future__ import annotations

from typing import Literal

from mockint import evidence
from mockint.content import digest
from mockint.grading import Flagged, Opinion, Rated, Words
from mockint.grading.attempts import PATTERNS, own_words
from mockint.rubric import Criterion
from mockint.transcript import Part

STEPS: dict[int, tuple[float, ...]] = {2: (0.31,), 3: (0.2, 0.38), 4: (0.15, 0.28, 0.42)}
"""By the number of levels: the cover from which each level above the lowest is given. The first two were fitted on the bank's
sample answers with tests/bench/offline_grader.py; no rubric has four levels yet, and these lie between."""
RAISED = 0.6
"""The cover of a misconception's cues from which it counts as claimed."""


class OfflineGrader:
    kind: Literal["offline"] = "offline"
    model = "offline"
    votes = 1
    prompt = digest(
        {
            "steps": {str(levels): list(steps) for levels, steps in STEPS.items()},
            "raised": RAISED,
            "denials": True,
            "attempts": PATTERNS,
        }
    )

    async def opinion(self, part: Part) -> Opinion:
        return rate(part)


def rate(part: Part) -> Opinion:
    """Returns the offline opinion of one question's answers: the same answers get the same one."""
    told = [turn.text for turn in part.turns if turn.speaker == "interviewer"]
    heard = evidence.own(own_words(part).passages, told)
    ratings = []
    for criterion in part.rubric.criteria:
        others = [other.cues for other in part.rubric.criteria if other is not criterion]
        found = evidence.search(evidence.cues(criterion.cues, others=others, given=part.question.ask), heard)
        ratings.append(_rated(criterion, found))
    flags = []
    for flag in part.rubric.red_flags:
        if claimed := evidence.claim(flag.cues, heard, least=RAISED):
            flags.append(Flagged(flag.id, Words(claimed.turn, claimed.text)))
    return Opinion(tuple(ratings), tuple(flags))


def _rated(criterion: Criterion, found: evidence.Find) -> Rated:
    names = tuple(criterion.levels)
    reached = sum(found.score >= step for step in STEPS[len(names)])
    level = names[reached]
    if not reached or found.passage is None:
        return Rated(criterion.id, names[0], (), "No sentence of yours comes near what this asks for.")
    told = "comes close to" if reached == len(names) - 1 else "touches on"
    words = (Words(found.passage.turn, found.passage.text),)
    return Rated(criterion.id, level, words, f"This sentence {told} what the criterion asks for.")
