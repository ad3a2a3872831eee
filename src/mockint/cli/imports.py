"""The command about interviews that mockint did not record: import."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mockint.cli.shared import AsJson, ConfigFile, ContentDirs, HomeDir, bank_of, complain, me, note, settled, tracks_of
from mockint.errors import ContentError, MockintError, UsageError

if TYPE_CHECKING:
    from mockint.bank import Bank
    from mockint.config import Config
    from mockint.imports import Interview, Matcher, Pseudonyms, Reading, Roles


def import_interviews(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Transcripts, or folders of them; or exported sessions.")
    ],
    candidate: Annotated[
        Optional[list[str]], typer.Option(help="Who the candidate is; repeatable, for files with different ones.")
    ] = None,
    align: Annotated[
        Optional[list[str]],
        typer.Option(metavar="TURN=QUESTION", help="Settle what a turn asks: a question, probe or none; repeatable."),
    ] = None,
    expect: Annotated[
        Optional[list[str]], typer.Option(metavar="QUESTION", help="A question that should be asked; repeatable.")
    ] = None,
    loop: Annotated[Optional[str], typer.Option(help="A loop whose questions should be asked.")] = None,
    track: Annotated[
        Optional[list[str]], typer.Option(help="A track whose questions should be asked; repeatable.")
    ] = None,
    pseudonymise: Annotated[bool, typer.Option("--pseudonymise", help="Keep no names of people.")] = False,
    name: Annotated[
        Optional[list[str]], typer.Option(help="With --pseudonymise: somebody else's name to hide; repeatable.")
    ] = None,
    names_out: Annotated[
        Optional[Path], typer.Option(help="With --pseudonymise: write here whose name became what.")
    ] = None,
    out: Annotated[
        Optional[Path],
        typer.Option(
            help="The folder to write; for several interviews, where each gets its own. Default HOME/imports."
        ),
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    home: HomeDir = None,
    content: ContentDirs = None,
) -> None:
    """Turn transcripts of interviews held elsewhere into answers that `mockint grade` takes."""
    from mockint.imports import ENDINGS, Matcher, before, find, interview, keep, pseudonymised, read, settlements, stem
    from mockint.store import write

    if (names_out or name) and not pseudonymise:
        raise UsageError(
            "--names-out and --name go with --pseudonymise.", hint="Add --pseudonymise, or leave them out."
        )
    settings = settled(config, home, content, {})
    if any(path.suffix.lower() == ".zip" for path in inputs):
        if candidate or align or expect or loop or track or pseudonymise or out:
            raise UsageError(
                "An exported session is unpacked as it is: names, questions and folders are told of transcripts alone.",
                hint=f"Unpack it with: {me()} import {inputs[0]}",
            )
        _unpack(inputs, settings, as_json=as_json)
        return
    base = out or settings.home / "imports"
    names = _names_before(names_out, base)
    bank = bank_of(settings)
    found = find(inputs)
    if align and len(found.paths) != 1:
        raise UsageError(f"--align goes with one file, not {len(found.paths)}.", hint="Import that file by itself.")
    hand, expected = settlements(align or (), bank), _expected(settings, bank, expect, loop, track)
    if not found.paths:
        raise ContentError(
            f"There is no transcript in {', '.join(map(str, inputs))}.",
            hint=f"Their names end in {', '.join(ENDINGS)}.",
        )
    matcher = Matcher(bank)
    several = len(found.paths) > 1
    made: list[_Made] = []
    failed: list[tuple[Path, MockintError]] = []
    first: dict[str, Path] = {}
    nowhere = set(name or ())
    try:
        for path in found.paths:
            try:
                reading = read(path)
                if same := first.get(reading.sha256):
                    note(f"{path} is the same as {same}, and is imported once.")
                    continue
                first[reading.sha256] = path
                roles = _roles(reading, matcher, candidate or [])
                folder = base / stem(reading, bare=pseudonymise) if several or out is None else base
                others = _others(reading, folder, name or [], names, base, pseudonymise=pseudonymise)
                old = settlements(before(folder, reading.sha256).settled, bank)
                told = interview(reading, roles, matcher, settled=old | hand, expected=expected)
                pseudonyms = _used(told, roles, others)
                if pseudonymise:
                    told = pseudonymised(told, pseudonyms)
                if not told.answers:
                    raise ContentError(
                        f"{path}: no question of the bank was found in it.{_unsure(told)}",
                        hint="Say which turn asks which: --align TURN=QUESTION. See: mockint bank list",
                    )
                answers = keep(told, folder)
            except MockintError as exc:
                complain(exc)
                failed.append((path, exc))
                continue
            made.append(_Made(answers, told.record() if as_json else {}))
            names[told.stem] = {instead: given for given, instead in pseudonyms.names.items()}
            _tell(path, answers, told)
            if kept := [f"{turn}={what}" for turn, what in old.items() if turn not in hand]:
                note(f"  kept from what you settled before: {', '.join(kept)}")
            if pseudonymise:
                texts = [turn.text for turn in told.turns]
                nowhere -= set(pseudonyms.others)
                _say_what_stands(path, pseudonyms.suspects(texts))
    finally:
        if names_out and made:
            write(names_out, json.dumps(names, ensure_ascii=False, indent=1) + "\n")
    if nowhere and made:
        note(f"Nothing was hidden of {', '.join(sorted(nowhere))}: it stands in no transcript.")
    _report(made, failed, found.left_out, as_json=as_json)


def _others(
    reading: Reading, folder: Path, given: list[str], names: dict[str, Any], base: Path, *, pseudonymise: bool
) -> list[str]:
    """Returns the names of others to hide: those given, and those that --names-out's file has of this interview.

    Raises:
        UsageError: the interview was imported without names, and this would bring them back.
    """
    from mockint.imports import before, stem

    bare = stem(reading, bare=True)
    known = next((was for place in (folder, base / bare) if (was := before(place, reading.sha256)).pseudonymised), None)
    if not known:
        return given
    if not pseudonymise:
        raise UsageError(
            f"{reading.path} was imported without names before, and this would bring them back.",
            hint=f"Add --pseudonymise, give another --out, or delete the folder of {bare} first.",
        )
    told = names.get(bare)
    recorded = told if isinstance(told, dict) else {}
    others = list(dict.fromkeys([*(who for instead, who in recorded.items() if instead.startswith("Person ")), *given]))
    if len(others) < known.names_hidden:
        raise UsageError(
            f"{reading.path} was imported with {known.names_hidden} more names hidden, and this would bring back "
            f"{known.names_hidden - len(others)}.",
            hint="Give these again with --name, or the file that has them with --names-out.",
        )
    return others


def _used(told: Interview, roles: Roles, others: list[str]) -> Pseudonyms:
    """Returns the pseudonyms of the speakers, and of those others who are spoken of."""
    from mockint.imports import Pseudonyms

    every = Pseudonyms(roles, others)
    texts = [turn.text for turn in told.turns] + [problem.message for problem in told.problems]
    unused = every.unused([every.hide(text) for text in texts])
    return Pseudonyms(roles, [name for name in others if name not in unused])


@dataclass(frozen=True)
class _Made:
    answers: Path
    record: dict[str, Any]
    """What `import.json` holds, where it is printed."""


def _names_before(names_out: Path | None, base: Path) -> dict[str, Any]:
    """Returns what the file of names holds from before: whose name became what, by interview. Raises UsageError."""
    if not names_out:
        return {}
    if names_out.resolve().is_relative_to(base.resolve()):
        raise UsageError(f"{names_out} lies in the folder that is to have no names.", hint="Write it elsewhere.")
    if not names_out.parent.is_dir():
        raise UsageError(f"There is no folder {names_out.parent}.", hint="Make it, or give another --names-out.")
    if not names_out.exists():
        return {}
    try:
        known = json.loads(names_out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict):
        raise UsageError(f"{names_out} holds something else.", hint="Give another --names-out.")
    return known


def _unpack(paths: list[Path], settings: Config, *, as_json: bool) -> None:
    """Puts exported sessions into the home folder. Raises the first error, once the others were tried."""
    from mockint.sharing import is_export, unpack
    from mockint.store import Home

    if others := [path for path in paths if path.suffix.lower() != ".zip"]:
        raise UsageError(
            f"{others[0]} is no exported session.", hint="Import transcripts and exports one after another."
        )
    names: list[str] = []
    failed: list[MockintError] = []
    for path in paths:
        try:
            if path.exists() and not is_export(path):
                raise ContentError(
                    f"{path} is no exported session.",
                    hint="Export one with: mockint export SESSION. Or unzip it first.",
                )
            names.append(unpack(path, Home(settings.home), note))
        except MockintError as exc:
            failed.append(exc)
    if as_json:
        typer.echo(json.dumps({"sessions": names, "failed": [one.what for one in failed]}, ensure_ascii=False))
    for name in () if as_json else names:
        typer.echo(name)
    for one in failed[1:]:
        complain(one)
    if failed:
        raise failed[0]


def _expected(
    settings: Config, bank: Bank, named: list[str] | None, loop: str | None, tracks: list[str] | None
) -> list[str]:
    """Returns the ids of the questions that should be asked. Raises UsageError for one that there is not."""
    from mockint.bank import load_loop

    wanted = [bank.question(name).id for name in named or ()]
    if loop:
        rounds = load_loop(settings.folders, loop).rounds
        wanted += [question.id for one in rounds for question in one.pool(bank)]
    known = tracks_of(tracks)
    return wanted + [question.id for question in bank.questions.values() if question.track in known]


def _roles(reading: Reading, matcher: Matcher, wanted: list[str]) -> Roles:
    """Returns who is who: as it was said, or guessed, or asked where a person can answer. Raises UsageError."""
    from mockint.imports import guess, listed, meant, named, pick
    from mockint.terminal import a_person_is_here

    names = reading.speakers
    found = {one for given in wanted if (one := pick(names, given))}
    there = f"The speakers are {', '.join(names)}."
    if len(names) < 2:
        raise ContentError(
            f"{reading.path}: only {names[0]} speaks in it.{listed(reading.problems)}",
            hint="An interview has two sides: write `Name: ` before what each one says.",
        )
    if len(found) == 1:
        return named(names, found.pop(), "it was said", 1.0)
    if wanted and not any(meant(names, given) for given in wanted):
        note(
            f"{reading.path}: {' or '.join(wanted)} does not speak in it; the candidate is found without that. {there}"
        )
    elif wanted:
        what = "more than one of them is a --candidate" if found else f"not one of them alone is {' or '.join(wanted)}"
        raise UsageError(
            f"{reading.path}: {what}.{listed(reading.problems)}", hint=f"{there} Give one of them: --candidate NAME"
        )
    guessed = guess(reading.turns, matcher)
    if guessed.sure:
        return guessed
    if not a_person_is_here():
        raise UsageError(
            f"{reading.path}: it is not sure who the candidate is.{listed(reading.problems)}",
            hint=f"{there} Say it: --candidate NAME",
        )
    note(f"Who is the candidate in {reading.path}? {there}")
    while True:
        given = typer.prompt("Candidate", default=_shown(guessed.candidate), err=True)
        if chosen := pick(names, given):
            return named(names, chosen, "it was said", 1.0)
        note(there)


def _report(
    made: list[_Made],
    failed: list[tuple[Path, MockintError]],
    left_out: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Prints what was made; ends with another code than 0 when something was not."""
    if left_out:
        note(f"Left out, since their names are no transcripts': {', '.join(path.name for path in left_out[:8])}"
              f"{' …' if len(left_out) > 8 else ''} ({len(left_out)}).")  # fmt: skip
    if as_json:
        document: dict[str, Any] = {
            "imports": [{"answers": str(one.answers), **one.record} for one in made],
            "failed": [{"path": str(path), "message": exc.what} for path, exc in failed],
            "left_out": [str(path) for path in left_out],
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        for one in made:
            typer.echo(str(one.answers))
    if made and failed:
        note(f"{len(made)} imported, {len(failed)} not: {', '.join(path.name for path, _ in failed)}.")
    if failed or not made:
        raise typer.Exit(UsageError.exit_code if not made and _only_usage(failed) else ContentError.exit_code)


def _only_usage(failed: list[tuple[Path, MockintError]]) -> bool:
    return bool(failed) and all(isinstance(exc, UsageError) for _, exc in failed)


def _tell(path: Path, answers: Path, told: Interview) -> None:
    from mockint.imports import listed

    name = path.name
    for line in listed(told.problems).splitlines()[1:]:
        note(line)
    roles = told.roles
    sure = "" if roles.confidence == 1 else f" (guessed, confidence {roles.confidence:.2f}: {roles.why})"
    others = ", ".join(roles.interviewers)
    many = "" if len(roles.interviewers) == 1 else ", all of them taken as interviewers"
    note(f"{name}: the candidate is {roles.candidate}{sure}; the other side is {others}{many}.")
    for one in told.aligned:
        how = "as you said" if one.by == "hand" else f"likeness {one.score:.2f}"
        note(f"  turn {one.turn}: {one.question} ({how})")
    if told.closing:
        text = _shown(told.turns[told.closing - 1].text)[:60]
        note(f"  turn {told.closing} closes the interview (“{text}”): it and what follows are left out.")
        note(f"  if it does not: --align {told.closing}=probe")
    if told.left_out:
        turns = f"{len(told.left_out)} turns belong" if len(told.left_out) > 1 else "1 turn belongs"
        note(f"  {turns} to no question, and left out; import.json has what is said there.")
    if told.not_answered:
        note(f"  not answered: {', '.join(told.not_answered)}")
    for question in told.not_answered:
        if lines := told.damage(question):
            note(
                f"  {question}: damage stands within its turns (line {', '.join(map(str, lines))}); an answer may be lost there."
            )
    if told.not_asked:
        few = ", ".join(told.not_asked[:6])
        note(f"  not asked: {few}{', …' if len(told.not_asked) > 6 else ''} ({len(told.not_asked)})")
    if told.unsure:
        note(f"  not sure of these turns, which were not taken as questions and may be ({len(told.unsure)}):")
        for line in _unsure(told).splitlines()[1:]:
            note(line)
        first = told.unsure[0]
        likely = "QUESTION" if first.why == "question" else first.likely[0][0]
        note(f"  settle one: --align {first.turn}={likely}, or {first.turn}=probe")
    if told.pseudonymised:
        note("  without the original and without names; only its hash is kept.")
    note(f"  grade it: {me()} grade {answers}")


def _unsure(told: Interview) -> str:
    lines = []
    for one in told.unsure:
        likely = ", ".join(f"{question} {score:.2f}" for question, score in one.likely)
        lines.append(f"    turn {one.turn} ({likely}): {_shown(one.text)[:90]}")
    return "".join(f"\n{line}" for line in lines)


def _say_what_stands(path: Path, suspects: list[str]) -> None:
    if suspects:
        note(
            f"{path.name}: these may be names that still stand in it: {', '.join(suspects)}. Hide one: --name {suspects[0]}"
        )


def _shown(text: str) -> str:
    from mockint.report import clean

    return clean(text)
