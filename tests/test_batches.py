"""The batch endpoint: one file of requests, replies in any order, and nothing sent or paid twice, whatever is killed in between."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mockint.clock import SystemClock
from mockint.config import load_config
from mockint.errors import ModelRefused, ModelUnavailable
from mockint.llm import Connections, Exchange, Message, Model, Recorder, Spending, batches
from mockint.llm.batches import BatchAdapter, Ledger, Sent
from mockint.llm.prices import priced
from tests.builders import judged_well
from tests.conftest import Run
from tests.servers import Handler, serving

KEY = "sk-planted-key"


@dataclass
class Provider:
    """A provider's files and batches: what was uploaded, and when a batch is ready."""

    url: str = ""
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: int = 2
    """Times that a batch is asked after until it has ended."""
    ended: str = "completed"
    lose: int = 0
    """Replies of each batch that are in no file."""
    reply: Callable[[dict[str, Any]], str | int] = lambda asked: "ready"
    keys: set[str] = field(default_factory=set)
    busy: int = 0
    """Requests that are answered with 503 from now on, but for uploads."""
    refuses: int = 0
    """Uploads that are refused from now on."""
    made: tuple[int, float] = (200, 0.0)
    """The status with which, and the seconds after which, it is told that a batch was made."""
    more: bytes = b""
    """What else stands in a batch's output."""
    reason: str = ""

    @property
    def sent(self) -> list[list[str]]:
        """The requests of each batch, by their ids."""
        return [
            [json.loads(line)["custom_id"] for line in self.files[batch["input_file_id"]].splitlines()]
            for batch in self.batches.values()
        ]

    def end(self, batch: dict[str, Any]) -> None:
        done: list[str] = []
        failed: list[str] = []
        for line in self.files[batch["input_file_id"]].splitlines():
            asked = json.loads(line)
            reply = self.reply(asked["body"])
            status = reply if isinstance(reply, int) else 200
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
            body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            body |= {"usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}
            body |= {"service_tier": "of tomorrow"}
            body = body if status == 200 else {"error": {"message": f"bad {KEY}"}}
            row = {"id": "r", "custom_id": asked["custom_id"], "response": {"status_code": status, "body": body}}
            (done if status == 200 else failed).append(json.dumps(row | {"error": None}, ensure_ascii=False))
        for kind, rows in (("output", done[::-1][self.lose :]), ("error", failed)):
            if rows:
                batch[f"{kind}_file_id"] = f"{kind}-{batch['id']}"
                self.files[f"{kind}-{batch['id']}"] = self.more.decode() + "\n".join(rows) + "\n"
        if self.reason:
            batch["errors"] = {"object": "list", "data": [{"code": "x", "message": self.reason}]}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "QUIET", 0.1)


@pytest.fixture
def provider() -> Iterator[Provider]:
    held = Provider()

    class Answers(Handler):
        def answer(self) -> None:
            held.keys.add(self.headers["authorization"])
            _, _, kind, *rest = self.path.partition("?")[0].split("/")
            if held.busy and self.command == "GET":
                held.busy -= 1
                return self.send_whole(503, b"{}", {})
            if self.command == "GET" and kind == "files":
                return self.send_whole(200, held.files[rest[0]].encode(), {"content-type": "application/octet-stream"})
            if kind == "files":
                raw = self.body().decode()
                if held.refuses:
                    held.refuses -= 1
                    return self.send_whole(400, b'{"error": {"message": "no more files"}}', {})
                name = f"file-{len(held.files)}"
                held.files[name] = raw[raw.index('{"custom_id"') :].partition("\r\n")[0].strip()
                made = {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "r", "purpose": "batch"}
                return self.send_json(made | {"status": "processed"})
            if self.command == "POST":
                batch = json.loads(self.body()) | {"id": f"batch-{len(held.batches)}", "object": "batch"}
                batch |= {"status": "validating", "created_at": 1, "looks": 0}
                held.batches[batch["id"]] = batch
                time.sleep(held.made[1])
                return self.send_json(batch, held.made[0])
            if not rest:
                return self.send_json({"object": "list", "has_more": False, "data": [*held.batches.values()]})
            if rest[0] not in held.batches:
                return self.send_whole(404, b'{"error": {"message": "gone"}}', {"content-type": "application/json"})
            batch = held.batches[rest[0]]
            batch["looks"] += 1
            if batch["looks"] >= held.looks and batch["status"] == "validating":
                batch["status"] = held.ended
                held.end(batch)
            return self.send_json(batch)

        def send_json(self, value: dict[str, Any], status: int = 200) -> None:
            self.send_whole(status, json.dumps(value).encode(), {"content-type": "application/json"})

    with serving(Answers) as address:
        held.url = f"{address}/v1"
        yield held


