"""What the files of a store look like: the one schema version, and the columns of every table.

``docs/store-format.md`` is the same in prose; a test compares the two. Embeddings are written as
``float32`` (readable everywhere) but hold only values that ``float16`` can express, so that
readers may keep them in half the room without losing a bit.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import pyarrow as pa

from cache.records import FEATURE_SETS, FeatureSet

SCHEMA_VERSION: Final = 3
# Answers outlive stores: their table has a version of its own, so that a new form of the store
# never costs anybody an answer.
RECORDINGS_VERSION: Final = 1

Table = Literal["examples", "evidence", "dropped", "texts", "media"]
TABLES: Final[tuple[Table, ...]] = get_args(Table)
# Those whose rows are each of one post.
RowTable = Literal["examples", "evidence", "dropped"]
ROW_TABLES: Final[tuple[RowTable, ...]] = get_args(RowTable)

# Tables of contents that posts share, each stored once per store, with the column that holds it.
SharedTable = Literal["texts", "media"]
CONTENT_COLUMN: Final[dict[SharedTable, str]] = {"texts": "text", "media": "data"}

# What each feature set holds of a post or a photo: its numbers, how many of its axes differ from
# one array to the next, and how many have one size in the whole set.
FeatureDtype = Literal["float16", "int16", "uint8"]
FEATURE_DTYPES: Final[dict[FeatureSet, FeatureDtype]] = {
    "grid": "float16",
    "pyramid": "float16",
    "parse": "int16",
    "region_graph": "uint8",
}
FEATURE_AXES: Final[dict[FeatureSet, tuple[int, int]]] = {
    "grid": (1, 1),
    "pyramid": (1, 2),
    "parse": (1, 0),
    "region_graph": (2, 0),
}

# Folders of files that the manifest names, each in one of them.
FOLDERS: Final[tuple[str, ...]] = (*TABLES, *FEATURE_SETS)

# Rows in one row group: what has to be decoded to read one post. Evidence has some ten rows a
# post, so its groups are about as many posts; media groups are small because bytes are big, and so
# are those of feature sets.
ROW_GROUP: Final = {
    "examples": 64,
    "evidence": 256,
    "dropped": 256,
    "texts": 256,
    "media": 16,
    "recordings": 64,
    "features": 16,
}


def _field(name: str, kind: pa.DataType, description: str, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"description": description})


def _list(kind: pa.DataType, *, null: bool = False) -> pa.DataType:
    return pa.list_(pa.field("element", kind, nullable=null))


def _struct(*fields: tuple[str, pa.DataType]) -> pa.DataType:
    return pa.struct([pa.field(name, kind, nullable=False) for name, kind in fields])


TEXT: Final = pa.string()
VECTOR: Final = _list(pa.float32())
_MENTION: Final = _struct(("start", pa.int32()), ("end", pa.int32()))
_ENTITY: Final = _struct(("start", pa.int32()), ("end", pa.int32()), ("label", TEXT))
_REGION: Final = _struct(
    ("left", pa.float64()),
    ("top", pa.float64()),
    ("right", pa.float64()),
    ("bottom", pa.float64()),
    ("label", TEXT),
    ("confidence", pa.float64()),
)

_EXAMPLE_FIELDS: Final = [
    _field("example_id", TEXT, "unique in the store; rows are sorted by it"),
    _field("split", TEXT, "train, dev or test"),
    _field(
        "tokens",
        _list(TEXT),
        "the words as the data set splits them; none where posts are withheld",
    ),
    _field("photo_name", TEXT, "file name of the photo in the data set, or empty"),
    _field("head", _MENTION, "first given mention, tokens start to end (exclusive)", null=True),
    _field("tail", _MENTION, "second given mention", null=True),
    _field("entities", _list(_ENTITY), "annotated entities; null if not annotated", null=True),
    _field("relation", TEXT, "relation from head to tail; null if unknown", null=True),
    _field("post_sha256", TEXT, "SHA-256 of the inputs: tokens, head and tail, as JSON"),
    _field("photo_key", TEXT, "SHA-256 of the bytes of the photo; null without one", null=True),
    _field("photo_status", TEXT, "ok, none, missing or unreadable"),
    _field("photo_embedding", VECTOR, "unit vector of the whole photo", null=True),
    _field("sentence_embedding", VECTOR, "unit vector of the cleaned sentence", null=True),
    _field("regions", _list(_REGION), "detected boxes in pixels, best first"),
    _field(
        "region_embeddings",
        _list(VECTOR, null=True),
        "one per region: unit vector of the crop, null where no encoder ran",
    ),
]

_HIT_FIELDS: Final = [
    _field("example_id", TEXT, "the post; rows of a post are together, in their order"),
    _field("level", TEXT, "image, object or sentence: which part of the post asked"),
    _field("modality", TEXT, "text or image: what was looked for"),
    _field("region_index", pa.int32(), "which region asked; -1 unless level is object"),
    _field("provider", TEXT, "who answered"),
    _field("document_id", TEXT, "the provider's own name for what it found"),
    _field("hit_rank", pa.int32(), "place in the provider's answer, from 0"),
    _field("provider_score", pa.float64(), "comparable within one answer only"),
    _field("text_key", TEXT, "SHA-256 of the passage or caption; null if empty", null=True),
    _field("media_key", TEXT, "SHA-256 of the bytes of the image; null for texts", null=True),
    _field("title", TEXT, "of the page or document"),
    _field("url", TEXT, "of the page or document, or empty"),
    _field("image_url", TEXT, "where the image was found on the web, or empty"),
    _field("image_sha256", TEXT, "of the image as found, if media_key is of a copy; or empty"),
    _field("retrieved_at", TEXT, "ISO 8601 time (UTC) of the recorded answer"),
    _field("query_key", TEXT, "fingerprint of the query: which recording holds the answer"),
    _field("relevance", pa.float64(), "cosine to the query, if known", null=True),
    _field(
        "consistency",
        pa.float64(),
        "in [0, 1]: share of other posts that the hit fits less well, if known",
        null=True,
    ),
]

_TEXT_FIELDS: Final = [
    _field("key", TEXT, "SHA-256 of the text in UTF-8, lower-case hex; rows are sorted by it"),
    _field("stored_in", pa.int32(), "index of the shard whose texts file holds the text"),
    _field(
        "text",
        TEXT,
        "the text; null where stored_in is elsewhere or texts are withheld",
        null=True,
    ),
]

_MEDIA_FIELDS: Final = [
    _field("key", TEXT, "SHA-256 of the bytes, lower-case hex; rows are sorted by it"),
    _field("format", TEXT, "JPEG, PNG, WEBP, GIF or BMP"),
    _field("width", pa.int32(), "pixels, upright"),
    _field("height", pa.int32(), "pixels, upright"),
    _field("stored_in", pa.int32(), "index of the shard whose media file holds the bytes"),
    _field(
        "data",
        pa.binary(),
        "the encoded image; null where stored_in is elsewhere or images are withheld",
        null=True,
    ),
]

_FEATURE_FIELDS: Final = [
    _field("key", TEXT, "SHA-256 of what the array was computed of; rows are sorted by it"),
    _field("shape", _list(pa.int32()), "sizes of the axes, the outermost first"),
    _field("dtype", TEXT, "float16, int16 or uint8: one in the whole set"),
    _field("data", pa.binary(), "the numbers in C order, little-endian"),
]


def _schema(table: str, fields: list[pa.Field], version: int = SCHEMA_VERSION) -> pa.Schema:
    return pa.schema(fields, metadata={"ramie.schema": str(version), "ramie.table": table})


SCHEMAS: Final[dict[str, pa.Schema]] = {
    "examples": _schema("examples", _EXAMPLE_FIELDS),
    "evidence": _schema(
        "evidence",
        [
            *_HIT_FIELDS,
            _field("rank", pa.int32(), "place within the stream after curation, from 0"),
            _field("fused_score", pa.float64(), "reciprocal-rank fusion score of that place"),
            _field("embedding", VECTOR, "unit vector of text or image", null=True),
        ],
    ),
    "dropped": _schema(
        "dropped",
        [
            *_HIT_FIELDS,
            _field("step", TEXT, "which step of curation dropped the hit"),
            _field("reason", TEXT, "why"),
        ],
    ),
    "texts": _schema("texts", _TEXT_FIELDS),
    "media": _schema("media", _MEDIA_FIELDS),
    "features": _schema("features", _FEATURE_FIELDS),
    "recordings": _schema(
        "recordings",
        [
            _field("key", TEXT, "fingerprint of provider and query; rows are sorted by it"),
            _field("provider", TEXT, "who answered"),
            _field("query_json", TEXT, "the query, as JSON"),
            _field("asked_at", TEXT, "ISO 8601 time (UTC)"),
            _field("body", pa.binary(), "the raw answer"),
        ],
        RECORDINGS_VERSION,
    ),
}

# Columns that repeat few values are dictionary-encoded, vectors byte by byte; the rest is plain.
DICTIONARY_COLUMNS: Final = (
    "split",
    "photo_status",
    "level",
    "modality",
    "provider",
    "retrieved_at",
    "step",
    "reason",
    "format",
    "dtype",
)
VECTOR_COLUMNS: Final = {
    "examples": (
        "photo_embedding.list.element",
        "sentence_embedding.list.element",
        "region_embeddings.list.element.list.element",
    ),
    "evidence": ("embedding.list.element",),
}
