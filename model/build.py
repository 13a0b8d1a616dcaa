"""Puts a network together from settings: for a new training, or from a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from cache.errors import InputError
from model.collate import Collator
from model.data import Preparer
from model.encoders import (
    TextEncoder,
    largest_window,
    load_pretrained,
    load_saved,
    quiet_transformers,
    save_description,
    suit_device,
)
from model.fusion import make_fusion
from model.fusion.base import FusionSize
from model.heads import make_head
from model.network import Extractor
from model.pieces import Pieces
from model.run import ENCODER, WEIGHTS, Run, read_run, read_tensors
from model.settings import ModelSettings


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A network with what prepares its input."""

    run: Run
    network: Extractor
    preparer: Preparer
    collator: Collator


def new_parts(run: Run, folder: Path) -> Parts:
    """Return a network on pretrained weights; its encoder is described in ``folder``.

    Raises:
        InputError: an encoder or fusion system cannot be had.
    """
    quiet_transformers()
    torch.manual_seed(run.train.seed)
    encoder, tokenizer = load_pretrained(run.model.text_encoder, run.train.seed)
    save_description(encoder, tokenizer, folder / ENCODER)
    return _parts(run, encoder, tokenizer)


def load_parts(folder: Path) -> Parts:
    """Return the network of a run folder.

    Raises:
        InputError: the folder is not a complete run.
    """
    quiet_transformers()
    run = read_run(folder)
    encoder, tokenizer = load_saved(folder / ENCODER)
    parts = _parts(run, encoder, tokenizer)
    tensors, _ = read_tensors(folder / WEIGHTS)
    load_weights(parts.network, tensors, folder / WEIGHTS)
    parts.network.eval()
    return parts


def place(parts: Parts, device: torch.device) -> None:
    """Move the network to ``device``, with the kernels that suit it."""
    parts.network.to(device)
    suit_device(parts.network.encoder, device)


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
    joint = settings.evidence_reading == "joint"
    size = FusionSize(
        dim=encoder.dim,
        visual_dim=run.visual_dim,
        heads=settings.heads,
        dropout=settings.dropout,
        joint=joint,
        match_bonus=settings.match_bonus,
    )
    fusion = make_fusion(settings.fusion, size)
    head = make_head(run.task, encoder.dim, run.labels, settings.dropout)
    pieces = Pieces(tokenizer, settings.max_pieces, settings.max_evidence_pieces)
    return Parts(
        run=run,
        network=Extractor(encoder, fusion, head),
        preparer=Preparer(pieces, run.task, run.labels, settings.max_evidence),
        collator=Collator(
            pieces,
            joint=joint,
            visual_dim=run.visual_dim,
            reads_evidence=fusion.reads_evidence,
        ),
    )


def _check_windows(settings: ModelSettings, encoder: TextEncoder) -> None:
    limit = largest_window(encoder)
    joint = settings.evidence_reading == "joint" and settings.fusion != "text_only"
    needed = settings.max_evidence_pieces + (settings.max_pieces + 1 if joint else 2)
    if max(needed, settings.max_pieces) > limit:
        raise InputError(
            f"model.max_pieces = {settings.max_pieces} and model.max_evidence_pieces = "
            f"{settings.max_evidence_pieces} ask for {max(needed, settings.max_pieces)} pieces at "
            f"once, but {settings.text_encoder} has positions for {limit}. Lower one of the two."
        )
