"""The only place that turns a grade into something to read. A view: delete it and print it again."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import jinja2

from mockint.bank import Question
from mockint.grades import (
    HELP,
    AnswerGrade,
    Grade,
    Prompted,
    Raised,
    Scored,
    Unscored,
    Verdict,
    earned,
    most_help,
)
from mockint.llm import Exchange, Usage
from mockint.rubric import Criterion, RedFlag, Scale, reaches
from mockint.transcript import Part, Transcript
from mockint.wording import environment, many, shown

PRACTISE, PER_QUESTION = 3, 2
LONGEST_REASON = 200
"""Characters of the reason for no score in a comparison: more than any that names a quote of the judge's has."""
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u061c\U000e0000-\U000e007f]"
)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


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
    def prompted(self) -> Prompted | None:
        return most_help(self.verdict.evidence)

    @property
    def earned(self) -> bool:
        return earned(self.verdict.points, self.prompted)


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
    raised = [line for line in lines if line.earned]
    return _template("report.md").render(
        transcript=transcript,
        started=transcript.started,
        grade=grade,
        sections=found,
        advice=practise_next(found),
        gates=[flag.id for section in found for flag, _ in section.flags if flag.gate],
        tracks=list(dict.fromkeys(part.question.track for part in transcript.parts)),
        trust=trust,
        asking=calls_told(transcript.calls, sum((exchange.usage for exchange in transcript.calls), Usage())),
        grading=calls_told(grade.calls, grade.usage),
        lines=lines,
        evidenced=[line for line in lines if line.verdict.evidence],
        earned=raised,
        unscored=[line for section in found for line in section.lines if line.verdict.state == "unscored"],
        counts={kind: sum(line.prompted == kind for line in raised) for kind in HELP},
        bands=bands(transcript.started.scale),
        failed=[
            s
            for s in found
            if s.answer.score is not None and s.answer.score < transcript.started.scale.bands[1].from_score
        ],
    )


def scorecard(
    transcript: Transcript, grade: Grade, trust: Trust | None = None
) -> tuple[list[tuple[str, float | None, str, int | None]], str]:
    """Returns a row for each question (title, score, state, the candidate's own rating), and in words what the score rests on.

    The title of one whose score is of some of its criteria says of how many.
    """
    parts = {part.question.id: part for part in transcript.parts}
    rows = [
        (parts[a.question].question.title + _of_some(a), a.score, a.state.replace("_", " "), parts[a.question].rating)
        for a in grade.answers
    ]
    if grade.score is not None and grade.coverage < 1:
        about = f"Score {shown(grade.score)} of 1, of what could be graded: {grade.coverage:.0%} of the criteria"
    else:
        about = f"Score {shown(grade.score)} of 1, {grade.coverage:.0%} of the criteria graded"
    if grade.score is not None and trust and trust.error:
        low, high = trust.interval(grade.score)
        signal = transcript.started.scale.signal
        about += f"; an estimate, from {low:.2f} ({signal(low)}) to {high:.2f} ({signal(high)})"
    if grade.stamp.grader == "offline":
        about += ". The offline grader compares words, not meaning: take it as a first look"
    return rows, about + "."


def _of_some(answer: AnswerGrade) -> str:
    scored = sum(verdict.state == "scored" for verdict in answer.verdicts)
    if answer.score is None or scored == len(answer.verdicts):
        return ""
    return f" ({scored} of {len(answer.verdicts)} criteria)"


def calls_told(calls: Sequence[Exchange], usage: Usage) -> str:
    """Returns in words what calls of a model were made, how many failed, and how many were held back (by a limit, or since the provider
    was down); empty when there was none.
    """
    failed = sum(exchange.reply is None and exchange.tries > 0 for exchange in calls)
    held = sum(exchange.reply is None and not exchange.tries for exchange in calls)
    told = []
    if usage.calls:
        spent = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out, {money(usage.usd)}"
        told.append(f"{many(usage.calls, 'model call')}, {spent}")
    if failed:
        told.append(f"{many(failed, 'model call')} {'was' if failed == 1 else 'were'} made and failed")
    if held:
        told.append(f"{many(held, 'model call')} {'was' if held == 1 else 'were'} held back")
    return "; ".join(told)


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
        name: (_told(old[name]), _told(new[name]))
        for name in old
        if old[name] != new[name] and name not in ("at", "replies")
    }


def moved_data(move: Move) -> dict[str, Any]:
    return {
        "question": move.question,
        "criterion": move.criterion,
        "before": move.before and move.before.model_dump(mode="json"),
        "after": move.after and move.after.model_dump(mode="json"),
        "by": move.by,
    }


