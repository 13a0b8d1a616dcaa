"""Reads damaged stores, and must not die of any. Run as ``damage_child.py STORE EVERY``."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from cache_helpers import files_of, plain
from damage import SEED, catalogue, restore

from cache import StoreError, StoreReader, open_store
from cache.store import ReaderName

_LIMIT_S = 20


def main(store: Path, every: int) -> None:
    """Damage the store in every way of the catalogue, and in its derived files; read each."""
    sound = files_of(store)
    with open_store(store, reader="parquet") as reader:
        truth = dict(_values(reader, _keys(reader)))
    keys = [key for kind, key in truth if kind == "media"]
    for number, damage in enumerate(islice(catalogue(store), 0, None, every)):
        if damage.forged:
            continue
        # Derived before the damage, and for some not: then it is derived from what is damaged.
        with open_store(store, reader="packed", images=True):
            pass
        damage.harm(store)
        if number % 5 == 0:
            _remove_derived(store)
        _read_both(store, damage.name, truth, keys)
        restore(store, sound)
    _damage_derived(store, truth, keys)
    print("done", flush=True)


def _damage_derived(store: Path, truth: dict[tuple[str, str], object], keys: list[str]) -> None:
    rng = random.Random(SEED)
    for number in range(40):
        with open_store(store, reader="packed", images=True):
            pass
        path = sorted((store / "local").glob("*.packed"))[number % 2]
        data = bytearray(path.read_bytes())
        if number % 4 < 2:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        if number % 8 < 6:
            # As a disk that rots unnoticed would leave it: everything else fits.
            status = path.lstat()
            ticket = {"size_bytes": status.st_size, "changed_ns": status.st_ctime_ns}
            path.with_name(f"{path.name}.json").write_text(json.dumps(ticket))
        _read_both(store, f"derived {number}", truth, keys)
        _remove_derived(store)


def _remove_derived(store: Path) -> None:
    for folder in (store / "local", Path(os.environ["XDG_CACHE_HOME"])):
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()


def _read_both(
    store: Path, what: str, truth: dict[tuple[str, str], object], keys: list[str]
) -> None:
    readers: tuple[ReaderName, ...] = ("parquet", "packed", "lmdb")
    for name in readers:
        # For whoever looks at what it died of.
        print(f"{name}: {what}", flush=True)
        signal.alarm(_LIMIT_S)
        try:
            with open_store(store, reader=name, images=True) as reader:
                for key, value in _values(reader, keys):
                    if value is not None and value != truth.get(key):
                        print(f"WRONG {name}: {what}: {key}", flush=True)
        except StoreError:
            pass
        signal.alarm(0)


def _values(
    reader: StoreReader, keys: list[str]
) -> Iterator[tuple[tuple[str, str], object | None]]:
    """Yield all that a store says, by what it is; None where it says that it cannot."""
    ids = reader.example_ids()
    yield ("ids", ""), ids
    reads = {"read": reader.read, "features": reader.features, "dropped": reader.dropped}
    tasks = [(kind, read, name) for kind, read in reads.items() for name in ids]
    for kind, read, name in [*tasks, *(("media", reader.media, key) for key in keys)]:
        try:
            yield (kind, name), plain(read(name))
        except StoreError:
            yield (kind, name), None
    for features in reader.manifest.feature_sets:
        for name in ids:
            try:
                array = reader.array(features, name)
                yield (features, name), None if array is None else (array.shape, array.tobytes())
            except StoreError:
                yield (features, name), None


def _keys(reader: StoreReader) -> list[str]:
    photos = {reader.read(name).observation.photo_key for name in reader.example_ids()}
    return sorted(key for key in photos if key is not None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
