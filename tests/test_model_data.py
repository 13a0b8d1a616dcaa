"""Words, windows, markers, and which posts form a step."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import ALL_STREAMS, evidence, make_parts, stored

from cache.errors import InputError
from cache.reader import features_of
from cache.records import Post, Span
from model.build import Parts
from model.data import PreparedPost, label_set, units_of
from model.order import batches_of_epoch, derangement, mismatched, shown_evidence
from model.pieces import MARKERS, Pieces, match_key

IDS = {marker: -1 - index for index, marker in enumerate(MARKERS)}
NAMES = {index: marker for marker, index in IDS.items()}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return make_parts(tmp_path_factory.mktemp("run"))


def prepare(parts: Parts, names: list[str], words: str = "velora sings") -> list[PreparedPost]:
    return [
        parts.preparer.prepare(features_of(stored(name, f"{words} {name}", kept=ALL_STREAMS)))
        for name in names
    ]


def test_a_tokenizer_with_limits_of_its_own_cuts_nothing(tmp_path: Path) -> None:
    """MiniLM's says 128 pieces, and pads to as many."""
    parts = make_parts(tmp_path)
    tokenizer = parts.preparer.pieces.tokenizer
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=4)

    pieces = Pieces(tokenizer, 24, 16).of_words(["velora"] * 9)

    assert len(set(pieces)) == 1
    assert tokenizer.unk_token_id not in pieces[-1]


def spans(length: int) -> st.SearchStrategy[Span]:
    ends = st.tuples(st.integers(0, length - 1), st.integers(1, length))
    return ends.map(lambda pair: Span(min(pair[0], pair[1] - 1), max(pair[0] + 1, pair[1])))


@given(st.data())
@settings(max_examples=60)
def test_markers_enclose_their_mention_however_the_two_lie(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 5))
    head, tail = data.draw(spans(length)), data.draw(spans(length))
    tokens = tuple(f"w{index}" for index in range(length))

    units, head_unit, tail_unit = units_of(Post("a", tokens, "", head, tail), "relations", IDS)
    shown = [NAMES[unit] if isinstance(unit, int) else unit for unit in units]

    assert [unit for unit in shown if unit not in MARKERS] == list(tokens)
    assert Counter(shown) == Counter([*tokens, *MARKERS])
    for span, name, unit in ((head, "E1", head_unit), (tail, "E2", tail_unit)):
        assert shown[unit] == f"[{name}]"
        inside = shown[unit : shown.index(f"[/{name}]")]
        words = [word for word in inside if word not in MARKERS]
        assert words == list(tokens[span.start : span.end])


def test_markers_of_touching_mentions_at_the_end_do_not_cross() -> None:
    post = Post("a", ("x", "y"), "", Span(0, 1), Span(1, 2))
    units, _, _ = units_of(post, "relations", IDS)

    shown = [NAMES[unit] if isinstance(unit, int) else unit for unit in units]
    assert shown == ["[E1]", "x", "[/E1]", "[E2]", "y", "[/E2]"]


def test_markers_of_a_mention_inside_another_are_inside_it() -> None:
    post = Post("a", ("x", "y"), "", Span(0, 2), Span(1, 2))
    units, _, _ = units_of(post, "relations", IDS)

    shown = [NAMES[unit] if isinstance(unit, int) else unit for unit in units]
    assert shown == ["[E1]", "x", "[E2]", "y", "[/E2]", "[/E1]"]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_windows_hold_every_word_once_and_fit(parts: Parts, words: list[str]) -> None:
    windows = parts.preparer.pieces.windows(words)

    assert sum(len(window.starts) for window in windows) == len(words)
    for window in windows:
        assert 0 < len(window.pieces) <= parts.preparer.pieces.max_pieces - 2
        assert list(window.starts) == sorted(set(window.starts))


def test_a_long_sentence_is_its_windows_one_behind_the_other(parts: Parts) -> None:
    words = ["velora", "sings", "in", "the", "club", "a", "person", "place"] * 8
    # Words shared with the post are counted over the whole post; there are none here.
    kept = (evidence("sentence", "text", 0, "quill tamber", 3), ALL_STREAMS[1])
    capacity = parts.preparer.pieces.max_pieces - 2
    whole = parts.preparer.prepare(features_of(stored("a", words, kept=kept)))
    pieces = [
        parts.preparer.prepare(features_of(stored(f"b{at}", words[at : at + capacity], kept=kept)))
        for at in range(0, len(words), capacity)
    ]
    with torch.no_grad():
        joined = parts.network.read(parts.collator([whole])).words[0]
        apart = [parts.network.read(parts.collator([piece])).words[0] for piece in pieces]

    assert len(whole.windows) == 3
    torch.testing.assert_close(joined, torch.cat(apart), rtol=0, atol=2e-6)


def test_ten_thousand_words_lose_no_word_and_no_gold(parts: Parts) -> None:
    gold = (Span(0, 1, "PER"), Span(9_999, 10_000, "LOC"))
    post = features_of(stored("a", ["velora"] * 10_000, entities=gold))

    batch = parts.collator([parts.preparer.prepare(post)])
    with torch.no_grad():
        reading = parts.network.read(batch)

    assert batch.labels is not None
    assert reading.words.shape[1] == batch.labels.shape[1] == 10_000
    assert batch.joined_mask.all()
    assert batch.labels[0, -1] == parts.preparer.index_of["B-LOC"]
    assert len(set(batch.joined[0].tolist())) == 10_000


