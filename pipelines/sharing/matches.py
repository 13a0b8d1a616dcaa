"""What a data set has of the posts and photos of a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from cache import content_key, post_sha256
from retrieval.datasets import Dataset
from retrieval.sight.photos import PhotoProblem, read_photo

COMPARED: Final = ("example_id", "split", "post_sha256", "photo_key")


class Matches:
    """Ids of posts by what the data set says about them; `look` adds those of one more shard.

    Attributes:
        every: all posts of the store.
        fitting: the data set has them with the same words, mentions and split.
        differing: it has others of the same id.
        missing: it has none of that id.
        photos_differing: of the fitting, those whose photo has other bytes.
        photos_missing: of the fitting, those whose photo it lacks.
    """

    def __init__(self, dataset: Dataset, photos: PhotoBytes | None) -> None:
        self._examples = {one.post.example_id: one for one in dataset.examples}
        self._photos = photos
        self.every: set[str] = set()
        self.fitting: set[str] = set()
        self.differing: set[str] = set()
        self.missing: set[str] = set()
        self.photos_differing: set[str] = set()
        self.photos_missing: set[str] = set()

    def look(self, rows: pa.Table) -> None:
        """Compare the data set with rows of the table ``examples``, their columns `COMPARED`."""
        for row in rows.to_pylist():
            name, example = row["example_id"], self._examples.get(row["example_id"])
            self.every.add(name)
            if example is None:
                self.missing.add(name)
            elif (example.split, post_sha256(example.post)) != (row["split"], row["post_sha256"]):
                self.differing.add(name)
            else:
                self.fitting.add(name)
                self._look_at_photo(name, row["photo_key"])

    @property
    def unfit(self) -> set[str]:
        """Posts that the data set cannot fill in."""
        return self.differing | self.missing

    @property
    def extra(self) -> set[str]:
        """Posts of the data set of which the store has no row."""
        return set(self._examples) - self.every

    def _look_at_photo(self, name: str, key: str | None) -> None:
        if self._photos is None or key is None:
            return
        ours = self._photos.key_of(name)
        if not ours:
            self.photos_missing.add(name)
        elif ours != key:
            self.photos_differing.add(name)


class PhotoBytes:
    """The photos that a data set has on disk; each file is read once to learn its key.

    Args:
        photos: path by example id.
    """

    def __init__(self, photos: Mapping[str, Path]) -> None:
        keys = {path: _key(path) for path in sorted(set(photos.values()))}
        self._keys = {name: keys[path] for name, path in photos.items()}
        self._paths = {key: path for path, key in keys.items() if key}

    def key_of(self, example_id: str) -> str:
        """Return the SHA-256 of a post's photo; empty where there is none that can be read."""
        return self._keys.get(example_id, "")

    def find(self, key: str) -> bytes | None:
        """Return the bytes with this SHA-256, None where no photo of the data set has them."""
        if key not in self._paths:
            return None
        try:
            data = read_photo(self._paths[key])
        except PhotoProblem:
            return None
        # The file may have changed since its key was taken.
        return data if content_key(data) == key else None


def _key(path: Path) -> str:
    try:
        return content_key(read_photo(path))
    except PhotoProblem:
        return ""
