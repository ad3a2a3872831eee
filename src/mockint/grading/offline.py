"""The offline grader: no model, no network. It finds what a candidate said that covers a criterion, and how far it does (`match`).

It sees words, not meaning: a right answer in words that nobody foresaw is rated too low. What it rests on is always the quote
that it gives.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Literal

from mockint import evidence, match, vectors, wordorder
from mockint.content import digest
from mockint.grading import Flagged, Opinion, Rated, Words
from mockint.grading.attempts import PATTERNS, own_words
from mockint.match import Heard, Match
from mockint.rubric import Criterion
from mockint.transcript import Part

RAISED = 0.6
"""The cover of a misconception's cues from which it counts as claimed."""
ON_TOPIC = 0.12
"""The share of an answer's words that are about the question from which it is read as an answer. Of the bank's sample answers 1.3 % are
below it (they earn 0.08 in the mean), of model answers to another question 55 % (tools/fit_offline.py)."""
DISORDERED = "Not read, since its words are in no order of speech: turn {}."


class OfflineGrader:
    kind: Literal["offline"] = "offline"
    model = "offline"
    votes = 1

    @property
    def prompt(self) -> str:
        return _stamped()

    async def opinion(self, part: Part) -> Opinion:
        return rate(part)


@cache
def _stamped() -> str:
    """Returns the hash of all that an opinion rests on."""
    return digest(
        {
            "weights": match.weights_digest(),
            "order": wordorder.counts_digest(),
            "vectors": vectors.name(),
            "raised": RAISED,
            "on_topic": ON_TOPIC,
            "attempts": PATTERNS,
            "flagged": "no evidence",
        }
    )


def rate(part: Part) -> Opinion:
    """Returns the offline opinion of one question's answers: the same answers get the same one."""
    said, note = _meant(part)
    criteria, ask = part.rubric.criteria, part.question.ask
    if all(c.cues for c in criteria) and Heard(said, ask=ask).on_topic(criteria) < ON_TOPIC:
        said = []
    claimed = {
        flag.id: found for flag in part.rubric.red_flags if (found := evidence.claim(flag.cues, said, least=RAISED))
    }
    flags = tuple(Flagged(name, Words(found.turn, found.text)) for name, found in claimed.items())
    heard = Heard([passage for passage in said if not _raises(part, passage, claimed.values())], ask=ask)
    ratings = tuple(_rated(c, match.match(c, [other for other in criteria if other is not c], heard)) for c in criteria)
    return Opinion(ratings, flags, note)


def _raises(part: Part, passage: evidence.Passage, claimed: Collection[evidence.Passage]) -> bool:
    """Whether a passage raises a red flag, alone or as the one that a flag quotes: then it is evidence for no criterion."""
    return passage in claimed or any(
        evidence.claim(flag.cues, [passage], least=RAISED) for flag in part.rubric.red_flags
    )


def _meant(part: Part) -> tuple[list[evidence.Passage], str | None]:
    """Returns what a candidate said in earnest: not the question again, not what they asked, not words in no order, not a
    statement of the rubric denied.

    The note says what was left out for its order.
    """
    told = [turn.text for turn in part.turns if turn.speaker == "interviewer"]
    stated = [part.rubric.answer, *(match.reference(c) for c in part.rubric.criteria if not c.cues)]
    sentences = [passage.text for text in stated for passage in evidence.passages(0, text)]
    heaps = {
        turn.number
        for turn in part.answers
        if wordorder.is_heap(turn.text) or any(wordorder.scrambles(turn.text, text) for text in stated)
    }
    asked = {turn.number for turn in part.turns if turn.kind == "asked"}
    said = [
        passage
        for passage in evidence.own(own_words(part).passages, told)
        if passage.turn not in heaps | asked
        and not wordorder.is_heap(passage.text)
        and not any(evidence.opposes(passage.text, sentence) for sentence in sentences)
    ]
    return said, DISORDERED.format(", ".join(map(str, sorted(heaps)))) if heaps else None


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
        f"Of all that you said, these words come nearest to: {criterion.levels[names[found.reached]]}",
    )
