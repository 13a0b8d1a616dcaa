"""Ranking documents by words (tantivy's BM25) and by vectors (exact)."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import tantivy
from numpy.typing import NDArray

from cache.errors import StoreDamaged

Half = NDArray[np.float16]
Rows = NDArray[np.intp]

# Part of a knowledge base's fingerprint: how words become terms.
ANALYZER: Final = "simple remove_long(60) lowercase ascii_fold stemmer(english)"
# More words than this only cost time: the rest of a very long post is not asked.
_MOST_TERMS: Final = 64
_HEAP_BYTES: Final = 128_000_000
_BLOCK_ROWS: Final = 20_000


class Ranked(NamedTuple):
    """A document's row and its score in one ranking."""

    row: int
    score: float


class TextIndex:
    """BM25 over the documents' passages; rows are the documents' numbers in id order."""

    def __init__(self, folder: Path) -> None:
        """Open the index in ``folder``.

        Raises:
            StoreDamaged: it cannot be read.
        """
        self._schema = _schema()
        try:
            self._index = _open(folder)
        except (OSError, ValueError):
            # Opening takes a lock file, which a read-only folder refuses: search a copy.
            copy = Path(tempfile.mkdtemp(prefix="ramie-kb-"))
            weakref.finalize(self, shutil.rmtree, copy, ignore_errors=True)
            self._index = _open_copy(folder, copy / "index")

    def search(self, text: str, limit: int, *, with_image: bool) -> list[Ranked]:
        """Return at most ``limit`` documents that share a word with ``text``, best first.

        Args:
            text: any words; nothing in it is query syntax.
            limit: equal scores at the end are cut in the order of rows.
            with_image: only documents that have an image; else only those that have words.
        """
        terms = list(dict.fromkeys(self._analyzer.analyze(text)))[:_MOST_TERMS]
        if not terms:
            return []
        shoulds = [(tantivy.Occur.Should, self._term("body", term)) for term in terms]
        query = tantivy.Query.boolean_query(shoulds)
        if with_image:
            image = tantivy.Query.const_score_query(self._term("image", "1"), 0.0)
            must = tantivy.Occur.Must
            query = tantivy.Query.boolean_query([(must, query), (must, image)])
        hits = self._searcher.search(query, limit=limit, count=False).hits
        rows = [int(self._searcher.doc(address)["row"][0]) for _, address in hits]
        ranked = [Ranked(row, round(score, 5)) for row, (score, _) in zip(rows, hits, strict=True)]
        return sorted(ranked, key=lambda found: (-found.score, found.row))

    def _term(self, name: str, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, name, term, index_option="freq")

    @cached_property
    def _analyzer(self) -> tantivy.TextAnalyzer:
        return _analyzer()

    @cached_property
    def _searcher(self) -> tantivy.Searcher:
        return self._index.searcher()


def build_text_index(folder: Path, passages: Iterable[tuple[str, bool]]) -> None:
    """Write an index of ``(passage, has an image)`` in the order of rows."""
    folder.mkdir()
    index = tantivy.Index(_schema(), path=str(folder))
    index.register_tokenizer("ramie", _analyzer())
    # One thread, and merging awaited: rows keep their order, so equal scores come in it.
    writer = index.writer(heap_size=_HEAP_BYTES, num_threads=1)
    for row, (passage, has_image) in enumerate(passages):
        writer.add_document(tantivy.Document(body=passage, image=str(int(has_image)), row=row))
    writer.commit()
    writer.wait_merging_threads()
    for lock in folder.glob("*.lock"):
        lock.unlink()


def rank_vectors(
    queries: NDArray[np.float32], matrix: Half, rows: Rows, limit: int
) -> list[list[Ranked]]:
    """Return for each query the ``limit`` best rows by cosine, best first, ties by row.

    Products of float16 numbers in (-1, 1] are multiples of 2**-48, so their sums are exact in
    float64: scores depend neither on the order of summation nor on the other queries.

    Args:
        queries: unit vectors in float16 precision, ``[n, dim]``.
        matrix: unit vectors, ``[m, dim]``.
        rows: document row of each line of ``matrix``, ascending.
        limit: at most this many per query.
    """
    if not len(queries) or not len(matrix):
        return [[] for _ in queries]
    exact = queries.astype(np.float16).astype(np.float64)
    scores = np.empty((len(exact), len(matrix)))
    for start in range(0, len(matrix), _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS].astype(np.float64)
        scores[:, start : start + _BLOCK_ROWS] = exact @ block.T
    return [_best(line, rows, limit) for line in scores]


def fuse(rankings: Sequence[Sequence[Ranked]], limit: int, constant: int) -> list[Ranked]:
    """Return the reciprocal-rank fusion (Cormack et al. 2009) of ``rankings``, ties by row.

    A single ranking keeps its own scores.
    """
    if len(rankings) == 1:
        return list(rankings[0][:limit])
    places: dict[int, list[int]] = {}
    for ranking in rankings:
        for place, found in enumerate(ranking):
            places.setdefault(found.row, []).append(place)
    # Sorted, so that equal sets of places give equal sums to the last bit.
    fused = [
        Ranked(row, sum(1 / (constant + 1 + place) for place in sorted(found)))
        for row, found in places.items()
    ]
    return sorted(fused, key=lambda found: (-found.score, found.row))[:limit]


def _best(scores: NDArray[np.float64], rows: Rows, limit: int) -> list[Ranked]:
    if len(scores) > limit:
        worst = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        candidates = np.flatnonzero(scores >= worst)
    else:
        candidates = np.arange(len(scores))
    order = candidates[np.argsort(-scores[candidates], kind="stable")][:limit]
    return [Ranked(int(rows[line]), float(scores[line])) for line in order]


def _open(folder: Path) -> tantivy.Index:
    index = tantivy.Index.open(str(folder))
    index.register_tokenizer("ramie", _analyzer())
    return index


def _open_copy(folder: Path, copy: Path) -> tantivy.Index:
    try:
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.lock"))
        return _open(copy)
    except (OSError, ValueError) as error:
        raise StoreDamaged(
            f"cannot open the text index {folder}: {error}. Build the knowledge base again "
            "with `ramie kb build`."
        ) from error


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("body", tokenizer_name="ramie", index_option="freq")
    builder.add_text_field("image", tokenizer_name="raw", index_option="freq")
    builder.add_integer_field("row", stored=True)
    return builder.build()


def _analyzer() -> tantivy.TextAnalyzer:
    """Return what `ANALYZER` says."""
    filters = (
        tantivy.Filter.remove_long(60),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stemmer("english"),
    )
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in filters:
        builder = builder.filter(step)
    return builder.build()
