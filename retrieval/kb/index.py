"""Ranking documents by words: tantivy's BM25. The only file that imports it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Final

import tantivy

from cache.errors import StoreDamaged
from retrieval.kb.ranking import Ranked

# Part of a knowledge base's fingerprint: how words become terms, and who ranks.
ANALYZER: Final = "simple remove_long(60) lowercase ascii_fold stemmer(english)"
TANTIVY: Final[str] = tantivy.__version__
# More words than this only cost time: the rest of a very long post is not asked.
_MOST_TERMS: Final = 64
_HEAP_BYTES: Final = 128_000_000
# So many documents of one score are told apart by their rows; more of them are copies.
_MOST_TIED: Final = 20_000


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
        hits = self._best(query, limit)
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        ranked = [Ranked(row, round(score, 5)) for row, (score, _) in zip(rows, hits, strict=True)]
        return sorted(ranked, key=lambda found: (-found.score, found.row))[:limit]

    def _best(self, query: tantivy.Query, limit: int) -> list[tuple[float, tantivy.DocAddress]]:
        """Return the best documents, and all that are as good as the last one that is wanted.

        An index of many documents has segments, whose order is that of no rows; so tantivy's own
        cut among equals would depend on how they were merged.
        """
        most = limit + 1
        while True:
            hits: list[tuple[float, tantivy.DocAddress]]
            hits = self._searcher.search(query, limit=most, count=False).hits
            last = round(hits[-1][0], 5) if hits else 0.0
            if len(hits) < most or most > _MOST_TIED or last < round(hits[limit - 1][0], 5):
                return hits
            most *= 8

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
    # One thread, and merging awaited: equal documents give an equal index.
    writer = index.writer(heap_size=_HEAP_BYTES, num_threads=1)
    for row, (passage, has_image) in enumerate(passages):
        writer.add_document(tantivy.Document(body=passage, image=str(int(has_image)), row=row))
    writer.commit()
    writer.wait_merging_threads()
    for lock in folder.glob("*.lock"):
        lock.unlink()


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
    # A column, which is read for a hundred hits in no time; a stored field is not.
    builder.add_integer_field("row", fast=True)
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
