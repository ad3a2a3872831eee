"""Interviews that mockint did not record: what is read of them, who is who, which questions were asked, and what is kept."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml

from mockint.bank import Bank, load_bank
from mockint.errors import ContentError
from mockint.imports import Matcher, Pseudonyms, asks, guess, may_ask, named, own_question, pick, read
from tests.conftest import ROOT, Ran, Run

EXPORTS = Path(__file__).parent / "exports"
LORA = (
    "Explain LoRA to me. You've got an eight billion parameter model and twelve customers, each with their own style."
)
ORDER = (
    "How does a transformer know the order of its tokens? A bus company's model scores a route and the shuffled route "
    "exactly alike."
)


@cache
def bank() -> Bank:
    return load_bank([ROOT])


@cache
def matcher() -> Matcher:
    return Matcher(bank())


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str | bytes, name: str = "talk.vtt") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def spoken(path: Path) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in read(path).turns]


def imported(done: Ran) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Returns the answers and the record of the one import that was made."""
    answers = Path(done.out.strip())
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    return lines, json.loads((answers.parent / "import.json").read_text())


# What is read


def test_zoom_cues_of_one_speaker_are_one_turn_and_hesitation_is_kept() -> None:
    turns = spoken(EXPORTS / "zoom.vtt")
    assert [speaker for speaker, _ in turns[:4]] == ["Dana O'Neil", "José Lima", "Dana O'Neil", "José Lima"]
    assert "wants to put BM25 alongside it. What do you gain" in turns[2][1]
    assert turns[3][1].startswith("Um, so embeddings")
    assert turns[3][1].endswith("Latency: one more query, but they run in parallel.")


def test_teams_voices_over_lines_and_spans_are_kept_with_times_without_hours() -> None:
    reading = read(EXPORTS / "teams.vtt")
    assert reading.speakers == ("Priya Natarajan", "Sam Weber", "Mei Tanaka")
    assert reading.turns[0].text == "Thanks, Sam. Before we start, I work on fraud models at a bank & like it."
    assert reading.turns[2].text.endswith("is a few megabytes, and each customer gets one.")
    assert [turn.start for turn in reading.turns] == [3.12, 8.0, 18.0, 32.0, 3637.0]


@pytest.mark.parametrize("name", ["otter.srt", "otter.txt"])
def test_otter_names_with_times_are_speakers(name: str) -> None:
    turns = spoken(EXPORTS / name)
    assert [speaker for speaker, _ in turns] == ["Ruth Abel", "Tom Ek", "Ruth Abel"]
    assert "one in twenty, then about half" in turns[1][1]
    assert turns[2][1] == "How would you say that to a dean?"


def test_markdown_keeps_paragraphs_and_takes_a_list_for_words() -> None:
    reading = read(EXPORTS / "notes.md")
    assert reading.speakers == ("Interviewer", "Candidate")
    assert "ranking model.\n\nSteps:\n- I wrote down both sides." in reading.turns[1].text
    assert [(problem.line, "Steps" in problem.message) for problem in reading.problems] == [(7, True)]


def test_markdown_headings_are_speakers_where_nothing_else_is() -> None:
    reading = read(EXPORTS / "headings.md")
    assert [turn.speaker for turn in reading.turns] == ["Lee", "Noor", "Lee", "Noor"]
    assert not reading.problems


def test_headings_of_a_page_are_no_speakers(write: Any) -> None:
    with pytest.raises(ContentError, match="no words with a speaker's name"):
        read(write("# A page\n\n## Install\n\nRun it.\n\n## Use\n\nLike this.\n\n## Remove\n\nSo.\n", "README.md"))
    assert read(write("Notes.\n\n## Lee\n\nWhy?\n\n## Noor\n\nSo.\n", "a.md")).speakers == ("Lee", "Noor")


def test_words_before_the_first_name_are_said_once(write: Any) -> None:
    reading = read(write("Notes.\n\nOf May.\n\nAda: Why?\n\nBen: So.\n", "a.txt"))
    assert [problem.line for problem in reading.problems] == [1]


def test_code_in_a_fence_keeps_its_comments_and_indentation(write: Any) -> None:
    path = write(
        "**Ada:** Type it.\n\n**Ben:** So:\n\n```\n# a comment\nfor x in y:\n    print(x)\n```\n\n## Part 2\n", "a.md"
    )
    assert read(path).turns[1].text.endswith("```\n# a comment\nfor x in y:\n    print(x)\n```")


def test_stamped_text_and_json_lines_have_starts() -> None:
    assert [turn.start for turn in read(EXPORTS / "stamped.txt").turns] == [5, 31, 62, 69]
    assert [(turn.speaker, turn.start) for turn in read(EXPORTS / "turns.jsonl").turns] == [("Q", 3.5), ("A", 12)]


def test_rolling_captions_are_said_once() -> None:
    assert spoken(EXPORTS / "rolling.vtt") == [
        ("Ada", "Can you explain Constitutional AI, from one end to the other, and what it doesn't solve?"),
        ("Ben", "Um, so the model criticises its own replies by a list of principles"),
    ]


def test_a_candidate_who_says_words_twice_said_them_twice(write: Any) -> None:
    cues = [
        "Ada: Why?",
        "Ben: I think, um,",
        "Ben: um, I think",
        "Ben: I think so",
        "Ben: because of it",
        "Ada: Good",
        "Ben: ok",
    ]
    path = write("WEBVTT\n\n" + "".join(f"00:0{n}.000 --> 00:0{n}.900\n{cue}\n\n" for n, cue in enumerate(cues)))
    assert spoken(path)[1][1] == "I think, um, um, I think I think so because of it"


def test_damage_is_named_with_its_line_and_the_words_are_kept() -> None:
    reading = read(EXPORTS / "damaged.vtt")
    assert [problem.line for problem in reading.problems] == [8, 15]
    assert (
        reading.turns[1].text
        == "I take two snapshots with tracemalloc and compare them, and look at caches that nobody bounds."
    )


