"""The door to a finished store."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from cache.errors import InputError, StoreDamaged, StoreError, StoreMismatch, StoreWithheld
from cache.keys import canonical_json
from cache.manifest import differing_keys, read_manifest
from cache.reader import StoreReader
from cache.reading.derived_file import Form
from cache.reading.derived_folders import derived_folders, network_file_system
from cache.reading.derived_reader import DerivedReader
from cache.reading.parquet_reader import ParquetReader

ReaderName = Literal["lmdb", "packed", "parquet"]
_log = logging.getLogger(__name__)


def open_store(
    path: Path | str,
    *,
    reader: ReaderName = "lmdb",
    identity: Mapping[str, object] | None = None,
    progress: bool = False,
    withheld_ok: bool = False,
    images: bool = False,
    warm: bool = False,
) -> StoreReader:
    """Return a reader of the finished store at ``path``.

    Args:
        path: folder of the store.
        reader: ``lmdb`` and ``packed`` read a derived file that is made on first use, fast; where
            it can be written nowhere the shards are read instead, and the log says so. LMDB
            maps its file, so ``packed`` takes its place where only network file systems can be
            written. ``parquet`` reads the shards.
        identity: what the caller expects the store to be made of; None takes any store.
        progress: show a bar while the derived file is made, where the output is a terminal.
        images: derive a file of the images as well, so that `StoreReader.media` is fast; for who
            looks at pixels. Without it the derived file holds none, and images come from shards.
        warm: read the derived files in the background, so that random reads find them in memory.
        withheld_ok: open a store whose owner left out the posts: they have evidence, but no words.

    Raises:
        InputError: there is no such reader.
        StoreWithheld: the posts were left out.
        StoreDamaged: the store is not complete, or files are missing or of another size.
        StoreMismatch: another schema, or another identity; the message names the keys.
    """
    if reader not in (known := get_args(ReaderName)):
        raise InputError(f"there is no reader {reader!r}; the readers are {', '.join(known)}")
    if not withheld_ok and "posts" in read_manifest(Path(path)).withheld:
        raise StoreWithheld(
            f"the posts of {path} were left out by its owner. Join them from your own copy of the "
            "data set with `ramie pull --dataset`, or ask the owner for the whole store."
        )
    store: StoreReader
    if reader == "parquet":
        store = ParquetReader(path)
    else:
        store = _derived_or_parquet(path, reader, images, progress)
    if identity is not None:
        try:
            _check_identity(store, Path(path), identity)
        except BaseException:
            store.close()
            raise
    if warm:
        store.warm()
    return store


def _derived_or_parquet(path: Path | str, form: Form, images: bool, progress: bool) -> StoreReader:
    if form == "lmdb" and all(map(network_file_system, derived_folders(Path(path)))):
        _log.info("only network file systems at hand: no LMDB, but a packed file")
        form = "packed"
    try:
        return DerivedReader(path, form=form, images=images, progress=progress)
    except (StoreDamaged, StoreMismatch):
        raise
    except StoreError as error:
        _log.warning("reading the shards themselves, which is slower: %s", error)
        return ParquetReader(path)


def _check_identity(store: StoreReader, path: Path, identity: Mapping[str, object]) -> None:
    expected = json.loads(canonical_json(dict(identity)))
    if keys := differing_keys(expected, store.manifest.identity):
        raise StoreMismatch(
            f"{path} was built with other settings: {', '.join(keys)} differ. Build it again "
            "with this recipe, or use the recipe that its manifest names."
        )
