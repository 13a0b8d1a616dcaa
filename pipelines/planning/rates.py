"""What the stages of a build cost on this machine: seconds a post, measured on a sample."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from cache.errors import InputError
from cache.records import Observation
from pipelines.config import Recipe
from pipelines.planning.sample_build import SampleBuild, build_sample, part_of
from pipelines.sources import make_providers
from retrieval.curation.leaks import LeakGuard
from retrieval.datasets import Dataset, read_dataset
from retrieval.features.maker import FeatureMaker
from retrieval.providers.base import Provider, is_live
from retrieval.sight.observe import Observer

# Of the sample, in the first and smaller build, which loads the models.
_FIRST_SHARE: Final = 3
FEWEST_POSTS: Final = 6
_PER_POST: Final = ("look", "ask", "embed", "curate", "write", "features")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Measured on one machine for one recipe, each stage by itself.

    Attributes:
        posts: in the smaller sample and in the larger one.
        cores: that this process may use.
        starting_s: until the first post can be looked at: libraries, models, knowledge base.
        reading_s: of one post of the data set, from its files.
        stages: seconds of a post by stage: ``look`` (decode, detect, embed, side by side), ``ask``
            (files at hand, and reading answers), ``embed`` (hits without a vector), ``curate``,
            ``write``, ``features``; ``guarding`` (knowing all posts, so that copies of them are
            dropped) and ``closing``.
        comparing_s: of each post that evidence is compared with, before the stages.
        closing_s: whatever the number of posts.
        asked: distinct questions of the larger sample that files at hand answered.
        hits: of a post that answers named.
        kept: of a post that became evidence.
        size_bytes: in the smaller sample and in the larger one, by folder of the store.
    """

    posts: tuple[int, int]
    cores: int
    starting_s: float
    reading_s: float
    stages: dict[str, float]
    comparing_s: float
    closing_s: float
    asked: int
    hits: float
    kept: float
    size_bytes: dict[str, tuple[int, int]]

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as JSON."""
        plain: dict[str, JsonValue] = asdict(self)
        return plain


@dataclass(frozen=True, slots=True)
class Measured:
    """A recipe with what was measured of it.

    Attributes:
        dataset: all of its posts.
        providers: all who are asked.
        sample: posts of the larger sample, observed.
        rates: what the stages cost.
    """

    dataset: Dataset
    providers: Sequence[Provider]
    sample: Sequence[Observation]
    rates: Rates


def measure(recipe: Recipe, posts: int, say: Callable[[str], None]) -> Measured:
    """Build two samples of the recipe's own posts in a folder that is removed; return the rates.

    Live providers are not asked.

    Args:
        recipe: what would be built.
        posts: of the larger sample; from twice ``curate.reference_posts`` on, rates are those of
            a large build.
        say: told what is done.

    Raises:
        InputError: too few posts, or models, data set or knowledge base cannot be used.
    """
    began = time.perf_counter()
    dataset = read_dataset(recipe.dataset)
    reading = (time.perf_counter() - began) / max(1, len(dataset.examples))
    number = min(posts, len(dataset.examples))
    if number < FEWEST_POSTS:
        raise InputError(f"{number} posts tell nothing about rates; take {FEWEST_POSTS} or more.")
    began = time.perf_counter()
    observer = Observer(recipe.observe)
    providers = make_providers(recipe.ask, observer)
    at_hand = [one for one in providers if not is_live(one)]
    features = FeatureMaker(recipe.observe, observer) if recipe.observe.features else None
    loading = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="ramie-plan-") as made:
        builds = []
        for name, size in (("first", max(2, number // _FIRST_SHARE)), ("second", number)):
            say(f"  building {size} posts to measure the rates ...")
            builds.append(
                build_sample(
                    recipe.build_settings(),
                    Path(made) / name,
                    part_of(dataset, size),
                    observer,
                    at_hand,
                    features,
                )
            )
    began = time.perf_counter()
    LeakGuard(example.post for example in dataset.examples)
    guarding = (time.perf_counter() - began) / len(dataset.examples)
    rates = rates_of(builds[0], builds[1], guarding, recipe.curate.reference_posts)
    rates = replace(rates, starting_s=rates.starting_s + loading, reading_s=reading)
    return Measured(dataset, providers, builds[1].observations, rates)


def rates_of(
    first: SampleBuild, second: SampleBuild, guarding_s: float, reference_posts: int
) -> Rates:
    """Return the rates that two builds of samples tell; the first one loaded the models.

    Args:
        first: of fewer posts.
        second: of more posts.
        guarding_s: of a post.
        reference_posts: that evidence is compared with, where there are so many.
    """
    stages = {name: second.seconds.get(name, 0.0) / second.posts for name in _PER_POST}
    stages["guarding"] = guarding_s
    closing, stages["closing"] = through(
        (first.posts, first.seconds["closing"]), (second.posts, second.seconds["closing"])
    )
    comparing = second.seconds["opening"] - guarding_s * second.posts
    loaded = sum(
        max(0.0, first.seconds.get(name, 0.0) - stages[name] * first.posts)
        for name in ("look", "ask", "embed", "features")
    )
    folders = sorted(first.size_bytes.keys() | second.size_bytes.keys())
    return Rates(
        posts=(first.posts, second.posts),
        cores=len(os.sched_getaffinity(0)),
        starting_s=loaded,
        reading_s=0.0,
        stages=stages,
        comparing_s=max(0.0, comparing) / min(reference_posts, second.posts),
        closing_s=closing,
        asked=second.asked,
        hits=second.hits / second.posts,
        kept=second.kept / second.posts,
        size_bytes={
            name: (first.size_bytes.get(name, 0), second.size_bytes.get(name, 0))
            for name in folders
        },
    )


def through(one: tuple[int, float], other: tuple[int, float]) -> tuple[float, float]:
    """Return what is fixed and what comes with each post, of two sums; neither is negative."""
    (few, small), (many, large) = one, other
    each = (large - small) / (many - few) if many != few else large / many
    if each <= 0:
        return large, 0.0
    fixed = large - each * many
    return (fixed, each) if fixed >= 0 else (0.0, large / many)
