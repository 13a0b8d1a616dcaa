"""From a store on this machine to a place that others reach."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cache import MANIFEST_NAME, InputError, Manifest, StoreDamaged, StoreMismatch, read_manifest
from cache.card import data_card
from cache.manifest import manifest_bytes
from cache.tables.shards import check_size
from cache.writing.complete import CARD_NAME
from pipelines.sharing.agreed import Travelled, check_replaceable, remote_manifest
from pipelines.sharing.files import (
    LISTING_NAME,
    MAX_LISTING_BYTES,
    StoreFile,
    is_shard,
    listing,
    local_recordings,
    recordings_among,
    shard_files,
)
from pipelines.sharing.place import open_destination
from pipelines.sharing.remote import Destination, Moved
from pipelines.sharing.transfer import persistently, transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """How to push.

    Attributes:
        recordings: send the raw answers of providers, too.
        replace: put the store in the place of another one.
        prune: remove shards that the new manifest does not name, what was left half-sent, and
            recordings where the store leaves out the posts, which they quote.
        check: read what is there already, and send again what is wrong.
        threads: files at once.
    """

    recordings: bool = True
    replace: bool = False
    prune: bool = False
    check: bool = False
    threads: int = 4


def push(store: Path, url: str, options: PushOptions) -> Travelled:
    """Send what the place at ``url`` lacks of ``store``; the manifest comes last.

    Raises:
        InputError: the address cannot be written; or the store leaves out the posts that its
            recordings quote.
        StoreDamaged: a local file is not what the manifest promises; nothing new is shown there.
        StoreMismatch: the place holds another store, or recordings that quote the posts that this
            one leaves out.
        TransferFailed: it broke off; what arrived stays and is not sent again.
        StoreError: the place cannot be written, or another process writes there.
    """
    begun = time.monotonic()
    manifest = read_manifest(store)
    for entry in manifest.files:
        check_size(store, entry)
    files = shard_files(manifest)
    if options.recordings:
        files += local_recordings(store)
    with closing(open_destination(url)) as remote:
        before = _manifest_there(remote, options)
        check_replaceable(before, manifest, remote.url, options.replace)
        if "posts" in manifest.withheld:
            _check_recordings(store, remote, files, options)
        sent = _send_missing(remote, store, files, options)
        _publish_recordings(remote)
        changed = _publish(remote, manifest, before, options)
        if changed:
            # Whoever else was at it may have removed what only our manifest names.
            sent |= _send_missing(remote, store, files, options)
        if options.prune:
            _prune(remote, manifest)
    return Travelled(
        files=len(files),
        sent=sum(map(bool, sent.values())),
        sent_bytes=sum(sent.values()),
        store_bytes=sum(file.size_bytes for file in files),
        seconds=time.monotonic() - begun,
        changed_meanwhile=changed,
    )


def _manifest_there(remote: Destination, options: PushOptions) -> Manifest | None:
    try:
        return remote_manifest(remote)
    except (StoreDamaged, StoreMismatch):
        # What cannot be read may be replaced, but only if that was said.
        if options.replace:
            return None
        raise


def _check_recordings(
    store: Path, remote: Destination, files: list[StoreFile], options: PushOptions
) -> None:
    """Refuse recordings where posts are left out: their questions quote the posts."""
    if not all(is_shard(file.name) for file in files):
        raise InputError(
            f"{store} leaves its posts out, and has recordings that quote posts. Say "
            "--no-recordings."
        )
    there = recordings_among(persistently(remote.sizes))
    if there and not options.prune:
        raise StoreMismatch(
            f"{remote.url} holds {len(there)} recordings that quote posts, which the new store "
            "leaves out. Say --prune to remove them there, or choose another place."
        )


def _send_missing(
    remote: Destination, store: Path, files: list[StoreFile], options: PushOptions
) -> dict[str, int]:
    """Send what is not there; return how many bytes travelled, by name."""
    there = persistently(remote.sizes)
    missing = [file for file in files if there.get(file.name) != file.size_bytes]
    work = missing if not options.check else files

    def send(file: StoreFile, moved: Moved) -> int:
        if there.get(file.name) == file.size_bytes and remote.holds(file, moved):
            return 0
        return remote.send(file, store / file.name, moved)

    num_bytes = sum(file.size_bytes for file in work)
    return transfer(work, send, what="push", num_bytes=num_bytes, threads=options.threads)


def _publish_recordings(remote: Destination) -> None:
    """Write which recordings are there, for who cannot list a folder."""
    data = listing(recordings_among(persistently(remote.sizes)))
    if persistently(lambda: remote.get(LISTING_NAME, MAX_LISTING_BYTES)) != data:
        persistently(lambda: remote.put(LISTING_NAME, data))


def _publish(
    remote: Destination, manifest: Manifest, before: Manifest | None, options: PushOptions
) -> bool:
    """Put the manifest in place; return whether somebody else put another one there meanwhile."""
    now = _manifest_there(remote, options)
    changed = now != before
    if changed:
        check_replaceable(now, manifest, remote.url, options.replace)
    if now != manifest:
        card = data_card(manifest).encode()
        persistently(lambda: remote.put(CARD_NAME, card))
        data = manifest_bytes(manifest)
        persistently(lambda: remote.put(MANIFEST_NAME, data))
        now = remote_manifest(remote)
    return changed or now != manifest


def _prune(remote: Destination, manifest: Manifest) -> None:
    named = {file.name for file in shard_files(manifest)}
    sizes = persistently(remote.sizes)
    unneeded = [name for name in sizes if is_shard(name) and name not in named]
    recorded = recordings_among(sizes) if "posts" in manifest.withheld else []
    if recorded:
        # Who pulls meanwhile is told of none that is about to go.
        persistently(lambda: remote.put(LISTING_NAME, listing([])))
    for name in [*unneeded, *(file.name for file in recorded)]:
        remote.remove(name)
    remote.tidy()
