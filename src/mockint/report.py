"""The only place that turns a grade into something to read. A view: delete it and print it again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2

from mockint.bank import Question
from mockint.grade import AnswerGrade, Grade, Raised, Scored, Unscored, Verdict
from mockint.llm import Usage
from mockint.rubric import Criterion, RedFlag, Scale, reaches
from mockint.transcript import Part, Transcript, Turn

PRACTISE, PER_QUESTION = 3, 2
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True)
class Line:
    """One criterion with its verdict, as the report shows it."""

    criterion: Criterion
    verdict: Verdict
    expected: bool
    unprompted: bool
    """Whether the target level expects it without a probe."""

    @property
    def next_level(self) -> str | None:
        return self.criterion.next_level(self.verdict.level) if self.verdict.level else None

    @property
    def best(self) -> str:
        return tuple(self.criterion.levels)[-1]

    @property
    def lost(self) -> float:
        """Weighted points that were there to be had at the target level."""
        return (
            self.criterion.weight * (1 - self.verdict.points) if self.verdict.state == "scored" and self.expected else 0
        )

    @property
    def prompted(self) -> str:
        return self.verdict.evidence[0].prompted if self.verdict.evidence else ""


@dataclass(frozen=True)
class Section:
    number: int
    part: Part
    answer: AnswerGrade
    lines: tuple[Line, ...]

    @property
    def question(self) -> Question:
        return self.part.question

    @property
    def flags(self) -> list[tuple[RedFlag, Raised]]:
        by_id = {flag.id: flag for flag in self.part.rubric.red_flags}
        return [(by_id[raised.id], raised) for raised in self.answer.red_flags]


@dataclass(frozen=True)
class Advice:
    """One thing to practise next."""

    section: Section
    line: Line | None
    """None when the whole question went unanswered."""
    lost: float


@dataclass(frozen=True)
class Trust:
    """How far the grader agrees with people, as `mockint calibrate` has measured it."""

    state: str
    """ "calibrated" or "uncalibrated"."""
    ratings: int
    kappa: float | None
    error: float | None
    """Mean absolute error of a question's score."""

    def interval(self, score: float) -> tuple[float, float]:
        """Returns from where to where a score may lie, by the error, within 0 and 1."""
        error = self.error or 0.0
        return max(0.0, score - error), min(1.0, score + error)


def sections(transcript: Transcript, grade: Grade) -> tuple[Section, ...]:
    by_question = {answer.question: answer for answer in grade.answers}
    level = grade.target_level
    found = []
    for number, part in enumerate(transcript.parts, 1):
        answer = by_question.get(part.question.id, AnswerGrade(question=part.question.id, state="not_asked"))
        lines = tuple(
            Line(
                criterion := part.rubric.by_id[verdict.criterion],
                verdict,
                expected=criterion in part.rubric.expected(level),
                unprompted=criterion.unprompted_from is not None and reaches(level, criterion.unprompted_from),
            )
            for verdict in answer.verdicts
        )
        found.append(Section(number, part, answer, lines))
    return tuple(found)


def practise_next(found: Sequence[Section], *, most: int = PRACTISE) -> list[Advice]:
    """Returns what would bring most points, at most two of one question where there are others."""
    advice = [Advice(section, line, line.lost) for section in found for line in section.lines if line.lost > 0]
    for section in found:
        if section.answer.state == "not_answered":
            advice.append(Advice(section, None, sum(c.weight for c in section.part.rubric.criteria)))
    advice.sort(key=lambda one: -one.lost)
    held: list[Advice] = []
    for one in advice:
        if sum(other.section is one.section for other in held) < PER_QUESTION:
            held.append(one)
    return (held + [one for one in advice if one not in held])[:most]


def markdown(transcript: Transcript, grade: Grade, trust: Trust | None = None) -> str:
    """Returns the report for the candidate; `trust` is None when the grader was never tried on these rubrics."""
    found = sections(transcript, grade)
    lines = [line for section in found for line in section.lines if line.verdict.state == "scored"]
    evidenced = [line for line in lines if line.verdict.evidence]
    return _template("report.md").render(
        **_of_both(transcript, grade, found),
        trust=trust,
        asking=sum((exchange.usage for exchange in transcript.calls), Usage()),
        lines=lines,
        evidenced=evidenced,
        unscored=[line for section in found for line in section.lines if line.verdict.state == "unscored"],
        counts={kind: sum(line.prompted == kind for line in evidenced) for kind in ("unprompted", "probe", "hint")},
        bands=_bands(transcript.started.scale),
        failed=[
            s
            for s in found
            if s.answer.score is not None and s.answer.score < transcript.started.scale.bands[1].from_score
        ],
    )