def comparison(before: Grade, after: Grade, *, names: tuple[str, str]) -> str:
    """Returns two grades side by side in words, the difference in their stamps first."""
    out = [*_folded(f"Grade {names[0]} against grade {names[1]} of {before.id}", 80), ""]
    out += _stamps_told(stamp_differences(before, after))
    changed = "" if before.signal == after.signal else "  (changed)"
    out += ["", f"signal  {before.signal} → {after.signal}{changed}"]
    out += [f"score   {shown(before.score)} → {shown(after.score)}", ""]
    if before.target_level != after.target_level:
        out += ["  another target level expects other criteria: what counts has changed,", "  whatever moved", ""]
    out += _moves_told(moves(before, after))
    return "\n".join(out) + "\n"


@dataclass(frozen=True)
class Sat:
    """An interview with one of its grades."""

    transcript: Transcript
    grade: Grade
    number: int

    @property
    def session(self) -> str:
        return self.transcript.started.session

    def part(self, question: str) -> Part | None:
        return next((part for part in self.transcript.parts if part.question.id == question), None)

    def answer(self, question: str) -> AnswerGrade | None:
        return next((answer for answer in self.grade.answers if answer.question == question), None)


def over_time(question: str, sat: Sequence[Sat]) -> dict[str, Any]:
    """Returns one question's grades as data, the earliest interview first, each with what its stamp has unlike the one before.

    The rubric's hash is this question's own. The hash of the log is left out: no two interviews have the same.

    Args:
        sat: interviews that have the question.
    """
    ordered = sorted(sat, key=lambda one: (one.transcript.started.at, one.session))
    rows = []
    for before, one in zip([None, *ordered], ordered, strict=False):
        answer = one.answer(question) or AnswerGrade(question=question, state="not_asked")
        rows.append(
            {
                "session": one.session,
                "grade": one.number,
                "began": one.transcript.started.at.isoformat(),
                "grader": one.grade.stamp.model,
                "stamps": _unlike(before, one, question) if before else {},
                "state": answer.state,
                "score": answer.score,
                "levels": {v.criterion: v.level or "unscored" for v in answer.verdicts},
            }
        )
    part = ordered[-1].part(question)
    return {"question": question, "title": part.question.title if part else question, "grades": rows}


def over_time_text(data: dict[str, Any], *, width: int = 80) -> str:
    """Returns `over_time`'s data in words, the differences in the stamps first."""
    rows = data["grades"]
    out = [*_folded(f"{clean(data['title'])} ({data['question']}) over time", width), ""]
    for number, row in enumerate(rows, 1):
        out += _folded(f"{number:>3}  {row['began'][:10]}  {row['session']}, by {row['grader']}", width, hang=17)
    out.append("")
    for number, row in enumerate(rows[1:], 2):
        if row["stamps"]:
            out += [f"how {number - 1} and {number} were graded:", *_stamps_told(row["stamps"], width)]
    if len(rows) > 1 and not any(row["stamps"] for row in rows):
        out.append("all were made by the same grader in the same way")
    names = list(dict.fromkeys(name for row in rows for name in row["levels"]))
    cells = [["score", *(shown(row["score"]) for row in rows)]]
    if any(row["state"] != "graded" for row in rows):
        cells.append(["state", *(row["state"].replace("_", " ") for row in rows)])
    cells += [[name, *(row["levels"].get(name, "–") for row in rows)] for name in names]
    return "\n".join(out + ([""] if len(rows) > 1 else []) + _table(cells, width)) + "\n"


def beside(first: Sat, second: Sat) -> dict[str, Any]:
    """Returns two interviews as data: the stamps, the scores by track and by competency, and what moved on questions that both have."""
    both = [part.question.id for part in first.transcript.parts if second.part(part.question.id)]
    shared = [_only(one.grade, both) for one in (first, second)]
    rubrics = [
        question
        for question in both
        if (old := first.part(question)) and (new := second.part(question)) and old.rubric.digest != new.rubric.digest
    ]
    return {
        "sessions": [first.session, second.session],
        "grades": [first.number, second.number],
        "began": [one.transcript.started.at.isoformat() for one in (first, second)],
        "stamps": _unlike(first, second),
        "rubrics": rubrics,
        "signal": [first.grade.signal, second.grade.signal],
        "score": [first.grade.score, second.grade.score],
        "coverage": [first.grade.coverage, second.grade.coverage],
        "tracks": _means(first, second, lambda part: part.question.track),
        "competencies": _means(first, second, lambda part: part.rubric.competency),
        "questions": [
            {
                "question": question,
                "score": [answer.score if (answer := one.answer(question)) else None for one in (first, second)],
                "state": [answer.state if (answer := one.answer(question)) else "not_asked" for one in (first, second)],
            }
            for question in both
        ],
        "moved": [moved_data(move) for move in moves(*shared)],
    }


