"""A real Chromium for tests: it opens pages that are files, and keeps what they asked for, complained of and said to a reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shutil import which
from typing import Any, Literal

import pytest

from mockint.pages import BROWSERS, QUIET

Scheme = Literal["dark", "light"]


@dataclass
class Opened:
    """A page in a window of its own."""

    page: Any
    """playwright's Page."""
    address: str
    requests: list[str] = field(default_factory=list)
    """What was asked for besides the page itself."""
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, uncaught exceptions, and dialogs."""

    def violations(self) -> list[str]:
        """Returns what axe-core finds that is serious or critical, each with the first place."""
        # By the debugger, as the page's own policy lets no other script in.
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(axe())
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary'][:300]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]


@cache
def axe() -> str:
    """Returns axe-core, as a package on the test's own path carries it."""
    try:
        files = distribution("axe-playwright-python").files or []
    except PackageNotFoundError:
        pytest.skip("axe-core is not here: axe-playwright-python is not installed")
    (script,) = [file for file in files if file.name == "axe.min.js"]
    return Path(str(script.locate())).read_text(encoding="utf-8")


@dataclass
class Windows:
    browser: Any
    folder: Path

    @contextmanager
    def open(self, html: str, *, width: int = 1280, scheme: Scheme = "light") -> Iterator[Opened]:
        """Yields the page, opened from a file as a reader would."""
        file = self.folder / "page.html"
        file.write_text(html, encoding="utf-8")
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        try:
            page = context.new_page()
            opened = Opened(page, file.as_uri())
            page.on("request", lambda request: opened.requests.append(request.url))
            page.on("console", lambda told: _keep_complaint(opened, told))
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            page.on("dialog", lambda dialog: _keep_dialog(opened, dialog))
            page.goto(opened.address)
            opened.requests.remove(opened.address)
            yield opened
        finally:
            context.close()


def _keep_complaint(opened: Opened, told: Any) -> None:
    if told.type in ("error", "warning"):
        opened.complaints.append(told.text)


def _keep_dialog(opened: Opened, dialog: Any) -> None:
    opened.complaints.append(f"dialog {dialog.message}")
    dialog.dismiss()


@contextmanager
def chromium(folder: Path) -> Iterator[Windows]:
    """Yields one Chromium, without a window; skips the test where there is none."""
    path = next((found for name in BROWSERS if (found := which(name))), None)
    if path is None:
        pytest.skip(f"no Chromium on the PATH: none of {', '.join(BROWSERS)}")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = [*QUIET[1:], "--no-sandbox"]
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=flags)
        try:
            yield Windows(browser, folder)
        finally:
            browser.close()
