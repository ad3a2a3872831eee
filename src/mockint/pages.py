"""The only place that makes pages: each one file that asks nobody for anything, by one base template, one style and one script.

What people and models said goes through Jinja's escaping, and loses control and bidirectional characters on the way. The page's
policy names its own style and script by their hashes, so that nothing else runs, whatever a text holds. pygal draws the charts
(70 ms to import, 5 ms a chart); the colours are the style's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeVar

import jinja2
from markupsafe import Markup

from mockint.bank import Bank
from mockint.cohort import CohortReport
from mockint.errors import SessionError, UsageError
from mockint.grades import Evidence, Grade, Prompted, Verdict, most_help
from mockint.report import (
    Line,
    Sat,
    Section,
    Trust,
    bands,
    bare,
    beside,
    calls_told,
    minutes,
    money,
    moves,
    over_time,
    practise_next,
    scorecard,
    sections,
    shortened,
    stamp_differences,
)
from mockint.rubric import SENIORITY, Criterion, TargetLevel, reaches
from mockint.study.index import Row
from mockint.study.trends import Line as Course
from mockint.study.trends import Mean, Point, Trends, change
from mockint.transcript import Transcript, Turn
from mockint.wording import environment, shown

S = TypeVar("S", bound=str)

WIDTHS = {"narrow": 340, "wide": 600}
"""What a chart is drawn in, for a telephone and for all else, so that its letters stay as large as the text."""
SMALL = {"small": 300}
"""As WIDTHS, for a chart that stands among its like."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Flags with which a browser shows a file and calls nobody."""
PRINTING_SECONDS = 120

Marked = Literal["evidence", "flag", "attempt"]


@dataclass(frozen=True)
class Mark:
    """Something that a turn is quoted for: a criterion, a red flag, or an attempt to steer the grader."""

    key: str
    """The id of what it is for, on the page."""
    kind: Marked
    label: str
    """Its number among the question's criteria, or a word."""
    about: str
    evidence: tuple[tuple[int, str], ...]
    """Turn and quote."""


@dataclass(frozen=True)
class Piece:
    """A piece of a turn, from where a quote begins or ends to where the next one does."""

    id: str
    text: str
    marks: tuple[Mark, ...] = ()
    ending: tuple[Mark, ...] = ()
    """Those whose quote ends with it."""

    @property
    def kind(self) -> Marked:
        return self.marks[0].kind


@dataclass(frozen=True)
class Told:
    """A question on the page: its section, its marks, and its turns cut into pieces."""

    section: Section

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        q, answer = f"q{self.section.number}", self.section.answer
        found = [
            Mark(f"{q}-c-{line.criterion.id}", "evidence", str(n), line.criterion.asks, _quotes(line.verdict.evidence))
            for n, line in enumerate(self.section.lines, 1)
        ]
        for flag, raised in self.section.flags:
            found.append(Mark(f"{q}-f-{flag.id}", "flag", "red flag", flag.asks, _quotes(raised.evidence)))
        for n, attempt in enumerate(answer.attempts, 1):
            about = f"Not counted as evidence: {attempt.kind}"
            found.append(Mark(f"{q}-a-{n}", "attempt", "not counted", about, ((attempt.turn, attempt.quote),)))
        return tuple(found)

    @cached_property
    def by_key(self) -> dict[str, Mark]:
        return {mark.key: mark for mark in self.marks}

    @cached_property
    def said(self) -> tuple[tuple[Turn, tuple[Piece, ...]], ...]:
        return tuple((turn, self.pieces(turn)) for turn in self.section.part.turns)

    def pieces(self, turn: Turn) -> tuple[Piece, ...]:
        """Returns the turn's text, cut where a quote begins or ends; quotes may overlap."""
        spans = [
            (start, start + len(quote), mark)
            for mark in self.marks
            for number, quote in mark.evidence
            if number == turn.number and quote and (start := turn.text.find(quote)) >= 0
        ]
        edges = sorted({0, len(turn.text), *(edge for start, end, _ in spans for edge in (start, end))})
        return tuple(
            Piece(
                f"{self.turn_id(turn.number)}-{start}",
                turn.text[start:end],
                tuple(dict.fromkeys(mark for a, b, mark in spans if a <= start and end <= b)),
                tuple(dict.fromkeys(mark for a, b, mark in spans if b == end and a <= start)),
            )
            for start, end in pairwise(edges)
        )

    def turn_id(self, number: int) -> str:
        return f"q{self.section.number}-t-{number}"

    def anchor(self, number: int, quote: str) -> str:
        """Returns the id of the place where a turn's quote begins; the turn's own when it is not in it."""
        for turn in self.section.part.turns:
            if turn.number == number and (start := turn.text.find(quote)) >= 0:
                return f"{self.turn_id(number)}-{start}"
        return self.turn_id(number)


