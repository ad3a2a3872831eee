"""A timed mock interview for AI engineers, with a grade that can be checked.

For a program: `from mockint import grade, load_bank, table` (see `mockint.api`). It is loaded when one of its names is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockint.api import Grade, MockintError, Row, Said, grade, grade_async, load_bank, read_grades, table

__version__ = "0.1.0"
__all__ = ["Grade", "MockintError", "Row", "Said", "grade", "grade_async", "load_bank", "read_grades", "table"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mockint' has no attribute {name!r}")
    from mockint import api

    return getattr(api, name)
