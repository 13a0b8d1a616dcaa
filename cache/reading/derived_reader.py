"""Reads a store from files derived from its shards: what training uses."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cache.closing import Closing
from cache.errors import InputError, StoreChanged, StoreDamaged, StoreError, StoreMismatch
from cache.feature_keys import Array
from cache.manifest import Manifest
from cache.reader import Features
from cache.reading.derive import find_or_derive
from cache.reading.derived_file import Form, ValueFile, ValueWriter
from cache.reading.derived_folders import derived_folders
from cache.reading.derived_images import DerivedImages, fill_images
from cache.reading.packing import pack, unpack_features, unpack_record
from cache.reading.parquet_reader import ParquetReader
from cache.reading.warm import warm
from cache.records import Dropped, FeatureSet, Media, StoredExample

_log = logging.getLogger(__name__)


class DerivedReader(Closing):
    """A `StoreReader` over derived files, which are made on first use.

    They lie in ``local/`` of the store or, where that cannot be written or is not on a local
    disk, in the user's cache folder. Threads and forked processes may read at the same time; the
    reader may be passed to other processes. Dropped hits are read from the shards.

    Args:
        path: folder of the store.
        form: of the derived files.
        images: have a derived file of the images, too; without it they are read from the shards.
        progress: show a bar while files are made, where the output is a terminal.

    Raises:
        StoreDamaged: the store is not complete.
        StoreError: the derived file can be written nowhere.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        form: Form = "lmdb",
        images: bool = False,
        progress: bool = False,
    ) -> None:
        self.path = Path(path)
        self._form = form
        self._with_images = images
        self._progress = progress
        self._shards = ParquetReader(self.path)
        self._dim = self._shards.manifest.embedding_dim or 0
        self._file: ValueFile | None = None
        self._images: DerivedImages | None = None
        self._numbers: dict[str, int] = {}
        self._ids: dict[str | None, tuple[str, ...]] = {}
        self._open()

    @property
    def manifest(self) -> Manifest:
        """What the store promises."""
        return self._shards.manifest

    def example_ids(self, split: str | None = None) -> tuple[str, ...]:
        """Return the ids of a split, or of all posts, sorted."""
        return self._ids.get(split, ())

    def read(self, example_id: str) -> StoredExample:
        """Return all that the store keeps of a post but its dropped hits."""
        features = self.features(example_id)
        assert self._file is not None
        return unpack_record(features, self._file.value(2 * self._numbers[example_id] + 1))

    def features(self, example_id: str) -> Features:
        """Return what a trainer needs of a post."""
        number = self._numbers.get(example_id)
        if number is None:
            raise self._unknown(example_id)
        file = self._file or self._open()
        return unpack_features(file.value(2 * number), example_id, self._dim)

    def dropped(self, example_id: str) -> tuple[Dropped, ...]:
        """Return the hits that curation did not keep."""
        return self._shards.dropped(example_id)

    def array(self, name: FeatureSet, example_id: str) -> Array | None:
        """Return a post's array of a feature set, or None; read from the set's own files."""
        return self._shards.arrays.of_post(name, example_id, self.read)

    def media(self, key: str) -> Media:
        """Return an image, its bytes compared with their hash."""
        if self._images is not None and (found := self._images.get(key)) is not None:
            return found
        return self._shards.media(key)

    def prefetch(self, example_ids: Iterable[str]) -> None:
        """Have posts fetched from the disk while the caller goes on; with images, these too."""
        file = self._file or self._open()
        try:
            numbers = [self._numbers[name] for name in example_ids]
        except KeyError as error:
            raise self._unknown(error.args[0]) from None
        file.prefetch(2 * number for number in numbers)
        if self._images:
            self._images.file.prefetch(self._images.of_posts(numbers))

    def warm(self) -> None:
        """Read the derived files in the background, so that reads find them in memory."""
        warm((self._file or self._open()).path)
        if self._images:
            warm(self._images.file.path)

    def close(self) -> None:
        """Let the files go; a second call does nothing."""
        self._shards.close()
        if self._file:
            self._file.close()
        if self._images:
            self._images.file.close()
        self._file = self._images = None

    def __getstate__(self) -> dict[str, Any]:
        """Keep what opens the same store; another process opens its own files."""
        return {
            "path": self.path,
            "form": self._form,
            "images": self._with_images,
            "fingerprint": self.manifest.fingerprint,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(  # type: ignore[misc]
            state["path"], form=state["form"], images=state["images"]
        )
        if self.manifest.fingerprint != state["fingerprint"]:
            self.close()
            raise StoreChanged(
                f"{self.path} was replaced by another build since it was opened. Open it again."
            )

    def _open(self) -> ValueFile:
        folders = derived_folders(self.path)
        self._file = find_or_derive("features", self._form, self.manifest, folders, self._fill)
        fingerprint, ids, splits = self._file.note
        if fingerprint != self.manifest.fingerprint:
            raise self._file.damaged("it belongs to another store")
        self._numbers = {name: number for number, name in enumerate(ids)}
        self._ids = {None: tuple(sorted(ids))}
        for split in set(splits):
            here = (name for name, other in zip(ids, splits, strict=True) if other == split)
            self._ids[split] = tuple(sorted(here))
        if self._with_images:
            self._open_images(folders)
        return self._file

    def _open_images(self, folders: list[Path]) -> None:
        try:
            self._images = DerivedImages(
                find_or_derive("images", self._form, self.manifest, folders, self._fill_images)
            )
        except (StoreDamaged, StoreMismatch):
            self.close()
            raise
        except StoreError as error:
            _log.warning("reading images from the shards, which is slower: %s", error)

    def _fill(self, writer: ValueWriter) -> Any:
        shards = self._shards
        bar = tqdm(
            range(len(shards.manifest.shards)),
            "preparing the store",
            unit="shard",
            disable=None if self._progress else True,
        )
        ids, splits = [], []
        for index in bar:
            for stored in shards.shard_records(index):
                ids.append(stored.example.post.example_id)
                splits.append(stored.example.split)
                for value in pack(stored):
                    writer.put(value)
        if len(set(ids)) != len(ids):
            shards.example_ids()  # Raises: it names the post that is there twice.
        return [self.manifest.fingerprint, ids, splits]

    def _fill_images(self, writer: ValueWriter) -> Any:
        return fill_images(writer, self._shards, map(self.features, self._numbers), self._progress)

    def _unknown(self, example_id: str) -> InputError:
        return InputError(
            f"{self.path} holds no post {example_id!r}; see example_ids() for those it holds"
        )
