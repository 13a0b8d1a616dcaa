"""Posts of the sample world: what is said, which mention is whom, and what the photo shows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pipelines.sample import wording
from pipelines.sample.cast import TYPES, Entity
from pipelines.sample.names import Namer
from pipelines.sample.photos import Scene, draw_scene, random_thing

_SECOND_ENTITY: Final = 0.2
_FILLER: Final = 0.85
_SECOND_FILLER: Final = 0.2
_STATED_RELATION: Final = 0.35
# The most frequent answer, as in real data: who knows nothing of a pair does best to say so, with
# no evidence as well as with somebody else's.
_NO_RELATION: Final = 0.35
_NO_PHOTO: Final = 0.02
_PHOTO_OF_SOMETHING_ELSE: Final = 0.04


class Mention(NamedTuple):
    """A mention in a post: end-exclusive tokens, type, and whom it means (None for fillers)."""

    start: int
    end: int
    kind: str
    entity: Entity | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A post before it is written to a file.

    Attributes:
        post_id: unique in the data set.
        tokens: the words.
        mentions: all entities in order of ``start``.
        shown: the entities whose badges the photo shows; None where there is no photo.
        stated: True where the post itself says the relation.
        pair: head, tail and label of the relation, for posts about a pair.
    """

    post_id: str
    tokens: tuple[str, ...]
    mentions: tuple[Mention, ...]
    shown: tuple[Entity, ...] | None
    stated: bool = False
    pair: tuple[Entity, Entity, str] | None = None

    def mention_of(self, entity: Entity) -> Mention:
        """Return where the post mentions ``entity``."""
        return next(mention for mention in self.mentions if mention.entity is entity)


@dataclass(slots=True)
class _Sentence:
    """Collects words and mentions while a pattern is filled in."""

    tokens: list[str] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)

    def add(self, pattern: str, values: Mapping[str, tuple[str, str, Entity | None]]) -> None:
        for word in pattern.split():
            if word not in values:
                self.tokens.append(word)
                continue
            name, kind, entity = values[word]
            start = len(self.tokens)
            self.tokens += name.split()
            self.mentions.append(Mention(start, len(self.tokens), kind, entity))


def entity_posts(
    split: str, count: int, entities: Sequence[Entity], namer: Namer, rng: random.Random
) -> Iterator[Draft]:
    """Yield posts about one entity, sometimes two; all types equally often."""
    supply = _balanced(entities, rng)
    for number in range(count):
        about = [next(supply)]
        if rng.random() < _SECOND_ENTITY:
            about.append(next(e for e in supply if e.name != about[0].name))
        sentence = _Sentence()
        pattern = rng.choice(wording.ONE if len(about) == 1 else wording.TWO)
        slots = zip(("{x}", "{y}"), about, strict=False)
        sentence.add(pattern, {slot: (e.name, e.kind, e) for slot, e in slots})
        num_fillers = (rng.random() < _FILLER) + (rng.random() < _SECOND_FILLER)
        _add_fillers(sentence, num_fillers, namer, rng)
        yield _finish(f"{split}-{number:04d}", sentence, about, rng)


def relation_posts(
    split: str, count: int, entities: Sequence[Entity], rng: random.Random
) -> Iterator[Draft]:
    """Yield posts about a pair whose relation is mostly not stated; all relations equally often.

    No pair comes twice in either order, so that a page about a pair answers one post.
    """
    labels = _cycle(tuple(wording.RELATIONS), rng)
    seen: set[frozenset[str]] = set()
    for number in range(count):
        label = next(labels)
        head, tail = _new_pair(label, entities, seen, rng)
        related = rng.random() >= _NO_RELATION
        stated = rng.random() < _STATED_RELATION
        sentence = _Sentence()
        if stated:
            said = wording.RELATIONS[label][3] if related else wording.PLAIN_NONE
            slots = {"{h}": head, "{t}": tail}
            pattern = rng.choice(said)
        else:
            first, second = rng.sample((head, tail), 2)
            slots = {"{x}": first, "{y}": second}
            pattern = rng.choice(wording.PAIR)
        sentence.add(pattern, {slot: (e.name, e.kind, e) for slot, e in slots.items()})
        answer = label if related else wording.NO_RELATION
        draft = _finish(f"{split}-{number:04d}", sentence, [head, tail], rng)
        yield Draft(
            draft.post_id, draft.tokens, draft.mentions, draft.shown, stated, (head, tail, answer)
        )


