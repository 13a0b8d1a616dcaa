"""Audit of a store: do numbers about the evidence tell the label, and do the splits overlap?

The only place where metadata and annotations meet; nothing that is learned here leaves it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from cache import Example, InputError, StoredExample, StoreReader, StoreWithheld, open_store
from pipelines.audit.agreement import agreement_columns
from pipelines.audit.features import SCORES, Fields, buckets, fields_of, post_columns
from pipelines.audit.overlap import (
    NEAR_PHOTO,
    NEAR_TEXT,
    QUOTED,
    SAME_PHOTO,
    Overlap,
    Pair,
    overlaps,
    pairs_of_equals,
    pairs_of_looks,
    pairs_of_quotes,
    pairs_of_words,
)
from pipelines.audit.probes import (
    TOGETHER,
    Field,
    Finding,
    Folding,
    probe_fields,
    targets_of,
)
from retrieval.curation.curate import ImageHashes
from retrieval.curation.dedup_images import ImageHash
from retrieval.curation.dedup_text import words
from retrieval.curation.filters import UndecodableImage
from retrieval.curation.leaks import LeakGuard

MARGIN: Final = 0.02
BARE_POST: Final = "the bare post"
READING: Final = "post and evidence compared"
# A file that stands in for missing photos is no photo that posts share, nor are such words.
_PLACEHOLDER_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found.

    Attributes:
        posts: posts in the store.
        margin: gain that is forgiven.
        findings: every probe of every field.
        overlaps: what splits have in common.
        photos_compared: photos whose looks were compared; those without bytes are missing.
    """

    posts: int
    margin: float
    findings: tuple[Finding, ...]
    overlaps: tuple[Overlap, ...]
    photos_compared: int

    @property
    def leaks(self) -> list[Finding]:
        """Findings whose gain is beyond the margin for sure, the largest first.

        Several fields together are named only where no field alone gives the label away.
        """
        found = [one for one in self.findings if one.low > self.margin]
        single = [one for one in found if not one.field.endswith(TOGETHER)]
        return sorted(single or found, key=lambda one: (-one.low, one.field, one.target))

    def as_json(self) -> dict[str, object]:
        """Return all of it for a machine."""
        return {
            "posts": self.posts,
            "margin": self.margin,
            "leaks": [asdict(one) for one in self.leaks],
            "findings": [asdict(one) for one in self.findings],
            "overlaps": [asdict(one) for one in self.overlaps],
            "photos_compared": self.photos_compared,
        }


@dataclass(slots=True)
class _Gathered:
    """The posts of a store in order of their ids, with what the audit needs of each."""

    examples: list[Example]
    fields: list[Fields]
    bare: list[dict[str, float]]
    compared: list[dict[str, float]]
    photos: list[str]
    texts: dict[str, list[str]]


def audit_store(
    path: Path, *, folds: int = 5, seed: int = 0, margin: float = MARGIN, progress: bool = False
) -> AuditReport:
    """Return what metadata of the evidence tells about the labels, and what splits share.

    Args:
        path: folder of the store.
        folds: of the cross-validation, at least 2.
        seed: of the folds.
        margin: gain in accuracy over the innocent probes that is forgiven.
        progress: show bars where the output is a terminal.

    Raises:
        InputError: there are no annotations, or too few posts.
    """
    if folds < 2:
        raise InputError(f"{folds} folds leave nothing to learn from; give 2 or more.")
    quiet = None if progress else True
    with open_store(path, reader="parquet") as store:
        posts = _gather(store, quiet)
        findings = _probe(path, posts, folds, seed, quiet)
        hashes = _photo_hashes(store, posts.photos, quiet)
    return AuditReport(
        posts=len(posts.examples),
        margin=margin,
        findings=tuple(findings),
        overlaps=tuple(_overlaps(posts, hashes)),
        photos_compared=len(hashes),
    )


