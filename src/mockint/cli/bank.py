"""The commands about questions and rubrics: bank list, show, lint, test, stats and new."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mockint.cli.shared import (
    AsJson,
    ConfigFile,
    ContentDirs,
    HomeDir,
    Level,
    bank_of,
    only,
    settled,
    tracks_of,
    try_out_on,
)

if TYPE_CHECKING:
    pass


def bank_list(
    track: Annotated[Optional[list[str]], typer.Option(help="Only this track; repeatable.")] = None,
    level: Level = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """List the questions."""
    track = tracks_of(track)
    bank = bank_of(settled(config, home, content, {}))
    found = [q for q in bank.questions.values() if (not track or q.track in track) and (not level or level in q.levels)]
    if as_json:
        typer.echo(json.dumps([question.model_dump(mode="json") for question in found], ensure_ascii=False))
        return
    for path in bank.overridden:
        typer.echo(f"replaced by a later folder: {path}", err=True)
    wide = max((len(question.id) for question in found), default=0)
    title = max((len(question.title) for question in found), default=0)
    for name in dict.fromkeys(question.track for question in found):
        typer.echo(name)
        for question in (question for question in found if question.track == name):
            shape = f"  {question.id:<{wide}}  {question.title:<{title}}  {question.kind:<11} {question.minutes:>2} min"
            ends = dict.fromkeys((question.levels[0], question.levels[-1]))
            typer.echo(f"{shape}  {' to '.join(ends)}")


def bank_show(
    question: Annotated[str, typer.Argument(help="The question's id.")],
    answer: Annotated[bool, typer.Option("--answer", help="The rubric and the model answer too.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Show a question; with --answer, what a good answer holds."""
    bank = bank_of(settled(config, home, content, {}))
    found = bank.question(question)
    rubric = bank.rubric(found) if answer or as_json else None
    if as_json:
        both = {"question": found.model_dump(mode="json"), "rubric": rubric and rubric.model_dump(mode="json")}
        typer.echo(json.dumps(both, ensure_ascii=False))
        return
    typer.echo(f"{found.title}\n{found.track}, {found.kind}, {', '.join(found.levels)}, {found.minutes} minutes\n")
    typer.echo(found.ask)
    for criterion in rubric.criteria if rubric else ():
        typer.echo(f"\n{criterion.asks}\n  weight {criterion.weight}, expected from {criterion.expected_from}")
        for name, text in criterion.levels.items():
            typer.echo(f"  {name}: {text}")
    if rubric:
        typer.echo(f"\nA model answer:\n\n{rubric.answer}")


def bank_lint(
    as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None, content: ContentDirs = None
) -> None:
    """List every problem of the content with file, line and key; exit 3 if there is any."""
    from mockint.lint import lint

    problems = lint(settled(config, home, content, {}).folders)
    if as_json:
        rows = [{"file": str(p.path), "line": p.line, "key": p.key, "message": p.message} for p in problems]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for problem in problems:
            typer.echo(str(problem))
        typer.echo("no problem" if not problems else f"{len(problems)} problems", err=True)
    if problems:
        raise typer.Exit(3)


def bank_test(
    questions: Annotated[
        Optional[list[str]], typer.Argument(metavar="[QUESTION]…", help="By default all of them.")
    ] = None,
    grader: Annotated[Optional[str], typer.Option(help="PROVIDER/MODEL, or offline.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Grade the sample answers of rubrics and show where the grader and the stated levels differ."""
    from mockint.calibration import samples
    from mockint.report import clean

    settings = settled(config, home, content, {"models": only(grader=grader)})
    bank = bank_of(settings)
    chosen = [bank.question(name) for name in questions] if questions else list(bank.questions.values())
    trial = try_out_on(samples(bank, chosen), bank, settings)
    if as_json:
        typer.echo(json.dumps([asdict(rating) for rating in trial.ratings], ensure_ascii=False))
        return
    same = 0
    for score in trial.scores:
        ratings = [rating for rating in trial.ratings if rating.answer == score.answer]
        unlike = [rating for rating in ratings if rating.given != rating.stated]
        same += len(ratings) - len(unlike)
        reached = "not scored" if score.given is None else f"{score.given:.2f}"
        typer.echo(f"{score.answer}: stated {score.stated:.2f}, given {reached}")
        for rating in unlike:
            quote = f"  “{clean(rating.quote):.70}”" if rating.quote else ""
            typer.echo(f"  {rating.criterion}: {rating.stated}, given {rating.given or 'unscored'}{quote}")
    typer.echo(f"\n{same} of {len(trial.ratings)} ratings are as stated", err=True)


def bank_stats(
    as_json: AsJson = False, config: ConfigFile = None, home: HomeDir = None, content: ContentDirs = None
) -> None:
    """Count the questions by track, kind, level and minutes, the reported ones that they cover, and the loops' minutes."""
    from collections import Counter

    from mockint.bank import load_loop, load_origins, loop_files

    settings = settled(config, home, content, {})
    folders = settings.folders
    found, origins = bank_of(settings).questions.values(), load_origins(folders)
    covered = {origin for question in found for origin in question.origins} & origins.keys()
    counts: dict[str, dict[str, int]] = {
        "questions": {"all": len(found)},
        "track": dict(Counter(question.track for question in found)),
        "kind": dict(Counter(question.kind for question in found)),
        "level": dict(Counter(level for question in found for level in question.levels)),
        "minutes": {str(m): n for m, n in sorted(Counter(question.minutes for question in found).items())},
        "origins": {"reported": len(origins), "covered": len(covered)},
        "loops": {name: load_loop(folders, name).minutes for name in loop_files(folders)},
    }
    if as_json:
        typer.echo(json.dumps(counts))
        return
    for name, group in counts.items():
        typer.echo(name)
        for key, count in group.items():
            typer.echo(f"  {key:<22} {count:>4}{' minutes' if name == 'loops' else ''}")


def bank_new(
    track: Annotated[str, typer.Argument(help="The track that it belongs to.")],
    slug: Annotated[str, typer.Argument(help="Its id, such as hybrid-search.")],
    content: Annotated[
        Path, typer.Option("--content", help="The content folder of your own that it goes into.")
    ] = Path(),
) -> None:
    """Write the three commented files of a new question, with blanks to fill in."""
    from mockint.skeleton import write_skeleton

    (name,) = tracks_of([track])
    for path in write_skeleton(content, name, slug):
        typer.echo(str(path))
