"""What stores of older schemas look like: frozen when a schema was left, never edited again.

Only what `cache.operations.migrate` needs to read one: the tables with their columns, and the
manifest.
"""

from __future__ import annotations

from typing import Annotated, Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from cache.keys import fingerprint
from cache.manifest import FileEntry, shard_path
from cache.schema import Table

_TEXT: Final = pa.string()
_INT: Final = pa.int32()
_FLOAT: Final = pa.float64()


def _list(kind: pa.DataType, *, null: bool = False) -> pa.DataType:
    return pa.list_(pa.field("element", kind, nullable=null))


def _struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct([pa.field(name, kind, nullable=False) for name, kind in fields.items()])


def _columns(null: str, **columns: pa.DataType) -> list[pa.Field]:
    """Return columns, of which those named in ``null`` may hold null."""
    return [pa.field(name, kind, nullable=name in null.split()) for name, kind in columns.items()]


_VECTOR: Final = _list(pa.float32())
_MENTION: Final = _struct(start=_INT, end=_INT)
_EXAMPLES: Final = _columns(
    "head tail entities relation photo_key photo_embedding sentence_embedding",
    example_id=_TEXT,
    split=_TEXT,
    tokens=_list(_TEXT),
    photo_name=_TEXT,
    head=_MENTION,
    tail=_MENTION,
    entities=_list(_struct(start=_INT, end=_INT, label=_TEXT)),
    relation=_TEXT,
    photo_key=_TEXT,
    photo_status=_TEXT,
    photo_embedding=_VECTOR,
    sentence_embedding=_VECTOR,
    regions=_list(
        _struct(
            left=_FLOAT, top=_FLOAT, right=_FLOAT, bottom=_FLOAT, label=_TEXT, confidence=_FLOAT
        )
    ),
    region_embeddings=_list(_VECTOR, null=True),
)
_ASKED: Final = _columns(
    "",
    example_id=_TEXT,
    level=_TEXT,
    modality=_TEXT,
    region_index=_INT,
    provider=_TEXT,
    document_id=_TEXT,
    hit_rank=_INT,
    provider_score=_FLOAT,
)
_SCORES: Final = _columns("relevance consistency", relevance=_FLOAT, consistency=_FLOAT)
_RECORDED: Final = _columns("", retrieved_at=_TEXT, query_key=_TEXT)
_KEPT: Final = _columns("embedding", rank=_INT, fused_score=_FLOAT, embedding=_VECTOR)
_DROPPED: Final = _columns("", step=_TEXT, reason=_TEXT)
_MEDIA: Final = _columns(
    "data",
    key=_TEXT,
    format=_TEXT,
    width=_INT,
    height=_INT,
    stored_in=_INT,
    data=pa.binary(),
)

_HIT_1: Final = [
    *_ASKED,
    *_columns("media_key", text=_TEXT, media_key=_TEXT, title=_TEXT, url=_TEXT),
    *_RECORDED,
    *_SCORES,
]
_HIT_2: Final = [
    *_ASKED,
    *_columns(
        "text_key media_key",
        text_key=_TEXT,
        media_key=_TEXT,
        title=_TEXT,
        url=_TEXT,
        image_url=_TEXT,
        image_sha256=_TEXT,
    ),
    *_RECORDED,
    *_SCORES,
]

OLD_SCHEMAS: Final[dict[int, dict[Table, pa.Schema]]] = {
    1: {
        "examples": pa.schema(_EXAMPLES),
        "evidence": pa.schema([*_HIT_1, *_KEPT]),
        "dropped": pa.schema([*_HIT_1, *_DROPPED]),
        "media": pa.schema(_MEDIA),
    },
    2: {
        "examples": pa.schema(_EXAMPLES),
        "evidence": pa.schema([*_HIT_2, *_KEPT]),
        "dropped": pa.schema([*_HIT_2, *_DROPPED]),
        "texts": pa.schema(_columns("text", key=_TEXT, stored_in=_INT, text=_TEXT)),
        "media": pa.schema(_MEDIA),
    },
}


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OldShard(_Entry):
    """A shard's entry in a manifest of schema 1 (without ``compared_with``) or 2."""

    index: Annotated[int, Field(ge=0)]
    embedding_dim: Annotated[int, Field(ge=1, le=1 << 20)] | None
    unfinished: tuple[str, ...]
    compared_with: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    files: dict[Table, FileEntry]


class OldManifest(_Entry):
    """A manifest of schema 1 or 2."""

    schema_version: int
    identity: dict[str, JsonValue]
    shards: tuple[OldShard, ...]
    counters: dict[str, JsonValue]

    @property
    def fingerprint(self) -> str:
        """The hash that the manifest carries."""
        return fingerprint(self.model_dump(mode="json", exclude_unset=True))

    @model_validator(mode="after")
    def _complete(self) -> OldManifest:
        if len({shard.embedding_dim for shard in self.shards} - {None}) > 1:
            raise ValueError("the shards have embeddings of different lengths")
        for place, shard in enumerate(self.shards):
            if shard.index != place:
                raise ValueError("the shards are not numbered 0, 1, 2, ...")
            if set(shard.files) != set(OLD_SCHEMAS[self.schema_version]):
                raise ValueError(f"shard {place} does not list the tables of its schema")
            for table, file in shard.files.items():
                if file.path != shard_path(table, place, file.sha256):
                    raise ValueError(f"shard {place} names {file.path!r} as its {table} file")
        return self
