"""Speech and heaps of words."""

from __future__ import annotations

import pytest

from mockint import wordorder
from mockint.bank import load_bank
from mockint.content import roots
from tests.builders import shuffled

BANK = load_bank(roots())
ANSWERS = [BANK.rubric(question).answer for question in BANK.questions.values()][:60]
GERMAN = (
    "Zuerst würde ich die Dokumente in Abschnitte teilen und danach beide Suchen laufen lassen, die lexikalische und die dichte, und am Ende "
    "die Ränge zusammenführen, weil jede von beiden andere Fehler macht und keine allein genügt."
)


def test_answers_are_speech_and_their_words_shuffled_are_not() -> None:
    assert not any(map(wordorder.is_heap, ANSWERS))
    assert sum(wordorder.is_heap(shuffled(text, 7)) for text in ANSWERS) >= 0.9 * len(ANSWERS)


@pytest.mark.parametrize(
    "text", [GERMAN, "rank the by of", "", "x = [f(a) for a in rows if a]\n" * 12, "?!", "retrieval " * 60]
)
def test_what_order_says_little_about_is_never_a_heap(text: str) -> None:
    assert not wordorder.is_heap(text)


def test_scrambled_sentence_is_not_the_sentence_and_a_retold_one_is() -> None:
    stated = "The current stops because the open switch leaves a gap in the path to the battery."
    assert wordorder.scrambles(
        "gap stops the in a the open to because path battery leaves the current the switch", stated
    )
    assert not wordorder.scrambles(stated, stated)
    assert not wordorder.scrambles(
        "An open switch leaves a gap in the path to the battery, so the current stops.", stated
    )


def test_counts_are_of_classes_and_their_neighbours() -> None:
    counted = wordorder.count(["The retrieved passages.", "the 3 passages"])
    assert counted.classes == {"the": 2, "-ed": 1, "-s": 2, "#": 1}
    assert counted.pairs == {"the -ed": 1, "-ed -s": 1, "the #": 1, "# -s": 1}