def test_damaged_json_lines_go_on(write: Any) -> None:
    lines = [
        '{"speaker": "Q", "text": "Why?"}',
        "{broken",
        '{"speaker": 3, "text": "x"}',
        '{"speaker": "A", "text": "\\ud800 so"}',
    ]
    reading = read(write("\n".join(lines), "a.jsonl"))
    assert [problem.line for problem in reading.problems] == [2, 3]
    assert reading.turns[1].text == "\N{REPLACEMENT CHARACTER} so"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends_of_windows_are_read(write: Any, encoding: str, newline: str) -> None:
    text = (EXPORTS / "zoom.vtt").read_text(encoding="utf-8")
    path = write(text.replace("\n", newline).encode(encoding))
    assert spoken(path) == spoken(EXPORTS / "zoom.vtt")
    assert not read(path).problems


def test_one_broken_byte_in_utf8_is_named_and_the_rest_stays(write: Any) -> None:
    data = (EXPORTS / "zoom.vtt").read_bytes().replace(b"loud and clear", b"loud \xff clear")
    reading = read(write(data))
    assert [problem.line for problem in reading.problems] == [9]
    assert reading.speakers == ("Dana O'Neil", "José Lima")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf\r\n", "is empty", id="only a mark"),
        pytest.param(bytes(range(256)) * 40, "no text", id="binary"),
        pytest.param(b"WEBVTT\n\n00:01.000 --> 00:02.000\nhello there\n", "speaker", id="no names"),
        pytest.param(b'{"id": "a", "question": "lora", "answer": "x"}', "answers already", id="answers"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_name(write: Any, data: bytes, told: str) -> None:
    with pytest.raises(ContentError, match=told) as refused:
        read(write(data, "talk.bin"))
    assert "talk.bin:1" in refused.value.what


def captions(*cues: str, ids: str = "{n}") -> str:
    """Returns WebVTT as Zoom and Teams write it: an id, a time, a line or more, with line ends of Windows."""
    blocks = (
        f"{ids.format(n=n)}\n00:{n * 4 // 60:02}:{n * 4 % 60:02}.040 --> 00:{n * 4 // 60:02}:{n * 4 % 60 + 3:02}.980\n{cue}\n\n"
        for n, cue in enumerate(cues, 1)
    )
    return ("WEBVTT\n\n" + "".join(blocks)).replace("\n", "\r\n")


TEAMS_ID = "64bf3a3e-9f43-4bd2-8a5c-5ee6e7b3a7a4/{n}-0"


def test_words_without_a_name_among_names_are_another_speakers(write: Any) -> None:
    cues = [
        "Dana: Good morning.",
        "Dana: So what is BM25?",
        "It ranks by words.",
        "By rare ones first.",
        "Dana: And",
        "Dana: why?",
        "They tell more.",
        "Mei: Thanks.",
    ]
    reading = read(write(captions(*cues)))
    assert [(turn.speaker, turn.text) for turn in reading.turns] == [
        ("Dana", "Good morning. So what is BM25?"),
        ("Unnamed", "It ranks by words. By rare ones first."),
        ("Dana", "And why?"),
        ("Unnamed", "They tell more."),
        ("Mei", "Thanks."),
    ]
    assert [(problem.line, "Unnamed" in problem.message) for problem in reading.problems] == [(13, True)]
    reading = read(write(captions("Dana: What is BM25?", "It ranks by words.", "Dana: Why?", "They tell more.")))
    assert [turn.speaker for turn in reading.turns] == ["Dana", "Unnamed", "Dana", "Unnamed"]


def test_names_that_stand_once_before_several_cues_hold_for_these(write: Any) -> None:
    reading = read(
        write(captions("Ada: What is", "BM25?", "Ben: It ranks", "by words.", "Ada: Why?", "Ben: So", "it is."))
    )
    assert [(turn.speaker, turn.text) for turn in reading.turns] == [
        ("Ada", "What is BM25?"),
        ("Ben", "It ranks by words."),
        ("Ada", "Why?"),
        ("Ben", "So it is."),
    ]
    assert not reading.problems


@pytest.mark.parametrize("unnamed", ["<v >It ranks.</v>", "<v>It ranks.</v>", "It ranks."])
def test_a_voice_without_a_name_is_not_the_voice_before(write: Any, unnamed: str) -> None:
    cues = [
        "<v Dana Ek>Hello.</v>",
        "<v Dana Ek>So,</v>",
        "<v Dana Ek>what is BM25?</v>",
        unnamed,
        "<v Dana Ek>Why?</v>",
    ]
    assert spoken(write(captions(*cues, ids=TEAMS_ID)))[1] == ("Unnamed", "It ranks.")


def test_two_names_in_one_cue_are_two_speakers(write: Any) -> None:
    path = write(captions("- Dana: What is BM25?\n- Ben: It ranks\nLatency: by words.", "Dana: Good.", "Ben: Yes."))
    assert spoken(path) == [
        ("Dana", "What is BM25?"),
        ("Ben", "It ranks Latency: by words."),
        ("Dana", "Good."),
        ("Ben", "Yes."),
    ]


def test_somebody_on_the_telephone_is_named_by_a_number(write: Any) -> None:
    path = write(
        captions("Dana | Acme: What is BM25?", "1555***4321: It ranks.", "Dana | Acme: Why?", "1555***4321: So.")
    )
    assert [speaker for speaker, _ in spoken(path)] == ["Dana | Acme", "1555***4321"] * 2


@pytest.mark.parametrize(
    ("damaged", "line"),
    [
        pytest.param("WEBVTT\n00:01.000 --> 00:02.000\nAda: Why?\n\n", None, id="no blank line after the header"),
        pytest.param("WEBVTT\n\nNOTE x\n00:01.000 --> 00:02.000\nAda: Why?\n\n", None, id="nor after a note"),
        pytest.param("WEBVTT\n\n1\nAda: Why?\n\n", 4, id="no times"),
        pytest.param("WEBVTT\n\n1\n00:0x.000 --> 00:02.000\nAda: Why?\n\n", 4, id="broken times"),
        pytest.param("WEBVTT\n\n1\n--> 00:02.000\nAda: Why?\n\n", 4, id="half a time"),
        pytest.param("WEBVTT\n\n1\n00:00:0\nAda: Why?\n\n", 5, id="a time that is cut off"),
    ],
)
def test_words_of_a_damaged_first_cue_are_kept(write: Any, damaged: str, line: int | None) -> None:
    reading = read(write(damaged + "2\n00:03.000 --> 00:04.000\nBen: So\nthat a --> b, and x: 1 --> 2.\n"))
    assert [(turn.speaker, turn.text) for turn in reading.turns] == [
        ("Ada", "Why?"),
        ("Ben", "So that a --> b, and x: 1 --> 2."),
    ]
    assert [problem.line for problem in reading.problems] == ([line] if line else [])


@pytest.mark.parametrize("cut", ["00:00:53,000ÿþ\0bigg", "00:00:53,000", "00:00:50,000 --> 00:00:5ÿ\0"])
def test_a_cut_line_of_times_is_no_words_and_an_unanswered_question_is_told_with_it(
    run: Run, write: Any, cut: str
) -> None:
    for between in ("\n", "\n\n"):
        text = (
            f"1\n00:00:01,000 --> 00:00:09,000\nAda: {LORA}{between}2\n{cut}\n\n"
            f"3\n00:00:58,000 --> 00:00:59,000\nMei: {ORDER}\n\n4\n00:01:11,000 --> 00:01:12,000\nBen: So.\n"
        )
        path = write(text.encode("cp1252"), f"a{len(between)}.srt")
        assert [turn.text for turn in read(path).turns] == [LORA, ORDER, "So."]
    done = run("import", path, "--candidate", "Ben")
    assert imported(done)[1]["not_answered"] == ["lora"]
    assert re.search(r"lora: damage stands within its turns \(line \d", done.err)


def test_control_characters_are_in_no_turn(write: Any) -> None:
    reading = read(write(f"Q: {LORA}\x00\x1b\nA: So\x07.\n\nQ: {LORA}\n", "a.txt"))
    assert [turn.text for turn in reading.turns] == [LORA, "So.", LORA]
    assert [problem.line for problem in reading.problems] == [1, 2]


def test_ids_of_teams_are_no_words_where_a_blank_line_is_missing(write: Any) -> None:
    text = captions("<v Ada>Why?</v>", "<v Ben>So.</v>", ids=TEAMS_ID).replace("</v>\r\n\r\n", "</v>\r\n")
    assert spoken(write(text)) == [("Ada", "Why?"), ("Ben", "So.")]


def test_a_voice_whose_name_is_cut_off_is_nobody(write: Any) -> None:
    text = captions("<v Ada>Why?</v>", "<v Ben Ek>So.</v>", "<v Ada>And?</v>", "<v Ben E", ids=TEAMS_ID)
    reading = read(write(text))
    assert reading.speakers == ("Ada", "Ben Ek")
    assert [problem.line for problem in reading.problems] == [17]


def test_a_note_in_between_is_nobodys_words(write: Any) -> None:
    text = captions("Ada: Why?", "Ben: So.").replace(
        "2\r\n", "NOTE Confidence: 0.8\r\n\r\nNOTE\r\nover lines\r\n\r\n2\r\n", 1
    )
    reading = read(write(text))
    assert [turn.text for turn in reading.turns] == ["Why?", "So."]
    assert not reading.problems


def test_times_that_fall_back_are_said_and_overlaps_are_not(write: Any) -> None:
    times = ["00:00:01", "00:00:30", "00:00:20", "00:05:00", "00:00:02"]
    text = "".join(
        f"{time}.000 --> 00:09:00.000\n{'Ada' if n % 2 else 'Ben'}: x{n}\n\n" for n, time in enumerate(times)
    )
    reading = read(write(f"WEBVTT\n\n{text}"))
    assert [(problem.line, "falls back" in problem.message) for problem in reading.problems] == [(16, True)]
    assert len(reading.turns) == 5


def test_one_question_and_an_answer_of_several_paragraphs_need_no_second_name(write: Any) -> None:
    path = write("Q: Why?\n\nA: Because of this.\n\nLatency: it is low.\n\nMore.\n\nMore yet.\n", "a.txt")
    reading = read(path)
    assert spoken(path) == [("Q", "Why?"), ("A", "Because of this.\n\nLatency: it is low.\n\nMore.\n\nMore yet.")]
    assert [problem.line for problem in reading.problems] == [5]


def test_words_with_a_colon_are_no_speakers_where_names_are_bold_or_timed(write: Any) -> None:
    answer = "Pros: fast.\nCons: dear.\n\nThen:\n\nPros: small.\nCons: slow.\n"
    for text in (f"**Ada:** Why?\n\n**Ben:** {answer}", f"Ada Ek  0:00\nWhy?\n\nBen Ek  1:02:03\n{answer}"):
        reading = read(write(text, "a.txt"))
        assert [turn.text.count("s:") for turn in reading.turns] == [0, 4]
        assert len([problem for problem in reading.problems if "Pros" in problem.message]) == 1


def test_bold_words_of_an_answer_are_no_speakers(write: Any) -> None:
    answer = "**Latency** is low.\n\n**Cost:** too.\n\n**met**"
    for more in ("", "**Interviewer:** More?\n\n**Candidate:** No.\n"):
        path = write(f"**Interviewer:** Why?\n\n**Candidate:** So.\n\n{answer}\n\n{more}", "a.md")
        assert read(path).speakers == ("Interviewer", "Candidate")
        assert spoken(path)[1][1] == f"So.\n\n{answer}"
        assert "“Cost:”" in read(path).problems[0].message


def test_a_third_speaker_may_say_one_thing(write: Any) -> None:
    path = write("# Talk\n\n**Ada:** Why?\n\n**Ben:** So.\n\nAnd so.\n\n**Mei Tan:** Thanks.\n\n**Ben:** Hm.\n", "a.md")
    assert [speaker for speaker, _ in spoken(path)] == ["Ada", "Ben", "Mei Tan", "Ben"]


def test_a_sentence_that_ends_in_a_time_is_no_speaker(write: Any) -> None:
    path = write(
        "Ada Ek  0:00\nWhen?\n\nBen Ek  0:04\nLet us meet at 10:30\n\n00:05:00\n\nAda Ek  5:00\nGood.\n", "a.txt"
    )
    assert spoken(path) == [("Ada Ek", "When?"), ("Ben Ek", "Let us meet at 10:30"), ("Ada Ek", "Good.")]


def test_code_in_a_fence_has_no_speakers(write: Any) -> None:
    code = "```yaml\n# one\n# two\n# three\nName: x\nType: y\nName: z\nType: y\n```"
    path = write(f"Ada: Type it.\n\nBen: So:\n\n{code}\n\nAda: Why?\n\nBen: Hm.\n", "a.md")
    assert [speaker for speaker, _ in spoken(path)] == ["Ada", "Ben", "Ada", "Ben"]
    assert "# three\nName: x" in spoken(path)[1][1]
    path = write("Ada: Type it.\n\nBen: So:\n```\nx = 1\n\nAda: Why?\n\nBen: Hm.\n", "a.md")
    assert [speaker for speaker, _ in spoken(path)] == ["Ada", "Ben", "Ada", "Ben"]


def test_json_lines_without_a_speaker_or_with_any_number_are_read(write: Any) -> None:
    lines = [
        '{"speaker": "Q", "text": "Why?", "start": 1' + 400 * "0" + "}",
        '{"speaker": null, "text": "So.", "start": true}',
    ]
    reading = read(write("\n".join(lines), "a.jsonl"))
    assert [(turn.speaker, turn.start) for turn in reading.turns] == [("Q", None), ("Unnamed", None)]
    assert [problem.line for problem in reading.problems] == [1, 2]


def test_a_recording_is_refused_without_reading_it_all(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockint.imports.LARGEST", 1000)
    with pytest.raises(ContentError, match="no text"):
        read(Path("/dev/urandom"))
    with pytest.raises(ContentError, match="more than 1,000 bytes"):
        read(write("Ada: Why?\nBen: So.\n" * 100, "a.txt"))


def test_many_short_lines_of_one_speaker_are_read_in_time(write: Any) -> None:
    path = write(captions("Ada: Why?", *(f"Ben: {n}" for n in range(14))) + "Ben: so\r\n" * 20_000)
    began = time.process_time()
    assert len(read(path).turns) == 2
    assert time.process_time() - began < 3


def test_problems_of_what_cannot_be_used_are_not_all_listed(write: Any) -> None:
    with pytest.raises(ContentError, match=r"and 988 more") as refused:
        read(write('{"a":\n' * 1000, "a.jsonl"))
    assert len(refused.value.what.splitlines()) == 14


# Who is who


def test_who_asks_the_banks_questions_is_no_candidate_though_an_answer_is_like_them() -> None:
    roles = guess(read(EXPORTS / "otter.txt").turns, matcher())
    assert (roles.candidate, roles.sure) == ("Tom Ek", True)


def test_three_speakers_are_never_guessed_and_needs_the_candidates_name(run: Run) -> None:
    done = run("import", EXPORTS / "teams.vtt")
    assert done.code == 2
    assert "Priya Natarajan, Sam Weber, Mei Tanaka" in done.err
    done = run("import", EXPORTS / "teams.vtt", "--candidate", "priya")
    assert done.code == 0
    assert "all of them taken as interviewers" in done.err
    assert run("import", EXPORTS / "teams.vtt", "--candidate", "Bob").code == 2


def test_a_person_at_the_terminal_is_asked(tmp_path: Path) -> None:
    words = ["-m", "mockint", "import", str(EXPORTS / "teams.vtt"), "--out", str(tmp_path / "out")]
    env = os.environ | {"MOCKINT_HOME": str(tmp_path), "COLUMNS": "200"}
    child = pexpect.spawn(sys.executable, words, env=env, encoding="utf-8", timeout=20)
    child.expect("Who is the candidate")
    child.sendline("Priya Natarajan")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    record = json.loads((tmp_path / "out" / "import.json").read_text())
    assert record["speakers"][0] | {"turns": 0, "words": 0} == {
        "name": "Priya Natarajan",
        "role": "candidate",
        "turns": 0,
        "words": 0,
    }


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("jose", "José Lima Souza"),
        ("lima souza", "José Lima Souza"),
        ("alex", None),
        ("ALEX KIM", "Alex Kim"),
        ("li", None),
        ("", None),
    ],
)
def test_a_part_of_a_name_is_enough_where_one_has_it(wanted: str, found: str | None) -> None:
    assert pick(["José Lima Souza", "Alex Chen", "Alex Kim"], wanted) == found


