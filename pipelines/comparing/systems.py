"""Rows of a table: a system, what is taken from it, how much it is taught, whose evidence it sees.

A row is a change to a recipe. Its run folders are named by it, so that a grid can be stopped, gone
on with, or filled by several machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from cache.errors import InputError
from cache.records import LEVELS, MODALITIES
from model.fusion import evidence_of
from model.order import EvidenceOf
from model.settings import ModelSettings, TrainSettings
from pipelines.config import Recipe

Ablation = Literal["levels", "modalities", "consistency", "names", "filters"]
ABLATIONS: Final[tuple[Ablation, ...]] = get_args(Ablation)
Controls = Literal["none", "test", "all"]
BASELINE: Final = "text_only"
_FILTERS: Final = "filters"
_CONSISTENCY: Final = "consistency"
_NAMES: Final = "names"
_BOTH: Final = f"{_FILTERS} and {_CONSISTENCY}"
_LEVEL: Final = " level"
_MODALITY: Final = " evidence"


@dataclass(frozen=True, slots=True)
class System:
    """One row.

    Attributes:
        fusion: name of the system.
        without: what is taken from it; empty for the whole system.
        share: of the training posts that it learns from, in (0, 1].
        trained_on: whose evidence it was shown in training.
        shown: whose evidence it is shown at the test.
    """

    fusion: str
    without: str = ""
    share: float = 1.0
    trained_on: EvidenceOf = "own"
    shown: EvidenceOf = "own"

    @property
    def name(self) -> str:
        """Return what the table calls it."""
        name = f"{self.fusion} without {self.without}" if self.without else self.fusion
        if self.trained_on == "others":
            return f"{name}, trained and tested on the evidence of other posts"
        if self.shown != "own":
            return f"{name}, shown the evidence of {self.shown} at the test"
        return name

    @property
    def is_whole(self) -> bool:
        """Return whether it is a system as it is meant, and no ablation or control."""
        return not self.without and self.trained_on == self.shown == "own"

    @property
    def reads_unfiltered(self) -> bool:
        """Return whether it reads the store that was curated without filters."""
        return self.without in (_FILTERS, _BOTH)

    def run_name(self, seed: int) -> str:
        """Return the name of its run folder; how it is tested does not matter for that."""
        parts = [self.fusion]
        if self.without:
            parts.append(f"without-{self.without.replace(' ', '-')}")
        if self.share != 1:
            parts.append(f"share{100 * self.share:g}")
        if self.trained_on != "own":
            parts.append(self.trained_on)
        return "-".join([*parts, f"seed{seed}"])

    def model(self, settings: ModelSettings) -> ModelSettings:
        """Return ``settings`` as this row changes them."""
        change: dict[str, object] = {"fusion": self.fusion}
        if self.without.endswith(_LEVEL):
            gone = self.without.removesuffix(_LEVEL)
            change["levels"] = [level for level in settings.levels if level != gone]
        elif self.without.endswith(_MODALITY):
            gone = self.without.removesuffix(_MODALITY)
            change["modalities"] = [kind for kind in settings.modalities if kind != gone]
        elif self.without in (_CONSISTENCY, _BOTH):
            change["consistency"] = False
        elif self.without == _NAMES:
            change["match_bonus"] = 0.0
        # Validated, which `model_copy` would not do.
        return ModelSettings.model_validate({**settings.model_dump(), **change})

    def training(self, settings: TrainSettings, seed: int) -> TrainSettings:
        """Return ``settings`` as this row changes them."""
        change: dict[str, object] = {"seed": seed, "evidence": self.trained_on}
        if self.share != 1:
            change["share"] = self.share
        return TrainSettings.model_validate({**settings.model_dump(), **change})


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that belong together; each of them is compared with the first.

    Attributes:
        title: empty for the only block of a table.
        systems: the rows.
    """

    title: str
    systems: tuple[System, ...]


