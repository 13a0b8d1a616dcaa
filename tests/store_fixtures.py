"""The small made-up store that ``tests/stores`` keeps in every published schema.

Run with the code of a schema, it writes the store as that code does: ``tests/stores/README.md``.
"""

from __future__ import annotations

import inspect
import struct
import sys
import zlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from cache import (
    STREAMS,
    Dropped,
    Evidence,
    Example,
    Hit,
    Manifest,
    Media,
    Observation,
    Post,
    Recording,
    Recordings,
    Region,
    Span,
    StoredExample,
    StoreWriter,
    Vector,
    content_key,
)

STORES: Final = Path(__file__).parent / "stores"
IDENTITY: Final = {"recipe": {"name": "fixture"}, "code": "made up", "models": {"clip": "none"}}
COUNTERS: Final = {"posts": 5, "unfinished": 1}
RIGHTS: Final = {"licence": "CC0-1.0", "posts": "made up for the tests", "evidence": "made up"}
UNFINISHED: Final = ("f-later",)
COMPARED_WITH: Final = content_key(b"reference posts")
ANSWER: Final = Recording(
    "a" * 64, "kb", '{"text":"Anna"}', "2026-11-01T10:00:00Z", b'{"hits":[]}'
)
TEXTS: Final = ("Anna wohnt in Zürich.", "A train \U0001f686 at the station.", "dropped text")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(red: int, green: int, blue: int) -> Media:
    """An image of 3 x 2 pixels; uncompressed, so that every zlib writes it alike."""
    header = struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0)
    pixels = (b"\0" + bytes((red, green, blue)) * 3) * 2
    stream = b"\x78\x01\x01" + struct.pack("<HH", len(pixels), 0xFFFF ^ len(pixels)) + pixels
    stream += struct.pack(">I", zlib.adler32(pixels))
    parts = _chunk(b"IHDR", header) + _chunk(b"IDAT", stream) + _chunk(b"IEND", b"")
    data = b"\x89PNG\r\n\x1a\n" + parts
    return Media(content_key(data), data, "PNG", 3, 2)


# The last one is in recordings only: curation dropped it, say.
PHOTO, FOUND, RECORDED = png(255, 0, 0), png(0, 255, 0), png(0, 0, 255)


def vector(*values: float) -> Vector:
    return np.array(values, np.float32)


def hit(stream: int, rank: int, text: str, **values: Any) -> Hit:
    """What a provider found; of what the code's schema does not know, nothing."""
    level, modality = STREAMS[stream]
    known: dict[str, Any] = {
        "text": text,
        "title": "<b>A title</b>",
        "url": "https://example.org/?a=1&b=2",
        "retrieved_at": f"2026-11-0{1 + rank}T10:00:00Z",
        "query_key": ANSWER.key,
        "relevance": 0.25,
        "consistency": 0.75,
        "embedding": vector(0.5, 0.5, -0.5, 0.5),
        **values,
    }
    if modality == "image":
        known |= {
            "media_key": FOUND.key,
            "image_url": "https://example.org/ü.png",
            "image_sha256": content_key(b"as found"),
        }
    names = {field.name for field in fields(Hit)}
    known = {name: value for name, value in known.items() if name in names}
    region = 1 if level == "object" else -1
    return Hit(level, modality, region, "kb", f"doc {stream}", rank, 1.5, **known)


def _posts() -> tuple[list[StoredExample], list[StoredExample]]:
    words = Post("a-entities", ("Anna", "visits", "Zürich", "\U0001f686", ""), "a.png")
    regions = (
        Region((0.0, 0.5, 2.75, 1 / 3), "person", 0.875, vector(0, 1, 0, 0)),
        Region((0.0, 0.0, 3.0, 2.0), "train", 0.5),
    )
    seen = Observation(words, PHOTO.key, "ok", vector(1, 0, 0, 0), vector(0, 0, 0, 1), regions)
    entities = (Span(0, 1, "PER"), Span(2, 3, "LOC"))
    six = tuple(Evidence(hit(i, i, TEXTS[i % 2]), 0, 1 / (60 + i)) for i in range(6))
    pair = Post("b-relation", ("Anna", "of", "Bern"), "b.png", Span(0, 1), Span(0, 3))
    bare = hit(4, 0, "", relevance=None, consistency=None, embedding=None, retrieved_at="")
    nobody = Post("c-plain", ("word",))
    unreadable = Post("d-unreadable", ("x", "y"), "d.png")
    wordless = Post("e-wordless", ())
    return (
        [
            StoredExample(Example(words, "train", entities), seen, six),
            StoredExample(
                Example(pair, "dev", (), "/per/loc/place_of_birth"),
                Observation(pair, None, "missing", None, vector(0, 0, 1, 0)),
                (Evidence(bare, 0, 0.0),),
            ),
            StoredExample(Example(nobody, "test"), Observation(nobody), ()),
        ],
        [
            StoredExample(
                Example(unreadable, "test"),
                Observation(unreadable, None, "unreadable"),
                # The text and the image of a post of the other shard, each stored there only.
                (Evidence(hit(4, 0, TEXTS[0]), 0, 0.5), Evidence(hit(1, 1, TEXTS[1]), 0, 0.25)),
            ),
            StoredExample(Example(wordless, "train"), Observation(wordless), ()),
        ],
    )


POSTS: Final = _posts()
DROPPED: Final = {
    "a-entities": (Dropped(hit(0, 6, TEXTS[2], embedding=None), "dedup", "copy of 1"),),
    "d-unreadable": (Dropped(hit(5, 2, TEXTS[2], embedding=None), "rank", "beyond 5"),),
}
# The last shard has no posts.
MEDIA: Final = ((PHOTO, FOUND), (FOUND,), ())


def build(path: Path) -> Manifest:
    """Write the store as the code that is imported does."""
    with Recordings(path / "recordings") as recordings:
        recordings.put_segment([ANSWER], [FOUND, RECORDED])
    with StoreWriter(path, identity=IDENTITY, num_shards=len(MEDIA)) as writer:
        for index, media in enumerate(MEDIA):
            rows = POSTS[index] if index < len(POSTS) else []
            names = {row.example.post.example_id for row in rows}
            dropped = {name: items for name, items in DROPPED.items() if name in names}
            more = _known(writer.write_shard, unfinished=UNFINISHED if index == 1 else ())
            more |= _known(writer.write_shard, compared_with=COMPARED_WITH)
            writer.write_shard(index, rows, dropped, media, **more)
        return writer.close(COUNTERS, **_known(writer.close, rights=RIGHTS))


def _known(function: Any, **values: Any) -> dict[str, Any]:
    """Return what an older ``function`` takes of ``values``."""
    return {k: v for k, v in values.items() if k in inspect.signature(function).parameters}


def as_known(row: StoredExample, version: int) -> StoredExample:
    """Return a post as a store of schema ``version`` tells it."""
    return replace(
        row,
        evidence=tuple(replace(e, hit=hit_as_known(e.hit, version)) for e in row.evidence),
    )


def hit_as_known(found: Hit, version: int) -> Hit:
    """Return a hit as a store of schema ``version`` tells it."""
    if version > 1:
        return found
    return replace(found, image_url="", image_sha256="", consistency=None)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
