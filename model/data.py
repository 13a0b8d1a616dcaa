"""From what a store holds to what the network reads: everything is tokenised here, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from cache.errors import InputError
from cache.reader import EvidenceItem, Features
from cache.records import STREAMS, Example, FeatureSet, Post, Span, Vector
from model.bio import label_set as bio_label_set
from model.bio import labels_of
from model.pieces import HEAD_MARKERS, TAIL_MARKERS, Passage, Pieces, Window, match_key
from model.settings import ModelSettings

Task = Literal["entities", "relations"]
NONE_RELATION: Final = "None"
UNKNOWN_LABEL: Final = -1
# A CRF has a score for each pair of them.
MAX_LABELS: Final = 2048
# Evidence of which the store knows no consistency fits this post as well as half of the others.
_FITS_AS_WELL: Final = 0.5


@runtime_checkable
class ExampleSource(Protocol):
    """What the trainer needs of a store reader (`cache.open_store`)."""

    def example_ids(self, split: str | None = None) -> tuple[str, ...]:
        """Return the ids of a split (of all, without one), sorted."""
        ...

    def features(self, example_id: str) -> Features:
        """Return what a trainer needs of a post."""
        ...

    def array(self, name: FeatureSet, example_id: str) -> NDArray[Any] | None:
        """Return what a feature set holds of a post; None where it has nothing to hold."""
        ...


def visual_dim_of(source: ExampleSource) -> int:
    """Return the length of the image embeddings of a store; 0 where it has none."""
    manifest: Any = getattr(source, "manifest", None)
    return 0 if manifest is None else manifest.embedding_dim or 0


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One piece of evidence, ready to be read.

    Attributes:
        index: place in the store's list of kept evidence; parts of one long text share it.
        stream: index into ``STREAMS``.
        rank: within its stream, from 0.
        passage: pieces of a textual item; None for an image.
        embedding: unit vector, or None.
        relevance: cosine to the query that found it, or None.
        consistency: share of other posts that it fits less well than its own, or None.
    """

    index: int
    stream: int
    rank: int
    passage: Passage | None
    embedding: Vector | None
    relevance: float | None
    consistency: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evidences:
    """All evidence of one post that a model reads: texts, and images that have an embedding."""

    texts: tuple[Item, ...] = ()
    images: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPost:
    """A post, tokenised.

    Attributes:
        example: the post with its annotations.
        windows: its units (words, and markers for relations) in order.
        labels: for each word the label's index, or `UNKNOWN_LABEL`; None where not annotated.
        relation: index of the relation, `UNKNOWN_LABEL`, or None where not annotated.
        head_unit: index of the marker that opens the head, counted over all windows; or -1.
        tail_unit: the same for the tail.
        mention_keys: `match_key` of head and tail; 0 where there is none.
        evidence: own evidence.
        photo: unit vector of the photo, or None.
        regions: unit vectors of the regions that have one.
        region_indices: which of the post's regions ``regions`` are of.
        sentence: unit vector of the sentence, or None.
        arrays: of the feature sets that the model needs, those that hold something of the post.
    """

    example: Example
    windows: tuple[Window, ...]
    labels: tuple[int, ...] | None
    relation: int | None
    head_unit: int
    tail_unit: int
    mention_keys: tuple[int, int]
    evidence: Evidences
    photo: Vector | None
    regions: tuple[Vector, ...]
    region_indices: tuple[int, ...]
    sentence: Vector | None
    arrays: Mapping[FeatureSet, NDArray[Any]] = field(default_factory=dict)

    def cost(self, *, joint: bool, reads_evidence: bool, evidence: Evidences | None = None) -> int:
        """Return how many pieces the encoder reads for this post with some evidence (its own)."""
        words = sum(len(window.pieces) + 2 for window in self.windows)
        if not reads_evidence:
            return words
        found = (self.evidence if evidence is None else evidence).texts
        texts = sum(len(item.passage.pieces) + 1 for item in found if item.passage)
        shared = words * len(found) if joint else 0
        return words + shared + texts * len(self.windows)