def _gather(store: StoreReader, quiet: bool | None) -> _Gathered:
    found = _Gathered([], [], [], [], [], {})
    slots = _slots(store)
    for name in tqdm(store.example_ids(), desc="read", unit="post", disable=quiet):
        stored: StoredExample = store.read(name)
        seen = stored.observation
        found.examples.append(stored.example)
        found.fields.append(fields_of(seen, stored.evidence, store.dropped(name), slots))
        found.bare.append(post_columns(seen.post))
        found.compared.append(agreement_columns(seen, stored.evidence))
        found.photos.append(seen.photo_key or seen.post.photo_name)
        found.texts[name] = [item.hit.text for item in stored.evidence if item.hit.text]
    return found


def _slots(store: StoreReader) -> int:
    """Return how much evidence a stream may have; 1 where the manifest does not say."""
    value: object = store.manifest.identity
    for key in ("settings", "curate", "keep_per_stream"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int) and value > 0 else 1


def _probe(
    path: Path, posts: _Gathered, folds: int, seed: int, quiet: bool | None
) -> list[Finding]:
    targets = targets_of(posts.examples)
    if not targets:
        raise InputError(
            f"the posts of {path} have no annotations that differ, so there is nothing that "
            "evidence could give away. Audit a store of an annotated data set."
        )
    bare, compared = buckets(posts.bare)[1], buckets(posts.compared, most=100)[1]
    innocent = {BARE_POST: bare, READING: np.concatenate([bare, compared], axis=1)}
    folding = Folding(_groups(posts), folds, seed)
    fields = list(_fields(posts.fields))
    with tqdm(desc="probe", unit="field", disable=quiet) as bar:
        return probe_fields(targets, fields, innocent, folding, lambda _: bar.update())


def _fields(rows: Sequence[Fields]) -> Iterator[Field]:
    for name in dict.fromkeys(name for fields in rows for name in fields):
        columns, codes = buckets([fields[name] for fields in rows])
        yield Field(name, columns, codes, READING if name in SCORES else BARE_POST)


def _groups(posts: _Gathered) -> list[Hashable]:
    """Return the group of each post: posts that share a photo or all their words are in one.

    What too many of them share stands in for something that is missing, and is no tie.
    """
    by_key: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, (example, photo) in enumerate(zip(posts.examples, posts.photos, strict=True)):
        by_key["words", words(" ".join(example.post.tokens))].append(place)
        if photo:
            by_key["photo", photo].append(place)
    root = list(range(len(posts.examples)))

    def find(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for places in by_key.values():
        if len(places) <= max(2, _PLACEHOLDER_SHARE * len(root)):
            for place in places[1:]:
                root[find(place)] = find(places[0])
    return [find(place) for place in range(len(root))]


def _photo_hashes(
    store: StoreReader, photos: Sequence[str], quiet: bool | None
) -> dict[str, ImageHash]:
    """Return the hashes of the photos whose bytes are in the store."""
    hash_of = ImageHashes(store.media)
    hashes: dict[str, ImageHash] = {}
    for key in tqdm(sorted(set(photos)), desc="photos", unit="photo", disable=quiet):
        try:
            found = hash_of(key)
        except (InputError, StoreWithheld, UndecodableImage):
            # A name, not a key; or the bytes were left out of the store.
            continue
        if found is not None:
            hashes[key] = found
    return hashes


def _overlaps(posts: _Gathered, hashes: Mapping[str, ImageHash]) -> Iterator[Overlap]:
    splits = {one.post.example_id: one.split for one in posts.examples}
    photos = dict(zip(splits, posts.photos, strict=True))
    tokens = {one.post.example_id: one.post.tokens for one in posts.examples}
    guard = LeakGuard(one.post for one in posts.examples)
    yield from overlaps(SAME_PHOTO, pairs_of_equals(photos, splits), splits)
    yield from overlaps(NEAR_PHOTO, _posts_of_photos(photos, pairs_of_looks(hashes)), splits)
    yield from overlaps(NEAR_TEXT, pairs_of_words(tokens, guard), splits)
    yield from overlaps(QUOTED, pairs_of_quotes(posts.texts, guard), splits)


def _posts_of_photos(photos: Mapping[str, str], pairs: Iterator[Pair]) -> Iterator[Pair]:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for name, photo in photos.items():
        homes[photo].append(name)
    for one, other in pairs:
        yield from ((name, partner) for name in homes[one] for partner in homes[other])