@pytest.mark.parametrize("word", ["", "\u200b", " ", "\ud800", "\x00", "a" * 5_000, "\u0301"])
def test_a_hostile_word_is_one_word_like_any_other(parts: Parts, word: str) -> None:
    batch = parts.collator([parts.preparer.prepare(features_of(stored("a", ["in", word, "in"])))])
    with torch.no_grad():
        words = parts.network.read(batch).words

    assert words.shape[1] == 3
    assert words.isfinite().all()


@pytest.mark.parametrize("word", ["[SEP]", "[CLS]", "[PAD]", "[E1]", "[/E2]"])
def test_special_tokens_in_a_post_are_plain_text(parts: Parts, word: str) -> None:
    tokenizer = parts.preparer.pieces.tokenizer
    special = {*tokenizer.all_special_ids, *parts.preparer.pieces.markers.values()}

    (pieces,) = parts.preparer.pieces.of_words([word])
    passage = parts.preparer.pieces.passage(f"in {word} club")

    assert not special.intersection(pieces) - {tokenizer.unk_token_id}
    assert not special.intersection(passage.pieces) - {tokenizer.unk_token_id}


@pytest.mark.parametrize(("one", "other"), [("Velora", "#velora,"), ("O'Neal", "oneal")])
def test_names_match_whatever_their_case_and_punctuation(one: str, other: str) -> None:
    assert match_key(one) == match_key(other) != 0


@pytest.mark.parametrize("word", ["", "!", "a", "[E1", "..."])
def test_what_is_no_name_matches_nothing(word: str) -> None:
    assert match_key(word) == 0 or len(word) > 2


def test_a_post_without_words_is_refused_by_name(parts: Parts) -> None:
    with pytest.raises(InputError, match=r"example empty has no words"):
        parts.preparer.prepare(features_of(stored("empty", [])))


def test_a_mention_outside_the_sentence_is_refused_by_name(tmp_path: Path) -> None:
    relations = make_parts(tmp_path, task="relations", labels=("None", "in"))
    outside = stored("far", "a b", mentions=(Span(0, 1), Span(1, 3)))

    with pytest.raises(InputError, match=r"example far: tail \[1, 3\) lies outside its 2 words"):
        relations.preparer.prepare(features_of(outside))


def test_relations_start_with_none_and_entities_with_outside() -> None:
    relation = stored("a", "x", relation="in").example
    nothing = stored("b", "x", relation="None").example
    entity = stored("c", "x", entities=(Span(0, 1, "PER"),)).example

    assert label_set([relation, nothing], "relations") == ("None", "in")
    assert label_set([entity], "entities") == ("O", "B-PER", "I-PER")
    with pytest.raises(InputError, match="annotated with relations"):
        label_set([entity], "relations")


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=200),
    st.integers(1, 20),
    st.integers(0, 3),
)
@settings(max_examples=40)
def test_every_post_is_in_one_step_of_an_epoch(costs: list[int], size: int, seed: int) -> None:
    batches = batches_of_epoch(costs, size, seed, epoch=0)

    assert sorted(index for batch in batches for index in batch) == list(range(len(costs)))
    assert len(batches) == -(-len(costs) // size)
    assert max(map(len, batches)) <= size
    assert batches == batches_of_epoch(costs, size, seed, epoch=0)


def test_posts_of_a_step_are_of_similar_length() -> None:
    costs = [(37 * index) % 200 for index in range(400)]
    steps = batches_of_epoch(costs, 16, seed=1, epoch=0)

    padded = sum(max(costs[i] for i in step) * len(step) for step in steps)
    assert sum(costs) / padded > 0.9


def test_other_posts_evidence_is_never_ones_own_nor_of_the_same_text(parts: Parts) -> None:
    twins = prepare(parts, ["a", "b", "c"]) * 2 + prepare(parts, [f"p{i}" for i in range(20)])

    for seed in range(10):
        donors = derangement(twins, seed)
        assert sorted(donors) == list(range(len(twins)))
        for index, donor in enumerate(donors):
            tokens = [twins[i].example.post.tokens for i in (index, donor)]
            assert tokens[0] != tokens[1]


def test_what_is_shown_is_own_others_or_nothing(parts: Parts) -> None:
    posts = prepare(parts, ["a", "b", "c", "d"])

    assert all(
        s.own and s.evidence is p.evidence
        for s, p in zip(shown_evidence(posts, "own", 1), posts, strict=True)
    )
    others = shown_evidence(posts, "others", 1)
    assert all(
        not s.own and s.evidence is not p.evidence for s, p in zip(others, posts, strict=True)
    )
    assert all(
        not s.evidence.texts and not s.evidence.images for s in shown_evidence(posts, "none", 1)
    )


def test_a_post_alone_is_not_shown_its_own_evidence_as_that_of_others(parts: Parts) -> None:
    with pytest.raises(InputError, match="no other one whose evidence"):
        shown_evidence(prepare(parts, ["a"]), "others", 1)


def test_mismatch_is_its_share_of_the_posts_and_others_in_each_epoch(parts: Parts) -> None:
    posts = prepare(parts, [f"p{index}" for index in range(200)])

    epochs = [mismatched(posts, 0.25, 1, epoch) for epoch in (0, 1, 0)]

    for again in epochs:
        assert len({index for index, _ in again}) == 50
        for index, shown in again:
            assert not shown.own
            assert shown.evidence is not posts[index].evidence
    assert epochs[0] == epochs[2] != epochs[1]


def test_without_a_share_or_another_post_there_is_no_mismatch(parts: Parts) -> None:
    posts = prepare(parts, ["a", "b"])

    assert mismatched(posts, 0.0, 1, 0) == []
    assert mismatched(posts[:1], 0.9, 1, 0) == []
