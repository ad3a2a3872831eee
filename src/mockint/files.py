"""The only place that writes whole files, and that opens answers, grades and tables by their address: a path of this machine, or a URL of any
store that fsspec reaches.

fsspec costs 60 ms and its S3 part more, so it is loaded for a URL alone. Keys and endpoints come from the stores' own variables.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from mockint.errors import UsageError

CHUNK = 2**20


def is_url(place: str | Path) -> bool:
    return "://" in str(place)


def under(place: str | Path, name: str) -> str:
    """Returns the address of a file in a folder."""
    return f"{str(place).rstrip('/')}/{name}" if is_url(place) else str(Path(place) / name)


def lines(place: str | Path) -> Iterator[str]:
    """Yields the lines of a text in UTF-8, as they are read, without their ends.

    Raises:
        UsageError: it cannot be read.
    """
    with (
        _named(place),
        _opened(place, "rb") as raw,
        # Not by `splitlines`: a line separator inside a JSON string ends no line.
        io.TextIOWrapper(raw, encoding="utf-8-sig", newline="\n") as text,
    ):
        for line in text:
            yield line.rstrip("\n").removesuffix("\r")


def count_lines(place: str | Path) -> int:
    """Returns how many lines hold something; reads once through the file. Raises as `lines`."""
    return sum(1 for line in lines(place) if line.strip())


def listing(folder: str | Path, ending: str) -> list[str]:
    """Returns the addresses of the files in a folder that end so, in their order; none for a folder that is not there.

    Raises:
        UsageError: the store cannot be reached.
    """
    if not is_url(folder):
        return sorted(str(path) for path in Path(folder).glob(f"*{ending}"))
    with _named(folder):
        store, path = _store(folder)
        found = store.ls(path, detail=False, refresh=True) if store.exists(path) else []
        return sorted(str(store.unstrip_protocol(name)) for name in found if str(name).endswith(ending))


def own(folder: Path) -> Path:
    """Makes a folder that only its owner can enter, and likewise those above it that are missing. Raises OSError."""
    if not folder.is_dir():
        own(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_whole(path: Path, pieces: Iterable[bytes], *, exclusive: bool = False) -> None:
    """Writes a whole file of this machine that only its owner can read, through to the disk, or nothing of it.

    Args:
        exclusive: leaves a file that is there.

    Raises:
        OSError: it cannot be written; FileExistsError when it is there and is to be left.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(part, path)
        else:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened, nor need its names be written through
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def append(descriptor: int, data: bytes, *, through: bool = True) -> None:
    """Appends all of it to an open file of this machine, or takes back what was written of it.

    Args:
        through: whether it is on the disk when this returns.

    Raises:
        OSError: it cannot be written.
    """
    before, written = os.fstat(descriptor).st_size, 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
        if through:
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def put(place: str | Path, data: bytes) -> None:
    """Writes a whole file, or nothing of it; one of this machine only its owner can read.

    Raises:
        UsageError: it cannot be written.
    """
    with _named(place):
        if is_url(place):
            store, path = _store(place)
            store.pipe_file(path, data)
            return
        own(Path(place).parent)
        write_whole(Path(place), [data])


def stretch(place: str | Path, start: int, length: int) -> bytes:
    """Returns so many bytes of a file from a place in it on. Raises UsageError."""
    with _named(place):
        if is_url(place):
            store, path = _store(place)
            return bytes(store.cat_file(path, start=start, end=start + length))
        with Path(place).open("rb") as file:
            file.seek(start)
            return file.read(length)


@contextmanager
def _opened(place: str | Path, mode: str) -> Iterator[IO[bytes]]:
    if is_url(place):
        store, path = _store(place)
        with store.open(path, mode, block_size=CHUNK) as file:
            yield file
    else:
        with Path(place).open(mode) as file:
            yield file


def _store(place: str | Path) -> tuple[Any, str]:
    import fsspec  # an extra: mockint[cluster]

    store, path = fsspec.core.url_to_fs(str(place))
    return store, path


@contextmanager
def _named(place: str | Path) -> Iterator[None]:
    """Gives what a store raises the address that it was about."""
    try:
        yield
    except UsageError:
        raise
    except ImportError as exc:
        raise UsageError(
            f"{place} lies in a store whose package is not installed: {exc}.",
            hint="Install it: pip install 'mockint[cluster]', or the package that is named.",
        ) from exc
    except (OSError, ValueError) as exc:  # what fsspec's stores raise; UnicodeDecodeError is a ValueError
        what = getattr(exc, "strerror", None) or exc
        raise UsageError(f"{place} cannot be used: {what}.", hint="Check the address, and the rights there.") from exc
    except Exception as exc:  # each store has exceptions of its own
        raise UsageError(
            f"{place} cannot be used: {type(exc).__name__}: {exc}.", hint="Check the address, and the keys for it."
        ) from exc
