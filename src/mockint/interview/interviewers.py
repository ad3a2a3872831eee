"""The two interviewers behind one port: one that needs no model, and one that asks a model what to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from mockint import evidence
from mockint.content import Frozen
from mockint.interview.leaks import Held
from mockint.interview.moves import Mark, Probe, Reading
from mockint.llm import Message, OnText, Recorder
from mockint.match import Heard, match
from mockint.prompts import Prompt
from mockint.transcript import Part

PROMPTS = ("read", "probe", "clarify")
"""The prompt files that an interviewer with a model uses."""

WRONG, KNOWN = 0.6, 0.35
"""How far words must cover a cue before the offline interviewer takes a claim for wrong, and a fact for what was asked about."""

OPEN = "That is open. Make an assumption, say it aloud, and go on from there."
ASK = "What I can tell you about: {}."
_SHORT = 25
"""Words up to which an answer that says "I don't know" is only that."""


@dataclass(frozen=True)
class Spoken:
    """What an interviewer says, and what a model's drafts of it gave away."""

    text: str
    withheld: tuple[str, ...] = ()
    authored: bool = False
    """Whether authored words stand in for a model's."""


class Interviewer(Protocol):
    async def read(self, part: Part) -> Reading:
        """Returns what the answers show so far."""

    async def probe(self, part: Part, probe: Probe, *, show: OnText) -> Spoken:
        """Returns a probe; what comes in pieces is shown piece by piece."""

    async def clarify(self, part: Part, asked: str, *, show: OnText) -> Spoken:
        """Returns the reply to a clarifying question; what comes in pieces is shown piece by piece."""


class OfflineInterviewer:
    """Says what the question's authors wrote, and hears only what their cues cover. It does not claim to understand more."""

    async def read(self, part: Part) -> Reading:
        heard = [passage for turn in part.answers for passage in evidence.passages(turn.number, turn.text)]
        said = Heard(heard, ask=part.question.ask)
        marks: dict[str, Mark] = {}
        for criterion in part.rubric.criteria:
            others = [other for other in part.rubric.criteria if other is not criterion]
            levels = len(criterion.levels)
            reached = match(criterion, others, said).reached
            marks[criterion.id] = "shown" if reached == levels - 1 else "partial" if reached else "absent"
        wrong = [flag.id for flag in part.rubric.red_flags if evidence.claim(flag.cues, heard, least=WRONG)]
        return Reading(marks, tuple(wrong), gave_up(part.answers[-1].text))

    async def probe(self, part: Part, probe: Probe, *, show: OnText) -> Spoken:
        del show  # whole at once
        match probe.kind:
            case "challenge":
                flag = next(flag for flag in part.rubric.red_flags if flag.id == probe.about)
                heard = [passage for turn in part.answers for passage in evidence.passages(turn.number, turn.text)]
                claim = evidence.claim(flag.cues, heard, least=WRONG)
                quoted = f" You said: “{' '.join(claim.text.split())}”" if claim else ""
                text = f"Let me push back on one point.{quoted} Are you sure of that? Talk me through why it holds."
            case "deepen" | "missing":
                text = part.rubric.by_id[probe.about].probe
        return Spoken(text)

    async def clarify(self, part: Part, asked: str, *, show: OnText) -> Spoken:
        del show
        passage = [evidence.Passage(0, asked)]
        scored = [
            (evidence.search(evidence.cues([fact.about]), passage).score, fact.say) for fact in part.question.facts
        ]
        score, said = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
        if score >= KNOWN:
            return Spoken(said)
        known = ", ".join(fact.about for fact in part.question.facts)
        return Spoken(f"{OPEN} {ASK.format(known)}" if known else OPEN)


def gave_up(text: str) -> bool:
    return evidence.says_nothing(text, most=_SHORT)


class Noticed(Frozen):
    criterion: str
    mark: Literal["absent", "partial", "shown"]


class Notes(Frozen):
    """What a model writes down about the answers so far."""

    criteria: tuple[Noticed, ...]
    wrong: tuple[str, ...]
    gave_up: bool


class ModelInterviewer:
    """Has a model read the answers and phrase what is said; what to say next stays decided in `moves`."""

    def __init__(self, model: Recorder, prompts: dict[str, Prompt]) -> None:
        self._model, self._prompts = model, prompts

    async def read(self, part: Part) -> Reading:
        """A criterion that the model invents, or a reply that is no JSON, leaves the criteria as if not heard."""
        prompt = self._prompts["read"]
        asked = messages(prompt, question=part.question, rubric=part.rubric, turns=part.turns)
        reply = await self._model.reply(asked, purpose="read", prompt=prompt.digest, schema=Notes)
        notes = reply.parsed
        given_up = gave_up(part.answers[-1].text)
        if notes is None:
            return Reading({}, (), given_up)
        flags = {flag.id for flag in part.rubric.red_flags}
        marks: dict[str, Mark] = {n.criterion: n.mark for n in notes.criteria if n.criterion in part.rubric.by_id}
        return Reading(marks, tuple(name for name in notes.wrong if name in flags), notes.gave_up or given_up)

    async def probe(self, part: Part, probe: Probe, *, show: OnText) -> Spoken:
        prompt = self._prompts["probe"]
        flags = {flag.id: flag.asks for flag in part.rubric.red_flags}
        criterion = part.rubric.by_id.get(probe.about)
        asked = messages(
            prompt,
            question=part.question,
            turns=part.turns,
            kind=probe.kind,
            aim=criterion.asks if criterion else flags[probe.about],
            example=criterion.probe if criterion else "Are you sure of that? Why does it hold?",
        )
        authored = (await OfflineInterviewer().probe(part, probe, show=show)).text
        return await self._say(part, asked, purpose="probe", prompt=prompt, show=show, authored=authored)

    async def clarify(self, part: Part, asked: str, *, show: OnText) -> Spoken:
        prompt = self._prompts["clarify"]
        sent = messages(prompt, question=part.question, turns=part.turns, asked=asked)
        authored = (await OfflineInterviewer().clarify(part, asked, show=show)).text
        return await self._say(part, sent, purpose="clarify", prompt=prompt, show=show, authored=authored)

    async def _say(
        self, part: Part, asked: list[Message], *, purpose: str, prompt: Prompt, show: OnText, authored: str
    ) -> Spoken:
        """Has the model speak; a turn that gives an answer away is asked for once more, and then replaced by authored words, as is one
        that breaks off in the middle of a sentence.
        """
        said, withheld = "", list[str]()
        for _ in range(2):
            held = Held(part, show)
            reply = await self._model.reply(asked, purpose=purpose, prompt=prompt.digest, on_text=held)
            broke_off = reply.cut_off and not reply.text.rstrip().endswith((".", "?", "!"))
            if not broke_off:
                held.finish()
                if held.leak is None:
                    return Spoken(f"{said}{reply.text.strip()}", tuple(withheld))
                withheld.append(held.leak)
            if begun := held.shown.strip():
                said += f"{begun} … "
                show(" … ")
            if broke_off:
                break
            again = f"That gives away: “{held.leak}”. Say it again without these words, and without anything like them."
            asked = [*asked, Message(role="assistant", content=reply.text), Message(role="user", content=again)]
        show(authored)
        return Spoken(f"{said}{authored}", tuple(withheld), authored=True)


def messages(prompt: Prompt, **variables: object) -> list[Message]:
    return [Message.model_validate({"role": role, "content": text}) for role, text in prompt.render(**variables)]
