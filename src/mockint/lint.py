"""The only place that judges content: everything a file's own types cannot see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mockint.bank import Question, Source, load_origins, question_files
from mockint.content import Document, Problem, near, read
from mockint.rubric import Conversation, Rubric, Samples, Scale

EXPECTED_SAMPLES = ("strong", "weak")


def lint(folders: Sequence[Path]) -> list[Problem]:
    """Returns every problem of every content file, in the order of the files."""
    origins = load_origins(folders).keys()
    problems: list[Problem] = []
    questions: dict[tuple[str, str], Document[Question]] = {}
    seen: dict[str, Path] = {}
    for path in question_files(folders):
        document = read(path, Question)
        questions[path.parent.name, path.stem] = document
        problems += document.problems
        if document.value:
            problems += _question(document, document.value, origins)
            first = seen.setdefault(document.value.id, path)
            if first.parent.name != path.parent.name:
                problems.append(document.problem(("id",), f"already the id of {first}"))
    for root in folders:
        problems += _rubrics(root, questions, own=root == folders[0])
    return sorted(problems)


def _rubrics(root: Path, questions: dict[tuple[str, str], Document[Question]], *, own: bool) -> Iterator[Problem]:
    for name, kind in (("scale.yaml", Scale), ("conversation.yaml", Conversation)):
        path = root / "rubrics" / name
        if own or path.is_file():
            yield from read(path, kind).problems
    if (path := root / "bank" / "sources.yaml").is_file():
        yield from _sources(path, root)
    for (track, slug), question in questions.items():
        if question.path.is_relative_to(root):
            rubric = read(root / "rubrics" / track / f"{slug}.yaml", Rubric)
            samples = read(root / "rubrics" / track / f"{slug}.answers.yaml", Samples)
            yield from (*_header(rubric), *rubric.problems, *_header(samples), *samples.problems)
            if rubric.value:
                yield from _rubric(rubric, rubric.value, question.value)
                if samples.value is not None:
                    yield from _samples(samples, samples.value, rubric.value)
    for path in sorted((root / "rubrics").glob("*/*.yaml")):
        slug = path.name.removesuffix(".yaml").removesuffix(".answers")
        if (path.parent.name, slug) not in questions:
            known = {name for track, name in questions if track == path.parent.name}
            yield Problem(path, 1, "", f"there is no question {slug!r} in bank/{path.parent.name}{near(slug, known)}")


def _sources(path: Path, root: Path) -> Iterator[Problem]:
    document = read(path, dict[str, Source])
    yield from document.problems
    for origin in load_origins([root]).values():
        for source in origin.sources:
            if document.value is not None and source not in document.value:
                yield document.problem((), f"source {source!r} of origin {origin.id!r} has no entry")


def _question(document: Document[Question], question: Question, origins: Iterable[str]) -> Iterator[Problem]:
    yield from _header(document)
    if question.id != document.path.stem:
        yield document.problem(("id",), f"must equal the file's name, {document.path.stem!r}")
    if question.track != document.path.parent.name:
        yield document.problem(("track",), f"must equal the folder's name, {document.path.parent.name!r}")
    for index, origin in enumerate(question.origins):
        if origin not in origins:
            yield document.problem(("origins", index), f"unknown origin {origin!r}{near(origin, origins)}")


def _rubric(document: Document[Rubric], rubric: Rubric, question: Question | None) -> Iterator[Problem]:
    if rubric.question != document.path.stem:
        yield document.problem(("question",), f"must equal the file's name, {document.path.stem!r}")
    if question and not any(c.expected_from == "junior" or c.expected_from in question.levels for c in rubric.criteria):
        yield document.problem(("criteria",), "no criterion is expected at the lowest level that the question is for")
    for index, criterion in enumerate(rubric.criteria):
        here = ("criteria", index)
        texts = [_bare(text) for text in criterion.levels.values()]
        if len(set(texts)) < len(texts):
            yield document.problem((*here, "levels"), f"two levels of {criterion.id!r} say the same")
        for cue in criterion.cues:
            if _holds(criterion.probe, cue):
                yield document.problem((*here, "probe"), f"the probe gives the cue {cue!r} away")
            for hint in question.hints[:1] if question else ():
                if _holds(hint, cue):
                    yield document.problem((*here, "cues"), f"the question's first hint gives the cue {cue!r} away")


def _samples(document: Document[Samples], samples: Samples, rubric: Rubric) -> Iterator[Problem]:
    names = [sample.name for sample in samples]
    for missing in (name for name in EXPECTED_SAMPLES if name not in names):
        yield document.problem((), f"there is no sample named {missing!r}")
    flags = {flag.id for flag in rubric.red_flags}
    for index, sample in enumerate(samples):
        for name in rubric.by_id.keys() - sample.levels.keys():
            yield document.problem((index, "levels"), f"{sample.name!r} gives no level of {name!r}")
        for name, level in sample.levels.items():
            here = (index, "levels", name)
            if name not in rubric.by_id:
                yield document.problem(here, f"the rubric has no criterion {name!r}{near(name, rubric.by_id)}")
            elif level not in (levels := rubric.by_id[name].levels):
                yield document.problem(here, f"the criterion has no level {level!r}{near(level, levels)}")
        for place, name in enumerate(sample.red_flags):
            if name not in flags:
                yield document.problem((index, "red_flags", place), f"no red flag {name!r}{near(name, flags)}")


def _header(document: Document[Any]) -> Iterator[Problem]:
    if document.value is not None:
        with document.path.open(encoding="utf-8") as file:
            if not re.match(r"# yaml-language-server: \$schema=\S+", file.readline()):
                yield document.problem((), "the first line must name the schema, for editors: see docs/formats.md")


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _holds(text: str, phrase: str) -> bool:
    return f" {_bare(phrase)} " in f" {_bare(text)} "
