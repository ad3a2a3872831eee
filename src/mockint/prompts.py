"""The only place that turns a prompt file into messages.

A prompt is a file of plain words, `prompts/NAME.md`. Its first line declares the variables; a line `--- user ---` parts what
never changes (first, so that a provider can cache it) from what does. It is cut before it is rendered and rendered once,
so that no candidate's text can add a part, a variable or a fence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta

from mockint.content import digest, find
from mockint.errors import ContentError

_PART = re.compile(r"^--- user ---\n", re.MULTILINE)
_HEAD = re.compile(r"^\{# variables: (?P<names>[a-z_, ]*) #\}\n")
_FENCE = re.compile(r"<(?=\s{0,40}/?\s{0,40}(?:turn|transcript)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Prompt:
    name: str
    source: str

    @property
    def digest(self) -> str:
        return digest(self.source)

    def render(self, **variables: Any) -> tuple[tuple[str, str], ...]:
        """Returns (role, text) pairs: the system's, then the user's.

        Raises:
            ContentError: the variables are not those that the file declares and uses.
        """
        head = _HEAD.match(self.source)
        declared = set(re.findall(r"\w+", head["names"])) if head else set()
        if not head or declared != set(variables):
            raise ContentError(
                f"The prompt {self.name!r} declares {sorted(declared)}, and is given {sorted(variables)}.",
                hint="Its first line must be {# variables: … #} with exactly what it is given.",
            )
        parts = _PART.split(self.source[head.end() :])
        try:
            texts = [_template(part).render(**variables).strip() for part in parts]
        except jinja2.TemplateError as exc:
            raise ContentError(f"The prompt {self.name!r} cannot be rendered: {exc}", hint="Correct the file.") from exc
        roles = ("system", "user")[-len(texts) :]
        return tuple(zip(roles, texts, strict=True))


def load_prompt(folders: Sequence[Path], name: str) -> Prompt:
    """Raises ContentError when there is no such prompt."""
    if path := find(folders, "prompts", f"{name}.md"):
        return Prompt(name, path.read_text(encoding="utf-8"))
    raise ContentError(f"There is no prompt {name!r}.", hint="Reinstall mockint, or correct --content.")


def fence(text: str) -> str:
    """Returns the text with anything that looks like a fence made harmless, and nothing else changed."""
    return _FENCE.sub("‹", text)


@lru_cache(maxsize=64)
def _template(source: str) -> jinja2.Template:
    return _environment().from_string(source)  # 1 ms; the same prompt is rendered for every answer


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 (plain text; candidates' words go through `fence`)
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
    )
    environment.filters["fence"] = fence
    return environment
