"""From a place that others reach to a store on this machine."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cache import MANIFEST_NAME, Manifest, StoreError, read_manifest
from cache.recording.segments import SegmentTable, open_segment
from cache.writing.complete import publish
from cache.writing.lock import LOCK_NAME, WriterLock
from cache.writing.tidy import remove_leftovers
from pipelines.sharing.agreed import Travelled, check_replaceable, remote_manifest
from pipelines.sharing.files import (
    LISTING_NAME,
    MAX_LISTING_BYTES,
    StoreFile,
    is_shard,
    read_listing,
    recordings_among,
    shard_files,
)
from pipelines.sharing.local import arrived_before, check_target, is_whole, own_folder, receive
from pipelines.sharing.place import open_source
from pipelines.sharing.remote import Missing, Moved, Remote
from pipelines.sharing.transfer import persistently, transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOptions:
    """How to pull.

    Attributes:
        recordings: fetch the raw answers of providers, too.
        replace: put the store in the place of another one.
        threads: files at once.
    """

    recordings: bool = True
    replace: bool = False
    threads: int = 4


def pull(url: str, store: Path, options: PullOptions) -> Travelled:
    """Fetch what ``store`` lacks of the store at ``url``; its manifest is put in place last.

    Nothing but files of the form that a store's have is asked for, none is taken that is not what
    the manifest promises, and what they say is not looked at: that is for `verify_store`.

    Raises:
        InputError: the address cannot be read, or the folder holds something else.
        StoreDamaged: the manifest, or what arrived, is not what a store has.
        StoreMismatch: the folder holds another store, or the manifest is of another schema.
        TransferFailed: it broke off; what arrived stays and is not fetched again.
        StoreError: the folder cannot be written, or another process writes there.
    """
    begun = time.monotonic()
    with closing(open_source(url)) as remote:
        manifest = remote_manifest(remote)
        if manifest is None:
            raise Missing(f"there is no store at {url}: it has no {MANIFEST_NAME}.")
        check_target(store)
        lock = WriterLock(store / LOCK_NAME)
        try:
            check_replaceable(
                _manifest_here(store, options), manifest, str(store), options.replace
            )
            files = shard_files(manifest)
            if options.recordings:
                files += _recordings(remote)
            fetched = _fetch_missing(remote, store, files, options.threads)
            # The card is made from the manifest; what a stranger's page says is not taken over.
            publish(store, manifest)
            remove_leftovers(store, manifest)
        finally:
            lock.release()
        changed = remote_manifest(remote) != manifest
    return Travelled(
        files=len(files),
        sent=sum(map(bool, fetched.values())),
        sent_bytes=sum(fetched.values()),
        store_bytes=sum(file.size_bytes for file in files),
        seconds=time.monotonic() - begun,
        changed_meanwhile=changed,
    )


def _manifest_here(store: Path, options: PullOptions) -> Manifest | None:
    try:
        return read_manifest(store) if (store / MANIFEST_NAME).exists() else None
    except StoreError:
        # What cannot be read may be replaced, but only if that was said.
        if options.replace:
            return None
        raise


def _recordings(remote: Remote) -> list[StoreFile]:
    """Return the recordings at ``remote``: listed by it, or else by a file that a push wrote."""
    sizes = persistently(remote.sizes)
    if sizes is not None:
        return recordings_among(sizes)
    data = persistently(lambda: remote.get(LISTING_NAME, MAX_LISTING_BYTES))
    return [] if data is None else read_listing(data, f"{remote.url}/{LISTING_NAME}")


def _fetch_missing(
    remote: Remote, store: Path, files: list[StoreFile], threads: int
) -> dict[str, int]:
    """Fetch what is not there; return how many bytes travelled, by name."""

    def fetch(file: StoreFile, moved: Moved) -> int:
        own_folder(store, file.name)
        if is_whole(store / file.name, file):
            return 0
        try:
            travelled = receive(remote, file, store, moved)
        except Missing:
            # A build merges recordings into others now and then; a shard has to be there.
            if is_shard(file.name):
                raise
            return 0
        if not is_shard(file.name):
            _check_recording(store / file.name)
        return travelled

    missing = [file for file in files if not _looks_whole(store, file)]
    num_bytes = sum(file.size_bytes - arrived_before(store, file) for file in missing)
    _check_room(store, num_bytes)
    return transfer(files, fetch, what="pull", num_bytes=num_bytes, threads=threads)


def _looks_whole(store: Path, file: StoreFile) -> bool:
    path = store / file.name
    return path.is_file() and path.stat().st_size == file.size_bytes


def _check_recording(path: Path) -> None:
    table: SegmentTable = "media" if path.name.startswith("media") else "recordings"
    try:
        open_segment(path, table).close()
    except StoreError:
        path.unlink()
        raise


def _check_room(store: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(store).free
    if num_bytes > free:
        raise StoreError(
            f"{store} has room for {free:,} bytes, but {num_bytes:,} are to come. Free some "
            "space, or pull to another disk."
        )
