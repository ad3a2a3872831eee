"""Measures the holes that graders by words have: what made-up answers earn, through `mockint grade … --model offline`.

    .venv/bin/python tests/bench/holes.py           # on the bank: its rubrics, its model answers
    .venv/bin/python tests/bench/holes.py FILE      # on rubrics made from reference sentences, without cues

FILE holds SemEval-2013 Task 7 as JSON lines (see tools/fit_offline.py); with it the given answers are graded too, and macro-F1 on
correct / not correct is told. Prints the mean score, from 0 to 1, and the seconds an answer took.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from sklearn.metrics import f1_score

from mockint.bank import load_bank
from mockint.content import roots

_AUXILIARY = r"\b(is|are|was|were|can|could|will|would|should|has|have|had|does|do|did|may|might|must)\b"
Row = dict[str, Any]


def made_up(asks: dict[str, str], references: dict[str, str]) -> list[Row]:
    dice, names, rows = random.Random(1), list(references), []
    for place, name in enumerate(names):
        text = references[name]
        mixed = text.split()
        dice.shuffle(mixed)
        sentences = re.split(r"(?<=[.!?])\s+", text)
        answers = {
            "the reference itself": text,
            "the question repeated": asks[name],
            "the reference shuffled": " ".join(mixed),
            "the reference negated": " ".join(map(negated, sentences)),
            "the reference called untrue": " ".join(f"It is not true that {s[:1].lower()}{s[1:]}" for s in sentences),
            "another question's reference": references[names[(place + 37) % len(names)]],
        }
        rows += [{"id": f"{kind}|{name}", "question": name, "answer": said} for kind, said in answers.items()]
    return rows


def negated(sentence: str) -> str:
    put, found = re.subn(_AUXILIARY, r"\1 not", sentence, count=1)
    first, _, rest = sentence.partition(" ")
    return put if found else f"{first} does not {rest}"


def from_file(path: Path, folder: Path) -> tuple[dict[str, str], dict[str, str], list[Row]]:
    """Writes a question and a rubric for each question of the file, and returns asks, references and the answers given."""
    asks, references, given = {}, {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        name = "q-" + re.sub(r"[^a-z0-9]+", "-", row["question_id"].lower()).strip("-")
        asks[name], references[name] = row["question"], row["reference_answers"][0]
        kind = f"{row['set']}/{'right' if row['label'] == 'correct' else 'wrong'}/{number}"
        given.append({"id": f"{kind}|{name}", "question": name, "answer": row["student_answer"] or "-"})
    for name, ask in asks.items():
        question = {"id": name, "track": "rag", "title": name, "kind": "concept", "levels": ["junior"], "minutes": 4}
        criterion = {
            "id": "says-it",
            "asks": "Does the candidate say this?",
            "weight": 1,
            "expected_from": "junior",
            "levels": {"missed": "Says something else.", "met": references[name]},
            "probe": "What else?",
        }
        rubric = {"question": name, "version": 1, "competency": "science", "answer": references[name]}
        for kind, data in (
            ("bank", question | {"topics": ["school"], "ask": ask}),
            ("rubrics", rubric | {"criteria": [criterion]}),
        ):
            (folder / kind / "rag").mkdir(parents=True, exist_ok=True)
            (folder / kind / "rag" / f"{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return asks, references, given


def grade(rows: list[Row], folder: Path) -> dict[str, float | None]:
    answers, out = folder / "answers.jsonl", folder / "grades.jsonl"
    answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    mine = [sys.executable, "-m", "mockint", "grade", str(answers), "--model", "offline", "--out", str(out)]
    began = time.perf_counter()
    subprocess.run([*mine, "--content", str(folder), "--home", str(folder / "home")], check=True, capture_output=True)
    seconds = time.perf_counter() - began
    print(f"{len(rows)} answers graded in {seconds:.1f} s: {1000 * seconds / len(rows):.1f} ms each, start included")
    graded = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return {one["id"]: one.get("score") for one in graded}


def main(path: Path | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, given = Path(name), list[Row]()
        if path is None:
            bank = load_bank(roots())
            asks = {q.id: q.ask for q in bank.questions.values()}
            references = {q.id: bank.rubric(q).answer for q in bank.questions.values()}
        else:
            asks, references, given = from_file(path, folder)
        scores = grade([*made_up(asks, references), *given], folder)
    kinds: dict[str, list[float]] = defaultdict(list)
    judged: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for key, score in scores.items():
        kind = key.split("|")[0]
        if "/" not in kind:
            kinds[kind].append(score or 0.0)
            continue
        part, label, _ = kind.split("/")
        judged[part].append((label == "right", (score or 0.0) >= 0.5))
    for kind, found in kinds.items():
        print(f"{kind:<30} {sum(found) / len(found):.3f}  over {len(found)} questions")
    for part, pairs in judged.items():
        stated, guessed = zip(*pairs, strict=True)
        print(
            f"{part:<30} macro-F1 {f1_score(stated, guessed, average='macro'):.3f}  on {len(pairs)} answers (fitted on these)"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
