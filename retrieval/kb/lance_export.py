"""Writing a knowledge base into a LanceDB table, a few hundred documents at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Final

import lancedb
import pyarrow as pa
from lancedb.index import FTS

from cache.errors import InputError
from cache.records import Modality
from retrieval.kb.knowledge_base import KnowledgeBase
from retrieval.kb.lance_table import (
    FORMAT,
    LANCE_ERRORS,
    METADATA,
    LanceTable,
    Told,
    check_uri,
    first_line,
    vector_name,
)

_ROWS_AT_ONCE: Final = 512  # with their images in memory


def write_table(knowledge: KnowledgeBase, uri: str, name: str, told: Callable[[int], None]) -> int:
    """Write a knowledge base into table ``name`` of the database at ``uri``; return its rows.

    A table of that name that this function wrote is replaced.

    Args:
        knowledge: what to write.
        uri: folder, or address of an object store, whose keys are in the environment.
        name: of the table.
        told: is called with the number of rows written since.

    Raises:
        InputError: the table is somebody else's, or cannot be written.
        StoreDamaged: the knowledge base is.
    """
    check_uri(uri)
    try:
        database = lancedb.connect(uri)
        if name in set(database.list_tables().tables):
            LanceTable(uri, name)  # or it would not be replaced
        schema = _schema(knowledge)
        batches = pa.RecordBatchReader.from_batches(schema, _batches(knowledge, schema, told))
        table = database.create_table(name, data=batches, mode="overwrite", on_bad_vectors="null")
        if any(one.passage for one, _ in knowledge.documents(0, 1)):
            table.create_index("passage", config=FTS(with_position=False, remove_stop_words=False))
        return int(table.count_rows())
    except LANCE_ERRORS as error:
        raise InputError(
            f"cannot write the LanceDB table {uri}/{name}: {first_line(error)}. Check the place, "
            "and the credentials in the environment."
        ) from error


def _schema(knowledge: KnowledgeBase) -> pa.Schema:
    told = Told(
        format=FORMAT,
        encoder=knowledge.encoder_fingerprint,
        fingerprint=knowledge.fingerprint,
        dimension=knowledge.manifest.dimension,
    )
    vector = pa.list_(pa.float16(), knowledge.manifest.dimension)
    sides: tuple[Modality, ...] = ("text", "image") if knowledge.encoder_fingerprint else ()
    return pa.schema(
        [
            pa.field("row", pa.int64()),
            *(pa.field(name, pa.string()) for name in ("id", "title", "text", "url", "passage")),
            *(pa.field(name, pa.string()) for name in ("image_key", "image_format")),
            *(pa.field(name, pa.int32()) for name in ("width", "height")),
            pa.field("image", pa.large_binary()),
            *(pa.field(vector_name(side), vector) for side in sides),
        ],
        metadata={METADATA: json.dumps(told.model_dump()).encode()},
    )


def _batches(
    knowledge: KnowledgeBase, schema: pa.Schema, told: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    for start in range(0, knowledge.manifest.documents, _ROWS_AT_ONCE):
        rows = []
        for row, (one, vectors) in enumerate(knowledge.documents(start, _ROWS_AT_ONCE), start):
            key = one.image_key
            width, height = one.image_size
            rows.append(
                {
                    **{name: getattr(one, name) for name in ("id", "title", "text", "url")},
                    "row": row,
                    "passage": one.passage,
                    "image_key": key or "",
                    "image_format": one.image_format,
                    "width": width,
                    "height": height,
                    "image": None if key is None else knowledge.image(key).data,
                    **{vector_name(side): vector for side, vector in vectors.items()},
                }
            )
        told(len(rows))
        yield pa.RecordBatch.from_pylist(rows, schema=schema)
