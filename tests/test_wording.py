"""How counts and scores are said, in code and in templates."""

from __future__ import annotations

import subprocess
import sys

import jinja2
import pytest

from mockint.wording import environment, many, shown


def test_count_and_word_agree() -> None:
    assert [many(count, "answer") for count in (0, 1, 2)] == ["0 answers", "1 answer", "2 answers"]
    assert [many(count, "criterion", "criteria") for count in (1, 3)] == ["1 criterion", "3 criteria"]


def test_score_that_is_none_is_a_dash() -> None:
    assert [shown(score) for score in (None, 0.0, 0.666)] == ["–", "0.00", "0.67"]


def test_template_says_them_alike_and_refuses_what_it_was_not_given() -> None:
    made = environment(autoescape=True)
    text = made.from_string("{{ 1 | many('line') }} {{ none | score }} {{ 0.5 | share }} {{ none | share }} {{ '<' }}")
    assert text.render() == "1 line – 50% – &lt;"
    with pytest.raises(jinja2.UndefinedError):
        made.from_string("{{ nothing }}").render()


def test_saying_a_count_loads_no_jinja() -> None:
    look = "import sys, mockint.wording; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