def beside_text(data: dict[str, Any], *, width: int = 80) -> str:
    """Returns `beside`'s data in words, the differences in the stamps first."""
    out = []
    for number in (0, 1):
        session, grade = data["sessions"][number], data["grades"][number]
        out += _folded(f"{number + 1}  {data['began'][number][:10]}  {session}, grade {grade}", width, hang=15)
    out += ["", *_stamps_told(data["stamps"], width)]
    if data["rubrics"]:
        out += _folded(f"  another rubric: {', '.join(data['rubrics'])}", width, hang=4)
    old, new = data["signal"]
    out += ["", f"signal  {old} → {new}{'' if old == new else '  (changed)'}"]
    out += [f"score   {shown(data['score'][0])} → {shown(data['score'][1])}"]
    for title, key in (("by track", "tracks"), ("by competency", "competencies")):
        cells = [[title, "1", "2", "moved"]]
        cells += [[row["name"], *map(_mean_told, row["mean"], row["of"]), _by(*row["mean"])] for row in data[key]]
        out += ["", *_table(cells, width, heads=False)]
    if not data["questions"]:
        return "\n".join([*out, "", "no question is in both"]) + "\n"
    cells = [["in both", "1", "2", "moved"]]
    for row in data["questions"]:
        told = [
            shown(score) if state == "graded" else state.replace("_", " ")
            for score, state in zip(row["score"], row["state"], strict=True)
        ]
        cells.append([row["question"], *told, _by(*row["score"])])
    out += ["", *_table(cells, width, heads=False), ""]
    lines = [
        f"  {move['question']} · {move['criterion']}: {_level_told(move['before'])} → {_level_told(move['after'])}"
        + ("" if move["by"] is None else f"  {move['by']:+.2f}")
        for move in data["moved"]
    ]
    for line in lines or ["  no criterion moved"]:
        out += _folded(line, width, hang=4)
    return "\n".join(out) + "\n"


def _unlike(before: Sat, after: Sat, question: str | None = None) -> dict[str, tuple[str, str]]:
    """Returns the differences in the stamps of two interviews' grades; the rubric's hash only for one question."""
    told = stamp_differences(before.grade, after.grade)
    unlike = {name: two for name, two in told.items() if name not in ("transcript", "events", "rubric")}
    if question and (old := before.part(question)) and (new := after.part(question)):
        if old.rubric.digest != new.rubric.digest:
            unlike["rubric"] = (old.rubric.digest, new.rubric.digest)
        elif old.rubric != new.rubric:
            unlike["criteria"] = ("in one order", "in another")
    scales = before.transcript.started.scale, after.transcript.started.scale
    if scales[0] != scales[1]:
        unlike["scale"] = (f"version {scales[0].version}", f"version {scales[1].version}")
    return unlike


def _only(grade: Grade, questions: Sequence[str]) -> Grade:
    return grade.model_copy(update={"answers": tuple(one for one in grade.answers if one.question in questions)})


def _means(first: Sat, second: Sat, of: Callable[[Part], str]) -> list[dict[str, Any]]:
    """Returns for each name the mean score in either interview (None when nothing was scored) and of how many questions."""
    scores: dict[str, tuple[list[float], list[float]]] = {}
    for side, one in enumerate((first, second)):
        for part in one.transcript.parts:
            known = scores.setdefault(of(part), ([], []))
            if (answer := one.answer(part.question.id)) and answer.score is not None:
                known[side].append(answer.score)
    return [
        {
            "name": name,
            "mean": [round(sum(side) / len(side), 4) if side else None for side in sides],
            "of": [len(side) for side in sides],
        }
        for name, sides in scores.items()
    ]


def _mean_told(mean: float | None, of: int) -> str:
    return f"{shown(mean)} ({of})" if of else shown(mean)


def _by(before: float | None, after: float | None) -> str:
    return "" if before is None or after is None else f"{after - before:+.2f}"


