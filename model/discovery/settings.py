"""What decides a discovery, beside the network and the training that a recipe has anyway."""

from __future__ import annotations

import itertools
from typing import Final

from pydantic import Field, field_validator

from cache.errors import InputError
from model.settings import Settings, TrainSettings

# Of the training that a recipe has: what discovering reads, beside the seed.
TRAINING: Final = (
    "batch_size",
    "learning_rate",
    "head_learning_rate",
    "warmup",
    "weight_decay",
    "max_grad_norm",
    "precision",
)
# And what it would have to heed, but does not know.
_DEFAULT_ONLY: Final = (
    "accumulate",
    "share",
    "layer_decay",
    "rates",
    "evidence",
    "mismatch",
    "consistency_weight",
    "checkpointing",
    "compile",
)


class SelfOreSettings(Settings):
    """Self-supervised clustering (Hu et al., EMNLP 2020).

    Attributes:
        loops: of clustering and classification; the paper's 5.
        epochs: passes over the posts in the classification of one loop; the paper's 4.
        hidden: width of the network that maps a pair to its latent vector.
        latent: dimensions of the latent vector, in which clusters lie.
        warm_epochs: passes of autoencoding before the clusters are placed.
        refine_epochs: passes that sharpen the clusters; targets are made anew before each.
        rate: learning rate of autoencoding and sharpening.
        settled: the loop ends early when two of its labellings agree to this adjusted Rand index.
    """

    loops: int = Field(default=5, ge=1)
    epochs: int = Field(default=4, ge=1)
    hidden: int = Field(default=400, ge=1)
    latent: int = Field(default=10, ge=1)
    warm_epochs: int = Field(default=50, ge=1)
    refine_epochs: int = Field(default=30, ge=1)
    rate: float = Field(default=1e-3, gt=0)
    settled: float = Field(default=0.95, gt=0, le=1)


class HiureSettings(Settings):
    """Hierarchical exemplar contrast (Liu et al., NAACL 2022).

    Attributes:
        epochs: passes over the posts; the paper's 5.
        instance_epochs: how many of them come before the first exemplars are chosen.
        momentum: how much of the slow encoder stays in a step. The paper's 0.999 is for some
            ten thousand steps; with a hundred, the slow encoder would never move.
        queue: how many earlier pairs a pair is told apart from.
        temperature: of telling pairs apart, and the mean of the exemplars' concentrations.
        layers: exemplars in each layer, from fine to coarse.
        negatives: exemplars of other clusters that a pair is told apart from; 0 is all.
        smoothing: alpha in the concentration; keeps small clusters from counting as tight.
        basis: posts among which exemplars are chosen; time and memory grow with its square.
        damping: share of a message that stays from one round of propagation to the next.
    """

    epochs: int = Field(default=5, ge=1)
    instance_epochs: int = Field(default=1, ge=0)
    momentum: float = Field(default=0.99, ge=0, lt=1)
    queue: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.2, gt=0)
    layers: tuple[int, ...] = Field(default=(100, 16, 10, 6, 4), min_length=1)
    negatives: int = Field(default=0, ge=0)
    smoothing: float = Field(default=10.0, gt=0)
    basis: int = Field(default=500, ge=2)
    damping: float = Field(default=0.7, ge=0.5, lt=1)

    @field_validator("layers")
    @classmethod
    def _coarser(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        falling = all(fine > coarse for fine, coarse in itertools.pairwise(layers))
        if not falling or layers[-1] < 2:
            raise ValueError("layers go from fine to coarse and end with at least 2 exemplars")
        return layers


class MetaSreSettings(Settings):
    """Incremental meta self-training (Hu et al., Findings of EMNLP 2021).

    Attributes:
        increments: parts of the posts without labels, taken one after the other; the paper's 10.
        unlabelled: share of the training split that takes part without labels; the paper's 0.5.
        chosen: share of an increment, the surest, that the classifier is trained on; the paper
            takes 10 of a batch of 16.
        warm_steps: of the generator on labelled posts before its first guess.
        steps: of the classifier after each increment; its baselines take as many in all.
        meta_steps: of the label generator after each increment.
        inner_rate: length of the classifier's trial step that the generator is judged by.
        labelled_weight: of the generator's own loss on labelled posts, beside the judgement; the
            published code's 0.4.
    """

    increments: int = Field(default=10, ge=1)
    unlabelled: float = Field(default=0.5, gt=0, le=1)
    chosen: float = Field(default=0.625, gt=0, le=1)
    warm_steps: int = Field(default=150, ge=1)
    steps: int = Field(default=50, ge=1)
    meta_steps: int = Field(default=20, ge=0)
    inner_rate: float = Field(default=0.1, gt=0)
    labelled_weight: float = Field(default=0.4, ge=0)


class DiscoverSettings(Settings):
    """The table ``[discover]`` of a recipe.

    Attributes:
        clusters: how many relations are looked for. It is a guess, and never read from the labels;
            the papers look for 10.
        selfore: see there.
        hiure: see there.
        metasre: see there.
    """

    clusters: int = Field(default=10, ge=2)
    selfore: SelfOreSettings = SelfOreSettings()
    hiure: HiureSettings = HiureSettings()
    metasre: MetaSreSettings = MetaSreSettings()


def refuse_other_training(train: TrainSettings) -> None:
    """Refuse a training that discovering would not take as it is meant.

    Raises:
        InputError: a setting that it does not know is not at its default.
    """
    default = TrainSettings()
    odd = [name for name in _DEFAULT_ONLY if getattr(train, name) != getattr(default, name)]
    if odd:
        raise InputError(
            f"not for discovering: {', '.join(f'train.{name}' for name in odd)}. Leave it out of "
            "the recipe, or set it to its default. Shares of labels are named with --labels, and "
            "evidence is left out with --evidence off."
        )
