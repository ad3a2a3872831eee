"""The only place that judges content: everything a file's own types cannot see."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from mockint.bank import Loop, Question, Source, load_origins, loop_files, question_files
from mockint.content import Document, Problem, find, near, read
from mockint.evidence import Giveaway, stems, words_of
from mockint.rubric import Conversation, Rubric, Sample, Samples, Scale

EXPECTED_SAMPLES = ("strong", "weak")
FEWEST_CRITERIA, MOST_CRITERIA, FEWEST_CUES = 4, 8, 2
LEAST_GAP = 0.35
"""By which the strong sample's score, by its stated levels, is above the weak one's."""
TOO_ALIKE = 0.6
"""Cosine of two questions' words, rare ones counting more, from which they ask the same."""

_SAYS = "say|name|explain|describe|mention|give|propose|justify|weigh|state|identify|compare|list|suggest|show|tell|ask"
_TWO_THINGS = re.compile(rf"\b(?:and|as well as|and also|plus)\s+(?:then\s+)?(?:{_SAYS})s?\b", re.IGNORECASE)


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
        problems += _rubrics(root, folders, questions)
    problems += _loops(folders, questions)
    problems += _alike([document for document in questions.values() if document.value])
    problems += _uncovered(folders, [document.value for document in questions.values() if document.value])
    return sorted(set(problems))


def _rubrics(
    root: Path, folders: Sequence[Path], questions: dict[tuple[str, str], Document[Question]]
) -> Iterator[Problem]:
    for name, kind in (("scale.yaml", Scale), ("conversation.yaml", Conversation)):
        path = root / "rubrics" / name
        if root == folders[0] or path.is_file():
            yield from read(path, kind).problems
    if (path := root / "bank" / "sources.yaml").is_file():
        yield from _sources(path, root)
    for (track, slug), question in questions.items():
        paths = [_nearest(root, folders, track, name) for name in (f"{slug}.yaml", f"{slug}.answers.yaml")]
        # A folder answers for its own files, and for what its question has nowhere.
        mine = [path for path in paths if path.is_relative_to(root / "rubrics")]
        if not any(path.is_file() for path in mine) and not (mine and question.path.parents[2] == root):
            continue
        rubric, samples = read(paths[0], Rubric), read(paths[1], Samples)
        ours = [document for document in (rubric, samples) if document.path in mine]
        for document in ours:
            yield from (*_header(document), *document.problems)
        if rubric.value and rubric in ours:
            yield from _rubric(rubric, rubric.value, question.value)
        if rubric.value and samples.value is not None:
            yield from _samples(samples, samples.value, rubric.value)
    for path in sorted((root / "rubrics").glob("*/*.yaml")):
        slug = path.name.removesuffix(".yaml").removesuffix(".answers")
        if (path.parent.name, slug) not in questions:
            known = {name for track, name in questions if track == path.parent.name}
            yield Problem(path, 1, "", f"there is no question {slug!r} in bank/{path.parent.name}{near(slug, known)}")


def _nearest(root: Path, folders: Sequence[Path], *parts: str) -> Path:
    """Returns the folder's own file; else the one that a folder before it has; else the place where it is missing."""
    own = root.joinpath("rubrics", *parts)
    before = folders[: list(folders).index(root)]
    return own if own.is_file() else find(before, "rubrics", *parts) or own


def _sources(path: Path, root: Path) -> Iterator[Problem]:
    document = read(path, dict[str, Source])
    yield from document.problems
    for origin in load_origins([root]).values():
        for source in origin.sources:
            if document.value is not None and source not in document.value:
                yield document.problem((), f"source {source!r} of origin {origin.id!r} has no entry")


def _loops(folders: Sequence[Path], questions: Mapping[tuple[str, str], Document[Question]]) -> Iterator[Problem]:
    known = {document.value.id: document.value for document in questions.values() if document.value}
    sources = {
        name
        for root in folders
        if (path := root / "bank" / "sources.yaml").is_file()
        for name in read(path, dict[str, Source]).value or ()
    }
    longest, named = 0, set[str]()
    for path in loop_files(folders).values():
        document = read(path, Loop)
        yield from (*_header(document), *document.problems)
        if (loop := document.value) is None:
            continue
        if loop.name != path.stem:
            yield document.problem(("name",), f"must equal the file's name, {path.stem!r}")
        for index, source in enumerate(loop.sources):
            if source not in sources:
                yield document.problem(("sources", index), f"unknown source {source!r}{near(source, sources)}")
        for index, one in enumerate(loop.rounds):
            longest, named = max(longest, 0 if one.questions else one.minutes), named | {*one.questions}
            here = ("rounds", index)
            for place, name in enumerate(one.questions):
                if name not in known:
                    key = (*here, "questions", place)
                    yield document.problem(key, f"there is no question {name!r}{near(name, known)}")
            taken = sum(known[name].minutes for name in one.questions if name in known)
            if taken > one.minutes:
                yield document.problem((*here, "minutes"), f"its questions take {taken} minutes")
    for document_ in questions.values():
        if (question := document_.value) and question.id not in named and 0 < longest < question.minutes:
            yield document_.problem(("minutes",), f"no loop has a round of so many; the longest has {longest}")