@dataclass(frozen=True)
class Lane:
    """A question's stretch of the interview, in per cent of the whole axis."""

    section: Section
    start: float
    budget: float
    used: float
    over: float
    """What was used beyond the budget."""
    said: tuple[tuple[str, float, str], ...]
    """Probes, hints and answers: what, where, and when in words."""


@dataclass(frozen=True)
class Competency:
    name: str
    questions: int
    score: float | None
    coverage: float


@dataclass(frozen=True)
class Higher:
    """What a target level asks for that the one before it does not."""

    level: TargetLevel
    expected: tuple[tuple[Section, Line], ...]
    """Criteria that are a bonus so far and not yet at their highest level."""
    unprompted: tuple[tuple[Section, Line], ...]
    """Criteria whose evidence came after help, and would then have to come without."""


@dataclass(frozen=True)
class Moved:
    title: str
    asks: str
    before: str
    after: str
    by: float | None


@dataclass(frozen=True)
class Since:
    """A grade beside an earlier one."""

    before: Grade
    stamps: Mapping[str, tuple[str, str]]
    """What differs in how they were made; of two sessions, that their transcripts do goes without saying."""
    moved: tuple[Moved, ...]
    questions: tuple[tuple[str, float | None, float | None], ...]
    """Title, score then, score now, of the questions in both."""
    only_now: tuple[str, ...]
    only_then: int


@dataclass(frozen=True)
class Side:
    """A criterion as one of two grades has it."""

    verdict: Verdict | None
    """None when it was not rated."""
    rank: str
    """Where its level stands: "met", "between" or "lowest"; nothing without one."""

    @property
    def prompted(self) -> Prompted | None:
        return most_help(self.verdict.evidence) if self.verdict else None


@dataclass(frozen=True)
class Shift:
    """A criterion whose verdict is not the same in two grades."""

    asks: str
    by: float | None
    sides: tuple[Side, Side]


def report_page(transcript: Transcript, grade: Grade, trust: Trust | None = None, before: Grade | None = None) -> str:
    """Returns the report for the candidate.

    Args:
        trust: None when the grader was never tried on these rubrics.
        before: an earlier grade to set it beside, of this session or of another.
    """
    found = sections(transcript, grade)
    rows, about = scorecard(transcript, grade, trust)
    return _rendered(
        "report.html",
        transcript=transcript,
        started=transcript.started,
        grade=grade,
        told=tuple(map(Told, found)),
        sections=found,
        advice=practise_next(found),
        gates=[flag.asks for section in found for flag, _ in section.flags if flag.gate],
        tracks=list(dict.fromkeys(part.question.track for part in transcript.parts)),
        trust=trust,
        about=about,
        band=next((span for signal, *span in bands(transcript.started.scale) if signal == grade.signal), None),
        rated=any(own for *_, own in rows),
        competencies=(by := competencies(found)),
        by_competency=bars([(one.name, one.score) for one in by], about="Score by competency, from 0 to 1"),
        lanes=lanes(transcript, found),
        higher=higher(found, grade.target_level),
        since=since(transcript, before, grade) if before else None,
        grading=calls_told(grade.calls, grade.usage),
        some=any(line.verdict.state == "scored" for section in found for line in section.lines),
        whole=all(line.verdict.state == "scored" for section in found for line in section.lines),
    )


def competencies(found: Sequence[Section]) -> tuple[Competency, ...]:
    """Returns the mean score of the questions of each competency, in the order in which they were asked."""
    groups: dict[str, list[Section]] = {}
    for section in found:
        groups.setdefault(section.part.rubric.competency, []).append(section)
    return tuple(
        Competency(
            name,
            len(group),
            fmean(scores) if (scores := [s.answer.score for s in group if s.answer.score is not None]) else None,
            fmean(section.answer.coverage for section in group),
        )
        for name, group in groups.items()
    )


