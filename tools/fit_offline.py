"""Fits the offline grader's weights on the bank's rated sample answers and writes them to src/mockint/match.json.

    .venv/bin/python tools/fit_offline.py            # fit, say what it reaches on unseen questions, and write
    .venv/bin/python tools/fit_offline.py --dry-run  # the same, and write nothing
    .venv/bin/python tools/fit_offline.py --reference FILE  # fit the line for criteria without cues too

FILE holds SemEval-2013 Task 7 as JSON lines: question_id, set, question, reference_answers, student_answer, label. Its rows are not kept here
(CC BY-SA 3.0).

Every figure is of ten folds by question: no answer to a question helped to fit what rates it. Beside it stand two baselines in the same
folds: TF-IDF cosine of answer and model answer, and the answer's length alone.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import cohen_kappa_score, f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mockint import calibration, evidence, match, wordorder
from mockint.bank import Bank, load_bank
from mockint.calibration import Shipped
from mockint.content import roots
from mockint.grading.offline import ON_TOPIC, OfflineGrader
from mockint.match import Heard, Line, Weights

OUT = Path(match.__file__).with_name("match.json")
ORDER = Path(wordorder.__file__).with_name("wordorder.json")
SHIPPED = Path(calibration.__file__).with_name("shipped.json")
STRENGTH = 10.0
STRAY = 91
"""How far away the question is whose model answer is given instead."""
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    features: Vector
    baselines: dict[str, Vector]
    points: Vector
    questions: list[str]
    answers: list[str]


def rarity(bank: Bank) -> tuple[dict[str, float], float]:
    """Returns how seldom a stem is in the model answers and the questions; no sample answer is read."""
    texts = [text for q in bank.questions.values() for text in (q.ask, bank.rubric(q).answer)]
    counts = Counter(stem for text in texts for stem in set(evidence.stems(text)))
    return {s: round(math.log(1 + len(texts) / (1 + n)), 3) for s, n in sorted(counts.items())}, round(
        math.log(1 + len(texts)), 3
    )


def heard(ask: str, text: str) -> Heard:
    """Returns an answer as the grader hears it."""
    return Heard(evidence.own(evidence.passages(1, text), [ask]), ask=ask)


def gather(bank: Bank) -> Data:
    rows, points, questions, answers, lengths, cosines = [], [], [], [], [], []
    everything = [bank.rubric(q).answer for q in bank.questions.values()]
    vectors = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit(everything)
    for question in bank.questions.values():
        rubric = bank.rubric(question)
        for sample in bank.samples(question):
            said = heard(question.ask, sample.text)
            pair = vectors.transform([sample.text, rubric.answer])
            for criterion in rubric.criteria:
                others = [other for other in rubric.criteria if other is not criterion]
                rows.append(match.features(criterion, others, said)[0])
                points.append(criterion.points(sample.levels[criterion.id]))
                questions.append(question.id)
                answers.append(f"{question.id}/{sample.name}")
                lengths.append(math.log(len(sample.text.split())))
                cosines.append(float((pair[0] @ pair[1].T).toarray()[0, 0]))
    baselines = {"TF-IDF cosine": np.array(cosines)[:, None], "length alone": np.array(lengths)[:, None]}
    return Data(np.array(rows), baselines, np.array(points), questions, answers)


def plain(values: Vector, points: Vector) -> Callable[[NDArray[np.int_]], LinearRegression]:
    return lambda rows: LinearRegression().fit(values[rows], points[rows])


def folds(values: Vector, data: Data, fit: Callable[[NDArray[np.int_]], Pipeline | LinearRegression]) -> Vector:
    """Returns predictions for each row by a model that was fitted on other questions."""
    predicted = np.zeros(len(data.points))
    for train, test in GroupKFold(10).split(values, data.points, data.questions):
        predicted[test] = fit(train).predict(values[test])
    return predicted


def steps(predicted: Vector, points: Vector) -> tuple[float, float]:
    """Returns the two thresholds of three levels that agree best."""
    stated = np.round(points * 2).astype(int)
    grid = [(a, b) for a in np.arange(0.2, 0.6, 0.02) for b in np.arange(a + 0.06, 0.9, 0.02)]
    return max(grid, key=lambda pair: cohen_kappa_score(stated, rated(predicted, *pair), weights="quadratic"))


def rated(predicted: Vector, low: float, high: float) -> NDArray[np.int_]:
    return (predicted >= low).astype(int) + (predicted >= high)


def tell(name: str, predicted: Vector, data: Data) -> dict[str, float]:
    """Prints agreement with the stated levels; thresholds are of the same folds."""
    stated = np.round(data.points * 2).astype(int)
    chosen = np.zeros_like(stated)
    for train, test in GroupKFold(10).split(predicted, data.points, data.questions):
        chosen[test] = rated(predicted[test], *steps(predicted[train], data.points[train]))
    names = sorted(set(data.answers))
    where = {name: index for index, name in enumerate(names)}
    place = np.array([where[answer] for answer in data.answers])
    count = np.bincount(place)
    ours, theirs = (np.bincount(place, weights=values) / count for values in (chosen / 2, data.points))
    reached = {
        "kappa": cohen_kappa_score(stated, chosen, weights="quadratic"),
        "exact": np.mean(chosen == stated),
        "error": np.mean(abs(ours - theirs)),
        "correlation": np.corrcoef(ours, theirs)[0, 1],
    }
    print(f"{name:<16} " + "  ".join(f"{what} {value:.3f}" for what, value in reached.items()))
    return {what: round(float(value), 3) for what, value in reached.items()}


def line(scaler: StandardScaler, weights: Vector, bias: float, steps: dict[int, tuple[float, ...]]) -> Line:
    return Line(
        mean=tuple(np.round(scaler.mean_, 5)),
        scale=tuple(np.round(scaler.scale_, 5)),
        weights=tuple(np.round(weights, 5)),
        bias=round(bias, 5),
        steps={levels: tuple(round(float(step), 3) for step in found) for levels, found in steps.items()},
    )


def shuffled(text: str, seed: str) -> str:
    words = text.split()
    random.Random(seed).shuffle(words)  # noqa: S311 (a repeatable order)
    return " ".join(words)


def tell_order(bank: Bank) -> None:
    """Prints how often whole answers are taken for a heap of words, as they are and shuffled."""
    texts = [s.text for q in bank.questions.values() for s in bank.samples(q)]
    as_is, mixed = (
        np.mean([wordorder.is_heap(text) for text in some])
        for some in (texts, [shuffled(t, str(n)) for n, t in enumerate(texts)])
    )
    print(f"word order: {as_is:.3f} of {len(texts)} sample answers are taken for a heap, shuffled {mixed:.3f}")


def tell_topic(bank: Bank) -> None:
    """Prints how often answers are taken for being about something else: the samples, and another question's model answer."""
    every = list(bank.questions.values())
    shares: dict[str, list[bool]] = {"sample answers": [], "model answers to another question": []}
    for place, question in enumerate(every):
        other = bank.rubric(every[(place + STRAY) % len(every)]).answer
        for kind, texts in zip(shares, ([s.text for s in bank.samples(question)], [other]), strict=True):
            for text in texts:
                said = heard(question.ask, text)
                shares[kind].append(said.on_topic(bank.rubric(question).criteria) < ON_TOPIC)
    print("not about the question:", "; ".join(f"{np.mean(found):.3f} of {kind}" for kind, found in shares.items()))


