"""Compares the offline grader with the levels that the bank's own sample answers carry, and looks for better thresholds.

    .venv/bin/python tests/bench/offline_grader.py

The samples are the set that the thresholds were fitted on: what this prints says how well they fit, not how well the grader
does on other people's answers.
"""

from __future__ import annotations

from collections import Counter

from mockint import evidence
from mockint.bank import load_bank
from mockint.content import roots
from mockint.grading.offline import RAISED, STEPS

Pair = tuple[float, float]


def kappa(pairs: list[Pair]) -> float:
    """Returns Cohen's kappa with quadratic weights, over levels scaled to 0 … 1."""
    ours, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    seen = sum((a - b) ** 2 for a, b in pairs) / len(pairs)
    chance = sum(ours[a] * theirs[b] * (a - b) ** 2 for a in ours for b in theirs) / len(pairs) ** 2
    return 1 - seen / chance


def covers() -> tuple[list[tuple[int, int, float]], list[tuple[bool, bool]]]:
    """Returns (number of levels, the sample's level, cover) of each criterion, and (raised, found) of each red flag."""
    bank = load_bank(roots())
    levels: list[tuple[int, int, float]] = []
    flags: list[tuple[bool, bool]] = []
    for question in bank.questions.values():
        rubric = bank.rubric(question)
        for sample in bank.samples(question):
            heard = evidence.passages(1, sample.text)
            for criterion in rubric.criteria:
                others = [other.cues for other in rubric.criteria if other is not criterion]
                found = evidence.search(evidence.cues(criterion.cues, others=others, given=question.ask), heard)
                names = list(criterion.levels)
                levels.append((len(names), names.index(sample.levels[criterion.id]), found.score))
            for flag in rubric.red_flags:
                claimed = evidence.claim(flag.cues, heard, least=RAISED) is not None
                flags.append((flag.id in sample.red_flags, claimed))
    return levels, flags


def main() -> None:
    levels, flags = covers()
    three = [(level / 2, score) for count, level, score in levels if count == 3]

    def rated(low: float, high: float) -> list[Pair]:
        return [(level, (score >= low) / 2 + (score >= high) / 2) for level, score in three]

    grid = [(a / 50, b / 50) for a in range(4, 25) for b in range(a + 1, 40)]
    best = max(grid, key=lambda steps: kappa(rated(*steps)))
    for name, steps in (("in force", STEPS[3]), ("best fit", best)):
        pairs = rated(steps[0], steps[1])
        exact = sum(a == b for a, b in pairs) / len(pairs)
        print(f"{name}: steps {steps}: kappa {kappa(pairs):.2f}, exact {exact:.2f}, over {len(pairs)} ratings")
    table = Counter(rated(STEPS[3][0], STEPS[3][1]))
    print("sample's level by ours:", {f"{a:g} as {b:g}": n for (a, b), n in sorted(table.items())})
    claimed = [found for raised, found in flags if raised]
    wrongly = [found for raised, found in flags if not raised]
    print(f"red flags: {sum(claimed)} of {len(claimed)} found, {sum(wrongly)} of {len(wrongly)} raised wrongly")


if __name__ == "__main__":
    main()