def adapter(provider: Provider, tmp_path: Path) -> BatchAdapter:
    clock = SystemClock()
    ledger = Ledger(tmp_path / "home" / "batches.jsonl", clock=clock)
    return BatchAdapter(
        "lab/m",
        served_as="m",
        base_url=provider.url,
        api_key=KEY,
        ledger=ledger,
        clock=clock,
        told=lambda line: None,
        first_look=0.02,
    )


def ask(adapter: BatchAdapter, *words: str, deadline: float = 20) -> list[Any]:
    async def work() -> list[Any]:
        asked = (
            adapter.call([Message(role="user", content=word)], schema=None, on_text=None, deadline=deadline)
            for word in words
        )
        try:
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await adapter.close()

    return asyncio.run(work())


def echo(asked: dict[str, Any]) -> str:
    return f"re: {asked['messages'][-1]['content']}"


def test_requests_go_in_one_batch_and_each_gets_its_own_reply(provider: Provider, tmp_path: Path) -> None:
    provider.reply = echo
    made = ask(adapter(provider, tmp_path), "a", "b", "c")
    assert [raw.text for raw in made] == ["re: a", "re: b", "re: c"], "they came in the other order"
    assert [len(batch) for batch in provider.sent] == [3]
    assert provider.keys == {f"Bearer {KEY}"}


def test_another_run_waits_for_the_same_batch_and_sends_nothing(provider: Provider, tmp_path: Path) -> None:
    provider.reply, provider.looks = echo, 10_000
    lost = ask(adapter(provider, tmp_path), "a", "b", deadline=1.5)
    assert [type(one) for one in lost] == [TimeoutError] * 2, "as if it had been killed"
    provider.looks = 1
    made = ask(adapter(provider, tmp_path), "a", "b", "c")
    assert [raw.text for raw in made] == ["re: a", "re: b", "re: c"]
    assert [len(batch) for batch in provider.sent] == [2, 1]


def test_batch_that_the_provider_knows_no_more_is_sent_anew(provider: Provider, tmp_path: Path) -> None:
    ask(adapter(provider, tmp_path), "a")
    provider.batches.clear()
    assert ask(adapter(provider, tmp_path), "a")[0].text == "ready"
    assert len(provider.sent) == 1


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        pytest.param({"reply": lambda asked: 400}, ModelRefused, "bad (key)", id="refused"),
        pytest.param({"reply": lambda asked: 500}, ModelUnavailable, "bad (key)", id="server error"),
        pytest.param({"ended": "expired", "lose": 1}, ModelUnavailable, "batch-0 is expired", id="expired"),
    ],
)
def test_request_that_failed_is_told_and_sent_anew_by_another_run(
    provider: Provider, tmp_path: Path, change: dict[str, Any], kind: type[Exception], told: str
) -> None:
    good = (provider.reply, provider.ended, provider.lose)
    for name, value in change.items():
        setattr(provider, name, value)
    (failed,) = ask(adapter(provider, tmp_path), "a")
    assert isinstance(failed, kind)
    assert told in str(failed)
    assert KEY not in str(failed)
    provider.reply, provider.ended, provider.lose = good
    assert ask(adapter(provider, tmp_path), "a")[0].text == "ready"
    assert len(provider.sent) == 2


def test_request_that_is_asked_after_its_batch_was_read_gets_its_reply_too(provider: Provider, tmp_path: Path) -> None:
    provider.reply = echo
    ask(adapter(provider, tmp_path), "a", "b")
    again = adapter(provider, tmp_path)

    async def one_by_one() -> list[Any]:
        asked = [await one(again, word) for word in ("a", "b", "a")]
        await again.close()
        return asked

    assert [raw.text for raw in asyncio.run(one_by_one())] == ["re: a", "re: b", "re: a"]
    assert [len(batch) for batch in provider.sent] == [2], "and nothing was sent anew"


