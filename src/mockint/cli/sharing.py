"""The commands that set grades beside one another, and that carry sessions elsewhere: compare and export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mockint.cli.shared import (
    AsJson,
    ConfigFile,
    HomeDir,
    complain,
    settled,
    transcript_of,
    trust_in,
)
from mockint.errors import SessionError, UsageError
from mockint.wording import many

if TYPE_CHECKING:
    from collections.abc import Callable

    from mockint.grades import Grade
    from mockint.report import Sat
    from mockint.sharing import Took
    from mockint.store import Home
    from mockint.transcript import Transcript


def compare(
    session: Annotated[Optional[str], typer.Argument(metavar="SESSION", help="An id, its beginning, or last.")] = None,
    other: Annotated[Optional[str], typer.Argument(metavar="OTHER", help="A second session.")] = None,
    grades: Annotated[
        Optional[tuple[int, int]],
        typer.Option(
            help="The grades' numbers; by default the newest with a score: two of them, or one of each session."
        ),
    ] = None,
    question: Annotated[
        Optional[str], typer.Option("--question", help="This question over time, in every session that has it.")
    ] = None,
    html: Annotated[Optional[Path], typer.Option("--html", help="Write it into this file too, as one page.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
) -> None:
    """Set two grades of a session, two sessions, or one question's grades over time beside one another."""
    store = _store(config, home)
    if question:
        if session or grades:
            raise UsageError("--question goes over all sessions.", hint=f"Say: mockint compare --question {question}")
        page = _over_time(store, question, as_json=as_json)
    elif not session:
        raise UsageError("There is nothing to compare.", hint="Name a session, two of them, or --question ID.")
    elif other:
        page = _two_sessions(store, store.resolve(session), store.resolve(other), grades, as_json=as_json)
    else:
        page = _two_grades(store, store.resolve(session), grades, as_json=as_json)
    if html:
        from mockint.store import write

        write(html, page())
        typer.echo(f"Written: {html}", err=True)


def _two_grades(store: Home, name: str, grades: tuple[int, int] | None, *, as_json: bool) -> Callable[[], str]:
    """Prints them, and returns what makes their page; as the next two."""
    from mockint.report import comparison, moved_data, moves, stamp_differences

    numbers = [int(path.stem) for path in store.grade_files(name)]
    if grades is None and len(numbers) < 2:
        raise UsageError(
            f"The session {name!r} has {'1 grade' if numbers else 'no grade'}.",
            hint=f"Add one: mockint grade {name} --model PROVIDER/MODEL. Or name another session beside it.",
        )
    scored = [] if grades else [number for number in numbers if store.grade(name, number).score is not None]
    first, second = grades or (scored if len(scored) > 1 else numbers)[-2:]
    before, after = store.grade(name, first), store.grade(name, second)
    if as_json:
        unlike = stamp_differences(before, after)
        result = {"session": name, "grades": [first, second], "stamps": unlike, "signal": [before.signal, after.signal]}
        moved = [moved_data(move) for move in moves(before, after)]
        typer.echo(json.dumps(result | {"score": [before.score, after.score], "moved": moved}, ensure_ascii=False))
    else:
        typer.echo(comparison(before, after, names=(str(first), str(second))), nl=False)
    return lambda: _page_of(*(_sat(store, name, number) for number in (first, second)))


def _two_sessions(
    store: Home, first: str, second: str, grades: tuple[int, int] | None, *, as_json: bool
) -> Callable[[], str]:
    from mockint.report import beside, beside_text

    if first == second:
        raise UsageError(f"{first!r} is named twice.", hint=f"Two grades of it: mockint compare {first}")
    numbers = grades or (None, None)
    both = [_sat(store, name, number) for name, number in zip((first, second), numbers, strict=True)]
    data = beside(*both)
    typer.echo(json.dumps(data, ensure_ascii=False) if as_json else beside_text(data), nl=as_json)
    return lambda: _page_of(*both)


def _page_of(first: Sat, second: Sat) -> str:
    from mockint.pages import compare_page

    return compare_page(first, second)


def _over_time(store: Home, question: str, *, as_json: bool) -> Callable[[], str]:
    from mockint.content import near
    from mockint.report import over_time, over_time_text
    from mockint.study.index import sittings

    held = {one.session: {answer.question for answer in one.answers} for one in sittings(store, damaged=complain)}
    found = [_sat(store, name) for name, questions in held.items() if question in questions]
    if not found:
        raise SessionError(
            f"No graded session has the question {question!r}{near(question, set().union(*held.values()))}",
            hint="What was asked: mockint history. What can be asked: mockint bank list",
        )
    data = over_time(question, found)
    typer.echo(json.dumps(data, ensure_ascii=False) if as_json else over_time_text(data), nl=as_json)

    def page() -> str:
        from mockint.calibration import shipped_figures
        from mockint.pages import over_time_page

        return over_time_page(question, found, noise=shipped_figures().error)

    return page


def _sat(store: Home, name: str, number: int | None = None) -> Sat:
    from mockint.report import Sat

    kept = store.kept(name, number)
    return Sat(transcript_of(store, name), kept.grade, kept.number)


