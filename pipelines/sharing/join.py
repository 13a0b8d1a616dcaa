"""Posts and photos put back into a store that came without them, from one's own data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue, ValidationError

from cache import Example, InputError, Manifest, Span, read_manifest
from cache.manifest import ShardEntry
from cache.operations.carry_features import carry_features
from cache.operations.rewrite import copy_file, new_store, replaced, whole_table, write_table
from cache.operations.subset import Subset
from cache.schema import TABLES, Table
from cache.tables.counters import count_shards
from cache.tables.shards import open_shard
from cache.writing.complete import Stated, promise, publish
from cache.writing.tidy import remove_leftovers
from pipelines.sharing.matches import COMPARED, Matches, PhotoBytes
from retrieval.building.identity import dataset_fingerprint
from retrieval.building.report import dataset_counters
from retrieval.datasets import Dataset
from retrieval.settings import DatasetSettings


@dataclass(frozen=True, slots=True)
class JoinReport:
    """What `join_dataset` did; every list is sorted.

    Attributes:
        manifest: of the joined store.
        restored: whether it is, byte for byte, the store that something was left out of.
        same_dataset: whether the data set is the one that the store was built from, annotations
            included. If it is and nothing is left out, only another version of pyarrow can have
            made other bytes.
        filled: ids of posts that fit; where posts were left out, they are in again.
        differing: ids that the data set gives to other words or mentions, or to another split.
        missing: ids that the data set does not have. Where posts were left out, neither these nor
            the differing ones are in the joined store.
        extra: ids of the data set that the store has no row of.
        photos_differing: posts whose photo has other bytes in the data set.
        photos_missing: posts whose photo the data set lacks.
        images_withheld: images whose bytes are still left out.
    """

    manifest: Manifest
    restored: bool
    same_dataset: bool
    filled: tuple[str, ...]
    differing: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    photos_differing: tuple[str, ...]
    photos_missing: tuple[str, ...]
    images_withheld: int

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as JSON."""
        return {
            "fingerprint": self.manifest.fingerprint,
            "restored": self.restored,
            "same_dataset": self.same_dataset,
            "withheld": list(self.manifest.withheld),
            "filled": list(self.filled),
            "differing": list(self.differing),
            "missing": list(self.missing),
            "extra": list(self.extra),
            "photos_differing": list(self.photos_differing),
            "photos_missing": list(self.photos_missing),
            "images_withheld": self.images_withheld,
        }


def dataset_settings(
    manifest: Manifest, root: Path, photos: Path | None = None
) -> DatasetSettings:
    """Return how to read one's own copy of the data set that a store was built from.

    Args:
        manifest: of the store; it names reader, task and limit.
        root: folder of the copy.
        photos: folder of its photos; None means the reader's usual place.

    Raises:
        InputError: the manifest does not say how.
    """
    settings = manifest.identity.get("settings")
    dataset = settings.get("dataset") if isinstance(settings, dict) else None
    stated = dataset if isinstance(dataset, dict) else {}
    try:
        return DatasetSettings.model_validate({**stated, "root": root, "photos": photos})
    except ValidationError as error:
        raise InputError(
            "the manifest of the store does not say how its data set is read: "
            f"{error.errors()[0]['msg']}. Ask whoever built it for the store with its posts."
        ) from error


def join_dataset(store: Path, out: Path, dataset: Dataset) -> JoinReport:
    """Write a copy of ``store`` with posts and photos of ``dataset`` filled in.

    A post is filled in if id, split and `post_sha256` fit; its annotations and the name of its
    photo come with it. One that does not fit has no row in the copy, and no evidence there: a
    model cannot be trained on it. An image is filled in if a photo of the data set has its key.

    Args:
        store: made by `cache.operations.withhold.withhold_store`; every byte is compared with its
            manifest.
        out: folder of the copy, without a store in it.
        dataset: the posts that the store was built from, or some of them, or more.

    Raises:
        InputError: nothing was left out of ``store``, or ``out`` will not do.
        StoreDamaged: ``store`` is not what its manifest promises.
        StoreError: ``out`` cannot be written.
    """
    store, out = Path(store), Path(out)
    manifest = read_manifest(store)
    if not manifest.withheld:
        raise InputError(f"nothing was left out of {store}. Use it as it is.")
    with new_store(out, store):
        join = _Join(store, manifest, dataset)
        shards = [join.write(out, shard) for shard in manifest.shards]
        result = join.promise(out, shards)
        publish(out, result)
        remove_leftovers(out, result)
    return join.report(result)


