"""Which errors are left: by type, seen or not, evidence found or not, and of which kind.

Every annotated and every predicted answer is in exactly one cell of each grouping, so that the
cells of a grouping add up to the score of the split; only by the kind of evidence that was kept
may it be in two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from cache import STREAMS, EvidenceItem, Example, Span
from model.data import Task
from model.scoring.metrics import Counts

Kind = Literal["right", "type", "boundary", "boundary and type", "missed", "spurious"]
KINDS: Final[tuple[Kind, ...]] = (
    "right",
    "type",
    "boundary",
    "boundary and type",
    "missed",
    "spurious",
)
# Stands for the answer that is not there where something was missed or is spurious.
NOTHING: Final = "(nothing)"
_ITEM_EDGES: Final = (0, 2, 5, 10, 20)

# A relation is of the whole post: its answers are told apart by their label alone.
_NO_SPAN: Final = Span(0, 0)

Pair = tuple[Span | None, Span | None]
Seen = frozenset[tuple[str, ...]]


class Answered(NamedTuple):
    """A post with what was predicted for it.

    Attributes:
        example: the post as annotated.
        entities: predicted entities; empty for relations.
        relation: predicted relation; empty for entities.
        evidence: what the store keeps of it, whether the model reads it or not.
    """

    example: Example
    entities: tuple[Span, ...]
    relation: str
    evidence: Sequence[EvidenceItem]


class Group(NamedTuple):
    """Counts of the answers in one cell, and how many posts they come from."""

    counts: Counts
    posts: int

    def to_json(self) -> dict[str, float]:
        """Return ratios and counts."""
        return {**self.counts.to_json(), "posts": self.posts}


@dataclass(slots=True)
class _Tally:
    """Cells of one grouping, growing."""

    cells: dict[str, Counter[str]] = field(default_factory=dict)
    posts: dict[str, set[str]] = field(default_factory=dict)

    def add(self, cell: str, outcome: str | None, example_id: str) -> None:
        """Count an outcome (tp, fp, fn; None only notes the post)."""
        counts = self.cells.setdefault(cell, Counter())
        if outcome is not None:
            counts[outcome] += 1
        self.posts.setdefault(cell, set()).add(example_id)

    def groups(self, order: Iterable[str] = ()) -> dict[str, Group]:
        """Return the cells, those named in ``order`` first and also where they are empty."""
        names = list(dict.fromkeys([*order, *sorted(self.cells)]))
        return {
            name: Group(Counts(**self.cells.get(name, Counter())), len(self.posts.get(name, ())))
            for name in names
        }


@dataclass(frozen=True, slots=True)
class ErrorAnalysis:
    """Errors of a split.

    Attributes:
        posts: how many.
        total: micro counts, strict.
        by_type: of entities or relations (without the label for none).
        by_seen: whether the posts that were trained on have an entity of the same words
            (relations: the same two mentions), case folded.
        by_evidence: what the store keeps for the post; a post may be in two.
        by_items: how many pieces of evidence it keeps.
        kinds: how many answers are right, and how the others are wrong; see `pair_up`.
        confusion: annotated label -> predicted label -> how often, of the pairs of `pair_up`.
    """

    posts: int
    total: Counts
    by_type: Mapping[str, Group]
    by_seen: Mapping[str, Group]
    by_evidence: Mapping[str, Group]
    by_items: Mapping[str, Group]
    kinds: Mapping[Kind, int]
    confusion: Mapping[str, Mapping[str, int]]

    @property
    def groupings(self) -> dict[str, Mapping[str, Group]]:
        """The groupings by what they are called."""
        return {
            "type": self.by_type,
            "seen in training": self.by_seen,
            "evidence kept": self.by_evidence,
            "pieces of evidence": self.by_items,
        }

    def to_json(self) -> dict[str, object]:
        """Return all cells with their counts."""
        cells = {
            name.replace(" ", "_"): {cell: group.to_json() for cell, group in groups.items()}
            for name, groups in self.groupings.items()
        }
        return {
            "posts": self.posts,
            "total": self.total.to_json(),
            "by": cells,
            "kinds": dict(self.kinds),
            "confusion": {gold: dict(row) for gold, row in self.confusion.items()},
        }


def analyse(
    task: Task, answered: Sequence[Answered], seen: Seen, none_label: str | None = None
) -> ErrorAnalysis:
    """Return where the errors are.

    Args:
        task: what was predicted.
        answered: posts annotated for it.
        seen: `training_forms` of the posts that were trained on.
        none_label: see `model.scoring.metrics.find_none_label`; None for entities.
    """
    total: Counter[str] = Counter()
    kinds: Counter[Kind] = Counter()
    confusion: dict[str, Counter[str]] = {}
    types, by_seen, by_evidence, by_items = _Tally(), _Tally(), _Tally(), _Tally()
    for post in answered:
        name = post.example.post.example_id
        places = [(by_evidence, cell) for cell in _evidence_cells(post.evidence)]
        places.append((by_items, _items_cell(len(post.evidence))))
        for tally, cell in places:
            tally.add(cell, None, name)
        for pair in _pairs(task, post, none_label):
            kinds[_kind(pair)] += 1
            _note(confusion, pair)
            for answer, outcome in _outcomes(pair):
                total[outcome] += 1
                was_seen = "seen" if _form(task, post.example, answer) in seen else "unseen"
                here = [*places, (types, answer.label), (by_seen, was_seen)]
                for tally, cell in here:
                    tally.add(cell, outcome, name)
    return ErrorAnalysis(
        posts=len(answered),
        total=Counts(**total),
        by_type=types.groups(),
        by_seen=by_seen.groups(("seen", "unseen")),
        by_evidence=by_evidence.groups(("none", "some text", "some image")),
        by_items=by_items.groups(_items_cell(edge) for edge in (*_ITEM_EDGES, 21)),
        kinds={kind: kinds[kind] for kind in KINDS},
        confusion={gold: dict(sorted(row.items())) for gold, row in sorted(confusion.items())},
    )


def training_forms(task: Task, examples: Iterable[Example]) -> Seen:
    """Return the case-folded words of every entity, or the two mentions of every relation."""
    return frozenset(
        _form(task, example, answer)
        for example in examples
        for answer in (example.entities or () if task == "entities" else (_NO_SPAN,))
    )


def pair_up(gold: Iterable[Span], predicted: Iterable[Span]) -> list[Pair]:
    """Return each annotated entity with the prediction that meant it, and all that are alone.

    Each is in one pair. Those with the same words and type find each other first, then the same
    words, then overlapping ones of the same type, then any overlapping ones, most words first.
    """
    left, right = sorted(set(gold)), sorted(set(predicted))
    candidates = sorted(
        (
            (_closeness(wanted, found), wanted, found)
            for wanted in left
            for found in right
            if _overlap(wanted, found)
        ),
        key=lambda candidate: (*(-value for value in candidate[0]), candidate[1:]),
    )
    pairs: list[Pair] = []
    free_left, free_right = set(left), set(right)
    for _, wanted, found in candidates:
        if wanted in free_left and found in free_right:
            pairs.append((wanted, found))
            free_left.remove(wanted)
            free_right.remove(found)
    pairs += [(wanted, None) for wanted in sorted(free_left)]
    pairs += [(None, found) for found in sorted(free_right)]
    return pairs


def _pairs(task: Task, post: Answered, none_label: str | None) -> list[Pair]:
    if task == "entities":
        return pair_up(post.example.entities or (), post.entities)
    wanted, found = (
        None if label == none_label else _NO_SPAN._replace(label=label)
        for label in (post.example.relation or "", post.relation)
    )
    return [] if wanted is None and found is None else [(wanted, found)]


def _kind(pair: Pair) -> Kind:
    wanted, found = pair
    if wanted is None:
        return "spurious"
    if found is None:
        return "missed"
    if wanted[:2] == found[:2]:
        return "right" if wanted.label == found.label else "type"
    return "boundary" if wanted.label == found.label else "boundary and type"


def _outcomes(pair: Pair) -> list[tuple[Span, str]]:
    """Return what the strict score counts of a pair: a hit once, anything else on both sides."""
    wanted, found = pair
    if wanted is not None and wanted == found:
        return [(wanted, "tp")]
    sides = ((wanted, "fn"), (found, "fp"))
    return [(span, outcome) for span, outcome in sides if span is not None]


def _note(confusion: dict[str, Counter[str]], pair: Pair) -> None:
    wanted, found = (NOTHING if span is None else span.label for span in pair)
    confusion.setdefault(wanted, Counter())[found] += 1


def _form(task: Task, example: Example, answer: Span) -> tuple[str, ...]:
    """Return the words of an entity, or of the post's two mentions."""
    post = example.post
    spans = (answer,) if task == "entities" else (post.head, post.tail)
    return tuple(" ".join(post.tokens[span.start : span.end]).casefold() for span in spans if span)


def _overlap(one: Span, other: Span) -> int:
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def _closeness(one: Span, other: Span) -> tuple[bool, bool, int]:
    return one[:2] == other[:2], one.label == other.label, _overlap(one, other)


def _evidence_cells(kept: Sequence[EvidenceItem]) -> list[str]:
    found = {STREAMS[item.stream][1] for item in kept}
    return [f"some {modality}" for modality in ("text", "image") if modality in found] or ["none"]


def _items_cell(count: int) -> str:
    low = 0
    for high in _ITEM_EDGES:
        if count <= high:
            return str(high) if low == high else f"{low} to {high}"
        low = high + 1
    return f"{low} or more"
