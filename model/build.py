"""Puts a network together from settings: for a new training, or from a run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cache.errors import InputError
from cache.records import FeatureSet
from model.batch import EvidenceUse
from model.claims import check_claim, check_files
from model.collate import Collator
from model.data import ExampleSource, Preparer, Task
from model.encoders import (
    TextEncoder,
    largest_window,
    load_pretrained,
    load_saved,
    quiet_transformers,
    save_description,
    suit_device,
    untrained,
)
from model.fusion import evidence_of, make_fusion, needs_of
from model.fusion.base import Fusion, FusionSize
from model.heads import EntityHead, RelationHead
from model.joint_head import JointHead
from model.mixture import EntityMixture, RelationMixture
from model.network import Extractor, Head
from model.pieces import Pieces
from model.run import ENCODER, WEIGHTS, FeatureShape, Run, SecondTask, read_run, read_tensors
from model.settings import ModelSettings


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A network with what prepares its input.

    Attributes:
        run: what it is.
        network: with its weights.
        preparer: of the posts of its task.
        collator: of batches.
        second: prepares the posts of the second task of a network that does both; or None.
    """

    run: Run
    network: Extractor
    preparer: Preparer
    collator: Collator
    second: Preparer | None = None


def for_second_task(parts: Parts) -> Parts:
    """Return the same network as one for its second task.

    Raises:
        InputError: it was trained for one task only.
    """
    second = parts.run.second
    if second is None or parts.second is None:
        raise InputError(
            f"this run was trained for {parts.run.task} only; one that does both is trained by "
            "`ramie train RECIPE --set model.fusion=joint` with a recipe that has a partner_store."
        )
    run = parts.run.model_copy(
        update={"task": second.task, "labels": second.labels, "store": second.store}
    )
    return dataclasses.replace(parts, run=run, preparer=parts.second)


def new_parts(run: Run, folder: Path | None) -> Parts:
    """Return a network on pretrained weights; its encoder is described in ``folder``, if any.

    Raises:
        InputError: an encoder or fusion system cannot be had.
    """
    quiet_transformers()
    torch.manual_seed(run.train.seed)
    encoder, tokenizer = load_pretrained(run.model.text_encoder, run.train.seed)
    if folder is not None:
        save_description(encoder, tokenizer, folder / ENCODER)
    return _parts(run, encoder, tokenizer)


def load_parts(folder: Path) -> Parts:
    """Return the network of a run folder.

    Raises:
        InputError: the folder is not a complete run.
    """
    quiet_transformers()
    check_files(folder, folder / ENCODER)
    run = read_run(folder)
    config, tokenizer = load_saved(folder / ENCODER)
    with torch.device("meta"):
        claimed = _parts(run, untrained(config, folder / ENCODER), tokenizer)
    check_claim(claimed.network, folder / WEIGHTS)
    parts = _parts(run, untrained(config, folder / ENCODER), tokenizer)
    tensors, _ = read_tensors(folder / WEIGHTS)
    load_weights(parts.network, tensors, folder / WEIGHTS)
    parts.network.eval()
    return parts


def parts_of(folder: Path, task: Task | None) -> Parts:
    """Return the network of a run folder as it does ``task``; None is the task it is named by.

    Raises:
        InputError: the folder is not a complete run, or the run does not do that task.
    """
    parts = load_parts(folder)
    return parts if task in (None, parts.run.task) else for_second_task(parts)


def place(parts: Parts, device: torch.device) -> None:
    """Move the network to ``device``, with the kernels that suit it."""
    network = parts.network.to(device)
    for encoder in text_encoders(network):
        beside = encoder is network.encoder and network.fusion.stands_beside
        suit_device(encoder, device, beside=beside)


def text_encoders(network: Extractor) -> list[TextEncoder]:
    """Return the encoder of the network, and those that its fusion has beside it."""
    return [module for module in network.modules() if isinstance(module, TextEncoder)]


