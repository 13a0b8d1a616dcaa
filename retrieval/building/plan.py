"""What to do about a folder: build, go on, curate anew, or nothing. Nothing is loaded for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cache.errors import StoreDamaged, StoreMismatch, StoreOutdated
from cache.journal import JOURNAL_NAME, Journal, read_journal
from cache.manifest import MANIFEST_NAME, Manifest, ShardEntry, read_manifest
from cache.parquet_reader import ParquetReader
from cache.schema import TABLES
from cache.shards import check_size
from retrieval.building.identity import Identity, compare, differences
from retrieval.building.report import Action

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of the builder has to do.

    Attributes:
        action: the kind of run.
        identity: of the store to write.
        redo: shards to write again although they are there: posts of theirs are unfinished.
        earlier: manifest of a finished store with the same posts, observations and answers, in
            the same folder; None if there is none.
    """

    action: Action
    identity: Identity
    redo: frozenset[int] = frozenset()
    earlier: Manifest | None = None


def plan_build(
    store: Path, identity: Identity, *, refresh: bool = False, recurate_only: bool = False
) -> Plan:
    """Decide from manifest and journal alone.

    Args:
        store: the folder.
        identity: of the store to write.
        refresh: do finished shards again, for recorded answers are to be asked for again.
        recurate_only: do nothing but apply other settings of curation to a finished store.

    Raises:
        StoreMismatch: what is there was made by another recipe; with ``recurate_only``, or there
            is no finished store.
        StoreDamaged: the journal of an interrupted build cannot be read.
    """
    manifest = _usable_manifest(store)
    kind = "none" if manifest is None else compare(identity, manifest.identity)
    if manifest is None and recurate_only:
        raise StoreMismatch(
            f"{store} holds no finished store to curate anew. Run `ramie build` without "
            "--recurate; what was recorded is used."
        )
    if manifest is not None and kind == "same" and _is_whole(store, manifest):
        # Posts that are unfinished stay so where nobody may be asked.
        if refresh:
            return Plan("refreshed", manifest.identity, _all(manifest), manifest)
        if recurate_only or not manifest.unfinished:
            return Plan("nothing to do", identity, earlier=manifest)
    return _plan_writing(store, identity, manifest, kind)


def _plan_writing(store: Path, identity: Identity, manifest: Manifest | None, kind: str) -> Plan:
    journal = read_journal(store / JOURNAL_NAME)
    if journal is not None:
        _refuse_other_journal(store, identity, journal)
    elif manifest is not None and kind == "other":
        _refuse_other_store(store, identity, manifest)
    earlier = manifest if kind in ("same", "curate") else None
    action: Action = "recurated" if kind == "curate" else "resumed"
    if journal is not None:
        return Plan(action, journal.identity, _unfinished(journal.shards.values()), earlier)
    if manifest is not None and kind == "same":
        return Plan(action, manifest.identity, _unfinished(manifest.shards), earlier)
    return Plan("built" if earlier is None else action, identity, earlier=earlier)


def open_earlier(store: Path, plan: Plan) -> ParquetReader | None:
    """Return a reader of what was seen earlier; None where there is nothing, or it is damaged."""
    if plan.earlier is None:
        return None
    try:
        return ParquetReader(store)
    except StoreDamaged as problem:
        _log.warning("posts are observed again: %s", problem)
        return None


def _usable_manifest(store: Path) -> Manifest | None:
    if not (store / MANIFEST_NAME).exists():
        return None
    try:
        return read_manifest(store)
    except (StoreDamaged, StoreOutdated) as problem:
        _log.warning("the store is built again: %s", problem)
        return None


def _is_whole(store: Path, manifest: Manifest) -> bool:
    """Return whether all files are there; `verify_store` knows more."""
    try:
        for shard in manifest.shards:
            for table in TABLES:
                check_size(store, shard.files[table])
    except StoreDamaged as problem:
        _log.warning("its shard is written again: %s", problem)
        return False
    return True


def _all(manifest: Manifest) -> frozenset[int]:
    return frozenset(shard.index for shard in manifest.shards)


def _unfinished(shards: Iterable[ShardEntry]) -> frozenset[int]:
    return frozenset(shard.index for shard in shards if shard.unfinished)


def _refuse_other_store(store: Path, identity: Identity, manifest: Manifest) -> None:
    raise StoreMismatch(
        f"{store} holds a store that differs from this recipe in "
        f"{'; '.join(differences(identity, manifest.identity))} (old -> new). Choose another "
        f"folder, use the old settings, or remove {store / MANIFEST_NAME} to have the store "
        "replaced; answers recorded in it are used again."
    )


def _refuse_other_journal(store: Path, identity: Identity, journal: Journal) -> None:
    if compare(identity, journal.identity) != "same":
        raise StoreMismatch(
            f"{store} holds an interrupted build that differs from this recipe in "
            f"{'; '.join(differences(identity, journal.identity))} (old -> new). Finish it with "
            f"its own settings, choose another folder, or give it up by removing {journal.path}."
        )