def draw_post(draft: Draft, rng: random.Random) -> Scene | None:
    """Return the post's photo: badges and companions of whom it shows, among other things."""
    if draft.shown is None:
        return None
    things = [entity.companion for entity in draft.shown]
    things += [random_thing(rng) for _ in range(1 if draft.shown else 3)]
    return draw_scene([entity.badge for entity in draft.shown], things, rng)


def _balanced(entities: Sequence[Entity], rng: random.Random) -> Iterator[Entity]:
    """Yield entities for ever: type after type equally often, and every entity of a type too."""
    queues: dict[str, list[Entity]] = {kind: [] for kind in TYPES}
    for kind in _cycle(TYPES, rng):
        if not queues[kind]:
            queues[kind] = [entity for entity in entities if entity.kind == kind]
            rng.shuffle(queues[kind])
        yield queues[kind].pop()


def _cycle(values: tuple[str, ...], rng: random.Random) -> Iterator[str]:
    while True:
        yield from rng.sample(values, len(values))


def _new_pair(
    label: str, entities: Sequence[Entity], seen: set[frozenset[str]], rng: random.Random
) -> tuple[Entity, Entity]:
    head_kind, tail_kind = wording.RELATIONS[label][:2]
    heads = [entity for entity in entities if entity.kind == head_kind]
    tails = [entity for entity in entities if entity.kind == tail_kind]
    for _ in range(1000):
        head, tail = rng.choice(heads), rng.choice(tails)
        names = frozenset((head.name, tail.name))
        if len(names) == 2 and names not in seen:
            seen.add(names)
            return head, tail
    raise AssertionError("more posts about pairs than the split has pairs")


def _add_fillers(sentence: _Sentence, count: int, namer: Namer, rng: random.Random) -> None:
    for kind in rng.sample(TYPES, count):
        name = rng.choice(wording.FILLER_NAMES[kind]).format(w=namer.word())
        sentence.tokens.append(rng.choice((",", "-", ".")))
        sentence.add(rng.choice(wording.FILLER[kind]), {"{f}": (name, kind, None)})


def _finish(post_id: str, sentence: _Sentence, about: list[Entity], rng: random.Random) -> Draft:
    """Add what posts are full of: hashtags, handles, lower case, photos of something else."""
    tokens, mentions = list(sentence.tokens), sentence.mentions
    if rng.random() < 0.1:
        tokens = [token.lower() for token in tokens]
    for start, end, _, entity in mentions:
        if entity and end == start + 1 and rng.random() < 0.08:
            tokens[start] = f"#{tokens[start]}"
    if rng.random() < 0.25:
        tokens.append(rng.choice(wording.HASHTAGS))
    if rng.random() < 0.2:
        tokens.append(rng.choice(wording.EMOTICONS))
    if rng.random() < 0.2:
        handle = f"@user{rng.randint(10, 999)}"
        tokens.insert(0, handle)
        mentions = [Mention(m.start + 1, m.end + 1, m.kind, m.entity) for m in mentions]
    shown: tuple[Entity, ...] | None = tuple(about)
    if rng.random() < _PHOTO_OF_SOMETHING_ELSE:
        shown = ()
    if rng.random() < _NO_PHOTO:
        shown = None
    return Draft(post_id, tuple(tokens), tuple(mentions), shown)
