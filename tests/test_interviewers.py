"""The two interviewers: what each hears and says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from time import process_time
from typing import Any, TypeVar

import pytest

from mockint.content import roots
from mockint.interview.interviewers import PROMPTS, ModelInterviewer, OfflineInterviewer, Spoken, gave_up
from mockint.interview.leaks import Held, leak
from mockint.interview.moves import Probe, Reading
from mockint.llm import Exchange, Model, Raw, Recorder, Usage
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
    pushed_back = run(OfflineInterviewer().probe(said, Probe("cold", "challenge"), show=silent))
    assert "It boils without any heat." in pushed_back.text


def test_offline_says_the_authored_probe() -> None:
    said = part("Nothing much.")
    authored = said.rubric.by_id["holding"].probe
    assert run(OfflineInterviewer().probe(said, Probe("holding", "missing"), show=silent)).text == authored
    assert run(OfflineInterviewer().probe(said, Probe("holding", "deepen"), show=silent)).text.endswith(authored)


@pytest.mark.parametrize(
    ("asked", "told"),
    [("how many users are there", "About a thousand users."), ("what is the weather", "That is open.")],
)
def test_offline_tells_the_fact_that_was_asked_about_and_invents_none(asked: str, told: str) -> None:
    assert told in run(OfflineInterviewer().clarify(part("x"), asked, show=silent)).text


@pytest.mark.parametrize(
    ("text", "given_up"),
    [
        ("I don’t know.", True),
        ("No idea, sorry", True),
        ("idk", True),
        ("pass", True),
        ("Can I skip please?", True),
        ("i forgot it", True),
        ("Weiß ich leider nicht", True),
        ("不知道", True),
        ("The proxy can pass on this header to the model.", False),
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
    assert said.text == "What about\nthe lid?"
    assert "".join(pieces) == " What about\nthe lid? "
    assert kept[0].reply == " What about\nthe lid? "
    assert "keeps the holding steady" not in adapter.asked[0][-1].content


LEAKY = "Tell me, is it not that the holding keeps the holding steady in the end?"
HARMLESS = "And how do you carry it over to the table without burning yourself?"


def probed(*replies: str, said: str = "I boil it.") -> tuple[Spoken, str, list[Exchange]]:
    interviewer, kept, _ = with_model(*replies)
    pieces: list[str] = []
    spoken = run(interviewer.probe(part(said), Probe("holding", "missing"), show=pieces.append))
    return spoken, "".join(pieces), kept


def test_probe_that_gives_a_cue_away_is_asked_for_again_and_never_shown() -> None:
    spoken, shown, kept = probed(LEAKY, HARMLESS)
    assert (spoken.text, spoken.authored) == (HARMLESS, False)
    assert spoken.withheld == ("holding keeps the holding steady",)
    assert shown == HARMLESS
    assert len(kept) == 2
    assert "without these words" in kept[1].messages[-1].content


def test_second_leak_is_replaced_by_the_authored_probe() -> None:
    spoken, shown, kept = probed(LEAKY, LEAKY)
    assert spoken.text == shown == "And what about the rest of it, gnidloh?"
    assert (spoken.authored, len(spoken.withheld), len(kept)) == (True, 2, 2)


def test_what_the_candidate_said_already_is_no_leak() -> None:
    spoken, _, _ = probed(LEAKY, said="The holding keeps the holding steady, I think.")
    assert (spoken.text, spoken.withheld) == (LEAKY, ())


def test_level_sentence_is_a_leak_too() -> None:
    rated = part("I boil it.")
    top = tuple(rated.rubric.criteria[0].levels.values())[-1]
    assert leak(rated, f"What I want to hear is: {top}") == top


@pytest.mark.parametrize("size", [1, 4, 9])
def test_stream_is_passed_on_late_and_stops_before_the_leak(size: int) -> None:
    harmless = " ".join(f"word{n}" for n in range(30))
    text = f"{harmless} it is that holding keeps the holding steady, you see."
    shown: list[str] = []
    held = Held(part("I boil it."), shown.append)
    for start in range(0, len(text), size):
        held(text[start : start + size])
    held.finish()
    assert held.leak == "holding keeps the holding steady"
    assert harmless.startswith("".join(shown).strip())
    assert "keeps" not in "".join(shown)
    assert "".join(shown).startswith("word0 word1")


def test_holding_a_long_stream_back_takes_time_by_its_length_and_not_by_the_square() -> None:
    def seconds(words: int) -> float:
        held = Held(part("I boil it."), lambda piece: None)
        began = process_time()
        for number in range(words):
            held(f"word{number} ")
        return process_time() - began

    seconds(500)
    assert seconds(4000) < 16 * seconds(1000)  # by the square it would be 16 times, and here it is 4


def test_turn_that_was_begun_goes_on_after_a_pause() -> None:
    begun = "\n".join(f"word{n}" for n in range(30))  # the script streams line by line
    spoken, shown, _ = probed(f"{begun} it is that holding keeps the holding steady.", HARMLESS)
    assert spoken.text.endswith(f" … {HARMLESS}")
    assert " ".join(shown.split()).endswith(f"… {HARMLESS}")
    assert shown.split() == spoken.text.split()  # and what was begun is not shown twice
    assert "keeps" not in spoken.text + shown


class BreaksOff:
    """A model whose replies end in the middle."""

    name = "breaks-off"

    def __init__(self, text: str) -> None:
        self.text = text

    async def call(self, messages: Any, *, schema: Any, on_text: Any, deadline: float) -> Raw:
        on_text(self.text)
        return Raw(self.text, Usage(calls=1), cut_off=True)

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        pytest.param("And how would you", "", id="before anything was heard"),
        pytest.param("word " * 30 + "and how", "word word", id="after some of it was heard"),
    ],
)
def test_turn_that_broke_off_is_ended_with_the_authored_words(text: str, begins: str) -> None:
    shown: list[str] = []
    model = Model(BreaksOff(text), StandingClock(), tries=1)
    recorder = Recorder(model, role="interviewer", keep=lambda _: None)
    interviewer = ModelInterviewer(recorder, {name: load_prompt(roots(), name) for name in PROMPTS})
    spoken = run(interviewer.clarify(part("x"), "how many users are there", show=shown.append))
    assert spoken.authored
    assert spoken.text.endswith("About a thousand users.")
    assert spoken.text.startswith(begins)
    assert "".join(shown).endswith("About a thousand users.")
    assert "and how" not in spoken.text


def test_whole_sentence_at_the_end_of_what_may_be_written_stands() -> None:
    model = Model(BreaksOff("And how would you cool it?"), StandingClock(), tries=1)
    recorder = Recorder(model, role="interviewer", keep=lambda _: None)
    interviewer = ModelInterviewer(recorder, {name: load_prompt(roots(), name) for name in PROMPTS})
    assert run(interviewer.clarify(part("x"), "how hot", show=silent)).text == "And how would you cool it?"
