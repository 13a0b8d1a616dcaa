"""A knowledge base in a LanceDB table: in a local folder, or an object store for many machines.

It is searched as `retrieval.kb.knowledge_base.KnowledgeBase` searches its files: by words and by
vectors, fused. `retrieval.kb.lance_export` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import lancedb
import numpy as np
from lancedb.query import MatchQuery
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from cache.errors import InputError, ProviderUnavailable
from cache.keys import content_key, fingerprint, is_content_key
from cache.records import Media, Modality
from retrieval.kb.format import DEPTH, RRF, KbDocument
from retrieval.kb.ranking import Ranked, exact, fuse
from retrieval.kb.search import COMPARED, Found, Having, Search

METADATA: Final = b"ramie"
"""Under this key a table says what is in it, as `Told`."""
LANCE_ERRORS: Final = (OSError, RuntimeError, ValueError)
"""What lancedb and the store below it raise."""
FORMAT: Final = 1
"""Of the columns of a table."""
# Lance ranks by rounded products: so many times as many are made exact as are wanted.
_RERANKED: Final = 2
_SHOWN: Final = (
    "row", "id", "title", "text", "url", "image_key", "image_format", "width", "height"
)  # fmt: skip
_HAVING: Final[dict[tuple[Modality, Having], str | None]] = {
    ("text", "any"): "passage != ''",
    ("text", "both"): "passage != '' AND image_key != ''",
    ("text", "alone"): "passage != '' AND image_key = ''",
    ("image", "any"): "image_key != ''",
    ("image", "both"): "passage != '' AND image_key != ''",
    ("image", "alone"): "passage = '' AND image_key != ''",
}
# Objects of a store, or a folder; a server's settings would be no part of the fingerprint.
_URI: Final = re.compile(r"^(?:(?:s3|gs|az|abfss|file)://[^@\s]+|[^:@\s][^:]*)$")


class Told(BaseModel):
    """What a table says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int
    encoder: str
    fingerprint: str
    dimension: int


