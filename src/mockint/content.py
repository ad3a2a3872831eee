"""The only module that invents a path, and the only reader of YAML.

The product's content lies inside the package once it is installed, else at the top of the checkout. A user's own
folders of the same shape are added after it; a later folder's file with the same name wins.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from mockint.errors import ContentError
from mockint.files import own, write_whole

T = TypeVar("T")
M = TypeVar("M", bound="BaseModel")
Key = tuple[int | str, ...]
"""The way to a place in a file: ("criteria", 2, "levels")."""


class Frozen(BaseModel):
    """A value read from a file: immutable, and refusing keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in one file, with what would be right."""

    path: Path
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


@dataclass(frozen=True)
class Document(Generic[T]):
    """A file that was read: its value, or the problems that kept it from having one."""

    path: Path
    value: T | None
    problems: tuple[Problem, ...]
    lines: dict[Key, int]

    def problem(self, key: Key, message: str) -> Problem:
        """Returns a problem found later, at the line of `key` or of what holds it."""
        return _problem(self.path, self.lines, key, message)


class _Entries(BaseModel, Generic[M]):
    """What a cache holds: the keys that a value had, and by path its time, its size and the value."""

    fields: tuple[str, ...]
    files: dict[str, tuple[int, int, M]]


# Where things are


def roots(extra: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Returns the content folders, the product's own first.

    Raises:
        ContentError: a folder of the user's does not exist.
    """
    packed = Path(__file__).parent / "packed"
    own = packed if packed.is_dir() else Path(__file__).parents[2]
    users = [path.expanduser() for path in extra]
    for path in users:
        if not path.is_dir():
            raise ContentError(
                f"The content folder {str(path)!r} does not exist.",
                hint="Correct --content or content.paths; the folder holds bank/ and rubrics/.",
            )
    return (own, *users)


def default_home() -> Path:
    return platformdirs.user_data_path("mockint", appauthor=False)


def default_config() -> Path:
    return platformdirs.user_config_path("mockint", appauthor=False) / "mockint.toml"


def project_config() -> Path:
    return Path("mockint.toml")


def find(folders: Sequence[Path], *parts: str) -> Path | None:
    """Returns the file of that name in the last folder that has it."""
    return next((path for root in reversed(folders) if (path := root.joinpath(*parts)).is_file()), None)


# Reading


def load(path: Path, kind: type[T]) -> T:
    """Returns the file's value, the quick way.

    Raises:
        ContentError: with every problem of the file.
    """
    try:
        value: T = _adapter(kind).validate_python(yaml.load(path.read_bytes(), _Loader))  # noqa: S506 (a safe loader)
    except (OSError, *NOT_YAML, ValidationError):
        refuse(read(path, kind).problems)
        raise
    return value


def load_all(paths: Sequence[Path], kind: type[M], *, cache: Path | None = None) -> list[M]:
    """As `load` for each path; a file that is as it was is taken from `cache`, which can be deleted and comes back.

    YAML is slow: 200 questions take 0.1 s, and 0.01 s from the cache.
    """
    entries: TypeAdapter[_Entries[M]] = TypeAdapter(_Entries[kind])  # type: ignore[valid-type]
    known: dict[str, tuple[int, int, M]] = {}
    if cache:
        with suppress(OSError, ValidationError):
            kept = entries.validate_json(cache.read_bytes())
            known = kept.files if kept.fields == tuple(kind.model_fields) else {}
    found: dict[str, tuple[int, int, M]] = {}
    for path in paths:
        stat = path.stat()
        before = known.get(str(path))
        fresh = before is None or before[:2] != (stat.st_mtime_ns, stat.st_size)
        found[str(path)] = (stat.st_mtime_ns, stat.st_size, load(path, kind) if fresh or before is None else before[2])
    if cache and found.keys() | known.keys() and found != known:
        write_cache(cache, entries.dump_json(_Entries(fields=tuple(kind.model_fields), files=found)))
    return [value for _, _, value in found.values()]


def write_cache(path: Path, data: bytes) -> None:
    """Writes a file that can be deleted and comes back: a folder that cannot be written to is no failure."""
    with suppress(OSError):
        own(path.parent)
        write_whole(path, [data])


