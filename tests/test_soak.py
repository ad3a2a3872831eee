"""Interviews with a model that fails 30 % of its calls: what must hold for every one of them, held in a row and at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mockint.store import Home
from tests.bench.soak import count, soak, uncounted, unlike_recorded, wrong_with
from tests.flaky import FAULTS, flaky

ROW, AT_ONCE = 20, 8
TRIES = 2
"""So few that some replies never come: sessions break off, and answers stay ungraded."""


def test_nothing_is_lost_mixed_up_left_locked_or_invented(tmp_path: Path) -> None:
    with flaky(seed=1) as server:
        sessions = asyncio.run(soak(server, Home(tmp_path), row=ROW, at_once=AT_ONCE, tries=TRIES))
    counted = count(server, sessions)
    print(counted)  # noqa: T201 (pytest shows it when the test fails)
    assert [told for session in sessions for told in wrong_with(session)] == []
    assert uncounted(counted) == []
    assert len(Home(tmp_path).ids()) == counted.sessions == ROW + AT_ONCE
    assert set(server.failures) == set(FAULTS), "each kind of failure was met"
    assert counted.resumed
    assert 0 < counted.unscored < 8 * counted.sessions


def test_same_seed_fails_the_same_calls(tmp_path: Path) -> None:
    seen = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        with flaky(seed=7) as server:
            sessions = asyncio.run(soak(server, Home(folder), row=1, at_once=3, tries=TRIES))
        seen.append((server.failures, count(server, sessions)))
    assert seen[0] == seen[1]


def test_grade_of_a_judge_that_failed_can_be_made_again(tmp_path: Path) -> None:
    with flaky(seed=1) as server:
        sessions = asyncio.run(soak(server, Home(tmp_path), row=8, at_once=0, tries=1))
    if not count(server, sessions).unscored:
        pytest.fail("the judge never failed, and so there is nothing to see")
    assert [told for session in sessions for told in asyncio.run(unlike_recorded(session))] == []