def check_post(post: Post, task: Task) -> None:
    """Refuse a post that the task cannot be done for.

    Raises:
        InputError: no words, no mentions where relations are asked, or a mention outside.
    """
    if not post.tokens:
        raise InputError(f"example {post.example_id} has no words; give it at least one.")
    if task == "entities":
        return
    for name, span in (("head", post.head), ("tail", post.tail)):
        if span is None:
            raise InputError(
                f"example {post.example_id} has no {name} mention, which relations need; "
                "give head and tail, or train the task 'entities'."
            )
        if not 0 <= span.start < span.end <= len(post.tokens):
            raise InputError(
                f"example {post.example_id}: {name} [{span.start}, {span.end}) lies outside its "
                f"{len(post.tokens)} words; correct the span (end-exclusive, from 0)."
            )


def task_of(post: PreparedPost) -> Task:
    """Return the task that a post was prepared for."""
    return "entities" if post.head_unit < 0 else "relations"


def units_of(post: Post, task: Task, markers: dict[str, int]) -> tuple[list[str | int], int, int]:
    """Return words with marker ids between them, and the units that open head and tail.

    Mentions may overlap, touch, be equal, or end the sentence: markers are placed between words,
    closing ones before opening ones, the longer mention around the shorter.
    """
    if task == "entities" or post.head is None or post.tail is None:
        return list(post.tokens), -1, -1
    mentions = [(post.head, HEAD_MARKERS), (post.tail, TAIL_MARKERS)]
    outer_first = sorted(mentions, key=lambda mention: (mention[0].start, -mention[0].end))
    units: list[str | int] = []
    for index in range(len(post.tokens) + 1):
        for span, (_, closing) in reversed(outer_first):
            if span.end == index:
                units.append(markers[closing])
        for span, (opening, _) in outer_first:
            if span.start == index:
                units.append(markers[opening])
        if index < len(post.tokens):
            units.append(post.tokens[index])
    return units, units.index(markers[HEAD_MARKERS[0]]), units.index(markers[TAIL_MARKERS[0]])


def label_set(examples: Iterable[Example], task: Task) -> tuple[str, ...]:
    """Return the labels of a training split in a fixed order; ``O`` or ``None`` come first.

    Raises:
        InputError: nothing is annotated for the task, or with too many labels.
    """
    found: set[str] = set()
    annotated = False
    for example in examples:
        if task == "entities" and example.entities is not None:
            annotated = True
            found.update(span.label for span in example.entities)
        if task == "relations" and example.relation is not None:
            annotated = True
            found.add(example.relation)
    if not annotated:
        raise InputError(
            f"no example of the training split is annotated with {task}; "
            "choose the other task or another store."
        )
    labels = tuple(sorted(found, key=lambda label: (label != NONE_RELATION, label)))
    if task == "entities":
        labels = bio_label_set(found)
    if len(labels) > MAX_LABELS:
        raise InputError(
            f"the training split is annotated with {len(labels):,} labels, more than the "
            f"{MAX_LABELS:,} that a network is made for. Annotate with fewer types."
        )
    return labels


