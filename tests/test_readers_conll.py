from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from cache.errors import InputError
from cache.records import Span
from retrieval.datasets import lines as lines_module
from retrieval.datasets.conll import Sentence, bio_spans, read_sentences
from retrieval.datasets.lines import decode_lines

LABELS = st.lists(
    st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-ORG"]), min_size=1, max_size=12
)
# Anything but the column and line separators: tweets hold emoji, U+2028 and odd spaces.
WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n "), min_size=1, max_size=8
).filter(lambda word: word.strip() and not word.startswith("IMGID:") and word != "<EOS>")


def parse(text: str, *, with_labels: bool = True) -> list[Sentence]:
    lines = decode_lines(io.BytesIO(text.encode()), "x.txt")
    return list(read_sentences(lines, with_labels=with_labels))


@given(LABELS)
@settings(max_examples=200)
def test_entities_are_those_that_lenient_seqeval_counts(labels: list[str]) -> None:
    wanted = [Span(start, end + 1, kind) for kind, start, end in get_entities(labels)]

    assert list(bio_spans(labels)[0]) == wanted


def test_an_inside_label_after_o_or_after_another_type_opens_an_entity_and_is_counted() -> None:
    spans, orphans = bio_spans(["O", "I-PER", "I-LOC", "B-LOC", "I-LOC"])

    assert spans == (Span(1, 2, "PER"), Span(2, 3, "LOC"), Span(3, 5, "LOC"))
    assert orphans == {"after O": 1, "after another type": 1}


@given(
    st.lists(st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-PER", "I-PER"])), min_size=1)),
    st.sampled_from(["\t", " "]),
    st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=60)
def test_what_is_written_is_read_back(
    sentences: list[list[tuple[str, str]]], separator: str, newline: str
) -> None:
    if separator == " ":
        # Without a tab, white space inside a word cannot be told from the separator.
        sentences = [
            [("".join(word.split()) or "w", label) for word, label in words] for words in sentences
        ]
        sentences = [
            [(word if word.isprintable() else "w", label) for word, label in words]
            for words in sentences
        ]
    text = "".join(
        f"IMGID:{index}{newline}"
        + "".join(f"{word}{separator}{label}{newline}" for word, label in words)
        + newline
        for index, words in enumerate(sentences)
    )

    got = parse(text)

    assert [list(zip(s.tokens, s.labels, strict=True)) for s in got] == sentences
    assert [s.photo_id for s in got] == [str(index) for index in range(len(sentences))]


def test_the_context_after_eos_is_no_part_of_the_sentence() -> None:
    text = "a\tB-PER\n<EOS>\tX\nsome\tX\n\tX\nfact\tX\n<EOS>\tX\nother\tX\n\nb\tO\n"

    first, second = parse(text)

    assert (first.tokens, first.labels) == (["a"], ["B-PER"])
    assert first.passages() == ["some fact", "other"]
    assert (second.tokens, second.passages()) == (["b"], [])


def test_a_word_eos_with_a_label_is_a_word() -> None:
    assert parse("<EOS>\tO\nb\tO\n")[0].tokens == ["<EOS>", "b"]


def test_without_labels_the_label_column_of_a_sentence_is_neither_kept_nor_checked() -> None:
    (sentence,) = parse("a\tB-PER\nb\tnonsense\n<EOS>\tX\nc\tX\n", with_labels=False)

    assert sentence.labels == []
    assert sentence.tokens == ["a", "b"]
    assert sentence.passages() == ["c"]


def test_a_blank_word_keeps_its_place_and_its_label() -> None:
    (sentence,) = parse("a\tO\n\xa0\tO\n \tI-PER\n\tO\nb\tB-PER\n")

    assert sentence.tokens == ["a", "\xa0", " ", "", "b"]
    assert sentence.labels == ["O", "O", "I-PER", "O", "B-PER"]


def test_other_becomes_misc() -> None:
    assert parse("a\tB-OTHER\nb\tI-OTHER\n")[0].labels == ["B-MISC", "I-MISC"]


def test_a_new_photo_line_ends_the_sentence_even_without_a_blank_line() -> None:
    assert [s.tokens for s in parse("IMGID:1\na\tO\nIMGID:2\nb\tO")] == [["a"], ["b"]]


def test_a_sentence_of_ten_thousand_tokens_is_read() -> None:
    (sentence,) = parse("IMGID:1\n" + "word\tB-PER\n" * 10_000)

    assert len(sentence.tokens) == 10_000
    assert len(bio_spans(sentence.labels)[0]) == 10_000


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a\tO\nlonely\n", "x.txt:2", "not a word and a label"),
        ("a\tO\n\na b O\n", "x.txt:3", "not a word and a label"),
        ("a\tO\tO\n", "x.txt:1", "not a word and a label"),
        ("a\t\n", "x.txt:1", "not a word and a label"),
        ("a\tO\n\t\nb\tO\n", "x.txt:2", "not a word and a label"),
        ("a\tO\n\xa0\nb\tO\n", "x.txt:2", "not a word and a label"),
        ("a\tO\nb\tS-PER\n", "x.txt:2", "'S-PER' is unknown"),
        ("b\tB-\n", "x.txt:1", "'B-' is unknown"),
        ("b\tX\n", "x.txt:1", "'X' is unknown"),
        ("IMGID:\na\tO\n", "x.txt:1", "names no photo"),
        ("IMGID:1\n\na\tO\n", "x.txt:1", "the sentence is empty"),
        ("a\tO\n\nIMGID:1\n", "x.txt:3", "the sentence is empty"),
        ("IMGID:1\n\xa0\tO\n", "x.txt:1", "the sentence is empty"),
        ("<EOS>\tX\nfact\tX\n", "x.txt:1", "the sentence is empty"),
        ("a\tO\n<EOS>\tX\nb\tX\nIMAGE\tB-PER\n", "x.txt:4", "after <EOS>"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_the_way_out(
    text: str, place: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        parse(text)

    assert str(caught.value).startswith(f"{place}: ")
    assert str(caught.value).endswith((".", "?"))


def test_bytes_that_are_not_utf8_are_named_with_their_line() -> None:
    with pytest.raises(InputError, match=r"x.txt:2: byte 1 \(0xe9\) is not UTF-8"):
        list(decode_lines(io.BytesIO(b"a\tO\nb\xe9\tO\n"), "x.txt"))


def test_a_byte_order_mark_is_not_part_of_the_first_word() -> None:
    assert [line.text for line in decode_lines(io.BytesIO(b"\xef\xbb\xbfa\nb"), "x")] == ["a", "b"]


def test_a_file_without_newlines_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 10)

    assert len(list(decode_lines(io.BytesIO(b"123456789\n"), "x"))) == 1
    with pytest.raises(InputError, match="x:1: the line is longer than 10 bytes"):
        list(decode_lines(io.BytesIO(b"12345678901"), "x"))
