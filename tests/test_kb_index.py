from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tantivy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cache.errors import StoreDamaged
from retrieval.kb.index import TextIndex, _analyzer, _schema, build_text_index
from retrieval.kb.ranking import Ranked, fuse, rank_vectors

WORDS = ("anna", "berlin", "cup", "dora", "emil", "fritz", "gustav")


def index_of(folder: Path, passages: list[str], images: list[bool] | None = None) -> TextIndex:
    flags = images or [True] * len(passages)
    build_text_index(folder / "index", zip(passages, flags, strict=True))
    return TextIndex(folder / "index")


def slow_bm25(passages: list[list[str]], query: list[str]) -> list[tuple[int, float]]:
    """BM25 as in Robertson and Zaragoza 2009, with Lucene's idf; k1 = 1.2, b = 0.75."""
    num, average = len(passages), sum(map(len, passages)) / len(passages)
    scores = []
    for row, passage in enumerate(passages):
        counts, score = Counter(passage), 0.0
        for word in dict.fromkeys(query):
            having = sum(word in other for other in passages)
            idf = math.log(1 + (num - having + 0.5) / (having + 0.5))
            norm = 1.2 * (1 - 0.75 + 0.75 * len(passage) / average)
            score += idf * counts[word] * 2.2 / (counts[word] + norm)
        scores.append((row, score))
    found = [(row, score) for row, score in scores if score > 0]
    return sorted(found, key=lambda one: (-round(one[1], 4), one[0]))


_PASSAGE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12)


@settings(max_examples=15, deadline=None)
@given(st.lists(_PASSAGE, min_size=1, max_size=8), _PASSAGE)
def test_words_are_ranked_as_by_the_slow_formula(
    tmp_path_factory: pytest.TempPathFactory, passages: list[list[str]], query: list[str]
) -> None:
    index = index_of(tmp_path_factory.mktemp("bm25"), [" ".join(p) for p in passages])
    found = index.search(" ".join(query), 20, with_image=False)
    expected = slow_bm25(passages, query)
    assert dict(found) == pytest.approx(dict(expected), abs=1e-3)
    assert [round(one.score, 3) for one in found] == sorted(
        (round(one.score, 3) for one in found), reverse=True
    )


def test_equal_scores_come_in_the_order_of_rows(tmp_path: Path) -> None:
    index = index_of(tmp_path, ["same words"] * 300)
    assert [one.row for one in index.search("words", 7, with_image=False)] == list(range(7))


def test_equal_scores_come_in_the_order_of_rows_whatever_the_segments_are(tmp_path: Path) -> None:
    index = tantivy.Index(_schema(), path=str(tmp_path))
    index.register_tokenizer("ramie", _analyzer())
    writer = index.writer(heap_size=15_000_000, num_threads=1)
    for rows in (range(150, 300), range(150)):
        for row in rows:
            writer.add_document(tantivy.Document(body="same words", image="1", row=row))
        writer.commit()
    writer.wait_merging_threads()
    built = TextIndex(tmp_path)
    assert built._searcher.num_segments == 2
    found = built.search("words", 7, with_image=False)
    assert [one.row for one in found] == list(range(7))


def test_nothing_in_a_post_is_query_syntax(tmp_path: Path) -> None:
    index = index_of(tmp_path, ["title colon dash", "body other"])
    for hostile in ('body:"x" AND -title^2 (', "*", "\\", "+++", "a\0b", "[1 TO 2]", "\ud800"):
        index.search(hostile.encode("utf-8", "replace").decode(), 5, with_image=False)
    assert [one.row for one in index.search("NOT title:", 5, with_image=False)] == [0]


def test_case_accents_and_inflection_do_not_matter(tmp_path: Path) -> None:
    index = index_of(tmp_path, ["Cafés in São Paulo", "nothing"])
    assert [one.row for one in index.search("cafe sao", 5, with_image=False)] == [0]


