"""What both directions agree on: the other side's manifest, and what may be replaced."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cache import (
    MANIFEST_NAME,
    Manifest,
    StoreError,
    StoreMismatch,
    StoreOutdated,
    differing_keys,
    read_manifest,
)
from cache.manifest import MAX_MANIFEST_BYTES
from cache.schema import SCHEMA_VERSION
from pipelines.sharing.remote import Remote
from pipelines.sharing.transfer import persistently

# What a server sends beyond it is not read.
_MAX_MANIFEST_BYTES: Final = MAX_MANIFEST_BYTES


@dataclass(frozen=True, slots=True)
class Travelled:
    """What a push or pull moved.

    Attributes:
        files: how many files a store has, with its recordings.
        sent: how many of them had to travel.
        sent_bytes: that travelled for them.
        store_bytes: of all of them.
        seconds: that it took.
        changed_meanwhile: whether somebody else pushed to the same place at the same time.
    """

    files: int
    sent: int
    sent_bytes: int
    store_bytes: int
    seconds: float
    changed_meanwhile: bool


def remote_manifest(remote: Remote) -> Manifest | None:
    """Return the manifest of the store at ``remote``, checked; None where there is none.

    Raises:
        StoreDamaged: it does not follow the format.
        StoreOutdated: it follows an older schema.
        StoreMismatch: it follows another schema.
    """
    data = persistently(lambda: remote.get(MANIFEST_NAME, _MAX_MANIFEST_BYTES))
    if data is None:
        return None
    if len(data) > _MAX_MANIFEST_BYTES:
        raise StoreError(
            f"{remote.url}/{MANIFEST_NAME} has more than {_MAX_MANIFEST_BYTES >> 20} MiB, which "
            "no manifest has. Check the address, or ask whoever pushed it."
        )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST_NAME).write_bytes(data)
        try:
            return read_manifest(Path(folder))
        except StoreOutdated as error:
            # What is at a place can be migrated only where it was pushed from.
            found = json.loads(data)["schema_version"]
            raise StoreOutdated(
                f"{remote.url}/{MANIFEST_NAME} has schema {found}, but this checkout reads schema "
                f"{SCHEMA_VERSION}. Ask its owner to migrate it and to push it again; or put "
                "another store in its place with `ramie push --replace`."
            ) from error
        except StoreError as error:
            # The user knows the address, not our copy.
            raise type(error)(str(error).replace(folder, remote.url)) from error


def check_replaceable(there: Manifest | None, new: Manifest, where: str, replace: bool) -> None:
    """Refuse to put a store in the place of another one.

    Raises:
        StoreMismatch: ``there`` is made of something else than ``new``, or leaves other things
            out, and ``replace`` was not said.
    """
    if there is None or replace:
        return
    keys = differing_keys(there.identity, new.identity)
    if there.withheld != new.withheld:
        left_out = [", ".join(one.withheld) or "nothing" for one in (there, new)]
        keys.append(f"what is left out ({left_out[0]} there, {left_out[1]} in the new one)")
    if keys:
        raise StoreMismatch(
            f"{where} holds another store: {', '.join(keys[:10])} differ. Choose another place, "
            "or say --replace to put the new one in its place."
        )
