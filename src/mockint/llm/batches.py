"""The adapter for OpenAI's batch endpoint, and for servers that have one like it: slower by hours, and at the price of batches.

Requests are gathered until no more come, sent as one file, and asked after until their replies are there. What was sent stands in a
ledger on the disk, each request under a hash of all that it holds: another run, after a kill or a restart, waits for the same batch and pays
nothing again. Replies come in any order. The provider keeps them for some 30 days, and so long does the ledger name them.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import openai  # 0.4 to 0.6 s; this module is imported only when a batch is asked for
from openai.types import Batch
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ValidationError

from mockint.clock import Clock
from mockint.content import Frozen, digest
from mockint.errors import ModelError, ModelRefused, ModelUnavailable
from mockint.llm import Message, OnText, Raw
from mockint.llm.foreign import hidden, translate
from mockint.llm.openai import raw_of
from mockint.llm.prices import priced
from mockint.llm.structured import shaped

MOST = 5_000
"""Requests of one batch; OpenAI takes 50,000, of 200 MB in all."""
QUIET = 0.5
"""Seconds without another request after which those that wait are sent."""
FIRST_LOOK, LONGEST_LOOK = 2.0, 60.0
"""Seconds between looking whether a batch is ready: twice as many each time."""
KEPT = timedelta(days=29)
ENDED = {"completed", "failed", "expired", "cancelled"}
LOOKS_FAILED = 20
"""Times in a row that the server may not be reached while a batch is waited for."""
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"


class Sent(Frozen):
    """A batch that was sent."""

    batch: str
    place: str
    """The model, and the address of its server if it is somebody's own."""
    at: datetime
    requests: tuple[str, ...]


