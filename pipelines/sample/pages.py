"""Pages of the sample world that help: biographies, news, and pages about a pair of entities."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from PIL import Image

from pipelines.sample import wording
from pipelines.sample.cast import Entity
from pipelines.sample.names import Namer
from pipelines.sample.photos import draw_scene, random_thing
from pipelines.sample.posts import Draft

_LOOKS_IN_TEXT: Final = 0.5
_PAIR_WITH_PHOTO: Final = 0.3
_OTHER_PARTNER: Final = 0.3

# Draws when called, the same each time, so that text can be made without drawing.
Photo = Callable[[], Image.Image]


@dataclass(frozen=True, slots=True)
class Page:
    """One document of the knowledge base, with the truth about it.

    Attributes:
        title: of the page.
        text: of the page.
        kind: ``biography``, ``news``, ``pair`` or a kind of noise; truth.
        about: ids of the entities it is about; truth.
        photo: draws what the page shows; None without a photo.
        relation: that it states between the two entities it is about; truth.
        detail: what else there is to say of its kind; truth.
    """

    title: str
    text: str
    kind: str
    about: tuple[str, ...] = ()
    photo: Photo | None = None
    relation: str = ""
    detail: dict[str, str] = field(default_factory=dict)


def entity_pages(entities: Sequence[Entity], namer: Namer, rng: random.Random) -> Iterator[Page]:
    """Yield a biography of every entity, with a photo, and news, with a close-up of its badge."""
    for entity in entities:
        biography = fill(rng.choice(wording.BIOGRAPHY[entity.kind]), entity, namer, rng)
        if rng.random() < _LOOKS_IN_TEXT:
            biography += " " + looks(entity, rng)
        about = (entity.entity_id,)
        yield Page(entity.name, biography, "biography", about, entities_photo((entity,), rng))
        news = fill(rng.choice(wording.NEWS[entity.kind]), entity, namer, rng)
        title = f"{entity.name} : {rng.choice(('latest', 'report', 'pictures', 'update'))}"
        close_up = partial(_draw_close_up, entity, rng.getrandbits(64))
        yield Page(title, news, "news", about, close_up)


def pair_pages(
    drafts: Sequence[Draft], entities: Sequence[Entity], rng: random.Random
) -> Iterator[Page]:
    """Yield a page that states the relation of each related pair, and pages of other pairs.

    Pages about one of the two with somebody else state another relation: who reads only one
    name is misled.
    """
    taken = {frozenset(entity.name for entity in draft.pair[:2]) for draft in drafts if draft.pair}
    for draft in drafts:
        if draft.pair is None:
            continue
        head, tail, label = draft.pair
        if label != wording.NO_RELATION:
            yield pair_page(head, tail, label, rng)
        for one in (head, tail):
            if rng.random() < _OTHER_PARTNER:
                other = _other_pair(one, label, entities, taken, rng)
                if other is not None:
                    yield pair_page(*other, rng)


def pair_page(head: Entity, tail: Entity, label: str, rng: random.Random) -> Page:
    """Return a page that states a relation; some of them show both badges."""
    said = rng.choice(wording.RELATIONS[label][2])
    text = sentence_case(said.format(h=head.name, t=tail.name, year=rng.randint(1950, 2024)))
    photo = entities_photo((head, tail), rng) if rng.random() < _PAIR_WITH_PHOTO else None
    title = f"{head.name} and {tail.name}"
    return Page(title, text, "pair", (head.entity_id, tail.entity_id), photo, label)


def entities_photo(entities: Sequence[Entity], rng: random.Random) -> Photo:
    """Return a photo of the badges and companions of ``entities`` among some other things."""
    return partial(_draw_entities, tuple(entities), rng.getrandbits(64))


def fill(pattern: str, entity: Entity, namer: Namer, rng: random.Random) -> str:
    """Return ``pattern`` with the entity, a year and an invented word filled in."""
    filled = pattern.format(
        x=entity.name, role=entity.role, year=rng.randint(1950, 2024), w=namer.word()
    )
    return sentence_case(filled)


def looks(entity: Entity, rng: random.Random) -> str:
    """Return a sentence that describes the entity's badge."""
    badge = entity.badge
    return rng.choice(wording.LOOKS).format(
        field=badge.field,
        shape=badge.shape,
        charge=badge.charge,
        mark=badge.mark,
        colour=entity.companion.colour,
        thing=entity.companion.kind,
    )


def sentence_case(text: str) -> str:
    """Return ``text`` with a capital first letter."""
    return text[:1].upper() + text[1:]


def _other_pair(
    one: Entity,
    label: str,
    entities: Sequence[Entity],
    taken: set[frozenset[str]],
    rng: random.Random,
) -> tuple[Entity, Entity, str] | None:
    """Return a pair of ``one`` with somebody else and another relation, if its type has one."""
    options = []
    for other_label, (head_kind, tail_kind, _, _) in wording.RELATIONS.items():
        if other_label != label and one.kind == head_kind:
            options.append((other_label, tail_kind, True))
        if other_label != label and one.kind == tail_kind:
            options.append((other_label, head_kind, False))
    if not options:
        return None
    other_label, kind, is_head = rng.choice(options)
    partners = [
        entity
        for entity in entities
        if entity.kind == kind
        and entity.name != one.name
        and frozenset((entity.name, one.name)) not in taken
    ]
    if not partners:
        return None
    partner = rng.choice(partners)
    return (one, partner, other_label) if is_head else (partner, one, other_label)


def _draw_entities(entities: tuple[Entity, ...], seed: int) -> Image.Image:
    rng = random.Random(seed)
    things = [entity.companion for entity in entities]
    things += [random_thing(rng) for _ in range(rng.randint(0, 1) if entities else 3)]
    return draw_scene([entity.badge for entity in entities], things, rng).picture


def _draw_close_up(entity: Entity, seed: int) -> Image.Image:
    return draw_scene([entity.badge], [], random.Random(seed)).picture