class _Join:
    """Fills one shard after the other, in order of index."""

    def __init__(self, store: Path, manifest: Manifest, dataset: Dataset) -> None:
        self._store = store
        self._manifest = manifest
        self._dataset = dataset
        self._fills_posts = "posts" in manifest.withheld
        self._photos = PhotoBytes(dataset.photos) if "images" in manifest.withheld else None
        self._matches = Matches(dataset, self._photos)
        for shard in manifest.shards:
            file = open_shard(store, shard.files["examples"], "examples")
            for group in range(file.num_groups):
                self._matches.look(file.group(group, list(COMPARED)))
            file.close()
        self._left_out = self._matches.unfit if self._fills_posts else set()
        self._examples = {one.post.example_id: one for one in dataset.examples}
        self._subset = Subset(store, manifest, self._matches.fitting)
        self._images_withheld = 0

    def write(self, out: Path, shard: ShardEntry) -> ShardEntry:
        """Write the files of a shard; return what the manifest says of it."""
        # A file in which nothing changes is copied as it is.
        tables: dict[Table, pa.Table] = self._subset.shard(shard) if self._left_out else {}
        filled: list[Table] = ["examples"] if self._fills_posts else []
        filled += ["media"] if self._photos is not None else []
        for table in filled:
            rows = tables[table] if table in tables else self._whole(shard, table)
            tables[table] = self._filled(rows, table, shard.index)
        files = {
            table: write_table(out, shard.index, table, tables[table])
            if table in tables
            else copy_file(self._store, out, shard.files[table])
            for table in TABLES
        }
        dim = shard.embedding_dim if files["examples"].rows else None
        return shard.model_copy(update={"files": files, "embedding_dim": dim})

    def promise(self, out: Path, shards: list[ShardEntry]) -> Manifest:
        """Return the manifest: that of the whole store, where nothing is left out any more."""
        whole, before = self._manifest.original, self._manifest.counters
        withheld = set(self._manifest.withheld) - {"posts"}
        if not self._images_withheld:
            withheld.discard("images")
        features = carry_features([(self._store, self._manifest)], out, shards).entries
        left = whole if withheld else ""
        stated = Stated(before, self._manifest.rights, withheld, left, features)
        result = promise(out, self._manifest.identity, shards, stated)
        # Equal posts may have other annotations, which nothing but the fingerprint tells.
        foreign = self._fills_posts and bool(self._left_out or not self._same_dataset)
        # Counters that quote an annotation were left out with the posts.
        counters = dataset_counters(self._dataset)
        counters |= count_shards(out, shards) if self._left_out else before
        counted = result.model_copy(update={"counters": counters})
        if withheld and not self._left_out:
            # Only who brings what is still lacking knows what the original counted.
            counted = result
        elif original := self._original(result, counted):
            return original
        if not foreign:
            return counted if self._same_dataset else result
        # It must not pass for what its identity names, unless a later join proves that it is.
        joined: dict[str, JsonValue] = {"original": whole, "posts_left_out": len(self._left_out)}
        identity = {**self._manifest.identity, "joined": joined}
        return counted.model_copy(update={"identity": identity})

    def _original(self, *results: Manifest) -> Manifest | None:
        """Return which of ``results`` is the original, with the mark of an earlier join or not."""
        identity = self._manifest.identity
        unmarked = {key: value for key, value in identity.items() if key != "joined"}
        for result in results:
            for one in (identity, unmarked):
                same = result.model_copy(update={"identity": one})
                if same.fingerprint == self._manifest.original:
                    return same
        return None

    def report(self, manifest: Manifest) -> JoinReport:
        """Return what was done."""
        found = self._matches
        return JoinReport(
            manifest=manifest,
            restored=manifest.fingerprint == self._manifest.original,
            same_dataset=self._same_dataset,
            filled=tuple(sorted(found.fitting)),
            differing=tuple(sorted(found.differing)),
            missing=tuple(sorted(found.missing)),
            extra=tuple(sorted(found.extra)),
            photos_differing=tuple(sorted(found.photos_differing)),
            photos_missing=tuple(sorted(found.photos_missing)),
            images_withheld=self._images_withheld,
        )

    @property
    def _same_dataset(self) -> bool:
        fingerprints = self._manifest.identity.get("fingerprints")
        ours = dataset_fingerprint(self._dataset)
        return isinstance(fingerprints, dict) and fingerprints.get("dataset") == ours

    def _whole(self, shard: ShardEntry, table: Table) -> pa.Table:
        return whole_table(self._store, shard.files[table], table)

    def _filled(self, rows: pa.Table, table: Table, index: int) -> pa.Table:
        if table == "media":
            return replaced(rows, {"data": self._images(rows, index)})
        examples = [self._examples[name] for name in rows["example_id"].to_pylist()]
        columns = {
            "tokens": [list(one.post.tokens) for one in examples],
            "photo_name": [one.post.photo_name for one in examples],
            "head": [_mention(one.post.head) for one in examples],
            "tail": [_mention(one.post.tail) for one in examples],
            "entities": [_entities(one) for one in examples],
            "relation": [one.relation for one in examples],
        }
        return replaced(rows, columns)

    def _images(self, rows: pa.Table, index: int) -> pa.ChunkedArray:
        """Return the bytes of the images of shard ``index``, as far as photos have them."""
        here = pc.equal(rows["stored_in"], index)
        lacking = pc.and_(here, pc.is_null(rows["data"])).to_pylist()
        keys = rows["key"].to_pylist()
        find = self._photos.find if self._photos is not None else lambda key: None
        found = [find(key) if lacks else None for key, lacks in zip(keys, lacking, strict=True)]
        self._images_withheld += sum(lacking) - sum(data is not None for data in found)
        return pc.coalesce(rows["data"], pa.array(found, pa.binary()))


def _mention(span: Span | None) -> dict[str, int] | None:
    return None if span is None else {"start": span.start, "end": span.end}


def _entities(example: Example) -> list[dict[str, Any]] | None:
    return None if example.entities is None else [one._asdict() for one in example.entities]
