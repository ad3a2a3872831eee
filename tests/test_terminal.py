"""What a candidate sees: harmless text, whole words, a footer that fits, and the real program in a real pseudo-terminal."""

from __future__ import annotations

import io
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from rich.console import Console

from mockint.interview.room import Listening
from mockint.terminal import Screen, footer, rating, safe, wrapped
from mockint.transcript import Part
from tests.builders import planned
from tests.conftest import ROOT
from tests.screens import Terminal
from tests.servers import Handler, serving


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("\x1b[31mred\x07", "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}", id="escape"),
        pytest.param("a\u202eb\u2066c", "abc", id="bidirectional override"),
        pytest.param("zero\u200bwidth\ufeff", "zerowidth", id="zero width"),
        pytest.param("两行\nok\tx", "两行\nok    x", id="newline and tab"),
        pytest.param("👩\u200d💻", "👩\u200d💻", id="a joined emoji stays whole"),
    ],
)
def test_text_reaches_the_terminal_without_control_characters(text: str, shown: str) -> None:
    assert safe(text) == shown


def screen(width: int) -> tuple[Screen, io.StringIO]:
    file = io.StringIO()
    return Screen(Console(file=file, width=width)), file


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_streamed_turn_is_whole_words_within_the_width_however_it_is_cut(size: int) -> None:
    text = "And what would you measure, over which queries, before you told anybody that reranking had helped?"
    shown, file = screen(30)
    for start in range(0, len(text), size):
        shown.piece(text[start : start + size])
    shown.turn("probe", text)
    lines = file.getvalue().splitlines()
    assert " ".join(" ".join(lines).split()) == f"Interviewer: {text}"
    assert max(len(line) for line in lines) <= 30


def test_turn_after_a_stream_is_shown_again() -> None:
    shown, file = screen(60)
    shown.piece("One")
    shown.turn("probe", "One")
    shown.turn("probe", "Two")
    assert file.getvalue().split() == ["Interviewer:", "One", "Interviewer:", "Two"]


def listening(left: float, session: float = 900, **changes: Any) -> Listening:
    plan = planned()
    return Listening(Part(plan.question, plan.rubric, "x"), 2, 4, left, session, "", **changes)


def line(at: Listening, width: int, send: Any = "enter") -> str:
    return "".join(part[1] for part in footer(at, 0.0, send=send, width=width))


@pytest.mark.parametrize("width", [40, 60, 80, 120, 250])
@pytest.mark.parametrize("left", [280.0, 100.0, -5.0])
def test_footer_fits_and_always_tells_the_time(left: float, width: int) -> None:
    told = line(listening(left), width)
    assert len(told) <= max(width, 62)
    assert "Question 2/4" in told
    assert ("time is up" if left < 0 else "left") in told


def test_footer_says_in_words_what_its_colours_say() -> None:
    assert "half is gone" in line(listening(140), 120)
    assert "wrap up" in line(listening(100), 120)
    assert "time is up" in line(listening(-30), 120)
    assert "time is up" in line(listening(100, session=-1), 120)
    assert "Alt-Enter to go on" in line(listening(100, paused=True), 80, "alt-enter")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Any]:
    opened: list[Terminal] = []

    def opens(*words: str, **how: Any) -> Terminal:
        opened.append(Terminal(tmp_path, *words, **how))
        return opened[-1]

    yield opens
    for one in opened:
        one.child.close(force=True)


ONE = ("start", "--question", "hybrid-search")


