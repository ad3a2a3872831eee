"""Grading on a real Dask cluster of processes, from and to a real server that speaks S3; all of it is started and stopped here."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mockint.files import lines, listing, put
from tests.builders import judged_well
from tests.conftest import ChatServer, Run

SAID = "BM25 matches the literal term, so product codes are found; the two ranked lists are merged by their ranks. Number {}."
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTED",
    "AWS_SECRET_ACCESS_KEY": "planted-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


@contextmanager
def running(*words: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server until it is no more needed; yields when it can be reached."""
    process = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1500):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass
class Cluster:
    address: str
    kept: ExitStack
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add(self, count: int) -> None:
        for _ in range(count):
            port = free_port()
            words = ("distributed.cli.dask_worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
            process = running(*words, "--listen-address", f"tcp://127.0.0.1:{port}", port=port)
            self.workers.append(self.kept.enter_context(process))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    port = free_port()
    with ExitStack() as kept:
        kept.enter_context(
            running(
                "distributed.cli.dask_scheduler",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--no-dashboard",
                port=port,
            )
        )
        held = Cluster(f"tcp://127.0.0.1:{port}", kept)
        held.add(2)
        yield held


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket."""
    import s3fs

    port = free_port()
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    with running("moto.server", "-H", "127.0.0.1", "-p", str(port), port=port):
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("grades")
        yield "s3://grades"
        s3fs.S3FileSystem.clear_instance_cache()


def answers(count: int) -> str:
    rows = [{"id": f"a-{n}", "question": "hybrid-search", "answer": SAID.format(n)} for n in range(count)]
    return "\n".join(map(json.dumps, rows)) + "\n"


def sorted_lines(place: str) -> list[str]:
    files = listing(place, ".jsonl") if "://" in place else [place]
    return sorted(line for file in files for line in lines(file))


def test_worker_dies_in_the_middle_and_the_bytes_are_those_of_one_machine(
    run: Run, cluster: Cluster, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1764000000")
    put(f"{bucket}/answers.jsonl", answers(800).encode())
    done = run("grade", f"{bucket}/answers.jsonl", "--out", "here.jsonl", "--workers", "1")
    assert done.code == 0, done.err
    victim = cluster.workers[0]

    def kill_when_it_works() -> None:
        while not listing(f"{bucket}/out", ".jsonl"):
            time.sleep(0.05)
        victim.kill()

    killing = threading.Thread(target=kill_when_it_works)
    killing.start()
    done = run("grade", f"{bucket}/answers.jsonl", "--out", f"{bucket}/out", "--cluster", cluster.address)
    assert done.code == 0, done.err
    killing.join(timeout=10)
    assert victim.wait(timeout=10) < 0
    there = sorted_lines(f"{bucket}/out")
    assert len(there) == 800
    assert there == sorted_lines("here.jsonl")
    again = run("grade", f"{bucket}/answers.jsonl", "--out", f"{bucket}/out", "--cluster", cluster.address)
    assert "800 of" in again.err
    assert again.out == ""
    cluster.add(1)


def test_calls_are_made_by_the_workers_and_limits_are_kept_by_one(
    run: Run, cluster: Cluster, chat_server: ChatServer, tmp_path: Path
) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def replies(asked: dict[str, Any]) -> str:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1
        return judged_well(asked)

    chat_server.replies = replies
    (tmp_path / "a.jsonl").write_text(answers(12))
    (tmp_path / "m.toml").write_text(
        f'[providers.lab]\nbase_url = "{chat_server.url}"\nconcurrency = 1\n[limits]\ntries = 1\n'
    )
    words = ("grade", "a.jsonl", "--model", "lab/m", "--config", "m.toml", "--cluster", cluster.address)
    done = run(*words, "--out", "g.jsonl", "--concurrency", "8")
    assert done.code == 0, done.err
    made = [json.loads(line) for line in lines("g.jsonl")]
    assert len(made) == len(chat_server.requests) == 12
    assert all(line["coverage"] == 1 for line in made)
    assert most == 1, "the provider's limit holds for the cluster as a whole"


def test_failure_of_a_call_far_away_is_told_as_one_here_would_be(
    run: Run, cluster: Cluster, chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.replies = lambda asked: (401, {})
    (tmp_path / "a.jsonl").write_text(answers(1))
    (tmp_path / "m.toml").write_text(f'[providers.lab]\nbase_url = "{chat_server.url}"\n')
    words = ("grade", "a.jsonl", "--model", "lab/m", "--config", "m.toml", "--cluster", cluster.address)
    done = run(*words, "--out", "g.jsonl")
    assert done.code == 6
    assert "status 401" in done.err
    assert len(chat_server.requests) == 1


def test_cluster_that_is_not_there_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockint.cluster.REACHED_WITHIN", 0.5)
    (tmp_path / "a.jsonl").write_text(answers(1))
    done = run("grade", "a.jsonl", "--cluster", f"tcp://127.0.0.1:{free_port()}")
    assert done.code == 2
    assert "cannot be reached" in done.err