def _level_told(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return "not rated"
    return f"{verdict['level']} ({verdict['points']:.2f})" if verdict["state"] == "scored" else "unscored"


def _stamps_told(unlike: Mapping[str, Sequence[str]], width: int = 80) -> list[str]:
    """Returns a line for each difference; of a hash its beginning, which is enough to tell it from another."""
    told = [f"  {name}: {shortened(old)} → {shortened(new)}" for name, (old, new) in unlike.items()]
    return [
        line for one in told or ["  made by the same grader in the same way"] for line in _folded(one, width, hang=4)
    ]


def shortened(value: str) -> str:
    """Returns a value of a stamp on one line; of a hash its beginning."""
    return f"{value[:19]}…" if re.fullmatch(r"sha256:[0-9a-f]{64}", value) else clean(value)


def _told(value: Any) -> str:
    return "none" if value is None else str(value)


def _moves_told(moved: Sequence[Move], width: int = 80) -> list[str]:
    out = []
    for move in moved:
        by = "" if move.by is None else f"  {move.by:+.2f}"
        line = f"  {move.question} · {move.criterion}: {_rating(move.before)} → {_rating(move.after)}{by}"
        out += _folded(line, width, hang=4)
    return out or ["  no criterion moved"]


def _folded(line: str, width: int, *, hang: int = 0) -> list[str]:
    line = _flat(line)
    return (
        textwrap.wrap(line, width, subsequent_indent=" " * hang, break_on_hyphens=False)
        if len(line) > width
        else [line]
    )


def _table(cells: Sequence[Sequence[str]], width: int, *, heads: bool = True) -> list[str]:
    """Returns rows of a name and values as lines; when they are too wide, as several tables below one another.

    Args:
        heads: whether to head the columns with their numbers.
    """
    cells = [list(map(_flat, row)) for row in cells]
    first = min(max(len(row[0]) for row in cells), width // 2)
    column = max(len(value) for row in cells for value in (*row[1:], "00"))
    fit = max(1, (width - first) // (column + 2))
    out: list[str] = []
    for start in range(1, len(cells[0]), fit):
        end = min(start + fit, len(cells[0]))
        out += [""] if out else []
        if heads:
            out.append((" " * first + "".join(f"  {number:<{column}}" for number in range(start, end))).rstrip())
        for row in cells:
            *above, name = textwrap.wrap(row[0], first, break_on_hyphens=True) or [""]
            out += above
            out.append((f"{name:<{first}}" + "".join(f"  {value:<{column}}" for value in row[start:end])).rstrip())
    return out


def money(usd: float | None) -> str:
    return "price unknown" if usd is None else f"{usd:.4f} USD"


def clean(text: str) -> str:
    """Returns the text without control characters and on one line: safe to print, and verbatim but for white space."""
    return " ".join(_CONTROL.sub("", " ".join(text.split())).split())


def _flat(text: str) -> str:
    """Returns the text as one line without control characters; its spaces stay."""
    return _CONTROL.sub("", re.sub(r"[\t\n\r]", " ", text))


def minutes(seconds: float) -> str:
    """Returns minutes and seconds, as 3:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def bare(text: str) -> str:
    """Returns the text without control and bidirectional characters; lines stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _rating(verdict: Verdict | None) -> str:
    match verdict:
        case Scored(level=level, points=points):
            return f"{level} ({points:.2f})"
        case Unscored(why=why):
            return f"unscored ({_brief(why)})"
        case None:
            return "not rated"


def _brief(reason: str) -> str:
    """Returns a reason on one line, one that is longer than LONGEST_REASON cut at a word."""
    reason = clean(reason)
    if len(reason) <= LONGEST_REASON:
        return reason
    return f"{reason[:LONGEST_REASON].rpartition(' ')[0] or reason[:LONGEST_REASON]} …"


def bands(scale: Scale) -> list[tuple[str, float, float]]:
    """Returns the signals that come of a score, each with from where to where its band goes."""
    ends = [*(band.from_score for band in scale.bands[1:]), 1.0]
    return [(band.signal, band.from_score, end) for band, end in zip(scale.bands, ends, strict=True)]


def _quoted(text: str, prefix: str = "> ") -> str:
    """Returns the text as a block that Markdown shows as it stands."""
    lines = (_inert(_CONTROL.sub("", line)) for line in text.strip().splitlines())
    return "\n".join(f"{prefix}{line}".rstrip() for line in lines)


def _inert(text: str) -> str:
    return text.replace("<", "&lt;")


def _harmless(value: Any) -> Any:
    """Returns what an expression came to; a text without control characters and HTML's tags."""
    return _TAG.sub("&lt;", bare(value)) if isinstance(value, str) else value


@cache
def _template(name: str) -> jinja2.Template:
    # For Markdown nothing is escaped: every text goes through `_harmless`, and what people said through `quoted`.
    made = environment(autoescape=False, finalize=_harmless)
    made.filters |= {
        "quoted": _quoted,
        "oneline": lambda text: " ".join(text.split()),
        "clean": lambda text: _inert(clean(text)),
        "minutes": minutes,
    }
    return made.get_template(name)
