"""The only arithmetic of a grade: levels into points, points into a score, scores into a signal. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mockint.content import digest
from mockint.grades import AnswerGrade, Evidence, Prompted, Raised, Scored, Unscored, Verdict
from mockint.grading import Opinion, Rated, Unrated, Words
from mockint.grading.attempts import own_words
from mockint.rubric import Criterion, Rubric, Scale, Signal, TargetLevel, reaches
from mockint.transcript import Part


def tally(part: Part, opinion: Opinion | None, *, level: TargetLevel, scale: Scale) -> AnswerGrade:
    """Returns one question's grade; `opinion` is None when there was nothing to rate."""
    name = part.question.id
    if not part.asked:
        return AnswerGrade(question=name, state="not_asked")
    if not part.answered or opinion is None:
        return AnswerGrade(question=name, state="not_answered")
    by_id = part.rubric.by_id
    verdicts = tuple(_verdict(part, by_id[rating.criterion], rating, level, scale) for rating in opinion.ratings)
    flags = tuple(Raised(id=flag.id, evidence=(_evidence(part, None, flag.words),)) for flag in opinion.flags)
    scored = [verdict for verdict in verdicts if verdict.state == "scored"]
    return AnswerGrade(
        question=name,
        state="graded" if scored else "ungraded",
        score=score(part.rubric, verdicts, flags, level=level),
        coverage=round(len(scored) / len(verdicts), 4),
        verdicts=verdicts,
        red_flags=flags,
        attempts=own_words(part).attempts,
        why=opinion.note,
    )


def score(rubric: Rubric, verdicts: Sequence[Verdict], flags: Sequence[Raised], *, level: TargetLevel) -> float | None:
    """Returns weighted points over the weighted points that could be scored, less the red flags' cost; from 0 to 1.

    A criterion that the level does not expect adds what it earns and costs nothing when it is missed. None when no criterion
    that the level expects could be scored.
    """
    expected = rubric.expected(level)
    earned, possible = 0.0, 0
    for verdict in verdicts:
        if verdict.state == "scored":
            criterion = rubric.by_id[verdict.criterion]
            earned += criterion.weight * verdict.points
            possible += criterion.weight if criterion in expected else 0
    if not possible:
        return None
    cost = sum(flag.cost for flag in rubric.red_flags for raised in flags if raised.id == flag.id)
    return round(min(1.0, max(0.0, earned - cost) / possible), 4)


def total(answers: Sequence[AnswerGrade]) -> tuple[float | None, float]:
    """Returns the mean score of the graded questions, and the coverage: the mean share of criteria graded over all planned."""
    scores = [answer.score for answer in answers if answer.score is not None]
    coverage = sum(answer.coverage for answer in answers) / len(answers)
    return (round(sum(scores) / len(scores), 4) if scores else None), round(coverage, 4)


def signal(answers: Sequence[AnswerGrade], rubrics: Mapping[str, Rubric], *, scale: Scale) -> Signal:
    """Returns the band of the score, capped at no hire by a gate, or insufficient evidence below the least coverage."""
    reached, coverage = total(answers)
    if reached is None or coverage < scale.least_coverage:
        return "insufficient evidence"
    gates = {flag.id for answer in answers for flag in rubrics[answer.question].red_flags if flag.gate}
    band = scale.signal(reached)
    if any(raised.id in gates for answer in answers for raised in answer.red_flags) and band in ("hire", "strong hire"):
        return "no hire"
    return band


def rubric_digest(parts: Sequence[Part], scale: Scale) -> str:
    """Returns the hash of all that the points rest on: the rubrics and the scale."""
    return digest([[part.rubric_hash for part in parts], scale.model_dump(mode="json")])


def _verdict(part: Part, criterion: Criterion, rating: Rated | Unrated, level: TargetLevel, scale: Scale) -> Verdict:
    if isinstance(rating, Unrated):
        return Unscored(criterion=criterion.id, why=rating.why)
    evidence = tuple(_evidence(part, criterion, words) for words in rating.words)
    price = min((_price(found.prompted, criterion, level, scale) for found in evidence), default=1.0)
    points = round(criterion.points(rating.level) * price, 4)
    return Scored(
        criterion=criterion.id,
        level=rating.level,
        points=points,
        evidence=evidence,
        reason=rating.reason,
        votes=dict(Counter(rating.votes)) if rating.votes else None,
    )


def _price(prompted: Prompted, criterion: Criterion, level: TargetLevel, scale: Scale) -> float:
    match prompted:
        case "unprompted":
            return 1.0
        case "probe":
            dear = criterion.unprompted_from is not None and reaches(level, criterion.unprompted_from)
            return scale.prompted if dear else 1.0
        case "hint":
            return scale.hinted


def _evidence(part: Part, criterion: Criterion | None, words: Words) -> Evidence:
    return Evidence(turn=words.turn, quote=words.quote, prompted=prompted(part, criterion, words.turn))


def prompted(part: Part, criterion: Criterion | None, turn: int) -> Prompted:
    """Whether a turn's words came by themselves, after a probe that was after this criterion, or after a hint."""
    before = [said for said in part.turns if said.number < turn]
    if any(said.kind == "hint" for said in before):
        return "hint"
    after = {said.about for said in before if said.kind == "probe"}
    return "probe" if None in after or (criterion is not None and criterion.id in after) else "unprompted"
