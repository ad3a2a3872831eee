"""The commands about what one has done and what comes next: history."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mockint.cli.shared import AsJson, ConfigFile, HomeDir, complain, settled
from mockint.errors import UsageError
from mockint.wording import many, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from mockint.config import Config
    from mockint.rubric import TargetLevel
    from mockint.study import Sitting
    from mockint.study.index import Row, View
    from mockint.study.trends import Line, Mean, SelfRating, Trends, Weak

LAST, WEAK = 20, 8
"""Sessions that are listed, and weak criteria that are told."""
MANY = 200
"""Sessions to be read from which a bar shows how far that is: a tenth of a second and more."""
BARS = "▁▂▃▄▅▆▇█"
WIDE, SPARK = 80, 8


def history(
    last: Annotated[
        Optional[int],
        typer.Option(min=1, metavar="N", help=f"List the newest N sessions; {LAST} by default, with --json all."),
    ] = None,
    trends: Annotated[
        bool, typer.Option("--trends", help="The trends alone, without the list; with --json, as one document.")
    ] = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw the tracks' scores over time; needs the package plotext.")
    ] = False,
    html: Annotated[
        Optional[Path], typer.Option("--html", help="Write the list and the trends into this file, as one page.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
) -> None:
    """List the sessions, newest last, with the newest grade of each that has a score, and say how the scores go over time."""
    from mockint.study.index import listing, sittings

    if plot and as_json:
        raise UsageError("A drawing is no JSON.", hint="Leave out --plot, or --json.")
    if plot:
        _plotext()
    settings = settled(config, home, None, {})
    view = _view(settings, as_json=as_json) if trends or not as_json else None
    found = listing(settings.home, last=last if as_json else last or LAST, view=view, watch=watch)
    if as_json:
        typer.echo(found.view or "null" if trends else json.dumps(found.rows))
    elif found.rows:
        if not trends:
            _list(found.rows, found.more)
        if found.view:
            typer.echo(found.view if trends else f"\n{found.view}")
        elif trends:
            typer.echo("No session is graded yet. Grade one with: mockint grade SESSION", err=True)
    elif not found.damaged:
        typer.echo("There are no sessions yet. Begin with: mockint start --track rag", err=True)
    for problem in found.damaged:
        complain(problem)
    if html or (plot and found.view):
        from mockint.store import Home  # 90 ms, with pydantic

        made = _trends(settings, sittings(Home(settings.home)))
        if plot and made.tracks:
            typer.echo("\n" + _drawn(_plotext(), made))
        if html:
            _write_page(html, listing(settings.home, last=last).rows, made)


def _list(rows: Sequence[Row], more: int) -> None:
    if more:
        typer.echo(
            f"{many(more, 'earlier session')}; list them all with: mockint history --last {more + len(rows)}", err=True
        )
    wide = max(len(row["session"]) for row in rows)
    typer.echo(f"{'session':<{wide}} {'level':<6} answered score signal", err=True)
    lines = []
    for row in rows:
        told = row["signal"] or ("not graded" if row["outcome"] else "unfinished")
        answered = f"{row['answered']} of {row['questions']}"
        ended = ", you quit" if row["outcome"] == "quit" else ""
        lines.append(f"{row['session']:<{wide}} {row['level']:<6} {answered:<8} {shown(row['score']):<5} {told}{ended}")
    typer.echo("\n".join(lines))


def watch(count: int) -> AbstractContextManager[Callable[[], None]]:
    from contextlib import nullcontext

    if count < MANY:
        return nullcontext(lambda: None)
    from mockint.terminal import progress

    return progress("reading sessions", count)


# The trends


def _view(settings: Config, *, as_json: bool) -> View:
    """Returns the trends as the index keeps them: as a document, or as text for 80 columns."""
    from mockint.content import find
    from mockint.study.index import View

    level = settings.settings.interview.level
    scale = find(settings.folders, "rubrics", "scale.yaml")
    stat = scale.stat() if scale else None
    mark = [level, str(scale), stat and stat.st_size, stat and stat.st_mtime_ns]

    def make(sittings: list[Sitting]) -> str:
        made = _trends(settings, sittings)
        return json.dumps(made.as_data(), ensure_ascii=False) if as_json else "\n".join(_text(made))

    return View("document" if as_json else "text", json.dumps(mark), make)


def _trends(settings: Config, sittings: list[Sitting]) -> Trends:
    from mockint.calibration import shipped_figures
    from mockint.rubric import load_scale
    from mockint.study.trends import trends

    level: TargetLevel = settings.settings.interview.level
    bands = load_scale(settings.folders).bands
    return trends(sittings, noise=shipped_figures().error, level=level, bands=bands)


def _text(made: Trends) -> list[str]:
    from mockint.cli.plan import wrapped

    several = len(made.graders) > 1
    by = ", ".join(f"{_named(name)} ({count})" for name, count in made.graders)
    held = many(made.sittings, "graded session")
    when = f"on {made.last}" if made.first == made.last else f"{made.first} to {made.last}"
    head = f"Trends over {held}, {when}, graded by {by}."
    if several:
        head += " Each grader's scores stand on lines of their own; the rest joins them."
    lines = wrapped(head)
    lines += ["", *wrapped(f"Score by track, before and now; {_error(made)}:")]
    for grader, _ in made.graders:
        mine = [line for line in made.tracks if line.grader == grader]
        if several and mine:
            lines.append(f"by {_named(grader)}:")
        lines += [_line(line) for line in mine]
    if made.weak:
        lines += ["", "Weak criteria, by weighted points lost:", f"{'lost':>6}  missed  last seen   question/criterion"]
        lines += [line for one in made.weak[:WEAK] for line in _weak(one)]
        if len(made.weak) > WEAK:
            lines.append(f"and {len(made.weak) - WEAK} more: mockint history --trends --json")
    lines.append("")
    for told in (_time(made), _prompting(made), _rated(made.self_rating), *_ready(made)):
        lines += wrapped(told, indent=2) if told else []
    return lines


def _error(made: Trends) -> str:
    told = f"the offline grader is off by {made.noise:.2f} in one answer"
    others = any(grader != "offline" for grader, _ in made.graders)
    return f"{told}, which is taken for the others too" if others else told


def _named(grader: str) -> str:
    from mockint.report import clean

    return clean(grader)[:40]


def _line(line: Line) -> str:
    spark = "".join(BARS[min(len(BARS) - 1, int(p.mean.score * len(BARS)))] for p in line.points[-SPARK:])
    before = f"{line.before.score:.2f}→" if line.before else ""
    return f"{line.name:<16} {spark:<{SPARK}} {before:>5}{_mean(line.now)} {line.change}"


def _mean(mean: Mean) -> str:
    return f"{mean.score:.2f} ±{mean.band:.2f}"


def _weak(one: Weak) -> list[str]:
    start = f"{one.lost:>6.1f}  {f'{one.missed} of {one.times}':<6}  {one.last}  "
    return [start + one.id] if len(start + one.id) <= WIDE else [start.rstrip(), f"{'':8}{one.id}"]


def _time(made: Trends) -> str:
    used = made.time
    if used is None:
        return ""
    return f"Time: {used.median:.0%} of the budget in the median of {many(used.answers, 'answer')}; {used.over:.0%} took longer than it."


def _prompting(made: Trends) -> str:
    one = made.prompting
    if not one.total:
        return ""
    shares = f"{one.unprompted / one.total:.0%} came unprompted, {one.probe / one.total:.0%} after a probe, {one.hint / one.total:.0%} after a hint"
    return f"Prompting: of {many(one.total, 'criterion', 'criteria')} shown, {shares}{_over(one.graders)}."


def _rated(one: SelfRating | None) -> str:
    if one is None:
        return "Self-rating: none; rate your answers with: mockint start --self-rate"
    side = "above" if one.difference > 0 else "below"
    off = f"{abs(one.difference):.2f} {side} the grade, ±{one.band:.2f}, over {many(one.answers, 'answer')}"
    return f"Self-rating: {off}: {one.leaning}{_over(one.graders)}."


def _ready(made: Trends) -> tuple[str, str]:
    one = made.readiness
    mean = f"; mean score {_mean(one.score)}" if one.score else ""
    rest = f"{many(one.answers, 'graded answer')} on {', '.join(one.tracks) or 'no track'}"
    hired = f"{one.hired} with a signal of hire or better"
    return (
        f"Readiness for {one.level}: {one.word}; {one.why}.",
        f"  It rests on the last {many(one.sittings, 'session')} at that level or above, {hired}: {rest}{mean}{_over(one.graders)}.",
    )


def _over(graders: Sequence[str]) -> str:
    return f" (over {len(graders)} graders)" if len(graders) > 1 else ""


def _write_page(out: Path, rows: Sequence[Row], made: Trends) -> None:
    from mockint.pages import history_page
    from mockint.store import write

    write(out, history_page(rows, made))
    typer.echo(f"Written: {out}", err=True)


# The drawing


def _plotext() -> Any:
    """Raises UsageError when the package is missing, or of a version with other functions."""
    try:
        plotext = import_module("plotext")
    except ImportError:
        plotext = None
    if not hasattr(plotext, "scatter"):
        raise UsageError(
            "Drawing needs the package plotext, version 5.", hint="Install it: pip install 'plotext>=5.3,<6'"
        )
    return plotext


def _drawn(plotext: Any, made: Trends) -> str:
    """Returns the tracks' scores, sitting by sitting, each with a letter of its own and without colours."""
    several = len(made.graders) > 1
    held = sorted({(point.on, point.session) for line in made.tracks for point in line.points})
    places = {session: place for place, (_, session) in enumerate(held, 1)}
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(WIDE, 24)
    plotext.ylim(0, 1)
    plotext.title("Score by track, session by session")
    for number, line in enumerate(made.tracks):
        label = f"{line.name} by {_named(line.grader)}" if several else line.name
        plotext.scatter(
            [places[point.session] for point in line.points],
            [point.mean.score for point in line.points],
            marker=chr(ord("a") + number % 26),
            label=label,
        )
    ends = {1: held[0][0], len(held): held[-1][0]}
    plotext.xticks(list(ends), list(ends.values()))
    return "\n".join(line.rstrip() for line in plotext.uncolorize(plotext.build()).splitlines())