class LanceTable:
    """A table that `write_table` wrote, at the version that it has when it is opened."""

    def __init__(self, uri: str, name: str) -> None:
        """Open table ``name`` in the database at ``uri``.

        Raises:
            InputError: there is no such table, or another program wrote it.
        """
        self.path = f"{uri}/{name}"
        check_uri(uri)
        try:
            self._table: Any = lancedb.connect(uri).open_table(name)
            # Later writes of others do not change the answers of one build.
            self.version = int(self._table.version)
            self._table.checkout(self.version)
            metadata = self._table.schema.metadata or {}
            self._words = any(index.index_type == "FTS" for index in self._table.list_indices())
        except LANCE_ERRORS as error:
            raise InputError(
                f"cannot open the LanceDB table {self.path}: {first_line(error)}. Write it with "
                "`ramie kb export DIR URI`, and check ask.lancedb and the credentials in the "
                "environment."
            ) from error
        try:
            self._told = Told.model_validate_json(metadata.get(METADATA, b""))
        except ValidationError as error:
            raise InputError(
                f"the LanceDB table {self.path} does not say with which encoder it was made. "
                "Write it with `ramie kb export DIR URI`."
            ) from error
        if not self._words and not self._told.encoder:
            raise InputError(
                f"the LanceDB table {self.path} has neither vectors nor an index of its passages, "
                "so that nothing can be found in it. Write it again with `ramie kb export`."
            )

    @property
    def encoder_fingerprint(self) -> str:
        """Of the encoder that made the vectors; empty without one."""
        return self._told.encoder

    @property
    def fingerprint(self) -> str:
        """Of what decides the answers: content, the table's version, who ranks."""
        return fingerprint(
            {
                "knowledge": self._told.fingerprint,
                "version": self.version,
                "lancedb": version("lancedb"),
                "ranking": {"rrf": RRF, "depth": DEPTH, "words": self._words},
            }
        )

    def search(self, searches: Sequence[Search], k: int) -> list[list[Found]]:
        """Return at most ``k`` documents per search; as `KnowledgeBase.search`.

        Raises:
            ProviderUnavailable: the store of the table could not be asked.
        """
        try:
            return [self._search(search, k) for search in searches]
        except LANCE_ERRORS as error:
            raise self._unavailable(error) from error

    def image(self, key: str) -> Media:
        """Return an image of the table.

        Raises:
            ProviderUnavailable: it has none of that key, or could not be asked.
        """
        found: list[dict[str, Any]] = []
        if is_content_key(key):  # and so it cannot end the text in the filter
            try:
                columns = ["image", "image_format", "width", "height"]
                query = self._table.search().where(f"image_key = '{key}'").select(columns)
                found = query.limit(1).to_arrow().to_pylist()
            except LANCE_ERRORS as error:
                raise self._unavailable(error) from error
        if not found or not found[0]["image"] or content_key(found[0]["image"]) != key:
            raise ProviderUnavailable(f"{self.path} has no image {key!r}. Build the store anew.")
        one = found[0]
        return Media(key, one["image"], one["image_format"], one["width"], one["height"])

    def _search(self, search: Search, k: int) -> list[Found]:
        limit = max(k, DEPTH)
        known: dict[int, dict[str, Any]] = {}
        rankings = []
        if search.by == "text" and self._words:
            rankings.append(self._by_words(search, limit, known))
        if search.vector is not None:
            rankings += [
                self._by_vector(search.vector, side, having, limit, known)
                for side, having in COMPARED[search.by, search.modality]
            ]
        ranked = fuse(rankings, k, RRF) if rankings else []
        return [self._found(one, known[one.row], search.modality) for one in ranked]

    def _by_words(
        self, search: Search, limit: int, known: dict[int, dict[str, Any]]
    ) -> list[Ranked]:
        having = _HAVING["text", "both" if search.modality == "image" else "any"]
        query = self._table.search(MatchQuery(search.text, "passage"), query_type="fts")
        # Beyond the limit, so that equals at the end are cut by row and not by place.
        query = query.where(having, prefilter=True).limit(_RERANKED * limit)
        rows = query.select([*self._columns, "_score"]).to_arrow().to_pylist()
        known.update((row["row"], row) for row in rows)
        ranked = [Ranked(row["row"], round(row["_score"], 5)) for row in rows]
        return sorted(ranked, key=lambda one: (-one.score, one.row))[:limit]

    def _by_vector(
        self,
        vector: NDArray[np.float32],
        side: Modality,
        having: Having,
        limit: int,
        known: dict[int, dict[str, Any]],
    ) -> list[Ranked]:
        query = self._table.search(
            vector.astype(np.float32), vector_column_name=vector_name(side), query_type="vector"
        )
        query = query.distance_type("dot").where(_HAVING[side, having], prefilter=True)
        query = query.limit(_RERANKED * limit).select([*self._columns, "_distance"])
        rows = query.to_arrow().to_pylist()
        if not rows:
            return []
        known.update((row["row"], row) for row in rows)
        vectors = np.array([row[vector_name(side)] for row in rows], np.float16)
        scores = (exact(vectors) @ exact(vector)).tolist()
        ranked = [Ranked(row["row"], score) for row, score in zip(rows, scores, strict=True)]
        return sorted(ranked, key=lambda one: (-one.score, one.row))[:limit]

    @property
    def _columns(self) -> list[str]:
        vectors = [vector_name("text"), vector_name("image")] if self._told.encoder else []
        return [*_SHOWN, *vectors]

    def _found(self, ranked: Ranked, row: dict[str, Any], modality: Modality) -> Found:
        document = KbDocument(
            id=row["id"],
            title=row["title"],
            text=row["text"],
            url=row["url"],
            image_key=row["image_key"] or None,
            image_format=row["image_format"],
            image_size=(row["width"], row["height"]),
        )
        vector = row.get(vector_name(modality))
        half = None if vector is None else np.array(vector, np.float16)
        return Found(document, round(ranked.score, 6), half)

    def _unavailable(self, error: Exception) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"the LanceDB table {self.path} could not be asked: {first_line(error)}. Run the "
            "build again when its store can be reached."
        )


def vector_name(side: Modality) -> str:
    """Return the name of the column of one side's vectors."""
    return f"{side}_vector"


def check_uri(uri: str) -> None:
    """Refuse what is no place of a LanceDB.

    Raises:
        InputError: ``uri`` is none.
    """
    if not _URI.match(uri):
        raise InputError(
            f"{uri!r} is no place of a LanceDB. Give a folder, or s3://bucket/path (gs, az) "
            "without a user name; keys are read from the environment."
        )


def first_line(error: Exception) -> str:
    """Return what an error of lancedb says, which may take pages."""
    return " ".join(str(error).split())[:300] or type(error).__name__
