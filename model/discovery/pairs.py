"""Pairs of marked mentions: without annotations, and as vectors ``[h_[E1]; h_[E2]]``.

What clusters or guesses relations gets `Pairs`. Annotations are dropped where they are made, so
that no label can reach a clustering by any path.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from cache.reader import Features
from cache.records import Example
from model.batch import Batch
from model.build import Parts, feature_shapes, new_parts, place
from model.data import NONE_RELATION, ExampleSource, PreparedPost
from model.device import autocast, choose_device, uses_bfloat16
from model.discovery.settings import refuse_other_training
from model.network import Extractor
from model.order import batches_in_order, batches_of_epoch
from model.run import Run, code_version, library_versions
from model.settings import ModelSettings, TrainSettings
from model.training.step import check_finite

T = TypeVar("T")
_LOOK_BATCH: Final = 64


class Pairs:
    """Posts with two marked mentions whose relation is not known.

    Attributes:
        posts: without annotations, in the order given.
    """

    def __init__(self, posts: Iterable[Features]) -> None:
        self.posts = tuple(_without_annotations(post) for post in posts)

    def __len__(self) -> int:
        return len(self.posts)


def _without_annotations(post: Features) -> Features:
    example = post.example
    return post._replace(example=Example(example.post, example.split))


class PairNetwork(nn.Module):
    """The text encoder, or encoder and fusion, read at the two marked mentions."""

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.extractor = extractor
        self.dim = 2 * extractor.fusion.experts * extractor.encoder.dim
        # Discovery has heads of its own; this one would never get a gradient.
        extractor.head.requires_grad_(requires_grad=False)

    def forward(self, batch: Batch) -> Float[Tensor, "posts pair"]:
        """Return fused states at the opening markers of head and tail, side by side."""
        words = self.extractor.read(batch).words
        rows = torch.arange(len(words), device=words.device)
        return torch.cat([words[rows, batch.head_unit], words[rows, batch.tail_unit]], dim=-1)


def pair_reader(
    source: ExampleSource,
    model: ModelSettings,
    train: TrainSettings,
    folder: Path,
    *,
    device: str = "auto",
    progress: bool = False,
) -> PairReader:
    """Return what reads the pairs of a store, on pretrained weights.

    Args:
        source: an open store.
        model: the network; ``fusion`` says whether evidence is read.
        train: batch size, rates, precision and seed.
        folder: where the encoder's description is written.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show bars where the output is a terminal.

    Raises:
        InputError: an encoder, a fusion system or a feature set cannot be had, or the training
            asks for what discovering does not do.
    """
    refuse_other_training(train)
    manifest: Any = getattr(source, "manifest", None)
    run = Run(
        task="relations",
        # A run has labels; this one reads none. Whoever has some names them elsewhere.
        labels=(NONE_RELATION,),
        visual_dim=(manifest.embedding_dim or 0) if manifest is not None else 0,
        shapes=feature_shapes(source, model),
        store=manifest.fingerprint if manifest is not None else "",
        model=model,
        train=train,
        code_version=code_version(),
        libraries=library_versions(),
    )
    parts, target = new_parts(run, folder), choose_device(device)
    place(parts, target)
    return PairReader(parts, target, progress=progress)


class PairReader:
    """Prepares, batches and reads pairs: what the methods share on one store and device.

    Attributes:
        parts: a network as it comes from its pretrained weights, and what prepares its input.
        device: where everything is computed.
        progress: whether bars are shown where the output is a terminal.
    """

    def __init__(self, parts: Parts, device: torch.device, *, progress: bool = False) -> None:
        self.parts = parts
        self.device = device
        self.progress = progress
        self.bfloat16 = uses_bfloat16(parts.run.train.precision, device)

    @property
    def train(self) -> TrainSettings:
        """Return batch size, rates and seed."""
        return self.parts.run.train

    def network(self) -> PairNetwork:
        """Return a network on the pretrained weights; each call another one."""
        return PairNetwork(copy.deepcopy(self.parts.network)).to(self.device)

    def prepare(self, pairs: Pairs) -> list[PreparedPost]:
        """Return the posts tokenised.

        Raises:
            InputError: a post without its two mentions.
        """
        return [self.parts.preparer.prepare(post) for post in self.bar(pairs.posts, "tokenise")]

    def batch(self, posts: Sequence[PreparedPost]) -> Batch:
        """Return the batch of ``posts``, with their own evidence."""
        return self.parts.collator(posts).to(self.device)

    def order(self, posts: Sequence[PreparedPost], epoch: int) -> list[list[int]]:
        """Return indices of posts in steps of similar length, in the random order of an epoch."""
        settings = self.train
        costs = [self.parts.collator.cost(post) for post in posts]
        return batches_of_epoch(costs, settings.batch_size, settings.seed, epoch)

    @torch.no_grad()
    def look(self, network: nn.Module, posts: Sequence[PreparedPost]) -> Float[Tensor, "posts _"]:
        """Return what ``network`` says of each post, in order; in evaluation mode, on the CPU."""
        was_training = network.training
        network.eval()
        places = batches_in_order([self.parts.collator.cost(post) for post in posts], _LOOK_BATCH)
        with autocast(self.device, self.bfloat16):
            rows = [network(self.batch([posts[i] for i in place])).float() for place in places]
        network.train(was_training)
        order = torch.tensor([index for place in places for index in place])
        seen = torch.cat(rows).cpu()
        return torch.empty_like(seen).index_copy_(0, order, seen)

    def bar(self, steps: Iterable[T], name: str) -> Iterator[T]:
        """Return ``steps``, shown as a bar on a terminal."""
        return iter(tqdm(steps, name, leave=False, disable=None if self.progress else True))


def make_optimizer(modules: Iterable[nn.Module], settings: TrainSettings) -> torch.optim.AdamW:
    """Return AdamW: one rate for pretrained weights, one for what starts from random."""
    named = [pair for module in modules for pair in module.named_parameters()]
    trained = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    encoder = [parameter for name, parameter in trained if "encoder.backbone." in name]
    fresh = [parameter for name, parameter in trained if "encoder.backbone." not in name]
    groups = [
        {"params": encoder, "lr": settings.learning_rate, "peak": settings.learning_rate},
        {"params": fresh, "lr": settings.head_learning_rate, "peak": settings.head_learning_rate},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], weight_decay=settings.weight_decay
    )


def take_step(
    optimizer: torch.optim.AdamW,
    loss: Tensor,
    settings: TrainSettings,
    posts: Sequence[PreparedPost],
) -> None:
    """Take one step down ``loss``, which is of ``posts``, gradients clipped.

    Raises:
        RamieError: loss or gradient are not finite; the message names the posts.
    """
    check_finite("a step has a loss", loss, ids_of(posts))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    step_along_gradients(optimizer, settings, posts)


def step_along_gradients(
    optimizer: torch.optim.AdamW, settings: TrainSettings, posts: Sequence[PreparedPost]
) -> None:
    """Take one step along the gradients that are there, clipped; they are of ``posts``.

    Raises:
        RamieError: a gradient is not finite; the message names the posts.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
    check_finite("a step has a gradient", norm, ids_of(posts))
    optimizer.step()


def ids_of(posts: Iterable[PreparedPost]) -> list[str]:
    """Return the ids of posts."""
    return [post.example.post.example_id for post in posts]
