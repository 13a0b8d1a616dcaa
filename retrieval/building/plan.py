"""What to do about a folder: build, go on, curate anew, or nothing. Nothing is loaded for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from cache.errors import StoreDamaged, StoreMismatch, StoreOutdated
from cache.manifest import MANIFEST_NAME, Manifest, ShardEntry, read_manifest
from cache.reading.parquet_reader import ParquetReader
from cache.schema import TABLES
from cache.tables.shards import check_size
from cache.writing.journal import JOURNAL_NAME, Journal, read_journal
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
        refresh: do finished shards again, for recorded answers are to be asked for again; a run
            that did so and was interrupted is gone on with in any case.
        recurate_only: do nothing but apply other settings of curation to a finished store.

    Raises:
        StoreMismatch: what is there was made by another recipe, or something was left out of it;
            with ``recurate_only``, or there is no finished store.
        StoreDamaged: the journal of an interrupted build cannot be read.
    """
    manifest = _usable_manifest(store)
    kind = "none" if manifest is None else compare(identity, manifest.identity)
    if manifest is None and recurate_only:
        raise StoreMismatch(
            f"{store} holds no finished store to curate anew. Run `ramie build` without "
            "--recurate; what was recorded is used."
        )
    journal = read_journal(store / JOURNAL_NAME)
    left = (store / JOURNAL_NAME).exists() and not _is_of_another(identity, journal)
    if manifest is not None and kind == "same" and not left and _is_whole(store, manifest):
        # Posts that are unfinished stay so where nobody may be asked.
        if refresh:
            return Plan("refreshed", manifest.identity, _all(manifest), manifest)
        # After a merge, evidence may have been scored by different references.
        done = not manifest.unfinished and manifest.compared_alike
        if recurate_only or done:
            return Plan("nothing to do", identity, earlier=manifest)
    return _plan_writing(store, identity, manifest, kind, journal)


def _is_of_another(identity: Identity, journal: Journal | None) -> bool:
    return journal is not None and compare(identity, journal.identity) != "same"


def _plan_writing(
    store: Path, identity: Identity, manifest: Manifest | None, kind: str, journal: Journal | None
) -> Plan:
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


def refuse_loss(plan: Plan, mine: AbstractSet[int], todo: Iterable[int]) -> None:
    """Refuse to build one part where shards of the others would be written without their posts.

    Raises:
        StoreMismatch: a shard ``todo`` that is not ``mine`` has posts in the earlier store.
    """
    shards = () if plan.earlier is None else plan.earlier.shards
    for index in sorted({shard.index for shard in shards}.intersection(todo) - mine):
        if rows := shards[index].files["examples"].rows:
            raise StoreMismatch(
                f"shard {index} belongs to another part, but all shards are {plan.action}, and "
                f"its {rows} posts would be lost. Run the build without --part, or build the part "
                "in another folder."
            )


def open_earlier(store: Path, plan: Plan) -> ParquetReader | None:
    """Return a reader of what was seen earlier; None where there is nothing, or it is damaged."""
    if plan.earlier is None:
        return None
    try:
        return ParquetReader(store, features=False)
    except StoreDamaged as problem:
        _log.warning("posts are observed again: %s", problem)
        return None


def _usable_manifest(store: Path) -> Manifest | None:
    if not (store / MANIFEST_NAME).exists():
        return None
    try:
        manifest = read_manifest(store)
    except (StoreDamaged, StoreOutdated) as problem:
        _log.warning("the store is built again: %s", problem)
        return None
    if manifest.withheld:
        raise StoreMismatch(
            f"{store} holds a store from which {' and '.join(manifest.withheld)} were left out: "
            "no build can go on with it. Build into another folder, or join it with its data set "
            "by `ramie pull --dataset`."
        )
    return manifest


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