def test_only_documents_with_images_are_found_for_images(tmp_path: Path) -> None:
    index = index_of(tmp_path, ["dog one", "dog two", "cat"], [False, True, True])
    with_image = index.search("dog", 5, with_image=True)
    anything = index.search("dog", 5, with_image=False)
    assert [one.row for one in with_image] == [1]
    assert [one.row for one in anything] == [0, 1]
    # Where the image is no more than a condition, it does not change the score.
    assert with_image[0].score == anything[1].score


def test_a_long_post_is_asked_by_its_first_words(tmp_path: Path) -> None:
    index = index_of(tmp_path, ["early", "late"])
    filler = " ".join(f"w{number}" for number in range(10_000))
    found = index.search(f"early {filler} late", 5, with_image=False)
    assert [one.row for one in found] == [0]


def test_an_index_that_cannot_be_locked_is_searched_in_a_copy(tmp_path: Path) -> None:
    index_of(tmp_path, ["dog"])
    (tmp_path / "index" / ".tantivy-meta.lock").unlink(missing_ok=True)
    (tmp_path / "index" / ".tantivy-meta.lock").mkdir()
    index = TextIndex(tmp_path / "index")
    assert [one.row for one in index.search("dog", 5, with_image=False)] == [0]


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "meta.json").write_text("{")
    with pytest.raises(StoreDamaged, match="ramie kb build"):
        TextIndex(tmp_path / "index")


def unit(seed: int, rows: int, dim: int) -> NDArray[np.float16]:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16)


def test_vectors_are_ranked_exactly_with_ties_by_row() -> None:
    matrix = unit(0, 40, 8)
    matrix[17] = matrix[3]  # a tie
    queries = unit(1, 5, 8).astype(np.float32)
    rows = np.arange(0, 80, 2)
    found = rank_vectors(queries, matrix, rows, 40)
    for query, ranked in zip(queries, found, strict=True):
        exact = [
            sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(query, line, strict=True))
            for line in matrix
        ]
        order = sorted(range(40), key=lambda line: (-exact[line], line))
        assert [one.row for one in ranked] == [int(rows[line]) for line in order]
        assert [Fraction(one.score) for one in ranked] == [exact[line] for line in order]


def test_a_ranking_by_vectors_does_not_depend_on_the_other_queries_or_the_limit() -> None:
    matrix, queries = unit(0, 300, 64), unit(1, 9, 64).astype(np.float32)
    together = rank_vectors(queries, matrix, np.arange(300), 300)
    for index in range(len(queries)):
        alone = rank_vectors(queries[index : index + 1], matrix, np.arange(300), 10)
        assert alone[0] == together[index][:10]


def test_ties_at_the_limit_are_cut_in_the_order_of_rows() -> None:
    matrix = np.repeat(unit(0, 1, 8), 50, axis=0)
    found = rank_vectors(unit(1, 1, 8).astype(np.float32), matrix, np.arange(50), 5)
    assert [one.row for one in found[0]] == [0, 1, 2, 3, 4]


def test_nothing_to_compare_with_finds_nothing() -> None:
    empty = np.zeros((0, 0), np.float16)
    assert rank_vectors(unit(1, 2, 8).astype(np.float32), empty, np.arange(0), 5) == [[], []]


def test_fusion_by_reciprocal_rank_as_worked_by_hand() -> None:
    words = [Ranked(7, 9.0), Ranked(3, 5.0)]
    vectors = [Ranked(3, 0.9), Ranked(8, 0.8), Ranked(7, 0.1)]
    fused = fuse([words, vectors], 10, 60)
    assert [one.row for one in fused] == [3, 7, 8]
    assert [one.score for one in fused] == pytest.approx(
        [1 / 61 + 1 / 62, 1 / 61 + 1 / 63, 1 / 62]
    )


def test_fusion_does_not_depend_on_the_order_of_rankings_and_breaks_ties_by_row() -> None:
    first, second = [Ranked(5, 1.0)], [Ranked(2, 1.0)]
    assert fuse([first, second], 10, 60) == fuse([second, first], 10, 60)
    assert [one.row for one in fuse([first, second], 10, 60)] == [2, 5]
    assert [one.row for one in fuse([first, second], 1, 60)] == [2]