def test_a_first_name_of_two_is_not_enough(run: Run, write: Any) -> None:
    path = write(f"Alex Chen: {LORA}\nAlex Kim: Small matrices.\n", "a.txt")
    done = run("import", path, "--candidate", "Alex")
    assert done.code == 2
    assert "not one of them alone is Alex" in done.err
    assert "Alex Chen, Alex Kim" in done.err
    assert run("import", path, "--candidate", "kim").code == 0


def test_files_in_which_no_given_name_speaks_find_the_candidate_themselves(
    run: Run, write: Any, tmp_path: Path
) -> None:
    (tmp_path / "all").mkdir()
    for name in ("zoom.vtt", "otter.txt"):
        (tmp_path / "all" / name).write_bytes((EXPORTS / name).read_bytes())
    done = run("import", tmp_path / "all", "--candidate", "Jose", "--candidate", "Sofia", "--json")
    assert (done.code, done.json["failed"]) == (0, [])
    assert [one["speakers"][0]["name"] for one in done.json["imports"]] == ["Tom Ek", "José Lima"]
    assert "Jose or Sofia does not speak in it" in done.err
    (tmp_path / "all" / "teams.vtt").write_bytes((EXPORTS / "teams.vtt").read_bytes())
    done = run("import", tmp_path / "all", "--candidate", "Jose", "--json")
    assert (done.code, len(done.json["imports"])) == (3, 2)
    assert "it is not sure who the candidate is" in done.err


