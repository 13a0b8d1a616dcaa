"""Making a store whole again from other copies; what is in the way is set aside, never deleted."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cache.card import card_fits, data_card
from cache.checking.copies import (
    BRINGING,
    Copy,
    FolderCopy,
    ListedOnce,
    Wanted,
    bring,
    manifests_in,
)
from cache.checking.strangers import LOCAL, RECORDINGS, stranger_paths
from cache.checking.verify import verify_store
from cache.checking.verify_recordings import check_recorded
from cache.errors import StoreDamaged, StoreError, StoreMismatch
from cache.files import check_regular, explaining, sync_folder, write_atomically
from cache.manifest import (
    MANIFEST_NAME,
    SHARD_PATH,
    Manifest,
    manifest_bytes,
    read_manifest,
)
from cache.reading.derive import open_derived
from cache.reading.derived_file import FORMS
from cache.recording.segments import segments
from cache.tables.shards import check_bytes
from cache.writing.complete import CARD_NAME
from cache.writing.journal import JOURNAL_NAME
from cache.writing.lock import LOCK_NAME, WriterLock

_ASIDE: Final = ".damaged-"
_SAME_STORE: Final = 0.5
_RECORDED: Final = re.compile(rf"{RECORDINGS}/((?:answers|media)-[0-9a-f]{{32}})")
_NO_COPY: Final = (
    "no copy holds it. Name one that does with --from, or the recipe that built it with --recipe"
)
_FORGOTTEN: Final = "no copy holds it. What it held is asked again when the store is built again"


@dataclass(slots=True)
class RepairReport:
    """What `repair_store` did.

    Attributes:
        repaired: what is whole again, with where it is from.
        aside: what was moved out of the store, with where it is now.
        lost: what could not be repaired, with the reason and what helps.
    """

    repaired: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def repair_store(root: Path, copies: Sequence[Copy] = ()) -> RepairReport:
    """Bring back the files of a store that are missing or damaged, from where they still are.

    Files that were renamed or swapped are found in the store itself. A file is put in place only
    if it has the very hash that the manifest promises. What is in its way, and whatever does not
    belong, is moved into a folder beside the store (``STORE.damaged-1``, ...), which a later call
    looks through as well. A file that no copy holds is left as it is. Whether the store is sound
    afterwards is for `verify_store` to say. Killed at any moment, it can be run again.

    Args:
        root: folder of the store.
        copies: any that may hold files of it, even of another version of the store.

    Raises:
        StoreMismatch: the store follows another schema.
        StoreError: the folder cannot be written, or another process is at it.
    """
    if not root.is_dir():
        raise StoreDamaged(f"{root} is no folder. Copy the whole store there, or pull it.")
    repair = _Repair(root.resolve(), [ListedOnce(copy) for copy in copies])
    lock = root / LOCK_NAME
    if os.path.lexists(lock) and not stat.S_ISREG(lock.lstat().st_mode):
        repair.set_aside(repair.root / LOCK_NAME)
    held = WriterLock(lock)
    try:
        repair.run()
    finally:
        held.release()
    return repair.report


class _Repair:
    def __init__(self, root: Path, copies: Sequence[Copy]) -> None:
        self.root = root
        self.report = RepairReport()
        self._copies = copies
        self._aside: Path | None = None

    def run(self) -> None:
        """Repair all that can be repaired."""
        for path in [*self.root.glob(f"{BRINGING}*"), *self.root.glob(f"*/{BRINGING}*")]:
            path.unlink(missing_ok=True)
        manifest = self._manifest()
        if manifest is None:
            where = self.root / MANIFEST_NAME
            self.report.lost.append(f"{where}: of this store, {_NO_COPY}.")
            return
        building = (self.root / JOURNAL_NAME).is_file()
        for path in list(stranger_paths(self.root, manifest, building=building)):
            self.set_aside(path)
        for entry in manifest.files:
            try:
                check_bytes(self.root, entry)
            except StoreDamaged:
                self._bring(Wanted(entry.path, entry.size_bytes, entry.sha256), keep=True)
        self._recordings()
        self._write(CARD_NAME, data_card(manifest).encode())
        self._write(MANIFEST_NAME, manifest_bytes(manifest))
        self._local()

    def set_aside(self, path: Path) -> None:
        """Move what is at ``path`` out of the store; a link itself, not what it points at."""
        if self._aside is None:
            taken = {folder.name for folder in self._folders_aside()}
            number = next(n for n in range(1, 1 << 31) if self._name_aside(n) not in taken)
            self._aside = self.root.with_name(self._name_aside(number))
        target = self._aside / path.relative_to(self.root)
        with explaining(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            while os.path.lexists(target):
                target = target.with_name(target.name + "_")
            path.rename(target)
            sync_folder(path.parent)
        self.report.aside.append(f"{path} -> {target}")

    def _name_aside(self, number: int) -> str:
        return f"{self.root.name}{_ASIDE}{number}"

    def _folders_aside(self) -> list[Path]:
        return sorted(self.root.parent.glob(f"{self.root.name}{_ASIDE}*"))

    def _places(self) -> Iterator[Copy]:
        """Yield where files may be, the nearest first."""
        yield FolderCopy(self.root)
        for folder in self._folders_aside():
            yield FolderCopy(folder)
        yield from self._copies

    def _manifest(self) -> Manifest | None:
        """Return the manifest to go by: the store's own, unless the card tells of another one."""
        path, card = self.root / MANIFEST_NAME, self._card()
        own = other_schema = None
        try:
            own = read_manifest(self.root)
        except StoreDamaged:
            pass
        except StoreMismatch as error:
            # Of another version, or its number was edited: copies tell.
            other_schema = error
        if own is not None and card_fits(card, own):
            return own
        here = {name for name in FolderCopy(self.root).sizes() if SHARD_PATH.fullmatch(name)}
        found: list[tuple[bool, float, Manifest]] = []
        for copy in self._places():
            for other in manifests_in(copy):
                named = {file.path for file in other.files}
                share = len(named & here) / max(len(named | here), 1)
                found.append((card_fits(card, other), share, other))
        fits, share, best = max(found, key=lambda one: one[:2], default=(False, 0.0, None))
        if own is not None and not fits:
            return own
        # The names of files are hashes: a store that shares most of them is this one.
        if best is None or not (fits or share > _SAME_STORE):
            if other_schema is not None:
                raise other_schema
            return None
        if os.path.lexists(path):
            self.set_aside(path)
        self._write(MANIFEST_NAME, manifest_bytes(best))
        return best

    def _card(self) -> bytes:
        try:
            check_regular(self.root / CARD_NAME, self.root)
            return (self.root / CARD_NAME).read_bytes()
        except (StoreError, OSError):
            return b""

    def _write(self, name: str, data: bytes) -> None:
        """Write a file that the manifest decides, unless it is as it should be."""
        path = self.root / name
        try:
            check_regular(path, self.root)
            if path.read_bytes() == data:
                return
        except (StoreError, OSError):
            pass
        if os.path.lexists(path):
            self.set_aside(path)
        write_atomically(path, data)
        self.report.repaired.append(f"{path}: written anew")

    def _bring(self, wanted: Wanted, *, keep: bool) -> None:
        """Put a file in its place; where no copy holds it, it stays as it is if ``keep``."""
        path = self.root / wanted.name
        found = bring(wanted, self.root, self._places())
        if os.path.lexists(path) and (found or not keep):
            self.set_aside(path)
        if found is None:
            self.report.lost.append(f"{path}: {_NO_COPY if keep else _FORGOTTEN}.")
            return
        temporary, where = found
        with explaining(path):
            temporary.rename(path)
            sync_folder(path.parent)
        self.report.repaired.append(f"{path}: from {where}")

    def _recordings(self) -> None:
        """Replace damaged segments, and fetch those that hold what hits were made from."""
        folder = self.root / RECORDINGS
        for path, table in segments(folder):
            if check_recorded(path, table).problems:
                # Even where no copy holds it: it would stop every build.
                self._bring(_segment(path.name, None), keep=False)
        if not verify_store(self.root).unrecorded:
            return
        # What is missing has no name here; a copy's, or that of one renamed, begins with its own.
        listed = {
            f"{match[1]}.parquet": size
            for place in self._places()
            for name, size in (place.sizes() or {}).items()
            if (match := _RECORDED.match(name))
        }
        for file, size in sorted(listed.items()):
            if not os.path.lexists(folder / file):
                self._bring(_segment(file, size), keep=False)
        if verify_store(self.root).unrecorded:
            self.report.lost.append(f"{folder}: recordings have gone that hits were made from")

    def _local(self) -> None:
        """Remove derived files that are not the ones their tickets were made for."""
        for form in FORMS:
            for path in (self.root / LOCAL).glob(f"*.{form}"):
                file = open_derived(form, path)
                if file is not None:
                    file.close()
                    continue
                with explaining(path):
                    path.unlink()
                    path.with_name(f"{path.name}.json").unlink(missing_ok=True)
                self.report.repaired.append(f"{path}: removed; it is made again when needed")


def _segment(name: str, size_bytes: int | None) -> Wanted:
    return Wanted(f"{RECORDINGS}/{name}", size_bytes, name.partition("-")[2].partition(".")[0])
