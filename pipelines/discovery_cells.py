"""The cells of a discovery: methods, evidence, shares of labels, and what decides a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import torch

from cache.errors import InputError
from model.data import ExampleSource
from model.device import resolved
from model.discovery.settings import TRAINING
from model.encoder_identity import encoder_name, identity_of
from model.fusion import evidence_of
from model.settings import ModelSettings, Settings
from pipelines.config import Recipe

Evidence = Literal["on", "off"]
METHODS: Final = ("selfore", "hiure", "metasre")
CLUSTERING: Final = ("k-means", "selfore", "hiure")
_EVERYTHING: Final = 1.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of the table.

    Attributes:
        method: a system, or a baseline: ``k-means`` on the untrained network, ``supervised`` on
            the annotated posts alone, or on the whole split.
        evidence: whether evidence is read.
        share: of the training split that is annotated; 0 for methods that get no labels.
        seed: of everything random.
    """

    method: str
    evidence: Evidence
    share: float
    seed: int

    @property
    def name(self) -> str:
        """Return what its file is called."""
        labels = f"-{100 * self.share:g}pc" if self.share else ""
        return f"{self.method}-evidence-{self.evidence}{labels}-seed{self.seed}"


def cells_of(
    methods: Sequence[str],
    evidence: Sequence[str],
    shares: Sequence[float],
    seeds: Sequence[int],
) -> list[Cell]:
    """Return the cells of a table with the baselines that its methods are measured against.

    Raises:
        InputError: nothing to do, or something named twice or unknown.
    """
    for what, named in (("method", methods), ("evidence", evidence), ("seed", seeds)):
        if not named or len(set(named)) < len(named):
            raise InputError(f"name each {what} once, and at least one.")
    known: dict[str, Evidence] = {"on": "on", "off": "off"}
    if odd := [shown for shown in evidence if shown not in known]:
        raise InputError(f"--evidence takes on and off, not {odd[0]!r}.")
    if unknown := [method for method in methods if method not in METHODS]:
        raise InputError(f"no method is called {unknown[0]!r}; known are {', '.join(METHODS)}.")
    if any(not 0 < share < 1 for share in shares) or len(set(shares)) < len(shares):
        raise InputError("give shares of labels in percent between 0 and 100, each once.")
    rows: list[tuple[str, float]] = []
    if {"selfore", "hiure"} & set(methods):
        rows.append(("k-means", 0.0))
        rows += [(method, 0.0) for method in methods if method != "metasre"]
    if "metasre" in methods:
        if not shares:
            raise InputError("metasre learns from some labels; name shares: --labels 5,10,30.")
        for share in shares:
            rows += [("supervised", share), ("metasre", share)]
        rows.append(("supervised", _EVERYTHING))
    return [
        Cell(method, known[shown], share, seed)
        for method, share in rows
        for shown in evidence
        for seed in seeds
    ]


class Decided(Settings):
    """Everything that decides a cell's result, wherever it is computed.

    Attributes:
        cell: what is trained.
        store: fingerprint.
        encoder: digest of the text encoder's files, or its name where they are not at hand.
        model: the network; its text encoder is the one above, wherever it lies.
        train: what discovering reads of the training, its precision as it is on this machine.
        discover: what the method reads of the table ``[discover]``.
    """

    cell: dict[str, Any]
    store: str
    encoder: str
    model: ModelSettings
    train: dict[str, Any]
    discover: dict[str, Any]


def network_of(recipe: Recipe, cell: Cell) -> ModelSettings:
    """Return the network of a cell: a system that reads evidence, or text only.

    Raises:
        InputError: the recipe names an unknown system.
    """
    fusion = recipe.model.fusion
    if cell.evidence == "off":
        fusion = "text_only"
    elif fusion == "joint" or evidence_of(fusion) == "none":
        # A system of photos alone would be told as one that reads evidence. Joint training is of
        # two tasks; what it fuses by is synthesis.
        fusion = "synthesis"
    return recipe.model.model_copy(update={"fusion": fusion})


def decided(recipe: Recipe, source: ExampleSource, cell: Cell, device: torch.device) -> Decided:
    """Return what decides the result of ``cell``, computed on ``device``."""
    manifest: Any = getattr(source, "manifest", None)
    network = network_of(recipe, cell)
    encoder = identity_of(network.text_encoder)
    settings = recipe.discover.model_dump(mode="json")
    own = {"clusters": settings["clusters"]} if cell.method in CLUSTERING else {}
    group = "metasre" if cell.method == "supervised" else cell.method
    return Decided(
        cell=asdict(cell),
        store="" if manifest is None else manifest.fingerprint,
        encoder=encoder.digest or encoder_name(encoder.name),
        model=network.model_copy(update={"text_encoder": ""}),
        train={
            **recipe.train.model_dump(mode="json", include=set(TRAINING)),
            "precision": resolved(recipe.train.precision, device),
        },
        discover={**own, **settings.get(group, {})},
    )
