"""The journal of a build: which shards are finished, so that an interruption loses only one.

Lines of JSON, each with a hash of itself; the first names the build, every other one a finished
shard (the last line of an index counts). A line that was cut by a crash is not believed.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import JsonValue, ValidationError

from cache.errors import StoreDamaged, StoreError
from cache.files import explaining, write_atomically
from cache.keys import canonical_json, fingerprint
from cache.manifest import ShardEntry
from cache.schema import SCHEMA_VERSION

JOURNAL_NAME: Final = "build.journal"
_MAX_JOURNAL_BYTES: Final = 1 << 30
_log = logging.getLogger(__name__)


@dataclass
class Journal:
    """What a build has finished so far.

    Attributes:
        path: the file.
        identity: of the build, see `Manifest`.
        num_shards: how many shards the build will have.
        shards: the finished ones, by index.
    """

    path: Path
    identity: dict[str, JsonValue]
    num_shards: int
    shards: dict[int, ShardEntry] = field(default_factory=dict)
    _torn: bool = field(default=False, init=False, repr=False)

    def start(self) -> None:
        """Write the first line and what `shards` holds already, replacing an older journal."""
        head: dict[str, JsonValue] = {
            "schema_version": SCHEMA_VERSION,
            "identity": self.identity,
            "num_shards": self.num_shards,
        }
        lines = [
            head,
            *(shard.model_dump(mode="json") for _, shard in sorted(self.shards.items())),
        ]
        write_atomically(self.path, b"".join(_line(entry) for entry in lines))
        self._torn = False

    def add(self, shard: ShardEntry) -> None:
        """Note that ``shard``, whose files are on disk, is finished; survives a power cut.

        Raises:
            StoreError: the disk does not keep it. The next call writes the journal anew, for a
                part that failed to be synced once may be lost, however often it is synced again.
        """
        if self._torn:
            self.start()
        data = _line(shard.model_dump(mode="json"))
        with explaining(self.path):
            size = self.path.stat().st_size
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            except OSError:
                self._torn = True
                os.ftruncate(descriptor, size)
                raise
            finally:
                os.close(descriptor)
        self.shards[shard.index] = shard


def read_journal(path: Path) -> Journal | None:
    """Return the journal at ``path``; None where there is none, or one of an older schema.

    Nothing of an older schema can be gone on with, nor can one whose first line a power cut took;
    the next build replaces such a journal, and keeps what lies there and is as it must be.

    Raises:
        StoreDamaged: it is no regular file, or its first line is not one of this schema.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_JOURNAL_BYTES:
            raise StoreDamaged(f"{path} is no journal of a build. Remove it and build again.")
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}. Make it readable, or remove it."
        ) from error
    head = _entry(lines[0])
    if head is None:
        _log.warning("%s has lost its first line; its build begins again, asking nobody", path)
        return None
    identity, num_shards = head.get("identity"), head.get("num_shards")
    version = head.get("schema_version")
    if type(version) is int and 1 <= version < SCHEMA_VERSION:
        _log.warning("%s is of schema %d; its build begins again, asking nobody", path, version)
        return None
    if (
        version != SCHEMA_VERSION
        or not isinstance(identity, dict)
        or not isinstance(num_shards, int)
    ):
        raise StoreDamaged(
            f"{path} is no journal of schema {SCHEMA_VERSION}. Remove it and run the build "
            "again; recorded answers are kept."
        )
    journal = Journal(path, identity, num_shards)
    for entry in filter(None, map(_entry, lines[1:])):
        try:
            shard = ShardEntry.model_validate_json(canonical_json(entry))
        except ValidationError:
            continue
        if shard.index < num_shards:
            journal.shards[shard.index] = shard
    return journal


def _line(entry: dict[str, JsonValue]) -> bytes:
    return canonical_json({"check": fingerprint(entry), "entry": entry}).encode() + b"\n"


def _entry(line: bytes) -> dict[str, JsonValue] | None:
    """Return a line's content; None for a line that was cut or changed."""
    try:
        content = json.loads(line)
        entry = content["entry"]
        whole = isinstance(entry, dict) and content["check"] == fingerprint(entry)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if whole else None