def test_one_speaker_is_told_with_what_is_damaged(run: Run, write: Any) -> None:
    done = run("import", write(captions("Ada: Why?", "Ada: So?").replace("00:00:04.040", "00:00:0x.040")))
    assert done.code == 3
    assert "only Ada speaks in it" in done.err
    assert "talk.vtt:4: the times of this cue cannot be read" in done.err


def test_a_probe_follows_a_question(run: Run) -> None:
    done = run("import", EXPORTS / "zoom.vtt", "--align", "1=probe")
    assert done.code == 2
    assert "Turn 1 of zoom.vtt is no probe" in done.err


def test_what_was_settled_is_not_lost_when_the_file_is_imported_again(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    for name in ("zoom.vtt", "stamped.txt"):
        (folder / name).write_bytes((EXPORTS / name).read_bytes())
    lines, record = imported(run("import", folder / "zoom.vtt", "--align", "1=lora"))
    assert (lines[0]["question"], record["settled"]) == ("lora", {"1": "lora"})
    done = run("import", folder, "--json")
    assert (done.code, [one["source"] for one in done.json["imports"]]) == (0, ["stamped.txt", "zoom.vtt"])
    assert done.json["imports"][1]["settled"] == {"1": "lora"}
    assert "kept from what you settled before: 1=lora" in done.err
    assert imported(run("import", folder / "zoom.vtt", "--align", "1=none"))[1]["settled"] == {"1": "none"}


# Which questions were asked


@dataclass(frozen=True)
class Figures:
    precision: float
    recall: float
    near: float
    """Recall of paraphrases that retell the question; the other ones name only its subject."""
    listed: float
    """Share of what was missed that is listed as unsure."""
    false_alarms: int
    """Other utterances that are listed as unsure, since they are like a question."""
    shown: int
    """What was missed that is listed for this, for a title, or since it looks like a question of its own."""
    all_alarms: int
    """Other utterances that are listed for any of these."""


RETOLD = 74
"""So many paraphrases come first that retell the question, in the file's order."""


def figures(*, start: int = 0, step: int = 1) -> Figures:
    data = yaml.safe_load((EXPORTS / "paraphrases.yaml").read_text(encoding="utf-8"))
    asked, other = data["asked"][start::step], data["other"][start::step]
    said = [matcher().likely(row) for row in matcher().scores([entry["text"] for entry in asked])]
    chat = [matcher().likely(row) for row in matcher().scores(other)]
    right = [asks(likely) == entry["question"] for likely, entry in zip(said, asked, strict=True)]
    taken = sum(asks(likely) is not None for likely in (*said, *chat))
    missed = [likely for likely in said if asks(likely) is None]
    near = right[: len(range(start, RETOLD, step))]

    def listed(likely: Any, text: str) -> bool:
        return asks(likely) is None and (may_ask(likely) or bool(matcher().names(text)) or own_question(text))

    return Figures(
        sum(right) / taken,
        sum(right) / len(right),
        sum(near) / len(near),
        sum(map(may_ask, missed)) / len(missed),
        sum(asks(likely) is None and may_ask(likely) for likely in chat),
        sum(listed(likely, entry["text"]) for likely, entry in zip(said, asked, strict=True)),
        sum(listed(likely, text) for likely, text in zip(chat, other, strict=True)),
    )


def test_measured_precision_and_recall_hold() -> None:
    """As docs/importing.md tells them, over 100 paraphrases and 62 other utterances."""
    whole, check = figures(), figures(start=1, step=2)
    assert (whole.precision, check.precision) == (1.0, 1.0)
    assert whole.recall >= 0.77
    assert check.recall >= 0.80
    assert whole.near == 1.0
    assert whole.false_alarms <= 8
    assert whole.shown >= 22
    assert whole.all_alarms <= 40


def test_turns_that_match_nothing_are_probes_and_chatter_before_is_left_out(run: Run) -> None:
    lines, record = imported(run("import", EXPORTS / "zoom.vtt"))
    assert [line["question"] for line in lines] == ["hybrid-search", "reranking", "hnsw"]
    roles = [turn["role"] for turn in lines[0]["turns"]]
    assert roles == ["interviewer", "candidate", "interviewer", "candidate"]
    assert "exact part number" in lines[0]["turns"][2]["text"]
    assert [left["turn"] for left in record["left_out"]] == [1, 2]
    assert [one["by"] for one in record["alignment"]] == ["similarity"] * 3


def test_a_question_in_two_halves_with_a_yes_between_is_one(run: Run, write: Any) -> None:
    text = (
        "Q: You download a base model and type a question.\nA: Mm, yes.\n"
        "Q: And it answers with three more quiz questions. Why does it do that, and what does instruction tuning change?\n"
        "A: A base model continues text.\n"
    )
    lines, record = imported(run("import", write(text, "a.txt")))
    assert [line["question"] for line in lines] == ["instruction-tuning"]
    assert record["alignment"][0]["turn"] in (1, 3)


def test_unsure_turns_are_listed_and_settled_by_hand(run: Run, write: Any) -> None:
    path = write(
        f"Q: {LORA}\nA: Small matrices.\nQ: Write down attention for me. Why the square root?\nA: To keep it small.\n",
        "a.txt",
    )
    lines, record = imported(run("import", path))
    assert [line["question"] for line in lines] == ["lora"]
    (unsure,) = record["unsure"]
    assert (unsure["turn"], unsure["taken_as"]) == (3, "lora")
    assert unsure["candidates"][0]["score"] >= 0.19
    lines, record = imported(run("import", path, "--align", "3=self-attention"))
    assert [line["question"] for line in lines] == ["lora", "self-attention"]
    assert (record["alignment"][1]["by"], record["unsure"]) == ("hand", [])
    lines, record = imported(run("import", path, "--align", "3=none"))
    assert [left["turn"] for left in record["left_out"]] == [3, 4]
    _, record = imported(run("import", path, "--align", "3=probe"))
    assert record["unsure"] == []


def test_questions_that_were_taken_as_probes_are_on_the_screen_with_the_nearest(run: Run, write: Any) -> None:
    hybrid = yaml.safe_load((EXPORTS / "paraphrases.yaml").read_text())["asked"][0]
    text = (
        f"Q: {hybrid['text']}\nA: By ranks.\nQ: And why?\nA: So.\nQ: How do you choose a chunk size?\nA: By trying.\n"
        "Q: Alright, can you walk me through LoRA, what it actually does to the weights?\nA: Small matrices.\n"
    )
    path = write(text, "a.txt")
    done = run("import", path)
    _, record = imported(done)
    assert [(one["turn"], one["why"]) for one in record["unsure"]] == [(5, "question"), (7, "title")]
    assert record["unsure"][1]["candidates"][0]["question"] == "lora"
    for one, words in zip(record["unsure"], ("How do you choose a chunk", "Alright, can you walk me"), strict=True):
        nearest = one["candidates"][0]
        line = next(line for line in done.err.splitlines() if f"turn {one['turn']} (" in line)
        assert f"{nearest['question']} {nearest['score']:.2f}" in line
        assert words in line
    lines, record = imported(run("import", path, "--align", "5=chunking-basics", "--align", "7=lora"))
    assert [line["question"] for line in lines] == [hybrid["question"], "chunking-basics", "lora"]
    assert record["unsure"] == []


@pytest.mark.parametrize(
    "closing",
    [
        "Great. Do you have any questions for me?",
        "What questions do you have for us?",
        "Is there anything you'd like to ask?",
        "Let me leave some time for your questions.",
    ],
)
def test_the_closing_and_what_follows_are_left_out(run: Run, write: Any, closing: str) -> None:
    path = write(
        f"Q: Thanks for coming. Do you have any questions for me before we start?\nA: No.\nQ: {LORA}\nA: Small matrices.\n"
        f"Q: {closing}\nA: Is the team remote?\nQ: Mostly, and we fine-tune with LoRA a lot. We fly in four times a year.\nA: Good.\n",
        "a.txt",
    )
    done = run("import", path)
    lines, record = imported(done)
    assert [line["question"] for line in lines] == ["lora"]
    assert len(lines[0]["turns"]) == 2
    assert record["closing"] == 5
    assert [left["turn"] for left in record["left_out"]] == [1, 2, 5, 6, 7, 8]
    assert "turn 5 closes the interview" in done.err
    assert len(imported(run("import", path, "--align", "5=probe"))[0][0]["turns"]) == 6


@pytest.mark.parametrize(
    "probe",
    [
        "What would you want to know about the data?",
        "Do you have any questions for me before you begin?",
        "What else would you like to ask the customer about the problem?",
    ],
)
def test_a_probe_that_sounds_like_the_closing_is_none(run: Run, write: Any, probe: str) -> None:
    path = write(f"Q: {LORA}\nA: Small.\nQ: {probe}\nA: How large it is.\n", "a.txt")
    lines, record = imported(run("import", path))
    assert (len(lines[0]["turns"]), record["closing"]) == (4, None)


def test_a_question_after_the_closing_is_asked(run: Run, write: Any) -> None:
    path = write(
        f"Q: Write down self-attention.\nA: So.\nQ: {LORA}\nA: Small.\nQ: Do you have any questions for me?\nA: No.\n"
        f"Q: {ORDER}\nA: By positions.\n",
        "a.txt",
    )
    lines, record = imported(run("import", path, "--align", "1=self-attention"))
    assert [line["question"] for line in lines] == ["self-attention", "lora", "positional-encoding"]
    assert record["closing"] is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param("3", "settles nothing", id="no question"),
        pytest.param("2=lora", "no interviewer's", id="candidate's turn"),
        pytest.param("99=lora", "no interviewer's", id="no such turn"),
        pytest.param("3=lorra", "did you mean 'lora'", id="unknown question"),
    ],
)
def test_a_wrong_settlement_is_a_usage_error(run: Run, given: str, told: str) -> None:
    done = run("import", EXPORTS / "zoom.vtt", "--align", given)
    assert done.code == 2
    assert told in done.err


