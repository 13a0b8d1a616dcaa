"""The entities of the sample world: namesakes of different types, each with its own look."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from pipelines.sample.icons import Badge
from pipelines.sample.names import Namer
from pipelines.sample.palette import COLOURS, MARKS, OBJECTS, SHAPES
from pipelines.sample.photos import Thing

TYPES: Final[tuple[str, ...]] = ("PER", "LOC", "ORG", "MISC")
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "PER": ("singer", "striker", "painter", "senator"),
    "LOC": ("village", "harbour", "valley", "island"),
    "ORG": ("company", "club", "bank", "newspaper"),
    "MISC": ("album", "film", "console", "sneaker"),
}


@dataclass(frozen=True, slots=True)
class Entity:
    """Somebody or something of the world.

    Attributes:
        entity_id: unique in the world; appears in the truth only.
        name: the surface form, shared with namesakes of other types.
        kind: one of `TYPES`.
        role: what it is, in one word of `ROLES`.
        badge: its emblem; photos of it show it.
        companion: the object that its photos show beside the badge, whatever its type.
    """

    entity_id: str
    name: str
    kind: str
    role: str
    badge: Badge
    companion: Thing


class BadgeMint:
    """Gives badges that are all different, and differ in two traits where that can be had."""

    def __init__(self, rng: random.Random) -> None:
        """Start with no badge given."""
        self._rng = rng
        self._given: set[tuple[str, ...]] = set()

    def badge(self, unlike: list[Badge]) -> Badge:
        """Return a new badge with another shape and another field than each of ``unlike``."""
        for attempt in range(1000):
            field, charge = self._rng.sample(tuple(COLOURS), 2)
            badge = Badge(self._rng.choice(SHAPES), field, charge, self._rng.choice(MARKS))
            if any(b.shape == badge.shape or b.field == badge.field for b in unlike):
                continue
            traits = (badge.shape, badge.field, badge.charge, badge.mark)
            near = {_without(traits, i) for i in range(4)} if attempt < 100 else {traits}
            if near & self._given:
                continue
            self._given |= {traits, *(_without(traits, i) for i in range(4))}
            return badge
        raise AssertionError("the palette has far more badges than a world has entities")


def _without(traits: tuple[str, ...], index: int) -> tuple[str, ...]:
    return (*traits[:index], "*", *traits[index + 1 :])


def cast_entities(
    split: str, num_names: int, namer: Namer, mint: BadgeMint, rng: random.Random
) -> list[Entity]:
    """Return the entities of one split: two or three namesakes for each of ``num_names`` names.

    Types are as good as equally frequent, so that none can be guessed.
    """
    entities: list[Entity] = []
    supply: list[str] = []
    for number in range(num_names):
        name = namer.name()
        kinds: list[str] = []
        badges: list[Badge] = []
        for _ in range(rng.choice((2, 3))):
            if not set(supply) - set(kinds):
                supply += rng.sample(TYPES, len(TYPES))
            kind = next(kind for kind in supply if kind not in kinds)
            supply.remove(kind)
            kinds.append(kind)
            badges.append(mint.badge(unlike=badges))
            entities.append(
                Entity(
                    entity_id=f"{split}-{number:03d}-{kind.lower()}",
                    name=name,
                    kind=kind,
                    role=rng.choice(ROLES[kind]),
                    badge=badges[-1],
                    companion=Thing(rng.choice(OBJECTS[:-1]), rng.choice(tuple(COLOURS))),
                )
            )
    return entities