def read(path: Path, kind: type[T]) -> Document[T]:
    """Returns the file with the line of each key and every problem found, duplicate keys included."""
    lines: dict[Key, int] = {(): 1}
    try:
        node = yaml.compose(path.read_bytes(), _Loader)
    except OSError as exc:
        return Document(path, None, (Problem(path, 1, "", exc.strerror or str(exc)),), lines)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        message = f"not YAML: {getattr(exc, 'problem', None) or exc}"
        return Document(path, None, (Problem(path, mark.line + 1 if mark else 1, "", message),), lines)
    try:
        problems = [_problem(path, lines, key, "the key is given twice") for key in _walk(node, (), lines)]
        plain = _Loader.plain(node)
    except NOT_YAML as exc:
        return Document(path, None, (Problem(path, 1, "", f"not YAML that can be read: {exc}"),), lines)
    try:
        value = _adapter(kind).validate_python(plain)
    except ValidationError as exc:
        errors = exc.errors()
        for error in errors:
            # A list whose items are wrong is counted without them, and would be called too short on top.
            inside = any(other["loc"][: len(error["loc"])] == error["loc"] for other in errors if other is not error)
            if not (error["type"] == "too_short" and inside):
                problems.append(_problem(path, lines, error["loc"], explain(error, kind)))
        return Document(path, None, tuple(sorted(problems)), lines)
    return Document(path, None if problems else value, tuple(problems), lines)


def refuse(problems: Iterable[Problem]) -> None:
    """Raises one ContentError that lists all the problems, or does nothing when there are none."""
    if listed := [str(problem) for problem in sorted(problems)]:
        count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
        raise ContentError("\n".join(listed), hint=f"Mend the {count}, then check with: mockint bank lint")


def digest(value: Any) -> str:
    """Returns "sha256:…" of a text, or of a JSON value in canonical form."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


NOT_YAML = (yaml.YAMLError, ValueError, TypeError, RecursionError)
"""What PyYAML raises for what it cannot read: bad syntax, odd tags, keys that are lists, a node inside itself."""


class _Loader(yaml.CSafeLoader):
    """YAML as 1.2 reads it: `on`, `no`, `12:30` and dates stay text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own shape)

    @classmethod
    def plain(cls, node: yaml.Node | None) -> Any:
        return None if node is None else cls("").construct_document(node)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


@cache
def _known_adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return _known_adapter(kind)


def _walk(node: yaml.Node | None, key: Key, lines: dict[Key, int]) -> Iterator[Key]:
    """Fills in the line of every key below the node; yields the keys that are given twice."""
    match node:
        case yaml.MappingNode():
            seen: set[str] = set()
            for name, child in node.value:
                here = (*key, str(name.value))
                lines[here] = name.start_mark.line + 1
                if name.value in seen:
                    yield here
                seen.add(name.value)
                yield from _walk(child, here, lines)
        case yaml.SequenceNode():
            for index, child in enumerate(node.value):
                lines[*key, index] = child.start_mark.line + 1
                yield from _walk(child, (*key, index), lines)


def _problem(path: Path, lines: dict[Key, int], key: Key, message: str) -> Problem:
    held = next(key[:end] for end in range(len(key), -1, -1) if key[:end] in lines or not end)
    return Problem(path, lines[held], ".".join(str(part) for part in key), message)


def near(word: str, known: Iterable[str], *, most: int = 8) -> str:
    """Returns "; did you mean …?" for the known word that is spelt most like this one, else the known if they are few."""
    options = sorted(known)
    if close := difflib.get_close_matches(word, options, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(options)}" if 0 < len(options) <= most else "."


def explain(error: Any, kind: Any) -> str:
    """Returns what is wrong and what would be right, for one of pydantic's errors about a value of `kind`."""
    given, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            name = str(error["loc"][-1])
            return f"unknown key{near(name, _fields(kind, error['loc'][:-1]))}"
        case "missing":
            return "is missing"
        case "string_too_short" if not given:
            return "is blank"
        case "literal_error":
            options = re.findall(r"'([^']*)'", context["expected"])
            return f"{given!r} is not one of them{near(str(given), options)}"
        case "value_error":
            return str(context["error"])
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {given!r:.60}"


def _fields(kind: Any, key: Key) -> Iterable[str]:
    """Returns the keys that are known at this place of the file."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not key:
            return kind.model_fields
        field = kind.model_fields.get(str(key[0]))
        return _fields(field.annotation, key[1:]) if field else ()
    steps = key[1:] if getattr(kind, "__origin__", None) in (tuple, list, dict) else key
    return [name for part in get_args(kind) for name in _fields(part, steps)]
