"""Word vectors from the installed package."""

from __future__ import annotations

import sys

import pytest

from mockint import vectors


def test_related_words_are_nearer_than_unrelated_ones() -> None:
    table = vectors.similarities(["voltage", "dog"], ["current", "puppy"])
    assert table.shape == (2, 2)
    assert table[0, 0] > table[0, 1]
    assert table[1, 1] > table[1, 0]


def test_word_is_wholly_like_itself_and_nothing_has_no_rows() -> None:
    assert vectors.similarities(["bulb"], ["bulb"])[0, 0] == pytest.approx(1, abs=1e-4)
    assert vectors.similarities([], ["bulb"]).shape == (0, 1)


def test_texts_are_alike_by_what_their_words_are_worth() -> None:
    same = vectors.likeness(["red", "bulb"], [1, 1], ["bulb", "red"], [1, 1])
    less = vectors.likeness(["red", "bulb"], [1, 1], ["red", "dog"], [1, 1])
    assert same == pytest.approx(1, abs=1e-3)
    assert less < same


def test_package_is_read_and_never_imported() -> None:
    vectors.similarities(["bulb"], ["lamp"])
    assert vectors.PACKAGE not in sys.modules
    assert vectors.name().startswith("wordllama 0.4")