def export_session(
    sessions: Annotated[list[str], typer.Argument(metavar="SESSION…", help="An id, its beginning, or last.")],
    out: Annotated[
        Optional[Path], typer.Option(help="The zip to write; by default SESSION.zip, or SESSION-redacted.zip.")
    ] = None,
    redact: Annotated[
        bool,
        typer.Option("--redact", help="Take out e-mail addresses, phone numbers, keys and addresses with user names."),
    ] = False,
    redact_word: Annotated[
        Optional[list[str]],
        typer.Option(metavar="TEXT", help="Also take out this name, employer or phrase; repeatable."),
    ] = None,
    redact_file: Annotated[
        Optional[Path], typer.Option(metavar="FILE", help="Also take out the words of a file, one a line.")
    ] = None,
    anki: Annotated[
        Optional[Path],
        typer.Option(metavar="FILE.apkg", help="Cards of what was not met, for Anki; of several sessions, or of all."),
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
) -> None:
    """Write a session as one file, to carry it elsewhere: `mockint import` unpacks it. Or write cards for Anki."""
    store = _store(config, home)
    redacting = redact or redact_word is not None or redact_file is not None
    if anki:
        if redacting or out:
            raise UsageError("--out and --redact are for a session's zip.", hint="Leave them out with --anki.")
        _cards(store, sessions, anki, as_json=as_json)
        return
    if len(sessions) != 1 or sessions == ["all"]:
        raise UsageError("A zip holds one session.", hint="Export them one by one. --anki takes several.")
    from mockint.files import put
    from mockint.sharing import Redactor, export, words_of

    words = [*(redact_word or ()), *(words_of(redact_file) if redact_file else ())]
    if blank := [word for word in words if not word.strip()]:
        raise UsageError(f"{blank[0]!r} is no word to take out.", hint="Give --redact-word a name or a phrase.")
    name = store.resolve(sessions[0])

    def report(transcript: Transcript, grade: Grade) -> str:
        from mockint.report import markdown

        return markdown(transcript, grade, trust_in(store, transcript, grade))

    redactor = Redactor(tuple(words)) if redacting else None
    made = export(store, name, redactor=redactor, report=report)
    path = out or Path(f"{made.session}{'-redacted' if made.took else ''}.zip")
    put(path, made.data)
    if made.took:
        _say_what_was_taken(made.took, made.manifest.placeholders)
    if as_json:
        result = {"path": str(path), "session": made.session, "redacted": made.manifest.redacted}
        result |= {"placeholders": made.manifest.placeholders, "files": sorted(made.manifest.files)}
        if made.took:
            result["still_there"] = [*made.took.inside, *made.took.parts, *made.took.fixed]
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        typer.echo(str(path))


def _say_what_was_taken(took: Took, counts: dict[str, int]) -> None:
    from mockint.report import clean

    if not counts:
        typer.echo("Nothing was found to take out.", err=True)
    else:
        typer.echo(f"Taken out, in {sum(counts.values())} places of the files:", err=True)
    width = max(map(len, counts), default=0)
    for placeholder, times in counts.items():
        shown, most = clean(took.stood_for[placeholder]), 6 if placeholder.startswith("[key") else 40
        typer.echo(
            f"  {placeholder:<{width}}  {times:>4} ×  {shown[:most]}{'…' if len(shown) > most else ''}", err=True
        )
    for word in took.unseen:
        typer.echo(f"{clean(word)!r} was listed, and stands nowhere in it by itself.", err=True)
    for what, words in (("inside longer words", took.inside), ("parts of what was listed", took.parts)):
        if words:
            typer.echo(f"Still there, {what}: {clean(', '.join(words))}. List these to take them out.", err=True)
    if took.fixed:
        typer.echo(f"Still there, as words of the format itself: {clean(', '.join(took.fixed))}.", err=True)
    typer.echo(
        "Read it before you send it: what is not listed and looks like no address, number or key stays.", err=True
    )
    typer.echo(
        "Its manifest has the originals' hashes, by which a guess at what was taken out can be checked.", err=True
    )


def _cards(store: Home, sessions: list[str], path: Path, *, as_json: bool) -> None:
    from mockint.sharing import anki, cards

    if "all" in sessions:
        names = [name for name in store.ids() if store.grade_files(name)]
    else:
        names = sorted({store.resolve(one) for one in sessions})
    graded = []
    for name in names:
        try:
            graded.append((transcript_of(store, name), store.grade(name)))
        except SessionError as exc:
            if "all" not in sessions:
                raise
            complain(exc)
    made = cards(graded)
    if not made:
        raise SessionError(
            "There is nothing to make a card of: no criterion is graded below its highest level.",
            hint="Grade a session first, or name another.",
        )
    anki(made, path, timestamp=max(grade.stamp.at for _, grade in graded).timestamp())
    typer.echo(f"{many(len(made), 'card')} of {many(len(graded), 'session')}.", err=True)
    result: dict[str, Any] = {"path": str(path), "cards": [[card.question, card.criterion] for card in made]}
    typer.echo(json.dumps(result) if as_json else str(path))


def _store(config: Path | None, home: Path | None) -> Home:
    from mockint.store import Home

    return Home(settled(config, home, None, {}).home)