def lanes(transcript: Transcript, found: Sequence[Section]) -> tuple[Lane, ...]:
    """Returns where each question that was asked lies in the interview."""
    asked = [(section, section.part.began) for section in found if section.part.began is not None]
    ends = [began + max(section.part.seconds, section.part.budget_seconds) for section, began in asked]
    whole = max([transcript.t, *ends]) or 1.0

    def share(seconds: float) -> float:
        return round(100 * seconds / whole, 2)

    drawn = []
    for section, began in asked:
        part = section.part
        said = tuple(
            (turn.kind, share(turn.t), minutes(turn.t - began))
            for turn in part.turns
            if turn.kind in ("probe", "hint", "answer")
        )
        used, budget = part.seconds, part.budget_seconds
        over = share(max(0.0, used - budget))
        drawn.append(Lane(section, share(began), share(budget), share(min(used, budget)), over, said))
    return tuple(drawn)


def higher(found: Sequence[Section], level: TargetLevel) -> Higher | None:
    """Returns what the next target level takes beyond this one; None for the highest."""
    if level == SENIORITY[-1]:
        return None
    above = SENIORITY[SENIORITY.index(level) + 1]
    rated = [(s, line) for s in found for line in s.lines if line.verdict.state == "scored"]
    expected, unprompted = [], []
    for section, line in rated:
        if not line.expected and line.criterion in section.part.rubric.expected(above) and line.next_level:
            expected.append((section, line))
        alone = line.criterion.unprompted_from
        if line.prompted in ("probe", "hint") and alone and not line.unprompted and reaches(above, alone):
            unprompted.append((section, line))
    return Higher(above, tuple(expected), tuple(unprompted))


def since(transcript: Transcript, before: Grade, after: Grade) -> Since:
    parts = {part.question.id: part for part in transcript.parts}
    old, new = ({a.question: a for a in grade.answers} for grade in (before, after))
    both = [name for name in new if name in old and name in parts]
    unlike = stamp_differences(before, after)
    moved = []
    for move in moves(before, after):
        if move.question in both and move.before and move.after:
            part = parts[move.question]
            known = part.rubric.by_id.get(move.criterion)
            asks = known.asks if known else move.criterion
            moved.append(Moved(part.question.title, asks, _level(move.before), _level(move.after), move.by))
    return Since(
        before,
        {name: pair for name, pair in unlike.items() if before.id == after.id or name not in ("transcript", "events")},
        tuple(moved),
        tuple((parts[name].question.title, old[name].score, new[name].score) for name in both),
        tuple(parts[name].question.title for name in new if name not in old and name in parts),
        sum(name not in new for name in old),
    )


def compare_page(first: Sat, second: Sat) -> str:
    """Returns two grades beside one another, of one session or of two; what differs in how they were made comes first."""
    both, data = (first, second), beside(first, second)
    one_session = first.session == second.session
    stamps = stamp_differences(first.grade, second.grade) if one_session else data["stamps"]
    titles = {part.question.id: part.question.title for one in both for part in one.transcript.parts}
    shifts: dict[str, list[Shift]] = {}
    for move in moves(first.grade, second.grade):
        parts = first.part(move.question), second.part(move.question)
        if all(parts):
            old, new = (part.rubric.by_id.get(move.criterion) for part in parts if part)
            sides = Side(move.before, _rank(old, move.before)), Side(move.after, _rank(new, move.after))
            asks = next((one.asks for one in (new, old) if one), move.criterion)
            shifts.setdefault(move.question, []).append(Shift(asks, move.by, sides))
    questions = [row | {"title": titles[row["question"]], "by": _by(*row["score"])} for row in data["questions"]]
    rated = [{(a.question, v.criterion) for a in one.grade.answers for v in a.verdicts} for one in both]
    moved = sum(all(side.verdict for side in shift.sides) for found in shifts.values() for shift in found)
    return _rendered(
        "compare.html",
        title="Two grades of one interview" if one_session else "Two interviews side by side",
        heads=tuple(f"Grade {one.number}" for one in both) if one_session else ("First", "Second"),
        one_session=one_session,
        both=both,
        stamps=[(name, *pair) for name, pair in stamps.items()],
        rubrics=[titles[name] for name in data["rubrics"]],
        other_level=first.grade.target_level != second.grade.target_level,
        by=_by(*data["score"]),
        questions=questions,
        chart=pairs([(row["title"], *row["score"]) for row in questions], about="Score by question, from 0 to 1"),
        tracks=[row | {"by": _by(*row["mean"])} for row in data["tracks"]],
        competencies=[row | {"by": _by(*row["mean"])} for row in data["competencies"]],
        alone=[
            [part.question.title for part in one.transcript.parts if not other.part(part.question.id)]
            for one, other in (both, both[::-1])
        ],
        moved=[(titles[name], found) for name, found in shifts.items()],
        moves=sum(map(len, shifts.values())),
        same=len(set.intersection(*rated)) - moved,
    )


