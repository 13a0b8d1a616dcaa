"""A copy of a store without what its owner may not hand on; see ``docs/evidence-only.md``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cache.errors import InputError
from cache.manifest import FileEntry, Manifest, ShardEntry, read_manifest
from cache.operations.carry_features import carry_features
from cache.operations.rewrite import copy_file, new_store, replaced, whole_table, write_table
from cache.schema import CONTENT_COLUMN, TABLES, Table
from cache.tables.shards import open_shard
from cache.writing.complete import Stated, complete
from cache.writing.tidy import remove_leftovers

KINDS: Final = ("images", "posts")
_HITS: Final[tuple[Table, ...]] = ("evidence", "dropped")
_ANNOTATIONS: Final = ("entities", "relation")


def withhold_store(
    store: Path,
    out: Path,
    *,
    kinds: Collection[str] = KINDS,
    texts_of: Collection[str] = (),
) -> Manifest:
    """Write a copy of ``store`` that lacks posts, images, or what some providers say.

    Recordings are no part of the copy. What a post is (id, split, keys, embeddings, regions), its
    feature sets and all of its evidence stay; so does a text that quotes a post, for somebody
    else published it.

    Args:
        store: a finished store; every byte that is copied is compared with its manifest.
        out: folder of the copy, without a store in it.
        kinds: ``posts`` (words, mentions, annotations, photo names), ``images`` (their bytes).
        texts_of: providers whose titles are left out, reasons that may quote them, and the texts
            that only their hits have.

    Returns:
        The manifest of the copy. Its ``original`` is the fingerprint of the whole store; empty
        where ``store`` lacks something itself and does not know of which store.

    Raises:
        InputError: nothing is to be left out, a kind or provider is unknown, or ``out`` will not
            do.
        StoreDamaged: the store is not what its manifest promises.
        StoreError: ``out`` cannot be written.
    """
    store, out = Path(store), Path(out)
    manifest = read_manifest(store)
    withheld = _withheld(manifest, kinds, texts_of)
    with new_store(out, store):
        owner = _Owner(store, manifest, frozenset(kinds), sorted(texts_of))
        shards = []
        for shard in manifest.shards:
            files = {table: owner.copy(out, shard, table) for table in TABLES}
            shards.append(shard.model_copy(update={"files": files}))
        whole = manifest.original if manifest.withheld else manifest.fingerprint
        # Numbers that were computed, as embeddings are; none of their keys needs what is left out.
        features = carry_features([(store, manifest)], out, shards).entries
        stated = Stated(owner.counters(), manifest.rights, withheld, whole, features)
        result = complete(out, manifest.identity, shards, stated)
        remove_leftovers(out, result)
    return result


def _withheld(manifest: Manifest, kinds: Collection[str], texts_of: Collection[str]) -> set[str]:
    """Return what the copy lacks; refuse what cannot be meant."""
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise InputError(f"cannot leave out {unknown[0]!r}; it must be {' or '.join(KINDS)}.")
    asked = manifest.summary.get("providers")
    known = sorted(asked) if isinstance(asked, dict) else []
    if strange := sorted(set(texts_of) - set(known)):
        raise InputError(
            f"no hit is of a provider {strange[0]!r}; those of the store are {', '.join(known)}."
        )
    if not (kinds or texts_of):
        raise InputError("nothing is to be left out. Copy the folder instead, without local/.")
    return {*manifest.withheld, *kinds, *(["texts"] if texts_of else [])}


class _Owner:
    """Decides what leaves the house."""

    def __init__(
        self, store: Path, manifest: Manifest, kinds: Collection[str], texts_of: list[str]
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._kinds = kinds
        self._providers = pa.array(texts_of, pa.string())
        self._texts = self._texts_of_nobody_else() if texts_of else None
        self._labels: set[str] = set()

    def copy(self, out: Path, shard: ShardEntry, table: Table) -> FileEntry:
        """Write a table of a shard without what is left out."""
        file = shard.files[table]
        untouched = {
            "examples": "posts" not in self._kinds,
            "media": "images" not in self._kinds,
        }
        if untouched.get(table, self._texts is None):
            return copy_file(self._store, out, file)
        content = whole_table(self._store, file, table)
        return write_table(out, shard.index, table, replaced(content, self._less(table, content)))

    def counters(self) -> dict[str, object]:
        """Return the counters but those that quote an annotation; to call after all shards."""
        quoted = [repr(label) for label in self._labels]
        return {
            name: value
            for name, value in self._manifest.counters.items()
            if not any(label in name for label in quoted)
        }

    def _less(self, table: Table, content: pa.Table) -> Mapping[str, object]:
        """Return the columns that lose values."""
        rows = content.num_rows
        if table == "examples":
            self._labels |= _labels(content)
            nothing = dict.fromkeys(("head", "tail", *_ANNOTATIONS), [None] * rows)
            return {**nothing, "tokens": [[]] * rows, "photo_name": [""] * rows}
        if table == "media":
            return {CONTENT_COLUMN[table]: [None] * rows}
        if table == "texts":
            hidden = pc.is_in(content["key"], self._texts)
            return {"text": pc.if_else(hidden, None, content["text"])}
        hidden = pc.is_in(content["provider"], self._providers)
        # A reason may quote what it is about.
        said = ("title", "reason") if table == "dropped" else ("title",)
        return {name: pc.if_else(hidden, "", content[name]) for name in said}

    def _texts_of_nobody_else(self) -> pa.Array:
        """Return the keys of texts that hits of the chosen providers have, and no others."""
        theirs, others = [], []
        for shard in self._manifest.shards:
            for table in _HITS:
                file = open_shard(self._store, shard.files[table], table)
                for group in range(file.num_groups):
                    rows = file.group(group, ["provider", "text_key"])
                    chosen = pc.is_in(rows["provider"], self._providers)
                    theirs.append(pc.unique(rows.filter(chosen)["text_key"]))
                    others.append(pc.unique(rows.filter(pc.invert(chosen))["text_key"]))
                file.close()
        chosen = pc.unique(pa.chunked_array(theirs, pa.string())).drop_null()
        shared = pc.is_in(chosen, pa.chunked_array(others, pa.string()))
        return chosen.filter(pc.invert(shared))


def _labels(examples: pa.Table) -> set[str]:
    """Return the annotations that occur."""
    entities = pc.list_flatten(examples["entities"])
    found = [pc.struct_field(entities, "label"), examples["relation"]]
    return {label for column in found for label in pc.unique(column).to_pylist() if label}
