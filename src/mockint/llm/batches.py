"""The adapter for OpenAI's batch endpoint, and for servers that have one like it: slower by hours, and at the price of batches.

Requests are gathered until no more come, sent as one file, and asked after until their replies are there. What is sent stands in a
ledger on the disk, each request under a hash of all that it holds, before a batch is made of it: another run, after a kill or a restart,
waits for the same batch and pays nothing again. Replies come in any order. The provider keeps them for some 30 days, and so long does the
ledger name them.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import openai  # 0.4 to 0.6 s; this module is imported only when a batch is asked for
from openai.types import Batch
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ValidationError

from mockint.clock import Clock
from mockint.content import Frozen, digest
from mockint.errors import ModelError, ModelRefused, ModelUnavailable
from mockint.llm import Message, OnText, Raw, Usage, place
from mockint.llm.foreign import hidden, translate
from mockint.llm.openai import client, longest, raw_of, translated
from mockint.llm.prices import priced
from mockint.llm.structured import shaped

T = TypeVar("T")

MOST, MOST_BYTES = 5_000, 150_000_000
"""Requests of one batch, and their size; OpenAI takes 50,000, of 200 MB in all."""
QUIET = 0.5
"""Seconds without another request after which those that wait are sent."""
FIRST_LOOK, LONGEST_LOOK = 2.0, 60.0
"""Seconds between looking whether a batch is ready: twice as many each time."""
KEPT = timedelta(days=29)
ENDED = {"completed", "failed", "expired", "cancelled"}
LOOKS_FAILED, SENDS_FAILED = 20, 3
"""Times in a row that the server may not be reached, or say that it fails, while a batch is waited for, and before one is sent."""
NOT_NOW = (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError)
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"


class Sent(Frozen):
    """A batch that was sent; one without a name was about to be made of its file."""

    batch: str = ""
    file: str = ""
    """What was uploaded."""
    place: str
    """The model, and the address of its server if it is somebody's own."""
    at: datetime
    requests: tuple[str, ...]