def html(transcript: Transcript, grade: Grade, trust: Trust | None = None) -> str:
    """Returns the report as one page that asks nobody for anything: no script, no font, no picture from elsewhere."""
    found = sections(transcript, grade)
    rows, about = scorecard(transcript, grade, trust)
    return _template("report.html", escaped=True).render(
        **_of_both(transcript, grade, found),
        about=about,
        rated=any(own for *_, own in rows),
    )


def _of_both(transcript: Transcript, grade: Grade, found: tuple[Section, ...]) -> dict[str, Any]:
    """Returns what the report in Markdown and the page both tell of."""
    return {
        "transcript": transcript,
        "started": transcript.started,
        "grade": grade,
        "sections": found,
        "advice": practise_next(found),
        "gates": [flag.id for section in found for flag, _ in section.flags if flag.gate],
        "tracks": list(dict.fromkeys(part.question.track for part in transcript.parts)),
    }


def pieces(section: Section, turn: Turn) -> list[tuple[str, str | None]]:
    """Returns a turn's text cut at its quotes, each piece with the criterion that it is evidence for; of quotes that overlap, the first."""
    spans = []
    for line in section.lines:
        for evidence in line.verdict.evidence:
            start = turn.text.find(evidence.quote) if evidence.turn == turn.number else -1
            if start >= 0:
                spans.append((start, start + len(evidence.quote), line.criterion.id))
    cut: list[tuple[str, str | None]] = []
    at = 0
    for start, end, criterion in sorted(spans):
        if start >= at:
            cut += [(_bare(turn.text[at:start]), None), (_bare(turn.text[start:end]), criterion)]
            at = end
    return [*cut, (_bare(turn.text[at:]), None)]


def scorecard(
    transcript: Transcript, grade: Grade, trust: Trust | None = None
) -> tuple[list[tuple[str, float | None, str, int | None]], str]:
    """Returns a row for each question (title, score, state, the candidate's own rating), and in words what the score rests on."""
    parts = {part.question.id: part for part in transcript.parts}
    rows = [
        (parts[a.question].question.title, a.score, a.state.replace("_", " "), parts[a.question].rating)
        for a in grade.answers
    ]
    about = f"Score {shown(grade.score)} of 1, {grade.coverage:.0%} of the criteria graded"
    if grade.score is not None and trust and trust.error:
        low, high = trust.interval(grade.score)
        signal = transcript.started.scale.signal
        about += f"; an estimate, from {low:.2f} ({signal(low)}) to {high:.2f} ({signal(high)})"
    if grade.stamp.grader == "offline":
        about += ". The offline grader compares words, not meaning: take it as a first look"
    return rows, about + "."


def as_data(transcript: Transcript, grade: Grade, trust: Trust | None = None) -> dict[str, Any]:
    """Returns the report as data: the grade, and for each question what was said and the time it took."""
    started = transcript.started
    return {
        "session": started.session,
        "began": started.at.isoformat(),
        "outcome": transcript.outcome,
        "seconds": transcript.t,
        "budget_seconds": transcript.budget_seconds,
        "questions": [
            {
                "question": part.question.id,
                "title": part.question.title,
                "seconds": round(part.seconds, 1),
                "budget_seconds": part.budget_seconds,
                "late": part.late,
                "rating": part.rating,
                "turns": [
                    {"turn": turn.number, "speaker": turn.speaker, "kind": turn.kind, "text": turn.text}
                    for turn in part.turns
                ],
            }
            for part in transcript.parts
        ],
        "practise_next": [
            {
                "question": one.section.question.id,
                "criterion": one.line.criterion.id if one.line else None,
                "next_level": one.line.next_level if one.line else None,
            }
            for one in practise_next(sections(transcript, grade))
        ],
        "trust": asdict(trust) if trust else None,
        "grade": grade.model_dump(mode="json", exclude={"calls"}),
    }


