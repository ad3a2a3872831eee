"""The only place for how counts and scores are said, and for the environment of the templates that say them.

Jinja costs 50 ms: it is loaded when an environment is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment


def many(count: int, one: str, more: str | None = None) -> str:
    """Returns the number with the word: "1 reply", "2 replies"; by default the plural has an s."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def shown(score: float | None) -> str:
    return "–" if score is None else f"{score:.2f}"


def environment(*, autoescape: bool, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """Returns an environment of the templates, strict and with the filters `many`, `score` and `share`.

    Args:
        autoescape: as Jinja takes it; whoever leaves it out makes texts harmless in another way.
        finalize: called with what each expression came to.
    """
    import jinja2

    made = jinja2.Environment(
        autoescape=autoescape,  # noqa: S701 (whoever asks says so)
        finalize=finalize,
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"many": many, "score": shown, "share": _share}
    return made


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
