"""Texts and images as tables: what hits of many posts share, by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa

from cache.errors import InputError
from cache.keys import check_text, content_key, is_content_key, text_key
from cache.records import Dropped, Media, StoredExample
from cache.tables.columns import table_of

_GIVE_KEYS: Final = "Give every image the key that content_key() returns."


def text_keys(
    rows: Sequence[StoredExample], dropped: Mapping[str, Sequence[Dropped]]
) -> dict[str, str]:
    """Return the key of every text that hits of ``rows`` and ``dropped`` have, the empty one not.

    Raises:
        InputError: a text that UTF-8 cannot express; the message names the post.
    """
    keys: dict[str, str] = {}
    hits = [(row.example.post.example_id, kept.hit) for row in rows for kept in row.evidence]
    hits += [(name, item.hit) for name, items in dropped.items() for item in items]
    for name, hit in hits:
        if hit.text and hit.text not in keys:
            keys[hit.text] = text_key(check_text(hit.text, f"{name!r}: the text of a hit"))
    return keys


def texts_table(keys: Mapping[str, str], stored_in: Mapping[str, int], index: int) -> pa.Table:
    """Return the table ``texts`` of shard ``index``, sorted by key.

    Args:
        keys: of every text that the shard's hits have.
        stored_in: shard that holds the text, for every key.
        index: this shard.
    """
    texts = {key: text for text, key in keys.items()}
    ordered = sorted(texts)
    return table_of(
        "texts",
        {
            "key": ordered,
            "stored_in": [stored_in[key] for key in ordered],
            "text": [texts[key] if stored_in[key] == index else None for key in ordered],
        },
    )


def media_keys(media: Iterable[Media]) -> list[str]:
    """Return the keys of ``media``.

    Raises:
        InputError: one has not the form of a key.
    """
    keys = [item.key for item in media]
    for key in keys:
        if not is_content_key(key):
            raise InputError(f"an image has the key {key!r}. {_GIVE_KEYS}")
    return keys


def media_table(media: Iterable[Media], stored_in: Mapping[str, int], index: int) -> pa.Table:
    """Return the table ``media`` of shard ``index``, sorted by key.

    Args:
        media: every image that the shard's posts need, in any order, repetitions allowed; one
            without bytes is withheld, or stored elsewhere.
        stored_in: shard that holds the bytes, for every key.
        index: this shard.
    """
    by_key = {item.key: item for item in media}
    images = [by_key[key] for key in sorted(by_key)]
    for item in images:
        if item.data and content_key(item.data) != item.key:
            raise InputError(
                f"an image has the key {item.key!r}, but its bytes have "
                f"{content_key(item.data)}. {_GIVE_KEYS}"
            )
    places = [stored_in[item.key] for item in images]
    return table_of(
        "media",
        {
            "key": [item.key for item in images],
            "format": [item.format for item in images],
            "width": [item.width for item in images],
            "height": [item.height for item in images],
            "stored_in": places,
            "data": [
                (item.data or None) if place == index else None
                for item, place in zip(images, places, strict=True)
            ],
        },
    )
