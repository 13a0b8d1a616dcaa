"""Building again what is damaged, apart from the store, asking nobody: one copy more."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cache import Manifest, StoreError, read_manifest
from cache.checking.copies import FolderCopy
from cache.checking.repair import RepairReport, repair_store
from cache.checking.strangers import RECORDINGS
from cache.checking.verify_recordings import check_recorded
from cache.files import explaining
from cache.manifest import differing_keys, write_manifest
from cache.recording.segments import segments
from cache.tables.shards import check_bytes

if TYPE_CHECKING:
    from retrieval.building.report import BuildReport


def repair_by_building(store: Path, build: Callable[[Path], BuildReport]) -> RepairReport:
    """Build the damaged shards of a store again, and take over those that are what they were.

    They are built in a folder beside the store, which is given all that is sound. The store
    itself is changed as `repair_store` changes it: a file takes its place only with the very hash
    that the manifest promises.

    Args:
        store: folder of the store.
        build: builds in a folder; goes on with what it finds there, and asks nobody.

    Raises:
        RamieError: ``build`` is of another store, or fails.
    """
    try:
        promised = read_manifest(store)
    except StoreError:
        promised = None
    with _beside(store) as made:
        _take_over(store, made, promised)
        report = build(made)
        built = read_manifest(made)
        repaired = repair_store(store, [FolderCopy(made)])
    if promised is not None and repaired.lost:
        repaired.lost += _why(promised, built)
    if report.unfinished:
        number = len(report.unfinished)
        repaired.lost.append(f"{number} posts could not be built: their answers are not recorded")
    return repaired


@contextmanager
def _beside(store: Path) -> Iterator[Path]:
    """Make a folder on the store's own disk, which goes when it is not needed any more."""
    root = store.resolve()
    with explaining(root.parent):
        made = Path(tempfile.mkdtemp(prefix=f"{root.name}.rebuilt-", dir=root.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _take_over(store: Path, made: Path, manifest: Manifest | None) -> None:
    """Give the new folder all that is sound, so that only the rest is built."""
    if manifest is not None:
        for entry in manifest.files:
            try:
                _link(check_bytes(store, entry), made / entry.path)
            except StoreError:
                continue
        write_manifest(made, manifest)
    for path, table in segments(store / RECORDINGS):
        if not check_recorded(path, table).problems:
            _link(path, made / RECORDINGS / path.name)


def _link(path: Path, to: Path) -> None:
    """Give a file a second name; where that cannot be, copy it. Neither is ever written into."""
    with explaining(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, to)
        except OSError:
            shutil.copyfile(path, to)


def _why(promised: Manifest, built: Manifest) -> list[str]:
    """Return why what was built has other bytes, as far as the manifests tell."""
    if keys := differing_keys(promised.identity, built.identity):
        return [
            f"what was built again differs in {', '.join(keys[:10])}. Use the settings, the data "
            "and the code version that the manifest names."
        ]
    return [
        "what was built again has other bytes, of the same settings: the models' libraries or "
        "pyarrow are of another version than when the store was built."
    ]