def test_not_asked_is_kept_apart_from_not_answered(run: Run) -> None:
    done = run("import", EXPORTS / "zoom.vtt", "--expect", "hnsw", "--expect", "lora", "--track", "research")
    _, record = imported(done)
    assert record["not_answered"] == ["hnsw"]
    assert record["not_asked"] == ["lora", *(q.id for q in bank().questions.values() if q.track == "research")]
    graded = run("grade", done.out.strip(), "--json").json
    states = {line["id"].partition("#")[2]: line["answers"][0]["state"] for line in graded}
    assert states == {"hybrid-search": "graded", "reranking": "graded", "hnsw": "not_answered"}
    loop = imported(run("import", EXPORTS / "zoom.vtt", "--loop", "ai-lab"))[1]
    assert "kv-cache" in loop["not_asked"]
    assert "reranking" not in loop["not_asked"]


def test_empty_words_of_a_candidate_stay_an_error(run: Run, write: Any) -> None:
    turns = [{"role": "interviewer", "text": "Why?"}, {"role": "candidate", "text": " "}]
    done = run("grade", write(json.dumps({"id": "a", "question": "lora", "turns": turns}), "answers.jsonl"))
    assert done.code == 6
    assert "the answer is empty" in done.out


# Names


def test_pseudonyms_stand_for_names_in_words_ids_and_files(run: Run, write: Any, tmp_path: Path) -> None:
    text = (EXPORTS / "zoom.vtt").read_text().replace("Great. So", "Great, JOSE. My colleague Peter asks, so")
    path = write(text, "José Lima with Dana.vtt")
    done = run("import", path, "--pseudonymise", "--name", "Peter Holm", "--names-out", "names.json")
    folder = Path(done.out.strip()).parent
    kept = "".join(file.name + file.read_text() for file in folder.iterdir()) + folder.name
    assert {file.name for file in folder.iterdir()} == {"answers.jsonl", "import.json"}
    for name in ("jos", "lima", "dana", "neil", "peter"):
        assert name not in kept.lower().replace("answers.jsonl", "")
    assert "Hi Candidate, good morning" in kept
    assert "Great, Candidate. My colleague Person 1 asks" in kept
    assert json.loads((tmp_path / "names.json").read_text())[folder.name] == {
        "Candidate": "José Lima",
        "Interviewer 1": "Dana O'Neil",
        "Person 1": "Peter Holm",
    }
    assert run("grade", done.out.strip()).code == 0