class Preparer:
    """Turns stored examples into prepared posts, all with the same labels and limits."""

    def __init__(
        self, pieces: Pieces, task: Task, labels: Sequence[str], settings: ModelSettings
    ) -> None:
        self.pieces = pieces
        self.task: Task = task
        self.index_of = {label: index for index, label in enumerate(labels)}
        self.settings = settings

    def prepare(self, post: Features) -> PreparedPost:
        """Return ``post`` tokenised.

        Raises:
            InputError: the task cannot be done for this post (`check_post`).
        """
        example = post.example
        check_post(example.post, self.task)
        units, head_unit, tail_unit = units_of(example.post, self.task, self.pieces.markers)
        mentions = (example.post.head, example.post.tail) if head_unit >= 0 else (None, None)
        head_key, tail_key = (_mention_key(example.post, span) for span in mentions)
        markers = self.pieces.markers
        marker_keys = {markers[HEAD_MARKERS[0]]: head_key, markers[TAIL_MARKERS[0]]: tail_key}
        crops = {i: crop for i, crop in enumerate(post.region_embeddings) if crop is not None}
        return PreparedPost(
            example=example,
            windows=self.pieces.windows(units, marker_keys),
            labels=self._labels(example),
            relation=self._relation(example),
            head_unit=head_unit,
            tail_unit=tail_unit,
            mention_keys=(head_key, tail_key),
            evidence=self._evidence(post.evidence),
            photo=post.photo_embedding,
            regions=tuple(crops.values()),
            region_indices=tuple(crops),
            sentence=post.sentence_embedding,
            arrays=post.arrays,
        )

    def _labels(self, example: Example) -> tuple[int, ...] | None:
        if self.task != "entities" or example.entities is None:
            return None
        spans: tuple[Span, ...] = example.entities
        names = labels_of(spans, len(example.post.tokens))
        return tuple(self.index_of.get(name, UNKNOWN_LABEL) for name in names)

    def _relation(self, example: Example) -> int | None:
        if self.task != "relations" or example.relation is None:
            return None
        return self.index_of.get(example.relation, UNKNOWN_LABEL)

    def _evidence(self, kept: Sequence[EvidenceItem]) -> Evidences:
        read = [(i, found) for i, found in enumerate(kept) if self._is_read(found)]
        passages = self._passages([(i, e) for i, e in read if STREAMS[e.stream][1] == "text"])
        texts: list[Item] = []
        images: list[Item] = []
        for index, found in read:
            texts.extend(_item(index, found, passage) for passage in passages.get(index, ()))
            if STREAMS[found.stream][1] == "image" and found.embedding is not None:
                images.append(_item(index, found, None))
        return Evidences(tuple(texts), tuple(images))

    def _is_read(self, found: EvidenceItem) -> bool:
        level, modality = STREAMS[found.stream]
        wanted = level in self.settings.levels and modality in self.settings.modalities
        return wanted and found.rank < self.settings.max_evidence

    def _passages(self, texts: Sequence[tuple[int, EvidenceItem]]) -> dict[int, list[Passage]]:
        """Return the passages that are read of each text, by its index; none for an empty one."""
        left = self.settings.evidence_budget
        if not left:
            alone = ((index, self.pieces.passage(found.text)) for index, found in texts)
            return {index: [passage] for index, passage in alone if passage.pieces}
        read: dict[int, list[Passage]] = {}
        best = sorted(texts, key=lambda text: _worth(text[1]), reverse=True)
        for index, found in best:
            read[index] = self.pieces.passages(found.text, left) if left else []
            left -= sum(len(passage.pieces) for passage in read[index])
        return read


def _worth(found: EvidenceItem) -> tuple[float, int, int]:
    """Return a rank, the best the largest: what fits the post, then what its search put first."""
    fits = _FITS_AS_WELL if found.consistency is None else found.consistency
    return fits, -found.rank, -found.stream


def _item(index: int, found: EvidenceItem, passage: Passage | None) -> Item:
    return Item(
        index,
        found.stream,
        found.rank,
        passage,
        found.embedding,
        found.relevance,
        found.consistency,
    )


def _mention_key(post: Post, span: Span | None) -> int:
    """Return the `match_key` of the mention's longest word, which is the least common one."""
    words = () if span is None else post.tokens[span.start : span.end]
    return match_key(max(words, key=len, default=""))


def read_split(
    source: ExampleSource,
    split: str,
    needs: Sequence[FeatureSet] = (),
    watch: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> list[Features]:
    """Return all posts of a split, with what the feature sets in ``needs`` hold of them.

    Raises:
        InputError: the store has no such split.
    """
    ids = source.example_ids(split)
    if not ids:
        raise InputError(
            f"the store has no examples in split {split!r}; build it from a data set that has "
            "them, or name another split."
        )
    return [_with_arrays(source, example_id, needs) for example_id in watch(ids)]


def _with_arrays(source: ExampleSource, example_id: str, needs: Sequence[FeatureSet]) -> Features:
    features = source.features(example_id)
    arrays = {name: source.array(name, example_id) for name in needs}
    held = {name: array for name, array in arrays.items() if array is not None}
    return features._replace(arrays=held) if held else features
