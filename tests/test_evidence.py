from __future__ import annotations

import pytest

from mockint.evidence import claim, cues, locate, opposes, order, own, passages, search, stems


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        pytest.param("run both of them", "run both of them", id="as it stands"),
        pytest.param("Run  BOTH\nof them", "run both of them", id="white space and case aside"),
        pytest.param("“run both of them”", "run both of them", id="quotation marks around it"),
        pytest.param("run both and merge", None, id="not said"),
        pytest.param("both of", None, id="too short to be evidence"),
        pytest.param("run … them", None, id="an ellipsis is not verbatim"),
        pytest.param("", None, id="empty"),
    ],
)
def test_quote_is_located_or_not(quote: str, found: str | None) -> None:
    assert locate(quote, "I run both of them, always.") == found


def test_located_quote_is_the_speakers_own_characters() -> None:
    assert locate("we rank by position", "So We  rank\nby position here") == "We  rank\nby position"


def test_short_turn_may_be_quoted_whole() -> None:
    assert locate("use RRF", "Use RRF") == "Use RRF"


def test_passages_are_verbatim_and_cut_long_sentences() -> None:
    text = "One. " + ", ".join(f"then we take the item number {n} and put it away" for n in range(9)) + "."
    cut = passages(2, text)
    assert all(passage.text in text and passage.turn == 2 for passage in cut)
    assert max(len(passage.text.split()) for passage in cut) <= 41


def test_best_passage_covers_the_cue_in_other_inflections() -> None:
    found = search(cues(["merge the ranked lists"]), passages(2, "It is nice. I am merging both rankings into a list."))
    assert found.passage
    assert found.passage.text.startswith("I am merging")
    assert found.score > 0.4


def test_words_given_by_the_question_or_shared_with_others_count_less() -> None:
    said = passages(2, "It is about retrieval quality.")
    alone = search(cues(["retrieval drift"]), said).score
    assert search(cues(["retrieval drift"], given="Tell me about retrieval"), said).score < alone
    assert search(cues(["retrieval drift"], others=[["retrieval cost"]]), said).score < alone


def test_nothing_is_found_in_nothing() -> None:
    assert search(cues(["merge lists"]), []).passage is None
    assert stems("the of and") == ()


@pytest.mark.parametrize(
    ("said", "claimed"),
    [
        pytest.param("You just add the BM25 score and the cosine similarity.", True, id="as it is claimed"),
        pytest.param("I would not add the BM25 score and the cosine similarity.", False, id="denied"),
        pytest.param("Adding the BM25 score and the cosine similarity is wrong.", False, id="called wrong"),
        pytest.param(
            "Wouldn’t add the BM25 score to the cosine similarity.", False, id="denied with a curly apostrophe"
        ),
        pytest.param("There is never a reason to measure.", True, id="a claim that is itself a denial"),
        pytest.param("There is a reason to measure.", False, id="and its opposite"),
    ],
)
def test_claim_is_made_only_as_it_is_affirmed_or_denied(said: str, claimed: bool) -> None:
    wanted = ["add the BM25 score and the cosine similarity", "never any reason to measure"]
    assert (claim(wanted, passages(2, said), least=0.6) is not None) is claimed


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        pytest.param("I'd read two hundred failed calls first.", True, id="says something"),
        pytest.param("There's no need to look at the calls or the logs.", False, id="calls it needless"),
        pytest.param("Tell me how you would sort the failed calls by cause.", False, id="repeats the interviewer"),
        pytest.param(
            "calls logs causes traces spans recall NDCG MRR metrics dashboards alerts labels", False, id="a list"
        ),
        pytest.param("att = q @ k.T / d ** 0.5 mask softmax head dim batch token query key value", True, id="code"),
    ],
)
def test_passage_is_evidence_only_if_it_says_something(said: str, kept: bool) -> None:
    found = own(passages(2, said), ["Tell me how you would sort the failed calls by cause."])
    assert bool(found) is kept


def test_same_sentence_counts_once() -> None:
    assert len(own(passages(2, "I sort them by cause. I sort them by cause."), [])) == 1


@pytest.mark.parametrize(
    ("said", "opposed"),
    [
        ("A reranker does not read the query and the passage together.", True),
        ("It is not true that a reranker reads the query and the passage together.", True),
        ("A reranker reads the query and the passage together.", False),
        ("A reranker reads the query and the passage together, not each alone, and so it is slow but sharp.", False),
        ("I would not use a reranker for this.", False),
    ],
)
def test_same_words_with_a_denial_more_are_the_opposite(said: str, opposed: bool) -> None:
    assert opposes(said, "A reranker reads the query and the passage together.") is opposed


def test_order_is_the_share_of_shared_words_in_the_same_order() -> None:
    assert order("one two three four five six", "one two three four five six") == 1
    assert order("six five four three two one", "one two three four five six") == pytest.approx(1 / 6)
    assert order("two one", "one two") == 1, "too few to have an order"