def blocks_of(
    fusions: Sequence[str],
    *,
    recipe: Recipe,
    shares: Sequence[float] = (1.0,),
    ablate: Sequence[str] = (),
    ablated: Sequence[str] | None = None,
    controls: Controls = "none",
) -> list[Block]:
    """Return the blocks of a table.

    Args:
        fusions: systems; the first is the baseline.
        recipe: says which levels and modalities there are to be taken away.
        shares: of the training posts; a block for each.
        ablate: what to take away, of `ABLATIONS`; a block for each system in ``ablated``.
        ablated: systems to take it from; None means ``synthesis`` where it is compared, else each
            that reads evidence.
        controls: ``test`` adds to each system that reads evidence, whole or not, a row that is
            shown the evidence of others at the test; ``all`` also one that is trained on it.

    Raises:
        InputError: a name is unknown, missing or there twice, a share is not in (0, 1] or not
            named here, or a system cannot lose what is to be taken from it.
    """
    _check(fusions, shares, ablate)
    readers = [fusion for fusion in fusions if _reads_evidence(fusion)]
    _check_evidence(readers, ablate, ablated, controls)
    if recipe.train.share != 1:
        raise InputError(
            f"train.share = {recipe.train.share:g} would stand in no heading of the table; leave "
            "it at 1, and name shares in percent with --share."
        )
    chosen: Sequence[str] = ()
    if ablate:
        chosen = ablated or (["synthesis"] if "synthesis" in fusions else readers)
    blocks: list[Block] = []
    for share in shares:
        rows = _controlled(fusions, controls)
        title = "" if share == 1 else f"{100 * share:g} % of the training posts"
        blocks.append(Block(title, tuple(replace(row, share=share) for row in rows)))
        for fusion in chosen:
            whole = System(fusion, share=share)
            parts = [replace(whole, without=part) for part in _parts(ablate, recipe.model, fusion)]
            named = f"{fusion}, parts taken away" + (f"; {title}" if title else "")
            lost = [Block(named, (whole, *parts)), *_noisy(whole, parts, title)]
            blocks += lost
            if controls != "none":
                blocks += map(_shown_others, lost)
    return blocks


def systems_in(blocks: Iterable[Block]) -> list[System]:
    """Return every row once."""
    return list(dict.fromkeys(system for block in blocks for system in block.systems))


def _shown_others(block: Block) -> Block:
    """Return the rows of ``block``, each as another test of the same runs."""
    rows = tuple(replace(row, shown="others") for row in block.systems)
    return Block(f"{block.title}; shown the evidence of other posts at the test", rows)


def _noisy(whole: System, parts: Sequence[System], title: str) -> list[Block]:
    """Return what consistency is worth where curation left the noise in, if both are asked for."""
    noisy, lost = (replace(whole, without=part) for part in (_FILTERS, _CONSISTENCY))
    if noisy not in parts or lost not in parts:
        return []
    named = f"{noisy.name}, consistency taken away" + (f"; {title}" if title else "")
    return [Block(named, (noisy, replace(whole, without=_BOTH)))]


def _check(fusions: Sequence[str], shares: Sequence[float], ablate: Sequence[str]) -> None:
    if not fusions or len(set(fusions)) < len(fusions) or not all(fusions):
        raise InputError("name each system to compare once, and at least one.")
    for share in shares:
        if not 0 < share <= 1:
            raise InputError(
                f"{100 * share:g} % is no share of the training posts; give percent in (0, 100]."
            )
    for name in ablate:
        if name not in ABLATIONS:
            raise InputError(f"cannot ablate {name!r}; known are {', '.join(ABLATIONS)}.")


def _check_evidence(
    readers: Sequence[str],
    ablate: Sequence[str],
    ablated: Sequence[str] | None,
    controls: Controls,
) -> None:
    if (ablate or controls != "none") and not readers and not ablated:
        raise InputError(
            "no system that is compared reads evidence, so there is nothing to take away or to "
            "swap. Name one that does, or leave out --ablate and --controls."
        )
    if ablated and not ablate:
        raise InputError("--ablated goes with --ablate, which says what is taken away. Add it.")


def _controlled(fusions: Iterable[str], controls: Controls) -> list[System]:
    rows: list[System] = []
    for fusion in fusions:
        rows.append(System(fusion))
        if controls != "none" and _reads_evidence(fusion):
            rows.append(System(fusion, shown="others"))
            if controls == "all":
                rows.append(System(fusion, trained_on="others", shown="others"))
    return rows


def _reads_evidence(fusion: str) -> bool:
    """Return whether there is anything to swap or to take away; raises for an unknown name."""
    return evidence_of(fusion) != "none"


def _parts(ablate: Sequence[str], model: ModelSettings, fusion: str) -> list[str]:
    """Return what ``fusion`` can lose, one after the other; the last of a kind must stay.

    Raises:
        InputError: it reads no evidence; or two stores, and one alone would be without filters.
    """
    if not _reads_evidence(fusion):
        raise InputError(
            f"{fusion} reads no evidence to be taken away; leave it out of --ablated."
        )
    if fusion == "joint" and _FILTERS in ablate:
        raise InputError(
            "joint reads two stores, and only one of them would be without filters. Leave filters "
            "out, or name other systems with --ablated."
        )
    parts: list[str] = []
    if "levels" in ablate and len(model.levels) > 1:
        parts += [f"{level}{_LEVEL}" for level in LEVELS if level in model.levels]
    if "modalities" in ablate and len(model.modalities) > 1:
        parts += [f"{kind}{_MODALITY}" for kind in MODALITIES if kind in model.modalities]
    parts += [name for name in (_CONSISTENCY, _NAMES, _FILTERS) if name in ablate]
    # What reads texts as context has no images, weights or names to lose, and no last of texts.
    context = evidence_of(fusion) == "context"
    return [part for part in parts if not context or part == _FILTERS or part.endswith(_LEVEL)]
