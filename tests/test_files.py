"""What is opened by its address: a path, or a URL of a store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from mockint.errors import UsageError
from mockint.files import append, count_lines, is_url, lines, listing, put, stretch, under


@pytest.fixture(params=["path", "url"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder of this machine, and one of a store that has no files of this machine's."""
    yield str(tmp_path / "some") if request.param == "path" else "memory://some"
    fsspec.filesystem("memory").store.clear()


def test_what_is_put_is_read_line_by_line(folder: str) -> None:
    place = under(folder, "a.jsonl")
    put(place, "\ufeffone\r\ntwo \u2028 still two\n\nthree".encode())
    assert list(lines(place)) == ["one", "two \u2028 still two", "", "three"]
    assert count_lines(place) == 3
    assert stretch(place, 3, 3) == b"one"


def test_folder_is_listed_in_order_by_ending(folder: str) -> None:
    assert listing(folder, ".jsonl") == []
    for name in ("b.jsonl", "a.jsonl", "c.txt"):
        put(under(folder, name), b"x")
    found = listing(folder, ".jsonl")
    assert [name.rpartition("/")[2] for name in found] == ["a.jsonl", "b.jsonl"]
    assert [list(lines(name)) for name in found] == [["x"], ["x"]]


@pytest.mark.parametrize("place", ["none.jsonl", "memory://none.jsonl", "nosuchstore://x/a.jsonl"])
def test_what_cannot_be_read_is_named(place: str, tmp_path: Path) -> None:
    place = place if is_url(place) else str(tmp_path / place)
    with pytest.raises(UsageError) as told:
        list(lines(place))
    assert place in told.value.what
    assert told.value.hint


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe{")
    with pytest.raises(UsageError, match=r"a\.jsonl"):
        list(lines(tmp_path / "a.jsonl"))


def test_append_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"one\n")
    descriptor, write_all, room = os.open(tmp_path / "a.jsonl", os.O_RDWR | os.O_APPEND), os.write, iter([2])

    def fails(to: int, data: bytes) -> int:
        if size := next(room, None):
            return write_all(to, data[:size])
        raise OSError(28, "No space left on device")

    try:
        with monkeypatch.context() as full:
            full.setattr(os, "write", fails)
            with pytest.raises(OSError, match="No space left"):
                append(descriptor, b"two\n")
        assert (tmp_path / "a.jsonl").read_bytes() == b"one\n"
        append(descriptor, b"three\n", through=False)
    finally:
        os.close(descriptor)
    assert list(lines(tmp_path / "a.jsonl")) == ["one", "three"]
