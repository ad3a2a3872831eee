"""The two interviewers: what each hears and says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from mockint.content import roots
from mockint.interview.interviewers import PROMPTS, ModelInterviewer, OfflineInterviewer, gave_up
from mockint.interview.moves import Probe, Reading
from mockint.llm import Exchange, Model, Recorder
from mockint.llm.scripted import ScriptedAdapter
from mockint.prompts import load_prompt
from mockint.transcript import Part, fold
from tests.builders import session
from tests.conftest import StandingClock

T = TypeVar("T")


def part(answer: str) -> Part:
    return fold(session(("question", "How?"), ("answer", answer, 30))).parts[0]


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def silent(_: str) -> None:
    pass


def test_offline_hears_what_the_cues_cover() -> None:
    reading = run(OfflineInterviewer().read(part("It is because of boiling.")))
    assert (reading.marks["boiling"], reading.marks["cleaning"]) == ("shown", "absent")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        pytest.param("It boils without any heat.", ("cold",), id="claimed"),
        pytest.param("It boils with any heat.", (), id="other words"),
        pytest.param("Any heat boils it.", (), id="the denial is missing"),
    ],
)
def test_offline_takes_a_claim_for_wrong_only_as_it_was_made(said: str, wrong: tuple[str, ...]) -> None:
    assert run(OfflineInterviewer().read(part(said))).wrong == wrong


def test_offline_push_back_quotes_the_claim() -> None:
    said = part("Fine. It boils without any heat. So there.")
    assert "It boils without any heat." in run(
        OfflineInterviewer().probe(said, Probe("cold", "challenge"), show=silent)
    )


def test_offline_says_the_authored_probe() -> None:
    said = part("Nothing much.")
    authored = said.rubric.by_id["holding"].probe
    assert run(OfflineInterviewer().probe(said, Probe("holding", "missing"), show=silent)) == authored
    assert run(OfflineInterviewer().probe(said, Probe("holding", "deepen"), show=silent)).endswith(authored)


@pytest.mark.parametrize(
    ("asked", "told"),
    [("how many users are there", "About a thousand users."), ("what is the weather", "That is open.")],
)
def test_offline_tells_the_fact_that_was_asked_about_and_invents_none(asked: str, told: str) -> None:
    assert told in run(OfflineInterviewer().clarify(part("x"), asked, show=silent))


@pytest.mark.parametrize(
    ("text", "given_up"),
    [
        ("I don’t know.", True),
        ("No idea, sorry", True),
        ("I don't know the exact figure, but " + "the cache holds keys and values for every layer " * 4, False),
        ("It is a cache.", False),
    ],
)
def test_candidate_gives_up_only_when_that_is_all_they_say(text: str, given_up: bool) -> None:
    assert gave_up(text) is given_up


def with_model(*replies: str) -> tuple[ModelInterviewer, list[Exchange], ScriptedAdapter]:
    adapter, kept = ScriptedAdapter(list(replies)), list[Exchange]()
    recorder = Recorder(Model(adapter, StandingClock(), tries=1), role="interviewer", keep=kept.append)
    return ModelInterviewer(recorder, {name: load_prompt(roots(), name) for name in PROMPTS}), kept, adapter


def test_model_s_notes_are_checked_against_the_rubric() -> None:
    notes = {
        "criteria": [{"criterion": "boiling", "mark": "shown"}, {"criterion": "charisma", "mark": "shown"}],
        "wrong": ["cold", "invented"],
        "gave_up": False,
    }
    interviewer, kept, _ = with_model(json.dumps(notes))
    assert run(interviewer.read(part("I boil it."))) == Reading({"boiling": "shown"}, ("cold",), False)
    assert [exchange.purpose for exchange in kept] == ["read"]


def test_notes_that_cannot_be_read_leave_everything_to_be_asked() -> None:
    interviewer, _, _ = with_model("Looks fine to me!")
    assert run(interviewer.read(part("I boil it."))) == Reading({}, (), False)


def test_model_s_probe_is_streamed_and_recorded_and_sees_no_cues() -> None:
    interviewer, kept, adapter = with_model(" What about\nthe lid? ")
    pieces: list[str] = []
    said = run(interviewer.probe(part("I boil it."), Probe("holding", "missing"), show=pieces.append))
    assert said == "What about\nthe lid?"
    assert "".join(pieces) == " What about\nthe lid? "
    assert kept[0].reply == " What about\nthe lid? "
    assert "keeps the holding steady" not in adapter.asked[0][-1].content