@dataclass(frozen=True)
class Move:
    """A criterion whose verdict is not the same in two grades."""

    question: str
    criterion: str
    before: Verdict | None
    after: Verdict | None

    @property
    def by(self) -> float | None:
        """Points gained, of 1; None when either is not scored."""
        if isinstance(self.before, Scored) and isinstance(self.after, Scored):
            return round(self.after.points - self.before.points, 4)
        return None


def moves(before: Grade, after: Grade) -> list[Move]:
    old = {(a.question, v.criterion): v for a in before.answers for v in a.verdicts}
    new = {(a.question, v.criterion): v for a in after.answers for v in a.verdicts}
    return [
        Move(*key, old.get(key), new.get(key))
        for key in dict.fromkeys([*old, *new])
        if _rating(old.get(key)) != _rating(new.get(key))
    ]


def stamp_differences(before: Grade, after: Grade) -> dict[str, tuple[str, str]]:
    """Returns what produced the one and the other, where that is not the same; when they were made aside."""
    old, new = before.stamp.model_dump(mode="json"), after.stamp.model_dump(mode="json")
    old["target_level"], new["target_level"] = before.target_level, after.target_level
    return {
        name: (str(old[name]), str(new[name]))
        for name in old
        if old[name] != new[name] and name not in ("at", "replies")
    }


def comparison(before: Grade, after: Grade, *, names: tuple[str, str]) -> str:
    """Returns two grades side by side in words, the difference in their stamps first."""
    unlike = stamp_differences(before, after)
    out = [f"Grade {names[0]} against grade {names[1]} of {before.id}", ""]
    out += [f"  {name}: {old} → {new}" for name, (old, new) in unlike.items()] or [
        "  made by the same grader in the same way"
    ]
    changed = "" if before.signal == after.signal else "  (changed)"
    out += ["", f"signal  {before.signal} → {after.signal}{changed}"]
    out += [f"score   {shown(before.score)} → {shown(after.score)}", ""]
    if before.target_level != after.target_level:
        out += ["  another target level expects other criteria: what counts has changed, whatever moved", ""]
    for move in moves(before, after):
        by = "" if move.by is None else f"  {move.by:+.2f}"
        out.append(f"  {move.question} · {move.criterion}: {_rating(move.before)} → {_rating(move.after)}{by}")
    if not moves(before, after):
        out.append("  no criterion moved")
    return "\n".join(out) + "\n"


def shown(score: float | None) -> str:
    return "–" if score is None else f"{score:.2f}"


def clean(text: str) -> str:
    """Returns the text without control characters and on one line: safe to print, and verbatim but for white space."""
    return " ".join(_CONTROL.sub("", text).split())


def _rating(verdict: Verdict | None) -> str:
    match verdict:
        case Scored(level=level, points=points):
            return f"{level} ({points:.2f})"
        case Unscored(why=why):
            return f"unscored ({why:.60})"
        case None:
            return "not rated"


def _bands(scale: Scale) -> list[tuple[str, float, float]]:
    ends = [*(band.from_score for band in scale.bands[1:]), 1.0]
    return [(band.signal, band.from_score, end) for band, end in zip(scale.bands, ends, strict=True)]


def _quoted(text: str, prefix: str = "> ") -> str:
    """Returns the text as a block that Markdown shows as it stands."""
    lines = (_inert(_CONTROL.sub("", line)) for line in text.strip().splitlines())
    return "\n".join(f"{prefix}{line}".rstrip() for line in lines)


def _inert(text: str) -> str:
    return text.replace("<", "&lt;")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _bare(text: str) -> str:
    """Returns the text without control and bidirectional characters; lines stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def _template(name: str, *, escaped: bool = False) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=escaped,  # noqa: S701 (for Markdown, what people said goes through `inert` and `quoted`)
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = _quoted
    environment.filters["oneline"] = lambda text: " ".join(text.split())
    environment.filters["clean"] = lambda text: _inert(clean(text))
    environment.filters["bare"] = _bare
    environment.filters["pieces"] = pieces
    environment.filters["minutes"] = _minutes
    environment.filters["score"] = shown
    environment.filters["money"] = lambda usd: "price unknown" if usd is None else f"{usd:.4f} USD"
    return environment.get_template(name)
