"""Small real values for tests: a question, its rubric, a session's events, and a screen."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from mockint.bank import Question
from mockint.events import AnswerGiven, Event, HintGiven, Planned, ProbeAsked, QuestionAsked, Roles, SessionStarted
from mockint.llm import Exchange, Usage
from mockint.rubric import Rubric, Scale
from mockint.transcript import TurnKind

T = TypeVar("T")

AT = datetime(2026, 11, 24, 18, 12, tzinfo=UTC)
SCALE = Scale.model_validate(
    {
        "version": 1,
        "least_coverage": 0.6,
        "prompted": 0.7,
        "hinted": 0.4,
        "bands": [
            {"signal": "strong no hire", "from_score": 0},
            {"signal": "no hire", "from_score": 0.3},
            {"signal": "hire", "from_score": 0.55},
            {"signal": "strong hire", "from_score": 0.8},
        ],
    }
)


def criterion(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "asks": f"Does the candidate speak of {name}?",
        "weight": 2,
        "expected_from": "junior",
        "levels": {"missed": "Nothing.", "partial": "Something.", "met": "All of it."},
        "probe": f"And what about the rest of it, {name[::-1]}?",
        "cues": [f"{name} keeps the {name} steady", f"because of {name}"],
    } | changes


def question(name: str = "kettle", **changes: Any) -> Question:
    return Question.model_validate(
        {
            "id": name,
            "track": "rag",
            "title": name.title(),
            "kind": "design",
            "levels": ["junior", "mid", "senior"],
            "minutes": 5,
            "topics": ["x"],
            "ask": f"How would you build a {name}?",
            "facts": [{"about": "number of users", "say": "About a thousand users."}],
            "hints": ["Think of heat.", "Think of steam."],
        }
        | changes
    )


def rubric(name: str = "kettle", *criteria: dict[str, Any], **changes: Any) -> Rubric:
    named = criteria or tuple(criterion(c) for c in ("boiling", "pouring", "holding", "cleaning"))
    flag = {"id": "cold", "asks": "Is it cold?", "cost": 1, "gate": True, "cues": ["boils without any heat"]}
    return Rubric.model_validate(
        {
            "question": name,
            "version": 1,
            "competency": "Kettles",
            "criteria": list(named),
            "red_flags": [flag],
            "answer": "Boil it.",
            "study": [{"title": "Heat", "about": "What it does."}],
        }
        | changes
    )


def planned(name: str = "kettle", **changes: Any) -> Planned:
    return Planned.of(question(name, **changes), rubric(name))


def started(*plan: Planned, **changes: Any) -> SessionStarted:
    values: dict[str, Any] = {
        "seq": 1,
        "at": AT,
        "t": 0,
        "session": "20261124-1812-rag-test",
        "plan": plan or (planned(),),
        "scale": SCALE,
        "level": "mid",
        "minutes": 30,
        "probes": 2,
        "seed": 1,
        "models": Roles(interviewer="offline", grader="offline"),
        "prompts": {},
        "app": "0",
    }
    return SessionStarted(**(values | changes))


def session(*said: tuple[str, str] | tuple[str, str, float], name: str = "kettle", **changes: Any) -> list[Event]:
    """A log of one question from (kind, text[, t]) entries; a probe's text may be "criterion: words"."""
    events: list[Event] = [started(planned(name), **changes)]
    t = 0.0
    for turn, (kind, text, *at) in enumerate(said, 1):
        t = at[0] if at else t
        values: dict[str, Any] = {"seq": turn + 1, "at": AT, "t": t, "question": name, "turn": turn, "text": text}
        match kind:
            case "question":
                events.append(QuestionAsked(**values))
            case "answer":
                events.append(AnswerGiven(**values))
            case "hint":
                events.append(HintGiven(**values))
            case _:
                about, _, values["text"] = text.partition(": ")
                events.append(ProbeAsked(about=about, probe="missing", **values))
    return events


@dataclass
class Shown:
    """A screen that keeps what it was shown, and waits for every model."""

    texts: list[str] = field(default_factory=list)

    def turn(self, kind: TurnKind, text: str, *, heading: str = "") -> None:
        self.texts.append(text)

    def piece(self, text: str) -> None:
        self.texts.append(text)

    def note(self, text: str) -> None:
        self.texts.append(text)

    def hide(self) -> None:
        """Has nothing that could be hidden."""

    async def attend(self, work: Coroutine[Any, Any, T]) -> T:
        return await work


def exchange(**changes: Any) -> Exchange:
    """A grader's call that has failed."""
    made: dict[str, Any] = {
        "role": "grader",
        "purpose": "judge",
        "model": "lab/x",
        "prompt": "p",
        "messages": (),
        "reply": None,
        "usage": Usage(),
        "tries": 1,
        "seconds": 1,
    }
    return Exchange(**made | changes)


def shuffled(text: str, seed: int) -> str:
    words = text.split()
    random.Random(seed).shuffle(words)
    return " ".join(words)


def judged_well(asked: dict[str, Any]) -> str:
    """Returns what a judge replies to a chat completion's request that gives each criterion its highest level, for the answer's first words."""
    told = asked["messages"][-1]["content"]
    criteria, _, rest = told.partition("Misconceptions:")
    said = re.findall(r'<turn n="(\d+)" speaker="candidate">(.*?)</turn>', rest, re.DOTALL)
    number, words = said[0]
    quote = " ".join(words.split()[:4])
    rated = [
        {"criterion": name, "quote": quote, "turn": int(number), "reason": "They say so.", "level": levels[-1]}
        for name, block in re.findall(r"^- ([\w-]+): .*\n((?:  - .*\n?)+)", criteria, re.MULTILINE)
        for levels in [re.findall(r"^  - ([\w ]+):", block, re.MULTILINE)]
    ]
    return json.dumps({"verdicts": rated, "red_flags": []})