def test_a_name_that_is_a_word_is_hidden_only_with_its_capital() -> None:
    names = Pseudonyms(named(("Will Young", "Ana Souza"), "Will Young", "", 1.0))
    assert names.hide("Will, you will mail ana_souza@x.org, Anastasia.") == (
        "Candidate, you will mail Interviewer 1_Interviewer 1@x.org, Anastasia."
    )
    assert names.suspects(["Thanks, Sasha. Thanks for that. Hi Candidate"]) == ["Sasha"]


def test_names_are_not_written_beside_what_has_none(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    words = ("import", EXPORTS / "zoom.vtt", "--out", folder)
    assert run(*words, "--pseudonymise", "--names-out", folder / "names.json").code == 2
    assert not folder.exists()
    assert run(*words).code == 0
    done = run(*words, "--pseudonymise")
    assert done.code == 2
    assert "original.vtt holds the names" in done.err


NAMES = [
    pytest.param("Dana O'Neil", "dana o’neil; ONEIL's; Dana’s; O Neil; dana2@x.org; DanaONeil", id="apostrophes"),
    pytest.param("Anna Weiß", "Frau Weiß, Frau Weiss, ANNA WEISS", id="sharp s"),
    pytest.param("Søren Müller", "Soren Mueller, Søren, Soeren, Muller", id="spelt out"),
    pytest.param("Łukasz Lİma", "Lukasz lıma LİMA Lima", id="letters with a stroke"),
    pytest.param("李明 (Ming Li)", "谢谢李明你好, Ming", id="no spaces between words"),
    pytest.param("김민수", "김민수는 좋습니다", id="particles"),
    pytest.param("15551234567", "call 15551234567", id="a telephone"),
]


@pytest.mark.parametrize(("name", "text"), NAMES)
def test_no_form_of_a_name_is_left(name: str, text: str) -> None:
    hidden = Pseudonyms(named((name, "Q"), name, "", 1.0)).hide(text)
    left = re.sub(r"Candidate", "", hidden).casefold()
    for form in ("dana", "neil", "wei", "ren", "ller", "kas", "ma", "李明", "ming", "김민수", "555"):
        assert form not in left, hidden


def test_what_names_a_part_is_no_name_and_words_stay() -> None:
    speakers = ("Student", "Hiring Manager", "Me", "김민수", "Interviewer Dana", "Dana's iPhone")
    names = Pseudonyms(named(speakers, "Student", "", 1.0))
    text = "A student model, a context manager, let me ask an interviewer for an iPhone. 감만섬"
    assert names.hide(text) == text
    names = Pseudonyms(named(("Can Yilmaz", "Su Li"), "Can Yilmaz", "", 1.0))
    assert names.hide("Can, you can measure it, and the result, too.") == (
        "Candidate, you can measure it, and the result, too."
    )


def test_a_first_name_of_two_people_is_neither_alone() -> None:
    names = Pseudonyms(named(("Alex Chen", "Alex Kim"), "Alex Kim", "", 1.0), ["Sam Kim"])
    assert names.hide("Thanks, Alex. Mr Chen, Sam Kim.") == (
        "Thanks, Candidate or Interviewer 1. Mr Interviewer 1, Person 1."
    )


def test_no_file_that_is_written_has_a_name(run: Run, write: Any, tmp_path: Path) -> None:
    text = captions(
        "<v José Lima (Guest)>Hello Dana, José here. Latency: Lima’s.</v>",
        f"<v Dana O'Neil>Thanks, JOSÉ. {LORA}</v>",
        "<v José Lima (Guest)>jose.lima@x.org; Dana’s rank: eight.</v>",
        "<v Dana O'Neil>Write down attention for me, Jose. Why the square root? O’Neil wants it.</v>",
        ids=TEAMS_ID,
    )
    text = text.replace("00:00:16.040", "00:00:1O.040 Dana")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "José Lima.vtt").write_text(text)
    (tmp_path / "all" / "Dana.vtt").write_text(text)
    names = tmp_path / "names.json"
    done = run(
        "import", tmp_path / "all", "--candidate", "lima", "--pseudonymise", "--names-out", names, "--out", "kept"
    )
    assert done.code == 0, done.err
    assert "is the same as" in done.err
    kept = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {"answers.jsonl", "import.json"}
    for path in kept:
        told = (str(path.relative_to(tmp_path)) + path.read_text()).casefold()
        assert not re.search("jos|lima|dana|neil", told), told
    assert stat.S_IMODE(names.stat().st_mode) == 0o600