def test_request_of_an_old_batch_waits_for_no_newer_one(provider: Provider, tmp_path: Path) -> None:
    provider.reply = lambda asked: 500 if asked["messages"][-1]["content"] == "a" else echo(asked)
    ask(adapter(provider, tmp_path), "a", "b")
    again = adapter(provider, tmp_path)

    async def work() -> Any:
        provider.looks = 10_000
        anew = asyncio.create_task(one(again, "a", 20))
        await asyncio.sleep(0.8)
        try:
            return await one(again, "b", 3)
        finally:
            anew.cancel()
            await again.close()

    assert asyncio.run(work()).text == "re: b"
    assert [len(batch) for batch in provider.sent] == [2, 1]


async def one(adapter: BatchAdapter, word: str, deadline: float = 8) -> Any:
    return await adapter.call([Message(role="user", content=word)], schema=None, on_text=None, deadline=deadline)


def test_batch_that_cannot_be_sent_fails_its_own_requests_and_the_next_are_sent(
    provider: Provider, tmp_path: Path
) -> None:
    provider.refuses = 1
    asked = adapter(provider, tmp_path)

    async def one_by_one() -> Any:
        with pytest.raises(ModelRefused, match="no more files"):
            await one(asked, "a")
        reply = await one(asked, "b")
        await asked.close()
        return reply

    assert asyncio.run(one_by_one()).text == "ready"


def test_server_that_fails_for_a_while_is_waited_for(provider: Provider, tmp_path: Path) -> None:
    provider.busy = 6
    assert [raw.text for raw in ask(adapter(provider, tmp_path), "a", "b")] == ["ready"] * 2


def test_line_that_is_no_reply_harms_no_other(provider: Provider, tmp_path: Path) -> None:
    provider.more = b'[]\n7\n{"custom_id": 1}\n{"custom_id": "x", "response": []}\nnot JSON\n'
    assert [raw.text for raw in ask(adapter(provider, tmp_path), "a", "b")] == ["ready"] * 2


@pytest.mark.parametrize("odd", ["\u2028", "\u0085", "\x1c"], ids=["line separator", "next line", "file separator"])
def test_reply_with_an_odd_line_end_in_it_is_whole(provider: Provider, tmp_path: Path, odd: str) -> None:
    provider.reply = lambda asked: f"one{odd}two"
    assert ask(adapter(provider, tmp_path), "a")[0].text == f"one{odd}two"


def test_why_a_batch_failed_is_told(provider: Provider, tmp_path: Path) -> None:
    provider.ended, provider.lose, provider.reason = "failed", 1, f"Enqueued token limit reached for {KEY}"
    (failed,) = ask(adapter(provider, tmp_path), "a")
    assert "Enqueued token limit reached for (key)" in str(failed)


def test_batch_that_was_made_though_it_was_told_otherwise_is_found(provider: Provider, tmp_path: Path) -> None:
    provider.made = (500, 0.0)
    assert ask(adapter(provider, tmp_path), "a")[0].text == "ready"
    assert len(provider.batches) == 1


def test_batch_that_was_made_while_the_run_was_killed_is_found_by_the_next(provider: Provider, tmp_path: Path) -> None:
    provider.made = (200, 0.6)
    (lost,) = ask(adapter(provider, tmp_path), "a", deadline=0.5)
    assert isinstance(lost, TimeoutError)
    assert ask(adapter(provider, tmp_path), "a")[0].text == "ready"
    assert len(provider.batches) == 1


