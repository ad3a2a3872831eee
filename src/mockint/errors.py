"""The only place for the errors that mockint raises on purpose, with the exit code of each.

```
MockintError
├── UsageError          2    the command cannot be carried out as it was given
├── ContentError        3    a question, a rubric, a prompt or the config is wrong
├── SessionError        4    a session is missing, damaged, open elsewhere, or fails its verification
├── ModelError          5
│   ├── ModelRefused         no use in asking again: bad key, no quota, unknown model, policy, too long
│   └── ModelUnavailable     may work later: rate limit, time-out, server error, no connection
└── GradingError        6    nothing could be graded
```
"""

from __future__ import annotations

from typing import Any


class MockintError(Exception):
    """Something that mockint can name: `what` happened to what, and `hint`, what to do next."""

    exit_code = 1

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets it travel to another process: an exception is made again from its arguments, and `hint` is none of them."""
        return _made_again, (type(self), self.__dict__)


def _made_again(kind: type[MockintError], state: dict[str, Any]) -> MockintError:
    exc = kind.__new__(kind, state["what"])
    exc.__dict__.update(state)
    return exc


class UsageError(MockintError):
    exit_code = 2


class ContentError(MockintError):
    exit_code = 3


class SessionError(MockintError):
    exit_code = 4


class ModelError(MockintError):
    """What became of a call: after how many tries, how many seconds, and for what usage (`llm.Usage`), if the provider counted any."""

    exit_code = 5
    tries = 0
    seconds = 0.0
    usage: Any = None


class ModelRefused(ModelError):
    """No use in asking again; `shape` says that it may be for the way in which a reply's shape was asked for, and `whoever` that it is for
    nothing in what was asked: a bad key, no quota, an unknown model.
    """

    def __init__(self, what: str, *, hint: str, shape: bool = False, whoever: bool = False) -> None:
        super().__init__(what, hint=hint)
        self.shape = shape
        self.whoever = whoever


class ModelUnavailable(ModelError):
    """Worth another try; `retry_after` is what the server asked for, in seconds, and `busy` says that it only was too much at once."""

    def __init__(self, what: str, *, hint: str, retry_after: float | None = None, busy: bool = False) -> None:
        super().__init__(what, hint=hint)
        self.retry_after = retry_after
        self.busy = busy


class GradingError(MockintError):
    exit_code = 6