def over_time_page(question: str, sat: Sequence[Sat], *, noise: float) -> str:
    """Returns one question's grades over time, with what differs in how each and the one before it were made first.

    Args:
        sat: interviews that have the question.
        noise: the grader's mean absolute error of one answer's score.
    """
    data = over_time(question, sat)
    ordered = sorted(sat, key=lambda one: (one.transcript.started.at, one.session))
    makers = _makers(question, ordered)
    rows = [
        row | {"number": number, "on": row["began"][:10], "maker": maker}
        for number, (row, maker) in enumerate(zip(data["grades"], makers, strict=True), 1)
    ]
    parts = [part for one in ordered if (part := one.part(question))]
    criteria = {name: criterion for part in parts for name, criterion in part.rubric.by_id.items()}
    levels = [row["levels"] for row in rows]
    lines = _courses(data["title"], rows, noise)
    return _rendered(
        "over_time.html",
        question=question,
        title=data["title"],
        ask=parts[-1].question.ask,
        rows=rows,
        stamps=[(row["number"], name, *pair) for row in rows for name, pair in row["stamps"].items()],
        charts=[(line, course(line, about="Scores", widths=SMALL if len(lines) > 1 else WIDTHS)) for line in lines],
        noise=noise,
        criteria=[
            {
                "asks": criterion.asks,
                "levels": [
                    (held.get(name), _rank(part.rubric.by_id.get(name), held.get(name)))
                    for part, held in zip(parts, levels, strict=True)
                ],
            }
            for name, criterion in criteria.items()
            if any(name in held for held in levels)
        ],
    )


def history_page(rows: Sequence[Row], trends: Trends) -> str:
    """Returns how one's interviews go over time; the rows are as `study.index` lists them, oldest first."""
    return _rendered(
        "history.html",
        rows=rows,
        trends=trends,
        many_graders=len(trends.graders) > 1,
        charts=[(line, course(line)) for line in trends.tracks if len(line.points) > 1],
    )


def cohort_page(report: CohortReport, bank: Bank) -> str:
    """Returns what many grades say together, for whoever reads applications."""
    tenths = report.scores.tenths if report.scores else []
    return _rendered(
        "cohort.html",
        report=report,
        failed=sum(one.lines for one in report.errors),
        titles={name: question.title for name, question in bank.questions.items()},
        histogram=columns(
            [(f"{n / 10:.1f}", count) for n, count in enumerate(tenths)],
            about="Answers by score, in tenths from 0 to 1",
        ),
        tenths=[(n / 10, (n + 1) / 10, count) for n, count in enumerate(tenths)],
        signals=bars([(name, count) for name, count in report.signals.items()], about="Grades by signal", whole=True),
    )


def bars(rows: Sequence[tuple[str, float | int | None]], *, about: str, whole: bool = False) -> Markup:
    """Returns a horizontal bar for each row, its name and value beside it; nothing without rows.

    Args:
        whole: the values are counts; else they are from 0 to 1.
    """
    told = [(name, value, ("–" if value is None else str(value)) if whole else shown(value)) for name, value in rows]

    def draw(width: int) -> Any:
        most = max((value for _, value, _ in told if value), default=1) if whole else 1
        chart = _pygal().HorizontalBar(
            **_plain(width, 44 + 30 * len(told)), range=(0, most), y_labels=[0] if whole else [0, 0.5, 1]
        )
        longest = width // 16
        chart.x_labels = [f"{_cut(bare(name), longest)}  {value}" for name, _, value in reversed(told)]
        chart.add("", [value for _, value, _ in reversed(told)])
        return chart

    return _drawn(draw, about, [f"{name} {value}" for name, _, value in told])