def _alike(documents: Sequence[Document[Question]]) -> Iterator[Problem]:
    """Finds questions that ask nearly the same, by the words of what is said aloud."""
    counts = [Counter(stems(document.value.ask)) for document in documents if document.value]
    seen = Counter(stem for count in counts for stem in count)
    vectors = []
    for count in counts:
        vector = {stem: n * math.log(1 + len(counts) / seen[stem]) for stem, n in count.items()}
        length = math.sqrt(sum(weight**2 for weight in vector.values())) or 1.0
        vectors.append({stem: weight / length for stem, weight in vector.items()})
    for (first, one), (second, other) in combinations(zip(documents, vectors, strict=True), 2):
        cosine = sum(weight * other.get(stem, 0.0) for stem, weight in one.items())
        if cosine >= TOO_ALIKE:
            where = f"{first.path.parent.name}/{first.path.name}"
            yield second.problem(("ask",), f"asks nearly the same as {where} ({cosine:.2f})")


def _uncovered(folders: Sequence[Path], questions: Sequence[Question]) -> Iterator[Problem]:
    """Finds reported questions that no question covers."""
    covered = {origin for question in questions for origin in question.origins}
    for path in (root / "bank" / "origins.tsv" for root in folders):
        if path.is_file():
            for line, name in enumerate(load_origins([path.parents[1]]), 2):
                if name not in covered:
                    yield Problem(path, line, name, "no question covers it")


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
    if len(rubric.criteria) < FEWEST_CRITERIA:
        yield document.problem(
            ("criteria",), f"has {len(rubric.criteria)}; {FEWEST_CRITERIA} at least tell answers apart"
        )
    if len(rubric.criteria) > MOST_CRITERIA:
        yield document.problem(
            ("criteria",), f"has {len(rubric.criteria)}; more than {MOST_CRITERIA} are too many for one answer"
        )
    if not rubric.study:
        yield document.problem(("study",), "names nothing to learn next")
    hints = [_heard(hint) for hint in question.hints] if question else []
    for index, criterion in enumerate(rubric.criteria):
        here = ("criteria", index)
        if len(criterion.cues) < FEWEST_CUES:
            yield document.problem(
                (*here, "cues"), f"has {len(criterion.cues)}; give {FEWEST_CUES} at least, worded differently"
            )
        for one, other in combinations([set(_bare(text).split()) for text in criterion.levels.values()], 2):
            if one == other:
                yield document.problem((*here, "levels"), f"two levels of {criterion.id!r} say the same")
            elif len(one - other) <= 1 and len(other - one) <= 1:
                word = next(iter(sorted((other - one) | (one - other))))
                yield document.problem(
                    (*here, "levels"), f"two levels of {criterion.id!r} differ in one word, {word!r}"
                )
        if found := _TWO_THINGS.search(criterion.asks):
            yield document.problem((*here, "asks"), f"asks for two things: “{found.group()}”")
        probe = _heard(criterion.probe)
        for cue in map(Giveaway.of, criterion.cues):
            if cue.holds(probe[0], cue.telling - probe[1]):
                yield document.problem((*here, "probe"), f"the probe gives the cue {cue.told!r} away")
            for place, (words, meant) in enumerate(hints, 1):
                if cue.holds(words, cue.telling - meant):
                    yield document.problem(
                        (*here, "cues"), f"hint {place} of the question gives the cue {cue.told!r} away"
                    )


def _heard(text: str) -> tuple[tuple[str, ...], set[str]]:
    """Returns a text's words and stems: it is held against many cues."""
    return words_of(text), set(stems(text))


def _samples(document: Document[Samples], samples: Samples, rubric: Rubric) -> Iterator[Problem]:
    names = [sample.name for sample in samples]
    for missing in (name for name in EXPECTED_SAMPLES if name not in names):
        yield document.problem((), f"there is no sample named {missing!r}")
    by_name = {sample.name: sample for sample in samples}
    if set(EXPECTED_SAMPLES) <= by_name.keys():
        strong, weak = (_stated(by_name[name], rubric) for name in EXPECTED_SAMPLES)
        if strong is not None and weak is not None and strong - weak < LEAST_GAP:
            told = f"by the stated levels strong earns {strong:.2f} and weak {weak:.2f}; the gap must be {LEAST_GAP}"
            yield document.problem((), told)
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


def _stated(sample: Sample, rubric: Rubric) -> float | None:
    """Returns the share of all points that a sample earns by its stated levels; None when these are broken."""
    if sample.levels.keys() != rubric.by_id.keys():
        return None
    if any(level not in rubric.by_id[name].levels for name, level in sample.levels.items()):
        return None
    return rubric.stated_score(sample.levels, sample.red_flags)


def _header(document: Document[Any]) -> Iterator[Problem]:
    if document.value is not None:
        with document.path.open(encoding="utf-8") as file:
            if not re.match(r"# yaml-language-server: \$schema=\S+", file.readline()):
                yield document.problem((), "the first line must name the schema, for editors: see docs/formats.md")


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
