"""The derived LMDB file: made from the shards, believed only on the machine that made it.

LMDB is fast but trusting: a truncated file kills the process, a flipped bit goes unnoticed, and a
file that somebody else made can do worse. So the file is never shared. A ticket beside it notes
its size and the time at which the kernel last changed it, which no archive or copy can bring
along: a file that does not fit its ticket is made again, before any of it is mapped.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

import lmdb
import msgpack
from tqdm import tqdm

from cache.errors import StoreError
from cache.files import TEMPORARY, check_regular, explaining, write_atomically
from cache.manifest import Manifest
from cache.packing import pack, seal
from cache.parquet_reader import ParquetReader

FORMAT: Final = 2
LIST_KEY: Final = b"\xff" * 5  # After every number, so that keys arrive in order.
LIST_NUMBER: Final = (1 << 32) - 1
_MIN_MAP_BYTES: Final = 1 << 24
_STALE_S: Final = 24 * 3600


def number_key(number: int) -> bytes:
    """Return the key of post ``number`` (in order of ids)."""
    return number.to_bytes(4, "big")


def lmdb_name(manifest: Manifest) -> str:
    """Return the file name for a store: another manifest or format means another file."""
    return f"features-{manifest.fingerprint[:16]}-{FORMAT}.lmdb"


def usable(path: Path) -> bool:
    """Return whether ``path`` is, byte count and change time, the file its ticket was made for."""
    try:
        status = check_regular(path, path.parent)
        ticket = json.loads(_ticket(path).read_bytes()[:1000])
    except (StoreError, OSError, ValueError):
        return False
    return bool(ticket == _ticket_of(status))


def derive(reader: ParquetReader, folder: Path, progress: bool = False) -> Path:
    """Make the LMDB file of a store in ``folder`` and return its path.

    Args:
        reader: of the store.
        folder: gets the file and its ticket; files of earlier manifests are removed from it.
        progress: show a bar where the output is a terminal.

    Raises:
        StoreDamaged: the shards are not what the manifest promises.
        StoreError: ``folder`` cannot be written.
    """
    path = folder / lmdb_name(reader.manifest)
    temporary = folder / f"{TEMPORARY}{os.getpid()}-{path.name}"
    with explaining(path):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _fill(reader, temporary, None if progress else True)
            temporary.replace(path)
        except lmdb.Error as error:
            raise OSError(getattr(error, "errno", None) or 5, str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)
        write_atomically(_ticket(path), json.dumps(_ticket_of(path.lstat())).encode())
        _remove_others(folder, path)
    return path


def _ticket(path: Path) -> Path:
    return path.with_suffix(".json")


def _ticket_of(status: os.stat_result) -> dict[str, int]:
    return {"size_bytes": status.st_size, "changed_ns": status.st_ctime_ns}


def _remove_others(folder: Path, keep: Path) -> None:
    """Remove files of earlier manifests; processes that still map them keep what they map."""
    for path in folder.glob("features-*"):
        if path.stem != keep.stem:
            path.unlink(missing_ok=True)
    # What a killed run left; younger ones may be somebody's work in progress.
    for path in folder.glob(f"{TEMPORARY}*"):
        if time.time() - path.lstat().st_mtime > _STALE_S:
            path.unlink(missing_ok=True)


def _fill(reader: ParquetReader, path: Path, progress: bool | None) -> None:
    ids = reader.example_ids()
    numbers = {name: number for number, name in enumerate(ids)}
    # No lock file: nobody else knows the temporary name. Synced once, at the end.
    env = lmdb.open(
        str(path), map_size=_map_bytes(reader.manifest), subdir=False, lock=False, sync=False
    )
    try:
        shards = range(len(reader.manifest.shards))
        for index in tqdm(shards, desc="preparing the store", unit="shard", disable=progress):
            pairs = []
            for stored in reader.shard_records(index):
                number = numbers[stored.example.post.example_id]
                pairs.append((number_key(number), pack(stored, number)))
            _put(env, pairs)
        splits = [reader.split_of(name) for name in ids]
        listing = msgpack.packb([reader.manifest.fingerprint, ids, splits])
        _put(env, [(LIST_KEY, seal(listing, LIST_NUMBER))])
        env.sync(True)
    finally:
        env.close()


def _map_bytes(manifest: Manifest) -> int:
    """Return a first guess of the file's size; `_put` corrects it."""
    files = [shard.files[table] for shard in manifest.shards for table in ("examples", "evidence")]
    return _MIN_MAP_BYTES + 2 * sum(file.size_bytes for file in files)


def _put(env: lmdb.Environment, pairs: list[tuple[bytes, bytes]]) -> None:
    """Write ``pairs`` in one transaction, with a larger map where it did not fit."""
    while True:
        try:
            with env.begin(write=True) as transaction:
                transaction.cursor().putmulti(pairs)
            return
        except lmdb.MapFullError:
            env.set_mapsize(2 * env.info()["map_size"])