class Ledger:
    """The batches that were sent, one JSON object a line, each on the disk before anything waits for it; the last line about a request holds."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path, self._clock = path, clock

    def read(self, place: str) -> list[Sent]:
        found: list[Sent] = []
        with suppress(OSError):
            for line in self._path.read_bytes().split(b"\n"):
                with suppress(ValidationError):  # a write that was cut off
                    found.append(Sent.model_validate_json(line))
        since = self._clock.now() - KEPT
        return [sent for sent in found if sent.place == place and sent.at > since]

    def add(self, sent: Sent) -> None:
        """Raises ModelRefused when it cannot be written: no batch may be made that nobody finds again."""
        line = sent.model_dump_json().encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+b") as file:
                end = file.tell()
                torn = end and os.pread(file.fileno(), 1, end - 1) != b"\n"
                file.write(b"\n" + line if torn else line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise ModelRefused(
                f"{self._path} cannot be written: {exc.strerror}.",
                hint="Make room on the disk, or name another --home.",
            ) from exc


class _Response(BaseModel):
    status_code: int = 0
    body: Any = None


class _Came(BaseModel):
    """What a batch brought for one request: a line of its files."""

    custom_id: str
    response: _Response | None = None
    error: Any = None

    @property
    def failed(self) -> bool:
        return bool(self.error) or self.response is None or self.response.status_code != 200


class BatchAdapter:
    """A model that is asked through its provider's batch endpoint.

    Args:
        told: called with a line for whoever waits, when a batch is sent and when it has ended.
    """

    patient = True

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
        reply_tokens: int | None = None,
        first_look: float = FIRST_LOOK,
    ) -> None:
        self.name = name
        # What may be asked for again is said here: a batch that is made twice is paid for twice.
        self._client, self._key = client(name, base_url, api_key)
        self._served_as, self._own = served_as, base_url is not None
        self._longest = longest(reply_tokens, own=self._own)
        self._place = place(name, base_url)
        self._ledger, self._clock, self._told, self._first_look = ledger, clock, told, first_look
        self._waiting: dict[str, asyncio.Future[_Came]] = {}
        """The requests whose replies are not here."""
        self._lines: dict[str, str] = {}
        """Of these, the ones that are in no batch for sure, as they are sent."""
        self._new: list[str] = []
        """Those that go into the next batch."""
        self._known: dict[str, Sent] | None = None
        """The batch that each request was sent in, in this run or in others."""
        self._asked_after: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
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
        asked |= self._longest | (shaped(asked, schema, "schema") if schema else {})
        name = digest(asked).removeprefix("sha256:")[:48]
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
            self._lines[name] = json.dumps({"custom_id": name, "method": "POST", "url": ENDPOINT, "body": asked})
            self._look_for(name)
        async with asyncio.timeout(deadline):
            return self._raw(await asyncio.shield(waiting))

    def price(self, usage: Usage) -> Usage:
        return usage if self._own else priced(usage, self.name, of="batches")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._client.close()

    def _look_for(self, name: str) -> None:
        """Asks after the batch that holds a request, or puts it into the next one."""
        if self._known is None:
            self._known = {request: sent for sent in self._ledger.read(self._place) for request in sent.requests}
            self._begin(self._send(), ())
        sent = self._known.get(name)
        if sent is None:
            self._put(name)
        elif (key := sent.batch or sent.file) not in self._asked_after:
            self._asked_after.add(key)
            if sent.batch:
                self._told(f"Going on with batch {sent.batch}, which was sent at {sent.at:%Y-%m-%d %H:%M} UTC.")
            self._begin(self._collect(sent, before=True), sent.requests)

    def _put(self, name: str) -> None:
        self._new.append(name)
        self._came.set()

    def _begin(self, work: Coroutine[Any, Any, None], names: Sequence[str]) -> None:
        task = asyncio.get_running_loop().create_task(self._failing(work, names))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _failing(self, work: Coroutine[Any, Any, None], names: Sequence[str]) -> None:
        """Gives what goes wrong to those that wait for these requests."""
        try:
            await work
        except ModelError as exc:
            failure: ModelError = hidden(exc, self._key)
        except Exception as exc:  # noqa: BLE001  (whatever the library raises)
            failure = translate(exc, self.name, key=self._key)
        else:
            return
        for name in names:
            if waiting := self._waiting.pop(name, None):
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
                some = self._next()
                self._begin(self._sent_and_collected(some), some)

    def _next(self) -> list[str]:
        """Takes as many of the requests that wait as one batch may have."""
        size, some = 0, list[str]()
        for name in self._new[:MOST]:
            size += len(self._lines[name]) + 1
            if some and size > MOST_BYTES:
                break
            some.append(name)
        del self._new[: len(some)]
        return some

    async def _sent_and_collected(self, some: Sequence[str]) -> None:
        sent = await self._sent(some)
        self._told(f"Sent batch {sent.batch} with {len(some)} requests; it may be left alone and gone on with later.")
        await self._collect(sent, before=False)

    async def _sent(self, some: Sequence[str]) -> Sent:
        """The ledger names the file before a batch is made of it: a run that ends in between is found out about by the next one."""
        data = "".join(f"{self._lines[name]}\n" for name in some).encode()
        file = await self._patiently(
            lambda: self._client.files.create(file=("requests.jsonl", data), purpose="batch"), times=SENDS_FAILED
        )
        meant = Sent(file=file.id, place=self._place, at=self._clock.now(), requests=tuple(some))
        self._note(meant)
        try:
            made = await self._client.batches.create(
                input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata={"by": "mockint"}
            )
            name = made.id
        except (openai.APIConnectionError, openai.InternalServerError):
            if not (found := await self._made_of(file.id)):  # it may have been made all the same
                raise
            name = found
        sent = meant.model_copy(update={"batch": name})
        self._note(sent)
        for request in some:
            self._lines.pop(request, None)
        return sent

    def _note(self, sent: Sent) -> None:
        assert self._known is not None
        self._ledger.add(sent)
        self._known.update(dict.fromkeys(sent.requests, sent))

    async def _made_of(self, file: str) -> str | None:
        """Returns the batch that was made of a file; None when there is none, or the server keeps no list."""
        with suppress(openai.APIStatusError):
            page = await self._patiently(lambda: self._client.batches.list(limit=100))
            return next((batch.id for batch in page.data if batch.input_file_id == file), None)
        return None

    async def _collect(self, sent: Sent, *, before: bool) -> None:
        """Waits until a batch has ended, and gives its replies to those who wait for them now.

        Args:
            before: whether it was sent, or meant, before it was asked for: then what failed in it is sent anew.
        """
        try:
            batch = await self._ended(sent, before=before)
            replies = {came.custom_id: came for came in await self._replies(batch)} if batch else {}
        finally:
            self._asked_after.discard(sent.batch or sent.file)
        # Nothing is waited for from here on: who asks meanwhile would be overlooked.
        told = f"the batch {sent.batch} is gone"
        if batch:
            self._told(f"Batch {batch.id} is {batch.status}.")
            told = f"the batch {batch.id} is {batch.status}{_why(batch)}"
        for name in sent.requests:
            came = replies.get(name) or _Came(custom_id=name, error=f"{told}, without a reply to this")
            if name in self._waiting and self._known and self._known.get(name) is sent:
                self._give(name, came, anew=before)

    async def _replies(self, batch: Batch) -> list[_Came]:
        found: list[_Came] = []
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            content = await self._patiently(partial(self._client.files.content, file))
            for line in content.content.split(b"\n"):
                with suppress(ValidationError):
                    found.append(_Came.model_validate_json(line))
        return found

    async def _ended(self, sent: Sent, *, before: bool) -> Batch | None:
        """Returns a batch when it has ended; None for one of another run that the provider does not know."""
        name = sent.batch or await self._made_of(sent.file)
        wait = self._first_look
        try:
            while name:
                batch = await self._patiently(lambda: self._client.batches.retrieve(name))
                if batch.status in ENDED:
                    return batch
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_LOOK)
        except openai.NotFoundError:
            if not before:
                raise
        return None

    async def _patiently(self, work: Callable[[], Awaitable[T]], *, times: int = LOOKS_FAILED) -> T:
        """Does what may be done again, until the server can be reached: so many times more."""
        wait = self._first_look
        for _ in range(times):
            with suppress(*NOT_NOW):
                return await work()
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_LOOK)
        return await work()

    def _give(self, name: str, came: _Came, *, anew: bool) -> None:
        if anew and came.failed:
            assert self._known is not None
            del self._known[name]
            self._put(name)
        else:
            self._lines.pop(name, None)
            self._waiting.pop(name).set_result(came)

    def _raw(self, came: _Came) -> Raw:
        """Raises ModelRefused or ModelUnavailable for a request that failed."""
        body = came.response.body if came.response and isinstance(came.response.body, dict) else {}
        status = came.response.status_code if came.response else 503
        if came.failed:
            error = came.error or body.get("error")
            told = error.get("message", error) if isinstance(error, dict) else error
            kind = ModelUnavailable if status == 429 or status >= 500 else ModelRefused
            what = " ".join(str(told or f"status {status}").split())
            raise hidden(kind(f"{self.name}: {what}", hint="Grade it again: what failed is sent anew."), self._key)
        with translated(self.name, self._key, self.price):
            raw = raw_of(ChatCompletion.construct(**body), self.name)
        return replace(raw, usage=self.price(raw.usage))


def _why(batch: Batch) -> str:
    """Returns what the provider says was wrong with a batch as a whole, after a colon; "" when it says nothing."""
    errors: Iterable[Any] = getattr(batch.errors, "data", None) or ()
    return next((f": {error.message}" for error in errors if getattr(error, "message", None)), "")
