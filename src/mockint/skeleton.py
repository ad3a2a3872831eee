"""The only place that writes content: the commented files of a new question."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from mockint.content import roots
from mockint.errors import UsageError
from mockint.wording import environment

_FILES = {
    "question.yaml": "bank/{track}/{slug}.yaml",
    "rubric.yaml": "rubrics/{track}/{slug}.yaml",
    "answers.yaml": "rubrics/{track}/{slug}.answers.yaml",
}


def write_skeleton(folder: Path, track: str, slug: str) -> list[Path]:
    """Writes question, rubric and sample answers below `folder` and returns their paths.

    Raises:
        UsageError: the slug is not one, or a file is there already; then nothing is written.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
        raise UsageError(f"{slug!r} is no id.", hint="Use lower-case words with hyphens, such as hybrid-search.")
    paths = {name: folder / place.format(track=track, slug=slug) for name, place in _FILES.items()}
    for path in paths.values():
        if path.exists():
            raise UsageError(f"{str(path)!r} exists.", hint="Choose another id, or edit the file.")
    templates = environment(autoescape=False)  # YAML; its variables are a slug and a track
    for name in _FILES:  # what their first lines name, for an editor
        schema = f"{Path(name).stem}.schema.json"
        if not (folder / "schemas" / schema).exists():
            (folder / "schemas").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(roots()[0] / "schemas" / schema, folder / "schemas" / schema)
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(templates.get_template(f"new/{name}").render(slug=slug, track=track), encoding="utf-8")
    return list(paths.values())