def test_names_are_added_to_those_of_other_imports_and_to_no_other_file(run: Run, tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    for name in ("zoom.vtt", "otter.txt"):
        assert run("import", EXPORTS / name, "--pseudonymise", "--names-out", names).code == 0
    assert [known["Candidate"] for known in json.loads(names.read_text()).values()] == ["José Lima", "Tom Ek"]
    talk = tmp_path / "talk.vtt"
    talk.write_bytes((EXPORTS / "zoom.vtt").read_bytes())
    done = run("import", talk, "--pseudonymise", "--names-out", talk)
    assert done.code == 2
    assert talk.read_bytes() == (EXPORTS / "zoom.vtt").read_bytes()
    done = run(
        "import", EXPORTS / "zoom.vtt", EXPORTS / "otter.txt", "--pseudonymise", "--out", "o", "--names-out", "o/n"
    )
    assert (done.code, "is to have no names" in done.err) == (2, True)
    done = run("import", talk, "--pseudonymise", "--names-out", tmp_path / "no" / "n.json")
    assert (done.code, "There is no folder" in done.err) == (2, True)


def test_a_name_that_hides_nothing_is_said(run: Run) -> None:
    words = (
        "import",
        EXPORTS / "zoom.vtt",
        EXPORTS / "otter.txt",
        "--pseudonymise",
        "--name",
        "Bayes",
        "--name",
        "Petr",
    )
    done = run(*words)
    assert "Nothing was hidden of Petr:" in done.err


def test_a_hidden_name_does_not_come_back_with_a_later_import(run: Run, write: Any, tmp_path: Path) -> None:
    path = write(f"Dana: {LORA}\nTom: Keisha showed me small matrices.\nDana: And why?\nTom: So.\n", "Tom.txt")
    names = tmp_path / "names.json"
    words = ("import", path, "--candidate", "Tom", "--pseudonymise")
    done = run(*words, "--name", "Petr", "--name", "Keisha", "--names-out", names)
    record = imported(done)[1]
    assert (record["pseudonymised"], record["names_hidden"]) == (True, 1)
    assert "Nothing was hidden of Petr:" in done.err
    (known,) = json.loads(names.read_text()).values()
    assert known == {"Candidate": "Tom", "Interviewer 1": "Dana", "Person 1": "Keisha"}
    kept = Path(done.out.strip()).parent
    for more in (("--align", "3=none"), ()):
        refused = run(*words, *more)
        assert (refused.code, "with 1 more names hidden" in refused.err) == (2, True)
    refused = run("import", path, "--candidate", "Tom")
    assert (refused.code, "imported without names before" in refused.err) == (2, True)
    assert run(*words, "--align", "3=none", "--names-out", names).code == 0
    assert "Keisha" not in "".join(file.read_text() for file in kept.iterdir())
    assert json.loads(names.read_text()) == {kept.name: known}
    assert json.loads((kept / "import.json").read_text())["settled"] == {"3": "none"}


def test_an_exported_session_is_not_said_to_be_without_names(run: Run, tmp_path: Path) -> None:
    done = run("import", tmp_path / "session.zip", "--pseudonymise")
    assert done.code == 2
    assert "unpacked as it is" in done.err


# What is kept


def test_the_original_is_kept_byte_for_byte_and_the_same_file_gives_the_same_bytes(run: Run) -> None:
    def kept() -> dict[str, bytes]:
        folder = Path(run("import", EXPORTS / "zoom.vtt").out.strip()).parent
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    first = kept()
    assert first["original.vtt"] == (EXPORTS / "zoom.vtt").read_bytes()
    assert kept() == first


def test_another_interview_does_not_take_the_folder(run: Run, tmp_path: Path) -> None:
    assert run("import", EXPORTS / "zoom.vtt", "--out", tmp_path / "out").code == 0
    done = run("import", EXPORTS / "stamped.txt", "--out", tmp_path / "out")
    assert done.code == 2
    assert "something else" in done.err


def test_a_folder_is_imported_with_what_can_be_and_the_rest_is_said(run: Run, tmp_path: Path) -> None:
    deep = tmp_path / "all" / "week 1"
    deep.mkdir(parents=True)
    for name in ("zoom.vtt", "stamped.txt"):
        (deep / name).write_bytes((EXPORTS / name).read_bytes())
    (deep / "broken.srt").write_bytes(b"\x00\x01\x02" * 500)
    (deep / "video.mp4").write_bytes(b"x")
    done = run("import", tmp_path / "all", "--json")
    assert done.code == 3
    assert "2 imported, 1 not: broken.srt." in done.err
    assert [Path(one["answers"]).parent.name.rpartition("-")[0] for one in done.json["imports"]] == ["stamped", "zoom"]
    assert [Path(one["path"]).name for one in done.json["failed"]] == ["broken.srt"]
    assert [Path(path).name for path in done.json["left_out"]] == ["video.mp4"]
    assert "broken.srt:1" in done.err
    answers = [one["answers"] for one in done.json["imports"]]
    ids = [line["id"] for line in run("grade", *answers, "--json").json]
    assert len(ids) == len(set(ids)) == 4


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x01" * 900, b"Ada: Hello.\nBen: Hello.\n"], ids=["empty", "binary", "no question"]
)
def test_nothing_imported_is_a_content_error(run: Run, write: Any, data: bytes) -> None:
    done = run("import", write(data, "a.txt"), "--candidate", "Ben")
    assert (done.code, done.out) == (3, "")
    assert "a.txt" in done.err


