"""Writing a store: whole shards, each final once it is there, and the manifest last."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
from pydantic import JsonValue

from cache.errors import InputError, StoreError, StoreMismatch
from cache.files import explaining
from cache.keys import fingerprint
from cache.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    ShardEntry,
    differing_keys,
    read_manifest,
)
from cache.records import Dropped, Media, StoredExample
from cache.schema import CONTENT_COLUMN, TABLES, Table
from cache.tables.contents import media_keys, media_table, text_keys, texts_table
from cache.tables.counters import count_shards
from cache.tables.encode import dropped_table, embedding_dim, evidence_table, examples_table
from cache.tables.shards import check_bytes
from cache.tables.summary import Tally
from cache.writing.complete import Stated, complete, plain_json
from cache.writing.journal import JOURNAL_NAME, Journal, read_journal
from cache.writing.ledger import Ledger, relocated
from cache.writing.lock import LOCK_NAME, WriterLock
from cache.writing.shard_files import ShardFile, shard_file, shard_files, write_files
from cache.writing.shard_rules import check_dim, check_posts, check_unique
from cache.writing.tidy import remove_leftovers

_log = logging.getLogger(__name__)


class StoreWriter:
    """Writes the shards of one store; goes on where an interrupted run stopped.

    A finished store in the same folder stays readable until `close` replaces its manifest. If it
    has the same identity, its shards count as finished and only what is written again changes;
    whether a store of another identity may be replaced is for the caller to decide.

    Use it as a context manager, or call `release`, so that the lock is given back on errors.

    Args:
        path: folder of the store; made where missing.
        identity: JSON that decides the content; two runs with one identity write one store.
        num_shards: how many shards the store will have.

    Raises:
        InputError: ``identity`` is not JSON, or ``num_shards`` is negative.
        StoreMismatch: an interrupted run of another identity left its journal here.
        StoreError: the folder cannot be written, or another writer is at it.
    """

    def __init__(
        self, path: Path | str, *, identity: Mapping[str, object], num_shards: int
    ) -> None:
        self.path = Path(path)
        if num_shards < 0:
            raise InputError(f"a store cannot have {num_shards} shards; give 0 or more")
        plain = plain_json(identity, "the identity")
        self._lock = WriterLock(self.path / LOCK_NAME)
        try:
            self._journal = self._resume(plain, num_shards)
            self._ledgers = {table: Ledger(self.path, table) for table in CONTENT_COLUMN}
            self._tallies: dict[str, Tally] = {}
            self._verified = False
            self._started = False
        except BaseException:
            self.release()
            raise

    def _resume(self, identity: dict[str, JsonValue], num_shards: int) -> Journal:
        """Return the journal to go on with; the file is not made before there is a shard."""
        path = self.path / JOURNAL_NAME
        journal = read_journal(path)
        ours: dict[str, JsonValue] = {"identity": identity, "num_shards": num_shards}
        if journal is not None:
            theirs: dict[str, JsonValue] = {
                "identity": journal.identity,
                "num_shards": journal.num_shards,
            }
            if fingerprint(ours) != fingerprint(theirs):
                raise StoreMismatch(
                    f"{self.path} holds an interrupted build that differs in "
                    f"{', '.join(differing_keys(ours, theirs))}. Finish it with its own recipe, "
                    f"choose another folder, or give it up by removing {path}."
                )
            return journal
        journal = Journal(path, identity, num_shards)
        if (self.path / MANIFEST_NAME).exists():
            journal.shards.update(self._finished_before(identity, num_shards))
        return journal

    def _finished_before(
        self, identity: dict[str, JsonValue], num_shards: int
    ) -> dict[int, ShardEntry]:
        try:
            manifest = read_manifest(self.path)
        except StoreError as error:
            _log.warning("building anew what cannot be used: %s", error)
            return {}
        if differing_keys(manifest.identity, identity) or len(manifest.shards) != num_shards:
            return {}
        return {shard.index: shard for shard in manifest.shards}

    def finished_shards(self) -> set[int]:
        """Return the shards that need not be written again; the files of each were compared.

        A damaged shard is reported in the log and left out, so that it is written again.
        """
        if not self._verified:
            for index, shard in sorted(self._journal.shards.items()):
                try:
                    for file in shard.files.values():
                        check_bytes(self.path, file)
                    for ledger in self._ledgers.values():
                        ledger.load(shard)
                except StoreError as error:
                    _log.warning("shard %d will be written again: %s", index, error)
                    del self._journal.shards[index]
            self._verified = True
        return set(self._journal.shards)

    def start_over(self) -> None:
        """Count no shard as finished, neither now nor after an interruption."""
        self._journal.shards.clear()
        self._journal.start()
        self._started = True

    def compared_with(self, index: int) -> str:
        """Return what the evidence of a finished shard was compared with."""
        return self._journal.shards[index].compared_with

    def write_shard(
        self,
        index: int,
        rows: Sequence[StoredExample],
        dropped: Mapping[str, Sequence[Dropped]],
        media: Iterable[Media],
        unfinished: Sequence[str] = (),
        compared_with: str = "",
    ) -> None:
        """Write one shard, replacing an earlier one of the same index; final when this returns.

        Args:
            index: from 0 to ``num_shards`` - 1; any order.
            rows: posts of the shard in any order; written in order of example id.
            dropped: per example id, what curation did not keep; only ids of ``rows``.
            media: images that ``rows`` and ``dropped`` need. Images and texts that a shard of
                lower index needs too are stored there only.
            unfinished: ids of posts that could not be finished; they have no row.
            compared_with: fingerprint of what their evidence was compared with, if it was.

        Raises:
            InputError: a record that a store does not take; the message names the post.
            StoreError: the disk is full or not writable; finished shards are kept.
        """
        if not 0 <= index < self._journal.num_shards:
            raise InputError(
                f"there is no shard {index}: the store was opened with "
                f"num_shards={self._journal.num_shards}"
            )
        self.finished_shards()
        rows = sorted(rows, key=lambda row: row.example.post.example_id)
        names = check_posts(index, rows, dropped, unfinished)
        dim = embedding_dim(rows)
        check_dim(index, dim, self._journal.shards)
        texts = text_keys(rows, dropped)
        images = list(media)
        keys = {"texts": list(texts.values()), "media": media_keys(images)}
        before = {table: ledger.needs(index) for table, ledger in self._ledgers.items()}
        try:
            places = {
                table: ledger.place(index, keys[table]) for table, ledger in self._ledgers.items()
            }
            tables: dict[Table, Callable[[], pa.Table]] = {
                "media": lambda: media_table(images, places["media"], index),
                "evidence": lambda: evidence_table(rows, dim, texts),
                "examples": lambda: examples_table(rows, dim),
                "texts": lambda: texts_table(texts, places["texts"], index),
                "dropped": lambda: dropped_table(names, dropped, texts),
            }
            files = self._write(shard_files(index, tables))
            self._note(
                ShardEntry(
                    index=index,
                    embedding_dim=dim,
                    unfinished=tuple(sorted(unfinished)),
                    compared_with=compared_with,
                    files=files,
                )
            )
        except BaseException:
            for table, ledger in self._ledgers.items():
                ledger.restore(index, before[table])
            raise

    def _write(self, files: Mapping[Table, ShardFile]) -> dict[Table, FileEntry]:
        entries = write_files(self.path, files)
        self._tallies |= {file.entry.path: file.tally for file in files.values()}
        return entries

    def _note(self, shard: ShardEntry) -> None:
        if not self._started:
            # Also cuts off what a crash left of a last line, which would swallow the next one.
            self._journal.start()
            self._started = True
        self._journal.add(shard)

    def close(
        self,
        counters: Mapping[str, object],
        *,
        rights: Mapping[str, str] | None = None,
        withheld: Iterable[str] = (),
        original: str = "",
    ) -> Manifest:
        """Write card and manifest, which makes the store complete, and remove what is not in it.

        Args:
            counters: JSON to keep in the manifest; no times, so that equal builds stay equal.
            rights: free statements by subject: ``licence``, ``posts``, ``evidence``, ...
            withheld: what was left out: ``posts``, ``texts``, ``images``.
            original: fingerprint of the whole store that this one leaves something out of.

        Raises:
            StoreError: shards are missing.
            InputError: two shards have a post of the same id, or something is left out that
                ``withheld`` does not name.
        """
        self._settle()
        stated = Stated(counters, rights or {}, withheld, original)
        manifest = complete(
            self.path, self._journal.identity, self._shards(), stated, self._tallies
        )
        # Arrays are still there for who gives them to the store again: posts may be the same.
        remove_leftovers(self.path, manifest, TABLES)
        with explaining(self.path):
            # Last, because it makes the next run look for shards to keep.
            self._journal.path.unlink(missing_ok=True)
        self.release()
        return manifest

    def count(self) -> dict[str, int]:
        """Return what the finished shards hold, see `count_shards`."""
        self.finished_shards()
        return count_shards(self.path, self._shards(), self._tallies)

    def _shards(self) -> list[ShardEntry]:
        return [shard for _, shard in sorted(self._journal.shards.items())]

    def _settle(self) -> None:
        """Make sure that no shard is missing, and every content where it belongs."""
        missing = sorted(set(range(self._journal.num_shards)) - self.finished_shards())
        if missing:
            raise StoreError(
                f"{self.path} is not finished: {len(missing)} shards are missing, first "
                f"{missing[0]}. Write them, then close."
            )
        check_unique(self.path, self._journal.shards)
        for ledger in self._ledgers.values():
            for index, places in ledger.unsettled().items():
                self._relocate(ledger, index, places)

    def _relocate(self, ledger: Ledger, index: int, places: dict[str, int]) -> None:
        shard = self._journal.shards[index]
        content = relocated(self.path, shard, ledger.table, places)
        files = self._write({ledger.table: shard_file(index, ledger.table, content)})
        self._note(shard.model_copy(update={"files": {**shard.files, **files}}))
        ledger.place(index, places)

    def release(self) -> None:
        """Let the next writer in; what was written stays. A second call does nothing."""
        self._lock.release()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
