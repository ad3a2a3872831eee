"""How far an answer goes towards a criterion, and the answers that only look as if they did."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import fmean

import pytest

from mockint import evidence, match
from mockint.bank import load_bank
from mockint.batch import part_of
from mockint.content import roots
from mockint.grading.offline import rate
from mockint.grading.tally import tally
from mockint.match import Heard
from mockint.rubric import Criterion
from tests.builders import criterion, shuffled

BANK = load_bank(roots())
QUESTIONS = list(BANK.questions.values())[::4]
REFERENCE = "The bulb goes out because the open switch leaves a gap in the path."


def score(name: str, said: str) -> float:
    part = part_of(name, said, None, BANK)
    return tally(part, rate(part), level="mid", scale=BANK.scale).score or 0.0


def mean(make: dict[str, str]) -> float:
    return fmean(score(name, said) for name, said in make.items())


ANSWERS = {question.id: BANK.rubric(question).answer for question in QUESTIONS}


def test_model_answer_keeps_nearly_everything() -> None:
    assert mean(ANSWERS) >= 0.9


def test_question_repeated_earns_next_to_nothing() -> None:
    assert mean({question.id: question.ask for question in QUESTIONS}) <= 0.2


def test_shuffled_model_answer_earns_little() -> None:
    assert mean({name: shuffled(text, 3) for name, text in ANSWERS.items()}) <= 0.4


def test_model_answer_called_untrue_earns_at_most_half() -> None:
    denied = {
        name: " ".join(f"It is not true that {sentence}" for sentence in re.split(r"(?<=[.!?])\s+", text))
        for name, text in ANSWERS.items()
    }
    assert mean(denied) <= 0.5


def test_model_answer_to_another_question_earns_little() -> None:
    names, texts = list(ANSWERS), list(ANSWERS.values())
    assert mean(dict(zip(names, [*texts[20:], *texts[:20]], strict=True))) <= 0.3


@pytest.mark.parametrize(
    "asked", ["? how many part numbers are there", "Can I skip please?", "I don't know what BM25 does"]
)
def test_what_says_nothing_proves_nothing(asked: str) -> None:
    assert score("hybrid-search", f"I would look at it later. {asked}") == 0


def reference_criterion() -> Criterion:
    return Criterion.model_validate(criterion("gap", cues=[], levels={"missed": "Something else.", "met": REFERENCE}))


@pytest.mark.parametrize(
    ("said", "reached"),
    [
        (REFERENCE, 1),
        ("With the switch open there is a gap in the path, so the bulb goes out.", 1),
        ("The battery is old.", 0),
        ("", 0),
    ],
)
def test_criterion_without_cues_is_read_by_its_reference(said: str, reached: int) -> None:
    heard = Heard(evidence.passages(2, said), ask="Why is the bulb off?")
    assert match.match(reference_criterion(), [], heard).reached == reached


def test_nearest_stretch_counts_in_a_long_answer() -> None:
    long = f"I like physics a lot. We had it at school. {REFERENCE} My teacher was nice. It rained that day."
    heard = Heard(evidence.passages(2, long), ask="Why is the bulb off?")
    found = match.match(reference_criterion(), [], heard)
    assert found.reached == 1
    assert found.passage is not None
    assert found.passage.text == REFERENCE


def test_other_words_for_the_same_come_nearer_than_other_things() -> None:
    values = {
        said: dict(
            zip(
                match.REFERENCE_FEATURES,
                match.reference_features("The lamp is broken.", Heard(evidence.passages(1, said), ask="Why?")),
                strict=True,
            )
        )
        for said in ("The bulb is damaged.", "The horse is hungry.")
    }
    near, far = values.values()
    assert near["recall"] == far["recall"] == 0
    assert near["near_recall"] > far["near_recall"]


def test_weights_fit_the_features() -> None:
    known = match.weights()
    assert len(known.cued.weights) == len(match.FEATURES)
    assert len(known.reference.weights) == len(match.REFERENCE_FEATURES)
    for line in (known.cued, known.reference):
        assert len(line.mean) == len(line.scale) == len(line.weights)
        assert min(line.scale) > 0
        assert [len(line.steps[levels]) for levels in (2, 3, 4)] == [1, 2, 3]
        assert all(list(steps) == sorted(steps) for steps in line.steps.values())
    assert min(known.rarity.values()) > 0
    assert Path(match.__file__).with_name("match.json").stat().st_size < 200_000
