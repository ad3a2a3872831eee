"""The pages are true: each command that they show is run, what they say it prints is printed, and the site is built without a warning.

In a ```console block of a page a line that begins with `$ ` is a command, one that begins with `> ` is typed into an interview, and the
others are what it prints, in any order; `…` stands for what is left out. A block with a title is a file,
which is written before what follows. A page has one home and one folder, and a clock that stands at the evening of
24 November 2026; `<!-- the next day -->` moves it. A model's server is a stand-in that gives each criterion its highest level.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import mockint.clock
from tests.builders import judged_well
from tests.conftest import ROOT, ChatServer, Run, StandingClock

DOCS = ROOT / "docs"
PAGES = ("cluster", "five-days", "grading-a-class", "how-a-grade-is-made", "index", "tutorial")
"""The pages whose commands are run, with those of the README."""
NOT_RUN = {
    "calibration", "commands", "faults", "formats", "importing", "library", "providers", "schemas", "writing-questions",
}  # fmt: skip
"""Pages without a `$ ` command. What library.md and providers.md show, tests/test_api.py and tests/test_protocols.py run."""

SERVER = "http://127.0.0.1:8000/v1"
"""The address of the model's server in the pages; a test's own stands in for it."""
TELLS_CODE = "; echo $?"
"""Ends a command whose exit code is the last line of what it prints; all others exit with 0."""
SHELL = ("cat", "head", "sed")

ELSEWHERE = {
    "pipx install .": "it asks a package registry; `make wheel-check` installs the wheel",
    "python -m pip install '.[cluster]'": "it asks a package registry; `make test` runs with the extra",
    "dask scheduler --port 8786": "a server: tests/test_cluster.py runs one",
    "dask worker tcp://10.0.0.5:8786 --nthreads 1": "a server: tests/test_cluster.py runs several",
    "mockint grade answers.jsonl --out grades.jsonl --cluster tcp://10.0.0.5:8786": "tests/test_cluster.py runs it",
    "mockint grade s3://grades/answers.jsonl --out s3://grades/out --cluster tcp://10.0.0.5:8786": (
        "tests/test_cluster.py runs it, on a server that speaks S3"
    ),
    "mockint grade answers.jsonl --out judged.jsonl --batch-api --model openai/gpt-5-mini": (
        "tests/test_batches.py runs it, on a server that has a batch endpoint"
    ),
    "mockint grade answers.jsonl --model REF --batch-api": "tests/test_batches.py runs it, on a server that has a batch endpoint",
    "mockint grade s3://bucket/answers.jsonl --out s3://bucket/grades --cluster tcp://10.0.0.5:8786": (
        "tests/test_cluster.py runs it, on a server that speaks S3"
    ),
    "mockint calibrate": "it grades the whole bank: tests/test_calibration.py runs it on a part",
}
"""Commands of the pages and the README that are not run here, and why."""


@dataclass
class Step:
    """A command of a page, or a file that is written."""

    command: str = ""
    typed: list[str] = field(default_factory=list)
    """What is typed into it, a paragraph a turn."""
    printed: list[str] = field(default_factory=list)
    code: int = 0
    file: str = ""
    text: str = ""
    days: int = 0


BLOCK = re.compile(
    r"^(?P<day><!-- the next day -->)$|^```(?P<head>\S*(?: [^\n]*)?)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
SESSION = re.compile(r"\b\d{8}-\d{6}-[a-z-]+-[a-z0-9]{4}\b")


def steps(page: str) -> list[Step]:
    """Returns what a page has its reader do, in its order."""
    found: list[Step] = []
    for block in BLOCK.finditer(page):
        head, body = block["head"] or "", block["body"] or ""
        title = re.search(r'title="([^"]+)"', head)
        if block["day"]:
            found.append(Step(days=1))
        elif title:
            found.append(Step(file=title[1], text=body))
        elif head == "console":
            found += commands(body)
    return found


def commands(body: str) -> list[Step]:
    found: list[Step] = []
    before = ""
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Step(command=line[2:]))
        elif line.startswith("> ") and found[-1].command.startswith(("mockint start", "mockint resume")):
            turns = found[-1].typed
            if before.startswith("> "):
                turns[-1] += "\n" + line[2:]
            else:
                turns.append(line[2:])
        elif line.strip() and line != "…":
            found[-1].printed.append(line)
        before = line
    for step in found:
        if step.command.endswith(TELLS_CODE):
            step.command, step.code = step.command.removesuffix(TELLS_CODE), int(step.printed.pop())
    return found


@dataclass
class Reader:
    """Does what a page says, in a folder of its own."""

    run: Run
    folder: Path
    server: ChatServer
    clock: StandingClock
    done: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def follow(self, page: str) -> None:
        for step in steps(page):
            self.clock.passed += 60 + 86_400 * step.days
            if step.file:
                path = self.folder / step.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.text.replace(SERVER, self.server.url), encoding="utf-8")
            elif step.command and step.command not in ELSEWHERE:
                self.command(step)
            self.done.append(step.command)

    def command(self, step: Step) -> None:
        words = shlex.split(step.command, comments=True)
        if words[0] == "mockint":
            ran = self.run(*words[1:], stdin="\n\n".join(step.typed))
            code, told = ran.code, f"{ran.out}\n{ran.err}"
        else:
            assert words[0] in SHELL, f"{step.command!r} is neither run nor in ELSEWHERE"
            there = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False)
            code, told = there.returncode, f"{there.stdout}\n{there.stderr}"
        self.told.append(f"$ {step.command}\n{told}")
        assert code == step.code, f"{step.command}\n{told}"
        lines = {SESSION.sub("SESSION", line).strip() for line in told.splitlines()}
        missing = [line for line in step.printed if SESSION.sub("SESSION", line).strip() not in lines]
        assert not missing, f"{step.command} does not print {missing}, but:\n{told}"


def judged(asked: dict[str, Any]) -> str:
    """Returns what a judge replies, who says the same when it is asked again, and to any other request what `mockint doctor` looks for."""
    for message in asked["messages"]:
        if '<turn n="' in message["content"]:
            return judged_well({"messages": [message]})
    return '{"word": "one, two, three, ready"}'


@pytest.fixture
def reader(run: Run, tmp_path: Path, chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    clock = StandingClock()
    monkeypatch.setattr(mockint.clock, "SystemClock", lambda: clock)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("OPENAI_API_KEY", "planted")
    monkeypatch.setenv("OPENAI_BASE_URL", chat_server.url)
    chat_server.replies = judged
    with monkeypatch.context() as zone:  # a plan's days are those of this machine's calendar
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield Reader(run, tmp_path, chat_server, clock)
    time.tzset()


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_a_page_do_what_it_says(name: str, reader: Reader) -> None:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    reader.follow(page)
    (reader.folder / "printed.txt").write_text("\n".join(reader.told))  # for whoever writes a page
    shown = re.findall(r"^\s*\$ (.*)$", page, re.MULTILINE)
    assert shown, "a page without a command belongs into NOT_RUN"
    assert [line.removesuffix(TELLS_CODE) for line in shown] == [line for line in reader.done if line]


def test_pages_are_run_or_have_no_command() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == {*PAGES, *NOT_RUN}
    for name in NOT_RUN:
        assert not re.search(r"^\s*\$ ", (DOCS / f"{name}.md").read_text(encoding="utf-8"), re.MULTILINE), name


def test_commands_of_the_readme_are_run(reader: Reader) -> None:
    config = f'[models]\ngrader = "offline"\n\n[providers.lab]\nbase_url = "{reader.server.url}"\n'
    (reader.folder / "mockint.toml").write_text(config)
    answer = {"id": "a-1", "question": "hybrid-search", "answer": SAID}
    (reader.folder / "answers.jsonl").write_text(json.dumps(answer) + "\n")
    (call,) = [
        step for step in steps((DOCS / "grading-a-class.md").read_text(encoding="utf-8")) if step.file[-4:] == ".vtt"
    ]
    (reader.folder / "term-3").mkdir()
    (reader.folder / call.file).write_text(call.text, encoding="utf-8")
    shown = readme_commands()
    assert len(shown) > 8
    for command in shown:
        reader.clock.passed += 60
        if command not in ELSEWHERE:
            reader.command(Step(command=command.replace("REF", "lab/qwen3"), typed=[SAID]))


def test_batch_of_which_all_but_a_bad_line_is_graded_ends_well(reader: Reader) -> None:
    good, bad = ({"id": name, "question": name, "answer": SAID} for name in ("hybrid-search", "no-such"))
    (reader.folder / "a.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    assert reader.run("grade", "a.jsonl", "--out", "g.jsonl").code == 0
    assert reader.run("grade", "a.jsonl", "--out", "g.jsonl").code == 0


def test_comparing_a_question_with_its_review_names_no_change_of_its_rubric(reader: Reader) -> None:
    (reader.folder / "c.yaml").write_text(f"hybrid-search: {{answer: '{SAID}', took_seconds: 9}}\n")
    assert reader.run("start", "--question", "hybrid-search", "--answers", "c.yaml").code == 0
    reader.clock.passed += 86_400
    assert reader.run("start", "--review", "--answers", "c.yaml").code == 0
    compared = reader.run("compare", "--question", "hybrid-search")
    assert compared.code == 0
    assert "2026-11-25" in compared.out
    assert "rubric:" not in compared.out


SAID = "BM25 finds the part number, since it matches the literal token, and both lists are merged by rank."


def readme_commands() -> list[str]:
    """Returns the commands of mockint in the README's blocks, without what is said about them."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [block["body"] for block in BLOCK.finditer(page) if block["body"] and not block["head"]]
    lines = [line for body in blocks for line in body.splitlines() if line.startswith("mockint ")]
    return [line.split(" # ")[0].rstrip() for line in lines]