class Ledger:
    """The batches that were sent, one JSON object a line, each on the disk before anything waits for it."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path, self._clock = path, clock

    def read(self, place: str) -> list[Sent]:
        found: list[Sent] = []
        with suppress(OSError):
            for line in self._path.read_text(encoding="utf-8").splitlines():
                with suppress(ValidationError):  # a write that was cut off
                    found.append(Sent.model_validate_json(line))
        since = self._clock.now() - KEPT
        return [sent for sent in found if sent.place == place and sent.at > since]

    def add(self, sent: Sent) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, (sent.model_dump_json() + "\n").encode())
            os.fsync(file)
        finally:
            os.close(file)


class BatchAdapter:
    """A model that is asked through its provider's batch endpoint.

    Args:
        own: whether it is somebody's own server; what that costs is in no provider's price list.
        told: called with a line for whoever waits, when a batch is sent and when it has ended.
    """

    def __init__(
        self,
        name: str,
        *,
        served_as: str,
        base_url: str | None,
        api_key: str | None,
        ledger: Ledger,
        clock: Clock,
        told: Callable[[str], None],
        first_look: float = FIRST_LOOK,
    ) -> None:
        self.name = name
        try:
            self._client = openai.AsyncOpenAI(
                base_url=base_url, api_key=api_key or ("none" if base_url else None), max_retries=2
            )
        except openai.OpenAIError as exc:
            raise ModelRefused(
                f"There is no API key for {name}.", hint="export OPENAI_API_KEY=…, or configure a provider."
            ) from exc
        self._served_as, self._own, self._key = served_as, base_url is not None, api_key or self._client.api_key
        self._place = f"{name} {base_url}" if base_url else name
        self._ledger, self._clock, self._told, self._first_look = ledger, clock, told, first_look
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._asked: dict[str, dict[str, Any]] = {}
        """The requests that are waited for."""
        self._new: list[str] = []
        """Those that are in no batch yet."""
        self._mine: set[str] = set()
        """Those that this run sends."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: dict[str, Sent] | None = None
        self._asked_after: set[str] = set()
        self._came = asyncio.Event()

    async def call(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None, on_text: OnText | None, deadline: float
    ) -> Raw:
        """Waits until its batch has ended, for `deadline` seconds at most."""
        del on_text
        asked: dict[str, Any] = {
            "model": self._served_as,
            "messages": [message.model_dump() for message in messages],
        }
        asked |= shaped(asked, schema, "schema") if schema else {}
        name = digest(asked).removeprefix("sha256:")[:48]
        if name not in self._waiting:
            self._waiting[name] = asyncio.get_running_loop().create_future()
            self._asked[name] = asked
            self._look_for(name)
        async with asyncio.timeout(deadline):
            return self._raw(await asyncio.shield(self._waiting[name]))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._client.close()

    def _look_for(self, name: str) -> None:
        """Asks after the batch that holds a request, or puts it into the next one."""
        if self._known is None:
            self._known = {request: sent for sent in self._ledger.read(self._place) for request in sent.requests}
            self._begin(self._send())
        sent = self._known.get(name)
        if sent is None:
            self._put(name)
        elif sent.batch not in self._asked_after:
            self._asked_after.add(sent.batch)
            self._told(f"Going on with batch {sent.batch}, which was sent at {sent.at:%Y-%m-%d %H:%M} UTC.")
            self._begin(self._collect(sent, before=True))

    def _put(self, name: str) -> None:
        self._new.append(name)
        self._mine.add(name)
        self._came.set()

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._failing(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _failing(self, work: Any) -> None:
        """Gives what goes wrong to all that wait for it."""
        try:
            await work
        except ModelError as exc:
            failure: ModelError = hidden(exc, self._key)
        except Exception as exc:  # noqa: BLE001  (whatever the library raises)
            failure = translate(exc, self.name, key=self._key)
        else:
            return
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(failure)

    async def _send(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            while len(self._new) < MOST:
                try:
                    async with asyncio.timeout(QUIET):
                        await self._came.wait()
                    self._came.clear()
                except TimeoutError:
                    break
            while self._new:
                some, self._new = self._new[:MOST], self._new[MOST:]
                self._begin(self._collect(await self._sent(some), before=False))

    async def _sent(self, some: Sequence[str]) -> Sent:
        lines = [
            json.dumps({"custom_id": name, "method": "POST", "url": ENDPOINT, "body": self._asked[name]})
            for name in some
        ]
        file = await self._client.files.create(
            file=("requests.jsonl", ("\n".join(lines) + "\n").encode()), purpose="batch"
        )
        made = await self._client.batches.create(
            input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata={"by": "mockint"}
        )
        sent = Sent(batch=made.id, place=self._place, at=self._clock.now(), requests=tuple(some))
        self._ledger.add(sent)
        self._told(f"Sent batch {made.id} with {len(some)} requests; it may be left alone and gone on with later.")
        return sent

    async def _collect(self, sent: Sent, *, before: bool) -> None:
        """Waits until a batch has ended, and gives its replies to those who wait for them.

        Args:
            before: whether it was sent in another run: then what failed in it is sent anew.
        """
        batch = await self._ended(sent.batch, before=before)
        if batch is not None:
            self._told(f"Batch {sent.batch} is {batch.status}.")
        for file in (batch.output_file_id, batch.error_file_id) if batch else ():
            if file:
                content = await self._client.files.content(file)
                for line in content.text.splitlines():
                    with suppress(ValueError):
                        came = json.loads(line)
                        self._give(str(came.get("custom_id")), came, anew=before)
        told = f"the batch {sent.batch} is {batch.status if batch else 'gone'}, without a reply to this"
        for name in sent.requests:
            self._give(name, {"error": {"message": told}}, anew=before)

    async def _ended(self, name: str, *, before: bool) -> Batch | None:
        """Returns a batch when it has ended; None for one of another run that the provider knows no more."""
        wait, failed = self._first_look, 0
        while True:
            try:
                batch = await self._client.batches.retrieve(name)
                if batch.status in ENDED:
                    return batch
                failed = 0
            except openai.NotFoundError:
                if before:
                    return None
                raise
            except openai.APIConnectionError:
                failed += 1
                if failed > LOOKS_FAILED:
                    raise
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_LOOK)

    def _give(self, name: str, came: dict[str, Any], *, anew: bool) -> None:
        waiting = self._waiting.get(name)
        if waiting is None or waiting.done() or (anew and name in self._mine):
            return
        if anew and _failed(came):
            self._put(name)
        else:
            waiting.set_result(came)

    def _raw(self, came: dict[str, Any]) -> Raw:
        """Raises ModelRefused or ModelUnavailable for a request that failed."""
        response = came.get("response") or {}
        status, body = response.get("status_code"), response.get("body") or {}
        if _failed(came):
            error = came.get("error") or body.get("error") or {}
            told = " ".join(str(error.get("message") or error or f"status {status}").split())[:300]
            kind = ModelUnavailable if status is None or status == 429 or status >= 500 else ModelRefused
            raise hidden(kind(f"{self.name}: {told}", hint="Grade it again: what failed is sent anew."), self._key)
        try:
            raw = raw_of(ChatCompletion.model_validate(body), self.name)
        except ValidationError as exc:
            raise ModelRefused(f"{self.name} sent a reply that is no completion.", hint="Try another model.") from exc
        if self._own:
            return raw
        return Raw(raw.text, priced(raw.usage, self.name, of="batches"), raw.cut_off)


def _failed(came: dict[str, Any]) -> bool:
    return bool(came.get("error")) or (came.get("response") or {}).get("status_code") != 200
