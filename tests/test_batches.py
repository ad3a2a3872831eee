"""The batch endpoint: one file of requests, replies in any order, and nothing sent or paid twice, whatever is killed in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mockint.clock import SystemClock
from mockint.errors import ModelRefused, ModelUnavailable
from mockint.llm import Message
from mockint.llm.batches import BatchAdapter, Ledger
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
            body = body if status == 200 else {"error": {"message": f"bad {KEY}"}}
            row = {"id": "r", "custom_id": asked["custom_id"], "response": {"status_code": status, "body": body}}
            (done if status == 200 else failed).append(json.dumps(row | {"error": None}))
        for kind, rows in (("output", done[::-1][self.lose :]), ("error", failed)):
            if rows:
                batch[f"{kind}_file_id"] = f"{kind}-{batch['id']}"
                self.files[f"{kind}-{batch['id']}"] = "\n".join(rows) + "\n"


@pytest.fixture
def provider() -> Iterator[Provider]:
    held = Provider()

    class Answers(Handler):
        def answer(self) -> None:
            held.keys.add(self.headers["authorization"])
            _, _, kind, *rest = self.path.split("/")
            if self.command == "GET" and kind == "files":
                return self.send_whole(200, held.files[rest[0]].encode(), {"content-type": "application/octet-stream"})
            if kind == "files":
                name = f"file-{len(held.files)}"
                raw = self.body().decode()
                held.files[name] = raw[raw.index('{"custom_id"') :].partition("\r\n")[0].strip()
                made = {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "r", "purpose": "batch"}
                return self.send_json(made | {"status": "processed"})
            if self.command == "POST":
                batch = json.loads(self.body()) | {"id": f"batch-{len(held.batches)}", "object": "batch"}
                batch |= {"status": "validating", "created_at": 1, "looks": 0}
                held.batches[batch["id"]] = batch
                return self.send_json(batch)
            if rest[0] not in held.batches:
                return self.send_whole(404, b'{"error": {"message": "gone"}}', {"content-type": "application/json"})
            batch = held.batches[rest[0]]
            batch["looks"] += 1
            if batch["looks"] >= held.looks and batch["status"] == "validating":
                batch["status"] = held.ended
                held.end(batch)
            return self.send_json(batch)

        def send_json(self, value: dict[str, Any]) -> None:
            self.send_whole(200, json.dumps(value).encode(), {"content-type": "application/json"})

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