def test_interview_typed_at_80_by_24(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1 of 1", "Question 1/1:", "left", "/help")
    room.type("/hint\r")
    room.until("Hint:", "earns 40%")
    room.type("Both run and reciprocal rank fusion merges the two result lists.\r")
    room.until("Interviewer:")
    room.type("I don't know\r")
    room.until("Signal:", "Report:")
    room.child.expect(pexpect.EOF)
    room.child.close()
    assert room.child.exitstatus == 0


def test_two_interrupts_leave_with_the_draft_saved_and_resume_brings_it_back(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("Exact strings such as part")
    room.until("such as part")
    room.type("\x03")
    room.until("again within two seconds leaves")
    room.type("\x03")
    room.until("mockint resume")
    room.child.expect(pexpect.EOF)
    room.child.close()
    assert room.child.exitstatus == 130
    again = program("resume")
    again.until("Going on with", "Question 1 of 1", "> Exact strings such as part")


def test_pasted_answer_of_5000_characters_is_kept_exactly(program: Any, tmp_path: Path) -> None:
    text = "".join(f"Line {n}: both retrievers run, and the lists are merged.\n" for n in range(95))[:5000].rstrip()
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type(f"\x1b[200~{text}\x1b[201~")
    room.until("Line 8")
    room.type("\r")
    room.until("Interviewer:")
    log = next(tmp_path.glob("sessions/*/events.jsonl")).read_text()
    assert text.replace("\n", "\\n") in log


def test_pause_hides_the_question_s_clock_and_goes_on(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("/pause\r")
    room.until("Paused: press Enter to go on")
    room.type("\r")
    room.until("Question 1/1:")


def test_what_is_typed_during_a_pause_is_not_sent_but_stands_there_below_what_stood_there(
    program: Any, tmp_path: Path
) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("first\x1b\r/pause\r")
    room.until("Paused: press Enter to go on")
    room.type("second\r")
    room.until("Question 1/1:", "second")
    assert "answer_given" not in log_of(tmp_path)
    room.type("\r")
    room.until("Interviewer:")
    assert r"first\nsecond" in log_of(tmp_path)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_screen_without_colour_or_cursor_still_works(program: Any, environment: dict[str, str]) -> None:
    room = program(*ONE, **environment)
    room.until("Question 1 of 1", ">")
    room.type("/quit\r")
    room.until("insufficient evidence")


def test_conversation_and_result_through_a_pipe(tmp_path: Path) -> None:
    import subprocess

    command = [sys.executable, "-m", "mockint", *ONE, "--home", str(tmp_path)]
    answers = ["--answers", str(ROOT / "examples" / "candidate.yaml")]
    done = subprocess.run([*command, *answers], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == 1
    assert "\x1b" not in done.stdout + done.stderr


def log_of(home: Path) -> str:
    return next(home.glob("sessions/*/events.jsonl")).read_text(encoding="utf-8")


def test_resize_in_the_middle_of_typing_keeps_the_question_and_the_draft_once_each(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    said = "I would run the dense and the lexical search beside each other and merge what they return"
    room.type(said)
    room.until("they return")
    for columns in (60, 100, 72):
        room.resize(columns)
        room.settle()
        told = " ".join(room.text.split())
        assert told.count("> I would run the dense") == 1
        assert told.count("Question 1 of 1") == 1
        assert said in told, "no word is cut"
    room.type(" now\r")
    room.until("Interviewer:")


def test_soft_time_is_told_and_the_late_answer_is_kept(program: Any, tmp_path: Path) -> None:
    room = program(*ONE, hurry=200)
    room.until("Question 1/1:")
    room.type("Exact strings")
    room.until("time is up", "> Exact strings")
    room.type(" such as part numbers\r")
    room.until("Signal:")
    assert "Exact strings such as part numbers" in log_of(tmp_path)
    assert '"cut":true' not in log_of(tmp_path)
    assert "some of it came after time was up" in next(tmp_path.glob("sessions/*/report.md")).read_text()


def test_strict_time_submits_what_stands(program: Any, tmp_path: Path) -> None:
    room = program(*ONE, "--strict-time", hurry=200)
    room.until("Question 1/1:")
    room.type("Exact strings such as part numb")
    room.until("what you had typed is your answer", "Signal:")
    assert room.ended() == 0
    assert '"text":"Exact strings such as part numb","kind":"answer_given","cut":true' in log_of(tmp_path)


def test_strict_time_with_nothing_typed_goes_on(program: Any, tmp_path: Path) -> None:
    room = program("start", "--question", "hybrid-search", "--question", "kv-cache", "--strict-time", hurry=300)
    room.until("Question 2 of 2")
    assert room.ended() == 0
    assert log_of(tmp_path).count('"kind":"skipped"') == 2


def test_killed_in_the_middle_of_a_sentence_comes_back_with_it(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("Rare words are matched by BM25")
    room.until("by BM25")
    time.sleep(2.5)  # a draft is saved every two seconds
    room.until("by BM25")
    room.child.kill(signal.SIGKILL)
    again = program("resume")
    again.until("Going on with", "> Rare words are matched by BM25")


def test_interrupt_is_told_in_the_footer_and_leaves_the_draft_where_it_is(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("Exact strings")
    room.until("> Exact strings")
    room.type("\x03")
    room.until("again within two seconds leaves")
    assert room.text.count("> Exact strings") == 1
    room.until("Question 1/1:")
    room.type(" such as part numbers")
    room.until("> Exact strings such as part numbers")


def test_answer_typed_ahead_is_sent_when_its_turn_comes(program: Any, tmp_path: Path) -> None:
    room = program("start", "--question", "hybrid-search", "--question", "kv-cache")
    room.until("Question 1/2:")
    room.type("I don't know\rI don't know\r")
    room.until("Report:")
    assert room.ended() == 0
    assert log_of(tmp_path).count("I don't know") == 2


def test_command_on_the_last_line_leaves_the_draft_above_it(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("Exact strings\x1b\r/time\r")
    room.until("Left for this question:", "Question 1/1:")
    room.settle()
    assert "> Exact strings" in room.text.split("Left for this question:")[1]


@pytest.mark.parametrize("keys", ["\x18\x05", "/edit\r"], ids=["Ctrl-X Ctrl-E", "/edit"])
def test_what_the_editor_saves_comes_back_to_be_sent(program: Any, tmp_path: Path, keys: str) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho 'Rare words are matched by BM25' > $1\n")
    editor.chmod(0o755)
    room = program(*ONE, EDITOR=str(editor))
    room.until("Question 1/1:")
    room.type(keys)
    room.until("> Rare words are matched by BM25")
    room.settle()
    assert "Interviewer:" not in room.text, "it is not sent"
    room.type("\r")
    room.until("Interviewer:")


def test_every_command_and_a_push_back(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("/help\r")
    room.until("/pause", "/edit")
    room.type("/time\r")
    room.until("Left for this question:")
    room.type("/nonsense\r")
    room.until("no command /nonsense")
    room.type("? how many documents are there\r")
    room.until("Interviewer:")
    room.type("/repeat\r")
    room.until("> /repeat", "Question 1 of 1")
    room.type("I simply add the BM25 score and the cosine similarity, the raw scores, and sort by the sum.\r")
    room.until("push back", "Talk me through why it holds")
    room.type("/skip\r")
    room.until("Then we leave that one.", "Signal:")
    assert room.ended() == 0


def test_own_rating_stands_beside_the_grade(program: Any, tmp_path: Path) -> None:
    room = program(*ONE, "--self-rate")
    room.until("Question 1/1:")
    room.type("I don't know\r")
    room.until("How well did you answer")
    room.type("seven\r")
    room.until("That is no rating")
    room.type("5\r")
    room.until("You said", "5 of 5", "Report:")
    assert room.ended() == 0
    assert (
        "you rated yourself 5 of 5, more than the grade says" in next(tmp_path.glob("sessions/*/report.md")).read_text()
    )


def test_interrupts_while_rating_leave_the_ratings_out(program: Any, tmp_path: Path) -> None:
    room = program(*ONE, "--self-rate")
    room.until("Question 1/1:")
    room.type("I don't know\r")
    room.until("How well did you answer")
    room.type("\x03")
    room.until("Report:")
    assert room.ended() == 0
    assert "self_rated" not in log_of(tmp_path)


def test_interrupts_while_paused_leave(program: Any) -> None:
    room = program(*ONE)
    room.until("Question 1/1:")
    room.type("/pause\r")
    room.until("Paused: press Enter to go on")
    assert "embeddings alone" not in room.text, "the question is hidden"
    room.type("\x03\x03")
    room.until("mockint resume", "--home")
    assert room.ended() == 130


def test_plain_screen_has_no_footer_no_boxes_and_no_colours(program: Any) -> None:
    room = program(*ONE, "--plain")
    room.until("Question 1 of 1", "leave it out", "\n>")
    assert "Question 1/1:" not in room.text
    room.type("/time\r")
    room.until("Left for this question: 5:")
    room.type("I don't know\r")
    room.until("Signal:", "Report:")
    assert "█" not in room.text
    assert room.ended() == 0


class Slow(Handler):
    """A model that thinks for long, or says a few words and then nothing more."""

    protocol_version = "HTTP/1.0"  # so that a stream has no length
    words: tuple[str, ...] = ()

    def answer(self) -> None:
        asked = self.body().decode()
        if '"stream":true' not in asked.replace(" ", ""):
            time.sleep(30)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in self.words:
            self.wfile.write(
                f'data: {{"id":"1","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":"{word} "}}}}]}}\n\n'.encode()
            )
            self.wfile.flush()
        time.sleep(30)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mockint.toml"
    with serving(Slow) as address:
        path.write_text(f'[models]\ninterviewer = "lab/slow"\n[providers.lab]\nbase_url = "{address}/v1"\n')
        yield path


def test_interrupt_while_the_interviewer_thinks_stops_the_call_and_not_the_session(
    program: Any, slow: Path, tmp_path: Path
) -> None:
    room = program(*ONE, "--config", str(slow))
    room.until("Question 1/1:")
    room.type("Exact strings are matched by BM25.\r")
    room.until("The interviewer is thinking … 1 s")
    room.type("\x03")
    room.until("the embedded interviewer stands in", "Interviewer:", "Question 1/1:")
    assert "thinking" not in room.text, "the line is gone once it is over"
    room.type("/quit\r")
    room.until("Signal:")
    assert room.ended() == 0
    assert '"authored":true' in log_of(tmp_path)


def test_model_s_name_begins_a_sentence_as_it_is_written(program: Any, slow: Path) -> None:
    room = program(*ONE, "--config", str(slow))
    assert " lab/slow asks." in " ".join(room.until("Question 1/1:").split())


def test_what_is_typed_while_the_interviewer_thinks_outlives_the_interrupt(program: Any, slow: Path) -> None:
    room = program(*ONE, "--config", str(slow))
    room.until("Question 1/1:")
    room.type("Exact strings are matched by BM25.\r")
    room.until("The interviewer is thinking … 1 s")
    room.type("And rare words")
    room.settle()
    room.type("\x03")
    room.until("> And rare words")


class Refuses(Handler):
    """A model's server that keeps a call waiting until it is told to refuse it."""

    refuse = threading.Event()

    def answer(self) -> None:
        self.body()
        self.refuse.wait(30)
        self.send_whole(401, b'{"error": {"message": "no"}}', {})


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(Refuses, "refuse", threading.Event())
    path = tmp_path / "mockint.toml"
    with serving(Refuses) as address:
        path.write_text(f'[models]\ninterviewer = "lab/dead"\n[providers.lab]\nbase_url = "{address}/v1"\n')
        yield path
        Refuses.refuse.set()


@pytest.fixture
def in_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a shell run the program, and read a line when that has ended."""
    shell = tmp_path / "shell"
    shell.write_text(f'#!/bin/sh\n{sys.executable} "$@"\necho "it exited with $?"\nread -r line\necho "read: $line."\n')
    shell.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(shell))


@pytest.mark.usefixtures("in_a_shell")
@pytest.mark.parametrize(
    ("ahead", "kept"),
    [
        pytest.param("", "> my own words\n", id="while it thinks"),
        pytest.param("I addd\x7f:\x1b\rand\r", "> I add:\n  and\n  my own words\n", id="with the answer before"),
    ],
)
def test_what_was_typed_ahead_when_the_server_dies_is_kept_and_no_shell_gets_it(
    program: Any, refusing: Path, ahead: str, kept: str
) -> None:
    room = program(*ONE, "--config", str(refusing))
    room.until("Question 1/1:")
    room.type(f"Exact strings are matched by BM25.\r{ahead}")
    room.until("The interviewer is thinking")
    room.type("my own worde\x7fs\x1b[D\rand Zürich\r")
    room.settle()
    Refuses.refuse.set()
    room.until("What you typed meanwhile is kept", "it exited with 5")
    room.type("true\r")
    room.until("read: true.")

    Refuses.refuse.clear()
    again = program("resume", "--config", str(refusing))
    again.until("Going on with", "Question 1 of 1", "You: Exact strings are matched", "The interviewer is thinking")
    again.type("\x03")
    again.until("  and Zürich", "Question 1/1:")
    assert f"{kept}  and Zürich" in "\n".join(line.rstrip() for line in again.screen.display)


@pytest.mark.usefixtures("in_a_shell")
def test_what_is_typed_while_it_grades_reaches_no_shell(program: Any, refusing: Path) -> None:
    refusing.write_text(refusing.read_text().replace("interviewer", "grader"))
    room = program(*ONE, "--config", str(refusing))
    room.until("Question 1/1:")
    room.type("I skip this part of it, and I say no more.\r/quit\r")
    room.until("grading")
    room.type("more words\r")
    room.settle()
    assert "more words" not in room.text
    Refuses.refuse.set()
    room.until("it exited with 6")
    room.type("true\r")
    room.until("read: true.")


def test_interrupt_in_the_middle_of_a_stream_keeps_what_was_shown(
    program: Any, slow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slow, "words", ("And", "how", "would", "you", "put", *["this"] * 16))
    room = program(*ONE, "--config", str(slow))
    room.until("Question 1/1:")
    room.type("? how many users are there\r")
    room.until("Interviewer: And how would you")
    room.type("\x03")
    room.until("the embedded interviewer stands in", "And how would you put …", "Question 1/1:")
    room.type("\x03\x03")
    assert room.ended() == 130
    assert "And how would you put … " in log_of(tmp_path)


def test_interrupt_while_it_grades_leaves_the_session_to_be_graded_later(program: Any, slow: Path) -> None:
    slow.write_text(slow.read_text().replace("interviewer", "grader"))
    room = program(*ONE, "--config", str(slow))
    room.until("Question 1/1:")
    room.type("I don't know\r")
    room.until("grading")
    room.type("\x03")
    room.until("Saved, and not graded. Grade it with:")
    assert room.ended() == 130


@pytest.mark.parametrize("room", [2, 7, 10, 40])
def test_typed_line_is_broken_between_words(room: int) -> None:
    text = "a bb ccc 两行字 dddddddd e  f"
    places = wrapped(text, room)
    assert places == sorted(places)
    assert len(places) == len(text) + 1
    assert wrapped("one two", 40) == list(range(8)), "nothing is moved where there is room"


def test_word_that_does_not_fit_goes_to_the_next_row() -> None:
    assert wrapped("abc defg", 6) == [0, 1, 2, 3, 6, 7, 8, 9, 10]


def test_blank_at_the_end_of_a_full_row_does_not_begin_the_next() -> None:
    assert wrapped("abcd ef", 4) == [0, 1, 2, 3, 4, 4, 5, 6]


def test_rating_is_a_number_from_one_to_five() -> None:
    assert [rating(text) for text in ("1", " 5 ", "0", "6", "five", "")] == [1, 5, None, None, None, None]