def fit_reference(path: Path) -> Line:
    """Fits the line for criteria without cues on answers to a reference sentence, judged correct or not; its score is a log-odds."""
    rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
    values = np.array(
        [
            match.reference_features(
                row["reference_answers"][0], Heard(evidence.passages(1, row["student_answer"]), ask=row["question"])
            )
            for row in rows
        ]
    )
    right = np.array([row["label"] == "correct" for row in rows])
    groups = [row["question_id"] for row in rows]
    sets = np.array([row["set"] for row in rows])

    def fresh() -> Pipeline:
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight="balanced", max_iter=3000))

    def guess(features: Vector) -> Vector:
        guessed = np.zeros(len(rows))
        for train, test in GroupKFold(10).split(features, right, groups):
            guessed[test] = fresh().fit(features[train], right[train]).predict_proba(features[test])[:, 1]
        return guessed

    said, wanted = [row["student_answer"] for row in rows], [row["reference_answers"][0] for row in rows]
    tfidf = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit(wanted)
    cosines = tfidf.transform(said).multiply(tfidf.transform(wanted)).sum(axis=1).A1[:, None]
    lengths = np.log([1 + len(text.split()) for text in said])[:, None]
    print(f"{len(rows)} answers to one reference each, correct or not, ten folds by question:")
    for name, features in (("TF-IDF cosine", cosines), ("length alone", lengths), ("reference line", values)):
        guessed = guess(features)
        for part in (*sorted(set(sets)), "both"):
            mine = (sets == part) | (part == "both")
            stated, given = right[mine], guessed[mine] > 0.5
            print(
                f"{name:<16} {part:<12} macro-F1 {f1_score(stated, given, average='macro'):.3f}  exact {np.mean(stated == given):.3f}  "
                f"kappa {cohen_kappa_score(stated, given):.3f}  error {np.mean(stated != given):.3f}  "
                f"correlation {np.corrcoef(stated, guessed[mine])[0, 1]:.3f}"
            )
    for part in sorted(set(sets)):
        mine = sets == part
        other = fresh().fit(values[~mine], right[~mine]).predict(values[mine])
        print(f"{part}, fitted on the other set alone: macro-F1 {f1_score(right[mine], other, average='macro'):.3f}")
    whole = fresh().fit(values, right)
    return line(
        whole[0], whole[1].coef_[0], float(whole[1].intercept_[0]), {2: (0.0,), 3: (-0.5, 0.5), 4: (-0.8, 0.0, 0.8)}
    )


