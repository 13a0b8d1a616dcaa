"""The last step of writing a store: what its shards hold, its card, and its manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from pydantic import JsonValue, ValidationError

from cache.card import data_card
from cache.errors import InputError, StoreChanged, StoreError
from cache.files import write_atomically
from cache.keys import canonical_json, check_text
from cache.manifest import (
    MANIFEST_NAME,
    FeatureSetEntry,
    Manifest,
    ShardEntry,
    manifest_bytes,
    read_manifest,
    write_manifest,
)
from cache.records import FEATURE_SETS, FeatureSet
from cache.schema import SCHEMA_VERSION
from cache.tables.summary import Tally, tally
from cache.writing.lock import LOCK_NAME, WriterLock

CARD_NAME: Final = "README.md"


class Stated(NamedTuple):
    """What the writer of a store says about it; see `Manifest`."""

    counters: Mapping[str, object]
    rights: Mapping[str, str]
    withheld: Iterable[str]
    original: str
    feature_sets: Mapping[FeatureSet, FeatureSetEntry] = MappingProxyType({})


def complete(
    root: Path,
    identity: dict[str, JsonValue],
    shards: Sequence[ShardEntry],
    stated: Stated,
    known: dict[str, Tally] | None = None,
) -> Manifest:
    """Write card and manifest of the store at ``root``, whose shards are there; see `promise`."""
    manifest = promise(root, identity, shards, stated, known)
    publish(root, manifest)
    return manifest


def promise(
    root: Path,
    identity: dict[str, JsonValue],
    shards: Sequence[ShardEntry],
    stated: Stated,
    known: dict[str, Tally] | None = None,
) -> Manifest:
    """Return the manifest of the store at ``root``, whose shards are there.

    Args:
        root: folder of the store.
        identity: what decided its content.
        shards: in order of index.
        stated: what the manifest says beside.
        known: by path, files whose rows were counted already; the others are read.

    Raises:
        InputError: a statement is not of the form that a manifest takes, or something is left
            out of the shards that ``withheld`` does not name.
        StoreError: the shards cannot be read, or the disk is full or not writable.
    """
    held = tally(root, shards, known)
    withheld = tuple(sorted(set(stated.withheld)))
    if lacking := sorted(held.left_out - set(withheld)):
        raise InputError(
            f"{root} lacks {' and '.join(lacking)} that belong into its shards. Give them, or "
            "name them in `withheld`."
        )
    return _validated(
        {
            "schema_version": SCHEMA_VERSION,
            "identity": identity,
            "shards": tuple(shards),
            "counters": plain_json(stated.counters, "the counters"),
            "rights": plain_json(stated.rights, "the rights"),
            "summary": held.summary(),
            "withheld": withheld,
            "original": stated.original,
            "feature_sets": dict(stated.feature_sets),
        }
    )


def publish(root: Path, manifest: Manifest) -> None:
    """Write card and manifest of the store at ``root``: it is complete when this returns."""
    # The card before the manifest, whose presence means complete.
    _write_card(root / CARD_NAME, data_card(manifest))
    write_manifest(root, manifest)


def restate(root: Path, manifest: Manifest, rights: Mapping[str, str]) -> Manifest:
    """Give the finished store at ``root`` other rights; nothing else of it changes.

    Raises:
        InputError: the rights hold text that UTF-8 cannot express.
        StoreChanged: it has another manifest than ``manifest`` by now.
        StoreError: it cannot be written, or another process is at it.
    """
    plain = {name: str(text) for name, text in plain_json(rights, "the rights").items()}
    restated = manifest.model_copy(update={"rights": plain})
    lock = WriterLock(root / LOCK_NAME)
    try:
        # Whoever held the lock before us may have built the store anew.
        if read_manifest(root).fingerprint != manifest.fingerprint:
            raise StoreChanged(
                f"{root} was replaced by a newer build meanwhile. Run the same command again."
            )
        publish(root, restated)
    finally:
        lock.release()
    return restated


def publish_features(
    root: Path, manifest: Manifest, feature_sets: Mapping[FeatureSet, FeatureSetEntry]
) -> Manifest:
    """Give the finished store at ``root`` these feature sets; its shards stay as they are.

    Only for who holds the writer's lock.

    Raises:
        InputError: they are not of the form that a manifest takes.
        StoreError: it cannot be written.
    """
    changed = with_features(manifest, feature_sets)
    publish(root, changed)
    return changed


def with_features(
    manifest: Manifest, feature_sets: Mapping[FeatureSet, FeatureSetEntry]
) -> Manifest:
    """Return a manifest with other feature sets.

    Raises:
        InputError: they are not of the form that a manifest takes.
    """
    content = {name: getattr(manifest, name) for name in type(manifest).model_fields}
    ordered = {name: feature_sets[name] for name in FEATURE_SETS if name in feature_sets}
    return _validated({**content, "feature_sets": ordered})


def _validated(content: Mapping[str, object]) -> Manifest:
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise InputError(f"a manifest does not take {where}: {problem['msg']}.") from error


def plain_json(value: Mapping[str, object], what: str) -> dict[str, JsonValue]:
    """Return ``value`` as it will be read again.

    Raises:
        InputError: it is not JSON, or holds text that UTF-8 cannot express.
    """
    plain: dict[str, JsonValue] = json.loads(check_text(canonical_json(dict(value)), what))
    return plain


def mend_ends(root: Path, manifest: Manifest) -> None:
    """Write card and manifest of a finished store again if a crash cut them; if they can be."""
    expected = {CARD_NAME: data_card(manifest).encode(), MANIFEST_NAME: manifest_bytes(manifest)}
    with suppress(StoreError, OSError):
        files = {name: root / name for name in expected}
        if any(not p.is_file() or p.read_bytes() != expected[n] for n, p in files.items()):
            restate(root, manifest, manifest.rights)


def _write_card(path: Path, card: str) -> None:
    data = card.encode()
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