def pairs(rows: Sequence[tuple[str, float | None, float | None]], *, about: str) -> Markup:
    """Returns two horizontal bars for each row, the first above the second, its name beside them; nothing without rows."""

    def draw(width: int) -> Any:
        chart = _pygal().HorizontalBar(**_plain(width, 44 + 44 * len(rows)), range=(0, 1), y_labels=[0, 0.5, 1])
        chart.x_labels = [_cut(bare(name), width // 16) for name, *_ in reversed(rows)]
        for side in (1, 2):
            chart.add("", [row[side] for row in reversed(rows)])
        return chart

    return _drawn(draw, about, [f"{name} {shown(old)} → {shown(new)}" for name, old, new in rows], kind="paired ")


def columns(rows: Sequence[tuple[str, int]], *, about: str) -> Markup:
    """Returns an upright bar for each row."""

    def draw(width: int) -> Any:
        chart = _pygal().Bar(**_plain(width, 220), print_values=True, print_values_position="top", y_labels=[0])
        chart.x_labels = [name for name, _ in rows]
        chart.range = (0, 1.15 * max(1, *(count for _, count in rows)))
        chart.add("", [count for _, count in rows])
        return chart

    return _drawn(draw, about, [f"from {name} {count}" for name, count in rows])


def course(line: Course, *, about: str = "Mean scores", widths: Mapping[str, int] = SMALL) -> Markup:
    """Returns a score over its sittings, with the grader's error to both sides."""

    def draw(width: int) -> Any:
        chart = _pygal().Line(
            **_plain(width, 150), range=(0, 1), y_labels=[0, 0.5, 1], dots_size=2.5, show_x_guides=False
        )
        days = [point.on for point in line.points]
        chart.x_labels = [days[0], *[""] * (len(days) - 2), days[-1]]
        chart.add("", [point.mean.score for point in line.points])
        chart.add("", [max(0.0, point.mean.score - point.mean.band) for point in line.points])
        chart.add("", [min(1.0, point.mean.score + point.mean.band) for point in line.points])
        return chart

    told = [f"{point.on} {shown(point.mean.score)}" for point in line.points]
    return _drawn(draw, f"{about} of {line.name}", told, widths=widths)


def print_page(page: str, out: Path) -> None:
    """Prints the page as PDF, by a Chromium without a window.

    Raises:
        UsageError: there is no Chromium on the PATH.
        SessionError: it printed nothing, or the file cannot be written.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise UsageError(
            f"There is no Chromium to print a PDF with: none of {', '.join(BROWSERS)} is on the PATH.",
            hint="Install one; or use --format html, and print the page from any browser.",
        )
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    try:
        # Beside the file and with a name that is not hidden: a Chromium that is a snap sees no other folder.
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f"{out.stem}-", ignore_cleanup_errors=True) as folder:
            made, source = Path(folder, "page.pdf").resolve(), Path(folder, "page.html").resolve()
            source.write_text(page, encoding="utf-8")
            words = [browser, *QUIET, *root, f"--user-data-dir={folder}/profile", "--no-pdf-header-footer"]
            ran = subprocess.run(  # noqa: S603 (a browser by its whole path, and files of our own naming)
                [*words, f"--print-to-pdf={made}", source.as_uri()],
                capture_output=True,
                timeout=PRINTING_SECONDS,
                check=False,
            )
            if ran.returncode or not made.is_file():
                said = bare(ran.stderr.decode(errors="replace")).strip().splitlines()
                raise SessionError(
                    f"{browser} printed no PDF (exit code {ran.returncode}){': ' + said[-1] if said else '.'}",
                    hint="Use --format html, and print the page from any browser.",
                )
            made.chmod(0o600)
            made.replace(out)
    except subprocess.TimeoutExpired as exc:
        raise SessionError(
            f"{browser} printed no PDF within {PRINTING_SECONDS} seconds.",
            hint="Use --format html, and print the page from any browser.",
        ) from exc
    except OSError as exc:
        raise SessionError(f"{out} cannot be written: {exc.strerror}.", hint="Check the folder and the disk.") from exc


def _quotes(evidence: Iterable[Evidence]) -> tuple[tuple[int, str], ...]:
    return tuple((one.turn, one.quote) for one in evidence)


def _by(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else round(after - before, 4)


def _rank(criterion: Criterion | None, given: Verdict | str | None) -> str:
    """Returns where a level stands among its criterion's: "met" is the highest."""
    level = given if given is None or isinstance(given, str) else given.level
    names = tuple(criterion.levels) if criterion else ()
    if level not in names:
        return ""
    return "met" if level == names[-1] else "lowest" if level == names[0] else "between"


def _makers(question: str, sat: Sequence[Sat]) -> list[str]:
    """Returns in words what made each grade; with the beginning of the rubric's hash where there are several."""
    rubrics = [part.rubric.digest for one in sat if (part := one.part(question))]
    told = []
    for one, rubric in zip(sat, rubrics, strict=True):
        votes = f", {one.grade.stamp.votes} votes" if one.grade.stamp.votes > 1 else ""
        which = f", rubric {rubric.removeprefix('sha256:')[:8]}" if len(set(rubrics)) > 1 else ""
        told.append(f"{one.grade.stamp.model}{votes}, level {one.grade.target_level}{which}")
    return told


def _courses(name: str, rows: Sequence[Mapping[str, Any]], noise: float) -> list[Course]:
    """Returns the scores of each maker that gave more than one."""
    points: dict[str, list[Point]] = {}
    for row in rows:
        if row["score"] is not None:
            points.setdefault(row["maker"], []).append(Point(row["session"], row["on"], Mean(row["score"], 1, noise)))
    return [
        Course(name, maker, len(all_), tuple(all_), (old := all_[0].mean), (new := all_[-1].mean), change(old, new))
        for maker, all_ in points.items()
        if len(all_) > 1
    ]


def _level(verdict: Verdict) -> str:
    return f"{verdict.level} ({shown(verdict.points)})" if verdict.state == "scored" else "not scored"


def _cut(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


@cache
def _pygal() -> Any:
    """Returns pygal. It is loaded with the first chart: 70 ms.

    On its way it puts a finder of maps into all of Python's imports, and Python 3.11 warns of what that lacks: it is taken out again.
    """
    import pygal
    import pygal.etree
    import pygal.style

    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]
    return pygal


def _plain(width: int, height: int) -> dict[str, Any]:
    """Returns what all charts have in common: no style, script, legend or tooltip of pygal's own."""
    return {
        "width": width,
        "height": height,
        "margin": 6,
        "js": (),
        "css": (),
        "show_legend": False,
        "no_prefix": True,
        "spacing": 8,
        "truncate_label": -1,
        "style": _pygal().style.Style(label_font_size=14, major_label_font_size=12, value_font_size=13),
        "formatter": lambda value: f"{value:g}",
    }


def _drawn(
    draw: Callable[[int], Any],
    about: str,
    values: Sequence[str],
    *,
    widths: Mapping[str, int] = WIDTHS,
    kind: str = "",
) -> Markup:
    """Returns the chart in each of the widths, of which the style shows one; the picture's name says its values."""
    if not values:
        return Markup("")
    label = bare(f"{about}: {'; '.join(values)}.")
    pictures = []
    for name, width in widths.items():
        root = draw(width).render_tree()
        _strip(root)
        root.set("class", f"chart {kind}{name}")
        root.set("role", "img")
        root.set("aria-label", label)
        pictures.append(_as_text(root))
    return Markup("".join(pictures))  # noqa: S704 (an element tree's own writing, which escapes all texts)


def _strip(root: Any) -> None:
    """Takes out of a chart what only pygal's script and style would use."""
    root.attrib.pop("id", None)
    for parent in list(root.iter()):
        if not isinstance(parent.tag, str):
            continue
        parent.attrib.pop("style", None)
        for child in list(parent):
            name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else "comment"
            if name in ("defs", "desc", "title", "comment") or "tooltip-overlay" in child.get("class", ""):
                parent.remove(child)


def _as_text(root: Any) -> str:
    return str(_pygal().etree.etree.tostring(root, encoding="unicode"))


def _clean(value: Any) -> Any:
    """Returns what an expression came to; a text without control and bidirectional characters."""
    return type(value)(bare(value)) if isinstance(value, str) else value


@cache
def _environment() -> jinja2.Environment:
    made = environment(autoescape=True, finalize=_clean)
    made.filters |= {
        "minutes": minutes,
        "short": shortened,
        "signed": lambda number: "–" if number is None else f"{number:+.2f}",
        "words": lambda text: str(text).replace("_", " "),
        "money": money,
    }
    for kind, name in (("style", "page.css"), ("script", "page.js")):
        text = (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
        made.globals[kind] = Markup(text)  # noqa: S704 (our own file)
        made.globals[f"{kind}_hash"] = f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
    return made


def _rendered(name: str, **values: Any) -> str:
    return _environment().get_template(name).render(**values)
