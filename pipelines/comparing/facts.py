"""What a table is of: without it, a figure cannot be compared with any other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cache.errors import StoreMismatch
from model.encoder_identity import encoder_name
from model.run import Run, read_run
from pipelines.comparing.places import Place
from pipelines.comparing.protocol import protocol_of_store
from pipelines.config import Recipe
from pipelines.runs import code_commit, commit_of_run
from retrieval.datasets.protocol import CONTAMINATED, is_contaminated

_SHOWN: Final = 12
_SPANS: Final = {
    "mner": "; F1 of lenient spans, strict ones in a column of their own",
    "mre": "; micro F1 without the label for no relation",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a table is of.

    Attributes:
        recipe: its name.
        task: ``mner`` or ``mre``.
        split: what was scored.
        seeds: of the runs that are there.
        worlds: names of the made-up worlds that have some; empty for a real data set.
        missing: how many runs of the grid are not there: rows may be of fewer than others.
        protocol: which posts, labels and objects.
        contaminated: why the figures are not to be believed; empty where they may.
        encoder: of text.
        stores: fingerprints of the stores.
        partners: of the stores of the other task, which a system of two tasks learned from too.
        code: version and commits of the code that trained the runs, and in what precision.
        commit: of the code that made the table.
    """

    recipe: str
    task: str
    split: str
    seeds: tuple[int, ...]
    worlds: tuple[str, ...]
    missing: int
    protocol: str
    contaminated: str
    encoder: str
    stores: tuple[str, ...]
    partners: tuple[str, ...]
    code: tuple[str, ...]
    commit: str

    def title(self) -> str:
        """Return what stands over a figure, which people pass on without the table."""
        marked = ["CONTAMINATED"] if self.contaminated else []
        return " ".join(", ".join([self.recipe, self.protocol, *marked]).split())

    def lines(self) -> list[tuple[str, str]]:
        """Return what people are told, by subject."""
        stores = ", ".join(one[:_SHOWN] for one in self.stores)
        told = [
            ("protocol", f"{self.protocol}, {self.split} split{_SPANS[self.task]}"),
            ("seeds", ", ".join(map(str, self.seeds))),
            ("worlds", ", ".join(self.worlds)),
            ("missing runs", str(self.missing or "")),
            ("text encoder", self.encoder),
            ("store", stores),
            ("store of the other task", ", ".join(one[:_SHOWN] for one in self.partners)),
            ("code of the runs", "; ".join(self.code)),
            ("CONTAMINATED", self.contaminated),
        ]
        # Some of it was written by whoever trained the runs: one line each, whatever it is.
        return [(subject, " ".join(text.split())) for subject, text in told if text]

    def to_json(self) -> dict[str, object]:
        """Return every field by name."""
        return asdict(self)


def facts_of(
    recipe: Recipe,
    places: Sequence[Place],
    runs: Iterable[Path],
    *,
    split: str,
    seeds: Sequence[int],
    missing: int = 0,
) -> Facts:
    """Return what a table over ``places`` is of.

    Args:
        recipe: of all of them.
        places: stores and worlds.
        runs: folders of the finished runs.
        split: what was scored.
        seeds: of training.
        missing: how many runs are not finished.

    Raises:
        StoreMismatch: the stores follow different protocols.
    """
    protocols = {store: protocol_of_store(store) for store in _with_unfiltered(places)}
    if len(set(protocols.values())) > 1:
        told = "; ".join(f"{store}: {name or 'no protocol'}" for store, name in protocols.items())
        raise StoreMismatch(
            f"the stores follow different protocols ({told}), and figures of both in one table "
            "would mislead. Compare stores of one protocol."
        )
    protocol = next(iter(protocols.values()))
    described = {run: read_run(run) for run in runs}
    return Facts(
        recipe=recipe.name,
        task=recipe.dataset.task,
        split=split,
        seeds=tuple(seeds),
        worlds=tuple(place.name for place in places if place.name),
        missing=missing,
        protocol=protocol or f"data of recipe {recipe.name}",
        contaminated=CONTAMINATED if is_contaminated(protocol) else "",
        encoder=encoder_name(recipe.model.text_encoder),
        stores=tuple(place.fingerprints[place.store] for place in places),
        partners=tuple(
            dict.fromkeys(one.second.store for one in described.values() if one.second)
        ),
        code=tuple(dict.fromkeys(_code(*one) for one in described.items())),
        commit=code_commit(),
    )


def _with_unfiltered(places: Iterable[Place]) -> Iterator[Path]:
    for place in places:
        yield place.store
        if place.unfiltered is not None:
            yield place.unfiltered


def _code(run: Path, there: Run) -> str:
    commit = commit_of_run(run)
    parts = [
        f"ramie {there.code_version}{f' at {commit}' if commit else ''}",
        f"torch {there.libraries.get('torch', '')}",
        there.precision,
    ]
    return ", ".join(part for part in parts if part)