def test_list_of_what_is_not_run_holds_only_what_is_shown() -> None:
    pages = [(DOCS / f"{name}.md").read_text(encoding="utf-8") for name in PAGES]
    shown = {step.command for page in pages for step in steps(page)} | set(readme_commands())
    assert set(ELSEWHERE) <= shown
    assert all(ELSEWHERE.values())


def test_a_command_that_fails_or_prints_something_else_is_found(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="There is no session"):
        reader.follow("```console\n$ mockint report no-such\n```\n")
    with pytest.raises(AssertionError, match="does not print"):
        reader.follow("```console\n$ mockint --version\nmockint 99\n```\n")
    with pytest.raises(AssertionError, match="neither run nor"):
        reader.follow("```console\n$ curl https://example.org\n```\n")
    reader.follow("```console\n$ mockint report no-such; echo $?\n4\n```\n")


def test_list_of_schemas_is_complete() -> None:
    rows = re.findall(
        r"^\| `([\w-]+\.schema\.json)` \| \S", (DOCS / "schemas.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(rows) == sorted(path.name for path in (ROOT / "schemas").iterdir())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning fails the build."""
    built = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(built)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return built


def test_each_page_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert (site / f"{page.stem}.html").exists()
        assert f'href="{page.stem}.html"' in home
    assert (site / "search" / "search_index.json").exists()


FETCHED = re.compile(
    r"<(?:script|img|iframe|source|object|embed)\b[^>]*?\b(?:src|srcset|data)=[\"']?(?:https?:)?//[^>]*>", re.IGNORECASE
)
LINKED = re.compile(r"<link\b(?![^>]*rel=[\"']?canonical)[^>]*?\bhref=[\"']?(?:https?:)?//[^>]*>", re.IGNORECASE)
STYLED = re.compile(r"(?:@import\s+|url\()\s*[\"']?(?:https?:)?//[^)\s]*", re.IGNORECASE)


def test_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert pages
    assert styles
    for path in [*pages, *styles, *site.rglob("*.svg")]:
        text = path.read_text(encoding="utf-8")
        found = [*FETCHED.findall(text), *LINKED.findall(text), *STYLED.findall(text)]
        assert not found, f"{path.name}: {found}"


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example.org/a.js"></script>',
        "<img alt=x src=//example.org/a.png>",
        '<link rel="stylesheet" href="https://fonts.example.org/css">',
        "@import url(https://example.org/a.css);",
    ],
    ids=["script", "picture", "style", "import"],
)
def test_what_would_be_fetched_is_found(text: str) -> None:
    assert FETCHED.search(text) or LINKED.search(text) or STYLED.search(text)
