"""The door to a finished store."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from cache.errors import InputError, StoreDamaged, StoreError, StoreMismatch
from cache.keys import canonical_json
from cache.lmdb_reader import LmdbReader
from cache.manifest import differing_keys
from cache.parquet_reader import ParquetReader
from cache.reader import StoreReader

ReaderName = Literal["lmdb", "parquet"]
_log = logging.getLogger(__name__)


def open_store(
    path: Path | str,
    *,
    reader: ReaderName = "lmdb",
    identity: Mapping[str, object] | None = None,
    progress: bool = False,
) -> StoreReader:
    """Return a reader of the finished store at ``path``.

    Args:
        path: folder of the store.
        reader: ``lmdb`` reads a derived file that is made on first use, fast; where it can be
            written nowhere the shards are read instead, and the log says so. ``parquet`` reads
            the shards.
        identity: what the caller expects the store to be made of; None takes any store.
        progress: show a bar while the derived file is made, where the output is a terminal.

    Raises:
        InputError: there is no such reader.
        StoreDamaged: the store is not complete, or files are missing or of another size.
        StoreMismatch: another schema, or another identity; the message names the keys.
    """
    if reader not in ("lmdb", "parquet"):
        raise InputError(f"there is no reader {reader!r}; the readers are lmdb and parquet")
    store: StoreReader
    store = ParquetReader(path) if reader == "parquet" else _lmdb_or_parquet(path, progress)
    if identity is not None:
        try:
            _check_identity(store, Path(path), identity)
        except BaseException:
            store.close()
            raise
    return store


def _lmdb_or_parquet(path: Path | str, progress: bool) -> StoreReader:
    try:
        return LmdbReader(path, progress=progress)
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
