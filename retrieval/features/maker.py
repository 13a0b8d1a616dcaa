"""What makes the arrays of feature sets: model and rules behind one door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from cache.errors import InputError
from cache.feature_keys import Array, feature_key
from cache.keys import fingerprint, post_sha256
from cache.records import FeatureSet, Media, StoredExample
from cache.region_graph import REGION_GRAPH_VERSION, region_graph
from retrieval.features.parses import Parser, load_parser, parser_source
from retrieval.features.visual import VISUAL_VERSION, Tower, Views, look_at_photos
from retrieval.settings import ObserveSettings

Wanted = Mapping[FeatureSet, Mapping[str, StoredExample]]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Arrays of one feature set, by key.

    Attributes:
        by_key: the arrays.
        stages: of ``pyramid``: channels of each stage; none where there is no array.
    """

    by_key: Mapping[str, Array] = field(default_factory=dict)
    stages: tuple[int, ...] = ()


class EncodingTower(Tower, Protocol):
    """A tower that says which encoder it is of."""

    @property
    def encoder_fingerprint(self) -> str:
        """Empty without an encoder."""
        ...


class FeatureMaker:
    """Makes the feature sets that settings ask for; models are loaded when first needed.

    Attributes:
        names: of the sets, those that were asked for.
    """

    def __init__(self, settings: ObserveSettings, tower: EncodingTower) -> None:
        """Make what ``settings`` name, with ``tower`` for photos."""
        self.names: tuple[FeatureSet, ...] = tuple(dict.fromkeys(settings.features))
        self._settings = settings
        self._tower = tower

    def check(self) -> None:
        """Make sure that all sets can be made.

        Raises:
            InputError: what makes one of them is not there.
        """
        for name in self.names:
            self.source(name)

    def source(self, name: FeatureSet) -> str:
        """Return what decides the arrays of a set; no model is loaded for it.

        Raises:
            InputError: what makes them is not there.
        """
        if name == "parse":
            return parser_source(self._settings.parser)
        if name == "region_graph":
            return f"boxes, rule {REGION_GRAPH_VERSION}"
        if not self._tower.encoder_fingerprint:
            raise InputError(
                f"the feature set {name} is made by an encoder, and observe.encoder is 'none'. "
                f"Name one, or leave {name} out of observe.features."
            )
        decides = {
            "encoder": self._tower.encoder_fingerprint,
            "open_clip": version("open_clip_torch"),
            "pillow": version("pillow"),
            # Sums come out in another order in another batch.
            "batch_size": self._settings.batch_size,
            "rule": VISUAL_VERSION,
        }
        return f"{Path(self._settings.encoder).name} {fingerprint(decides)}"

    def make(self, wanted: Wanted, photo: Callable[[str], Media]) -> dict[FeatureSet, Arrays]:
        """Return arrays.

        Args:
            wanted: by set and key, a post that the array is of.
            photo: returns a photo by its key.
        """
        grids, pyramids = wanted.get("grid", {}), wanted.get("pyramid", {})
        views = Views()
        if grids or pyramids:
            views = look_at_photos(self._tower, grids, pyramids, photo)
        made: dict[FeatureSet, Arrays] = {
            "grid": Arrays(views.grids),
            "pyramid": Arrays(views.pyramids, views.stages if pyramids else ()),
            "parse": Arrays(
                {
                    key: self._parser.heads(post.example.post.tokens)
                    for key, post in wanted.get("parse", {}).items()
                }
            ),
            "region_graph": Arrays(
                {
                    key: region_graph([region.box for region in post.observation.regions])
                    for key, post in wanted.get("region_graph", {}).items()
                }
            ),
        }
        return {name: made[name] for name in wanted}

    def of_post(
        self, names: Iterable[FeatureSet], post: StoredExample, photo: Media | None
    ) -> dict[FeatureSet, Array]:
        """Return the arrays of one post that is in no store, those that it has.

        Args:
            names: of the sets.
            post: as a store would hold it.
            photo: its photo, None without one.
        """
        post = replace(post, post_sha256=post_sha256(post.example.post))
        wanted: dict[FeatureSet, dict[str, StoredExample]] = {}
        for name in names:
            key = feature_key(name, post)
            if key:
                wanted[name] = {key: post}
        made = self.make(wanted, lambda _: _there(photo))
        return {name: array for name, arrays in made.items() for array in arrays.by_key.values()}

    @cached_property
    def _parser(self) -> Parser:
        return load_parser(self._settings.parser)


def _there(photo: Media | None) -> Media:
    # Only a post with a photo has keys that ask for one.
    assert photo is not None
    return photo