def test_a_folder_without_transcripts_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"x")
    done = run("import", tmp_path)
    assert done.code == 3
    assert "no transcript" in done.err


def test_words_reach_the_terminal_without_control_characters(run: Run, write: Any) -> None:
    text = f"Q: {LORA}\nA: ok\nQ: Write down attention for me. Why the square root? \x07\x1b\nA: so\n"
    done = run("import", write(text, "a\x1b[2Jb.txt"), "--candidate", "A")
    assert "square root" in done.err
    assert "\x1b" not in done.err
    assert "\x07" not in done.err


def test_an_hour_is_imported_in_two_seconds(run: Run, write: Any) -> None:
    asked = [entry["text"] for entry in yaml.safe_load((EXPORTS / "paraphrases.yaml").read_text())["asked"][:12]]
    cues: list[str] = []
    for text in asked:
        cues += [
            f"Dana: {text}",
            *(f"Ben: well, um, then part {n} of it depends on what we measured before" for n in range(41)),
        ]
        cues += [
            text
            for n in range(21)
            for text in ("Dana: And how would you measure that?", f"Ben: With a set of {n} queries.")
        ]
    cues = cues[:1000]
    blocks = (f"{n}\n00:{n * 3 // 60:02}:{n * 3 % 60:02}.000 --> 00:59:59.000\n{cue}\n\n" for n, cue in enumerate(cues))
    path = write("WEBVTT\n\n" + "".join(blocks))
    run("bank", "list")  # a cache of the bank's questions, as any home has it
    began = time.process_time()
    lines, _ = imported(run("import", path))
    assert time.process_time() - began < 2
    assert len(cues) == 1000
    assert len(lines) == 12


def test_the_original_is_the_owners_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o755)
    run("import", EXPORTS / "zoom.vtt", "--out", tmp_path / "out")
    run("import", EXPORTS / "zoom.vtt")
    assert stat.S_IMODE((tmp_path / "home" / "imports").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == dict.fromkeys(("answers.jsonl", "import.json", "original.vtt"), 0o600)


def test_a_folder_is_searched_without_hidden_files_and_what_was_imported_before(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    (folder / ".git").mkdir(parents=True)
    for name in ("talk.vtt", "._talk.vtt", ".git/talk.txt"):
        (folder / name).write_bytes((EXPORTS / "zoom.vtt").read_bytes())
    for _ in range(2):
        done = run("import", folder, "--out", folder / "out", "--json")
        assert [one["source"] for one in done.json["imports"]] == ["talk.vtt"]
        assert done.json["failed"] == []


def test_the_same_file_under_two_names_is_imported_once(run: Run, tmp_path: Path) -> None:
    for name in ("talk.vtt", "talk (1).vtt"):
        (tmp_path / name).write_bytes((EXPORTS / "zoom.vtt").read_bytes())
    done = run("import", tmp_path / "talk.vtt", tmp_path / "talk (1).vtt", "--json")
    assert [one["source"] for one in done.json["imports"]] == ["talk.vtt"]
    assert "talk (1).vtt is the same as" in done.err


def test_what_cannot_be_opened_does_not_stop_the_rest(run: Run, tmp_path: Path) -> None:
    done = run("import", "a" * 300 + ".vtt", tmp_path / "missing.vtt", EXPORTS / "zoom.vtt", "--json")
    assert done.code == 3
    assert [one["source"] for one in done.json["imports"]] == ["zoom.vtt"]
    assert len(done.json["failed"]) == 2


def test_a_file_in_the_folders_place_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    done = run("import", EXPORTS / "zoom.vtt", "--out", tmp_path / "out")
    assert done.code == 2
    assert "cannot be written" in done.err


def test_a_name_of_a_file_in_another_encoding_is_kept_as_it_can_be(run: Run, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Jos\xe9.v\xff"))
    path.write_bytes((EXPORTS / "zoom.vtt").read_bytes())
    _, record = imported(run("import", path))
    assert (record["source"], record["original"]) == ("Jos\ufffd.v\ufffd", "original")


if __name__ == "__main__":
    for title, found in (("all", figures()), ("chosen on", figures(step=2)), ("checked on", figures(start=1, step=2))):
        sys.stdout.write(f"{title}: {found}\n")