def load_weights(network: Extractor, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put ``tensors`` into the network.

    Raises:
        InputError: names or shapes do not fit.
    """
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[1:2] or [str(error)]
        raise InputError(
            f"the weights in {path} do not fit the run beside them: {reason[0].strip()} "
            "Copy the whole run folder, or train again."
        ) from error


def _parts(run: Run, encoder: TextEncoder, tokenizer: object) -> Parts:
    settings = run.model
    _check_windows(settings, encoder)
    fusion = make_fusion(settings.fusion, _size(run, encoder), encoder)
    pieces = Pieces(tokenizer, settings.max_pieces, settings.max_evidence_pieces)
    second = run.second
    return Parts(
        run=run,
        network=Extractor(encoder, fusion, _heads(run, fusion, encoder.dim)),
        preparer=_preparer(pieces, run, settings),
        second=None if second is None else _preparer(pieces, second, settings),
        collator=Collator(
            pieces,
            evidence=fusion.evidence,
            joint=_is_joint(settings, fusion.evidence),
            visual_dim=run.visual_dim,
            needs=fusion.needs,
            largest_row=largest_window(encoder),
        ),
    )


def _preparer(pieces: Pieces, of: Run | SecondTask, settings: ModelSettings) -> Preparer:
    return Preparer(pieces, of.task, of.labels, settings)


def _heads(run: Run, fusion: Fusion, dim: int) -> Head | JointHead:
    """Return the head of the task; of both tasks where the system does both.

    Raises:
        InputError: the run names a second task that the system does not do, or none that it needs.
    """
    first = _head(run.task, run.labels, run.model.dropout, dim, fusion.experts)
    if (fusion.tasks == 2) != (run.second is not None):
        raise InputError(
            f"the fusion system {run.model.fusion!r} does {fusion.tasks} task(s). Name a store of "
            "the other task as partner_store in the recipe for joint, and only for it."
        )
    if run.second is None:
        return first
    second = run.second
    other = _head(second.task, second.labels, run.model.dropout, dim, fusion.experts)
    return JointHead({run.task: first, second.task: other})


def _head(task: Task, labels: Sequence[str], dropout: float, dim: int, experts: int) -> Head:
    if task == "entities":
        one, many = EntityHead, EntityMixture
        return one(dim, labels, dropout) if experts == 1 else many(dim, labels, dropout, experts)
    alone, mixed = RelationHead, RelationMixture
    return alone(dim, labels, dropout) if experts == 1 else mixed(dim, labels, dropout, experts)


def _size(run: Run, encoder: TextEncoder) -> FusionSize:
    """Return what a system must know of its surroundings.

    Raises:
        InputError: the run does not say what the feature sets that its system reads look like.
    """
    settings = run.model
    for name in needs_of(settings.fusion):
        if name not in run.shapes:
            raise InputError(
                f"the run does not say what {name} of its store looks like, which the fusion "
                f"system {settings.fusion!r} reads. Copy the whole run folder, or train again."
            )
    return FusionSize(
        dim=encoder.dim,
        visual_dim=run.visual_dim,
        heads=settings.heads,
        dropout=settings.dropout,
        joint=settings.evidence_reading == "joint",
        match_bonus=settings.match_bonus,
        consistency=settings.consistency,
        cross_stream=settings.cross_stream,
        layers=int(encoder.config.num_hidden_layers),
        encoder_heads=int(encoder.config.num_attention_heads),
        shapes=run.shapes,
    )


def _is_joint(settings: ModelSettings, evidence: EvidenceUse) -> bool:
    return settings.evidence_reading == "joint" and evidence == "items"


def feature_shapes(
    source: ExampleSource, settings: ModelSettings
) -> dict[FeatureSet, FeatureShape]:
    """Return what the feature sets that a system needs look like in this store.

    Raises:
        InputError: the store has not all of them; the message names the command that adds them.
    """
    needs = needs_of(settings.fusion)
    manifest: Any = getattr(source, "manifest", None)
    held = {} if manifest is None else manifest.feature_sets
    if missing := [name for name in needs if name not in held]:
        named = ", ".join(f'"{name}"' for name in needs)
        path = getattr(source, "path", None)
        where = "" if path is None else f"--store {path} "
        raise InputError(
            f"the fusion system {settings.fusion!r} reads {', '.join(missing)}, which the store "
            f"does not have. Add it with `ramie build RECIPE {where}"
            f"--set 'observe.features=[{named}]'`: nobody is asked again, but the store's "
            "fingerprint changes, and runs trained on it before count as those of another store."
        )
    return {
        name: FeatureShape(
            dims=tuple(held[name].dims),
            stages=tuple(held[name].stages or ()),
            source=held[name].source,
        )
        for name in needs
    }


def _check_windows(settings: ModelSettings, encoder: TextEncoder) -> None:
    limit = largest_window(encoder)
    joint = _is_joint(settings, evidence_of(settings.fusion))
    needed = settings.max_evidence_pieces + (settings.max_pieces + 1 if joint else 2)
    if max(needed, settings.max_pieces) > limit:
        raise InputError(
            f"model.max_pieces = {settings.max_pieces} and model.max_evidence_pieces = "
            f"{settings.max_evidence_pieces} ask for {max(needed, settings.max_pieces)} pieces at "
            f"once, but {settings.text_encoder} has positions for {limit}. Lower one of the two."
        )