def test_no_batch_is_larger_than_it_may_be(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_BYTES", 1000)
    provider.reply = echo
    words = ["a", "b" * 200, "c", "d" * 900, "e"]
    assert [raw.text for raw in ask(adapter(provider, tmp_path), *words)] == [f"re: {word}" for word in words]
    assert sorted(map(len, provider.sent)) == [1, 1, 3]


def test_line_that_was_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    clock = SystemClock()
    ledger = Ledger(tmp_path / "batches.jsonl", clock=clock)
    first, second = (Sent(batch=name, place="p", at=clock.now(), requests=("r",)) for name in ("b1", "b2"))
    ledger.add(first)
    with (tmp_path / "batches.jsonl").open("ab") as file:
        file.write('{"batch": "é'.encode()[:-1])
    ledger.add(second)
    assert ledger.read("p") == [first, second]
    assert (tmp_path / "batches.jsonl").stat().st_mode & 0o077 == 0


def test_no_batch_is_made_where_it_cannot_be_written_down(provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")
    (failed,) = ask(adapter(provider, tmp_path), "a")
    assert isinstance(failed, ModelRefused)
    assert "batches.jsonl cannot be written" in str(failed)
    assert not provider.batches


def test_limits_of_single_calls_do_not_hold_batches_up(provider: Provider, tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text(f'[providers.lab]\nbase_url = "{provider.url}"\nconcurrency = 1\nrequests_per_minute = 1\n')
    config = load_config(file=file, home=tmp_path)
    connections = Connections(config, SystemClock(), adapter=lambda reference: adapter(provider, tmp_path))
    asked = connections.alone("lab/m")

    async def three() -> None:
        await asyncio.gather(*(asked.reply([Message(role="user", content=word)]) for word in "abc"))

    asyncio.run(connections.closing(three()))
    assert [len(batch) for batch in provider.sent] == [3]
    assert asked.circuit.after > 1e9, "and many that fail in one batch say nothing of the next"


@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        pytest.param(1.0, [3], id="all at once"),
        pytest.param(0.004, [2, 1], id="as many as may be paid, and then the others"),
    ],
)
def test_limit_is_kept_without_a_batch_of_one(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float, sent: list[int]
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    clock, kept = SystemClock(), list[Exchange]()
    asked = BatchAdapter(
        "openai/gpt-5-mini",
        served_as="gpt-5-mini",
        base_url=None,
        api_key=KEY,
        ledger=Ledger(tmp_path / "batches.jsonl", clock=clock),
        clock=clock,
        told=lambda line: None,
        first_look=0.02,
    )
    spending = Spending(limit=limit)
    recorder = Recorder(Model(asked, clock), role="grader", keep=kept.append, spending=spending, price=asked.price)

    async def three() -> None:
        words = ([Message(role="user", content=word)] for word in "abc")
        await asyncio.gather(*(recorder.reply(word, purpose="judge", prompt="p") for word in words))
        await asked.close()

    asyncio.run(three())
    assert [len(batch) for batch in provider.sent] == sent
    assert 0 < spending.spent <= limit


def test_price_is_that_of_batches() -> None:
    from mockint.llm import Usage

    usage = Usage(prompt_tokens=1000, completion_tokens=100, calls=1)
    now, later = priced(usage, "openai/gpt-5-mini"), priced(usage, "openai/gpt-5-mini", of="batches")
    assert now.usd
    assert later.usd == pytest.approx(now.usd / 2)
    assert priced(usage, "mistral/mistral-small-latest", of="batches").usd is None, "no price is told for batches"


def test_answers_are_graded_through_the_batch_endpoint(
    run: Run, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", KEY)
    provider.reply = judged_well
    (tmp_path / "m.toml").write_text(f'[providers.lab]\nbase_url = "{provider.url}"\napi_key_env = "LAB_KEY"\n')
    rows = [{"id": f"a-{n}", "question": "hybrid-search", "answer": f"Both run. Number {n}."} for n in range(5)]
    rows.append({"id": "like a-0", "question": "hybrid-search", "answer": "Both run. Number 0."})
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = run("grade", "a.jsonl", "--batch-api", "--model", "lab/m", "--config", "m.toml", "--out", "g.jsonl")
    assert done.code == 0
    assert "Sent batch batch-0 with 5 requests" in done.err
    lines = {line["id"]: line for line in map(json.loads, (tmp_path / "g.jsonl").read_text().splitlines())}
    assert lines.keys() == {row["id"] for row in rows}
    assert all(line["coverage"] == 1 for line in lines.values())
    assert lines["like a-0"]["answers"] == lines["a-0"]["answers"]
    assert sum(line["usage"]["calls"] for line in lines.values()) == 5, "the same words are paid for once"
    assert all(KEY not in path.read_text() for path in tmp_path.rglob("*.jsonl"))


def test_provider_without_such_an_endpoint_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "question": "hybrid-search", "answer": "Both run."}')
    done = run("grade", "a.jsonl", "--batch-api", "--model", "anthropic/claude-sonnet-4-5")
    assert done.code == 2
    assert "is not spoken here" in done.err