def main() -> None:
    bank = load_bank(roots())
    counts = wordorder.count(text for q in bank.questions.values() for text in (q.ask, bank.rubric(q).answer))
    wordorder.counts = lambda: counts  # type: ignore[assignment]  # nothing is written before the end
    tell_order(bank)
    rare, unseen = rarity(bank)
    size = len(match.FEATURES)
    blank = Line(mean=(0,) * size, scale=(1,) * size, weights=(0,) * size, bias=0, steps={})
    kept = match.weights()
    unfitted = Weights(cued=blank, reference=kept.reference, rarity=rare, unseen=unseen)
    match.weights = lambda: unfitted  # type: ignore[assignment]  # the features need the rarities, not the weights
    data = gather(bank)
    print(
        f"{len(data.points)} ratings of {len(set(data.answers))} answers to {len(set(data.questions))} questions, ten folds by question"
    )
    for name, values in data.baselines.items():
        tell(name, folds(values, data, plain(values, data.points)), data)
    tell_topic(bank)

    def fit(rows: NDArray[np.int_]) -> Pipeline:
        return make_pipeline(StandardScaler(), Ridge(STRENGTH)).fit(data.features[rows], data.points[rows])

    unseen_questions = folds(data.features, data, fit)
    reached = tell("offline grader", unseen_questions, data)
    low, high = steps(unseen_questions, data.points)
    model = fit(np.arange(len(data.points)))
    # Criteria with two or four levels are few; their steps lie between and around those of three.
    steps_ = {2: ((low + high) / 2,), 3: (low, high), 4: (low * 0.85, (low + high) / 2, high)}
    cued = line(model[0], model[1].coef_, float(model[1].intercept_), steps_)
    reference = (
        fit_reference(Path(sys.argv[sys.argv.index("--reference") + 1]))
        if "--reference" in sys.argv
        else kept.reference
    )
    fitted = Weights(cued=cued, reference=reference, rarity=rare, unseen=unseen)
    if "--dry-run" not in sys.argv:
        ORDER.write_text(json.dumps(counts.model_dump(mode="json"), ensure_ascii=False) + "\n", encoding="utf-8")
        OUT.write_text(json.dumps(fitted.model_dump(mode="json"), ensure_ascii=False) + "\n", encoding="utf-8")
        known = Shipped(
            prompt=OfflineGrader().prompt,
            ratings=len(data.points),
            questions=len(set(data.questions)),
            **{name: reached[name] for name in ("kappa", "error", "correlation")},
        )
        SHIPPED.write_text(known.model_dump_json() + "\n", encoding="utf-8")
        print(f"wrote {OUT.name}, {ORDER.name} and {SHIPPED.name}")


if __name__ == "__main__":
    main()
