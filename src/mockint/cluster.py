"""The only place that spreads grading over machines: on a Dask cluster that runs already.

Dask, since its scheduler replaces workers that die and gives what they had to others, it runs on one machine as on many, and speaks plain
TCP. Two kinds of work are spread:

- the offline grader's, whole: it needs a core and nothing else (`Cluster`);
- a model's calls, one by one (`Afar`): the judge's work, its retries, limits and money stay in the one process that everybody's grades
  come back to, so that what holds for one machine holds for the cluster.

A grade is written by the process that asked for it, once, whoever made it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import distributed  # an extra, mockint[cluster]; 0.5 s; this module is imported only where a cluster is asked for
from pydantic import BaseModel

from mockint.batch import By, Desk, Item, error_line
from mockint.clock import SystemClock
from mockint.config import Config
from mockint.errors import MockintError, ModelUnavailable, UsageError
from mockint.grading.grader import Calls, offline
from mockint.llm import Adapter, Connections, Message, OnText, Raw
from mockint.results import Line
from mockint.workers import AHEAD, CHUNK, Job, grade_all

REACHED_WITHIN = 20
"""Seconds in which a cluster's scheduler must answer."""
TIMES_GIVEN = 5


_desks: dict[str, Desk] = {}
"""In a worker: the desk of each job, by its name."""


class _HasJob(distributed.WorkerPlugin):  # type: ignore[misc]
    """Gives a job to every worker, those that join later too."""

    def __init__(self, name: str, job: Job) -> None:
        self.name, self._job = name, job

    def setup(self, worker: Any) -> None:
        del worker
        _desks[self.name] = self._job.desk()

    def teardown(self, worker: Any) -> None:
        del worker
        _desks.pop(self.name, None)


class Cluster:
    """Grades offline on a cluster's workers."""

    chunk = CHUNK

    def __init__(self, client: Any, name: str) -> None:
        self.by = (By.of(offline(Calls())),)
        self._client, self._name = client, name

    @property
    def at_once(self) -> int:
        """Follows the workers as they come and go."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return max(1, sum(int(worker["nthreads"]) for worker in workers)) * AHEAD

    async def grade(self, items: Sequence[Item]) -> list[Line]:
        # Not known by what it holds: the same lines twice in the input are two pieces of work.
        future = self._client.submit(_graded_there, self._name, list(items), pure=False)
        try:
            lines: list[Line] = await future
        except Exception as exc:  # noqa: BLE001  (whatever a worker and the cluster may raise)
            return [error_line(item.place, MockintError.exit_code, f"{item.place}: {_told(exc)}") for item in items]
        finally:
            future.release()
        return lines


async def _given(client: Any, plugin: _HasJob) -> None:
    """Gives the workers a job; one that dies meanwhile is no reason to give it up."""
    for left in range(TIMES_GIVEN, 0, -1):
        try:
            await client.register_plugin(plugin, name=plugin.name)
        except OSError as exc:
            if left == 1:
                raise UsageError(f"The cluster's workers cannot be reached: {exc}", hint="Look at them.") from exc
        else:
            return


def _graded_there(name: str, items: Sequence[Item]) -> list[Line]:
    return grade_all(_desks[name], items)


@asynccontextmanager
async def on_cluster(address: str, job: Job) -> AsyncIterator[Cluster]:
    """Raises UsageError when the cluster cannot be reached."""
    async with _client(address) as client:
        name = f"mockint-{os.getpid()}-{id(job)}"
        await _given(client, _HasJob(name, job))
        try:
            yield Cluster(client, name)
        finally:
            await client.unregister_worker_plugin(name)


class Afar:
    """A model that is called from a cluster's workers, each call from one of them: through the network that they have, with the keys that
    stand in their own variables. Everything else of a call is done here.
    """

    def __init__(self, name: str, config: Config, client: Any) -> None:
        self.name = name
        self._config, self._client = config, client

    async def call(
        self, messages: Sequence[Message], *, schema: type[BaseModel] | None, on_text: OnText | None, deadline: float
    ) -> Raw:
        del on_text  # a grader's replies are not shown while they come
        future = self._client.submit(
            _called_there, self.name, self._config, list(messages), schema, deadline, pure=False
        )
        try:
            raw: Raw = await future
        except MockintError:
            raise
        except Exception as exc:
            raise ModelUnavailable(f"{self.name}: {_told(exc)}", hint="Look at the cluster's workers.") from exc
        finally:
            future.release()
        return raw

    async def close(self) -> None:
        """Has nothing to let go of: the connections are the workers'."""


class _Loop:
    """An event loop in a thread of its own, in which a worker's connections live on from one call to the next."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._adapters: dict[tuple[str, str], Adapter] = {}

    def call(self, name: str, config: Config, *asked: Any) -> Raw:
        return asyncio.run_coroutine_threadsafe(self._call(name, config, *asked), self._loop).result()

    async def _call(
        self, name: str, config: Config, messages: list[Message], schema: type[BaseModel] | None, deadline: float
    ) -> Raw:
        place = (name, config.settings.model_dump_json())
        if place not in self._adapters:
            self._adapters[place] = Connections(config, SystemClock()).alone(name).adapter
        return await self._adapters[place].call(messages, schema=schema, on_text=None, deadline=deadline)


_lock = threading.Lock()
_loops: list[_Loop] = []


def _called_there(name: str, config: Config, messages: list[Message], schema: Any, deadline: float) -> Raw:
    with _lock:
        if not _loops:
            _loops.append(_Loop())
    return _loops[0].call(name, config, messages, schema, deadline)


@asynccontextmanager
async def calls_on_cluster(address: str, config: Config) -> AsyncIterator[Callable[[str], Adapter]]:
    """Yields what makes a model's adapter. Raises UsageError when the cluster cannot be reached."""
    async with _client(address) as client:
        yield lambda name: Afar(name, config, client)


@asynccontextmanager
async def _client(address: str) -> AsyncIterator[Any]:
    try:
        client = await distributed.Client(address, asynchronous=True, timeout=REACHED_WITHIN)
    except (OSError, TimeoutError, ValueError) as exc:
        raise UsageError(
            f"The cluster at {address!r} cannot be reached: {exc}",
            hint="Give its scheduler's address, such as tcp://10.0.0.5:8786.",
        ) from exc
    async with client:
        yield client


def _told(exc: BaseException) -> str:
    return " ".join(f"the cluster gave it up: {type(exc).__name__}: {exc}".split())[:300]
