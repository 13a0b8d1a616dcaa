"""The table of ``ramie discover``: methods with and without evidence, over labels and seeds.

A *cell* is one training: method, evidence, share of labels, seed. Finished cells lie in files of
their own and are taken as they are; an unfinished one starts over. The table is written anew after
every cell.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from cache.errors import InputError
from cache.reader import Features
from model.build import feature_shapes
from model.data import ExampleSource, read_split
from model.discovery.few import few_labels, guesses, micro_f1, relation_of, supervised
from model.discovery.found import Found, untrained
from model.discovery.hiure import hiure
from model.discovery.metasre import metasre
from model.discovery.pairs import PairReader, Pairs, pair_reader
from model.discovery.scores import cluster_scores
from model.discovery.selfore import selfore
from model.discovery.settings import DiscoverSettings
from model.run import write_atomically
from model.scoring.evaluation import opened
from model.scoring.metrics import find_none_label
from model.settings import ModelSettings
from pipelines.config import Recipe
from pipelines.discovery_table import table

Evidence = Literal["on", "off"]
METHODS: Final = ("selfore", "hiure", "metasre")
CLUSTERING: Final = ("k-means", "selfore", "hiure")
_SPLITS: Final = ("train", "dev", "test")
_EVERYTHING: Final = 1.0
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of the table.

    Attributes:
        method: a system, or a baseline: ``k-means`` on the untrained network, ``supervised`` on
            the annotated posts alone (on all of them: the upper bound).
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
    evidence: Sequence[Evidence],
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
    if odd := [shown for shown in evidence if shown not in ("on", "off")]:
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
        Cell(method, shown, share, seed)
        for method, share in rows
        for shown in evidence
        for seed in seeds
    ]


def discover(
    recipe: Recipe,
    store: Path | ExampleSource,
    out: Path,
    cells: Sequence[Cell],
    *,
    say: Callable[[str], None],
    device: str = "auto",
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Compute what is missing, and write ``out``/discover.json, discover.md and a file per cell.

    Args:
        recipe: network, rates, and the table ``[discover]``.
        store: what is read; its task is relations.
        out: folder of the results.
        cells: of the table, in order.
        say: told of every cell that is finished.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show bars where the output is a terminal.

    Returns:
        the result of every cell, in order.

    Raises:
        InputError: the store is not annotated with relations, or ``out`` holds results of others.
    """
    if recipe.dataset.task != "mre":
        raise InputError(
            f"recipe {recipe.name!r} is about entities, and `discover` is about relations; "
            "take a recipe with dataset.task = 'mre', such as sample-relations."
        )
    results: list[dict[str, Any]] = []
    with opened(store) as source:
        bench = _Bench(recipe, source, out, device, progress)
        for cell in cells:
            results.append(bench.result(cell))
            say(f"{cell.name}: {_headline(results[-1])}")
            _write(out, recipe, results)
    return results


class _Bench:
    """Computes cells on one store, or takes those that are there."""

    def __init__(
        self, recipe: Recipe, source: ExampleSource, out: Path, device: str, progress: bool
    ) -> None:
        self.recipe, self.source, self.out = recipe, source, out
        self.device, self.progress = device, progress
        self.splits: dict[tuple[str, Evidence], list[Features]] = {}

    def result(self, cell: Cell) -> dict[str, Any]:
        """Return the result of a cell."""
        path = self.out / "cells" / f"{cell.name}.json"
        wanted = self._fingerprint(cell)
        if path.is_file():
            return _finished(path, wanted)
        began = time.monotonic()
        reader = pair_reader(
            self.source,
            self._model(cell),
            self.recipe.train.model_copy(update={"seed": cell.seed}),
            self.out / "encoders" / f"evidence-{cell.evidence}",
            device=self.device,
            progress=self.progress,
        )
        found = _clusters if cell.method in CLUSTERING else _few
        scores = found(reader, cell, self.recipe.discover, self._splits(cell))
        result = {
            **asdict(cell),
            "fingerprint": wanted,
            "fusion": self._model(cell).fusion,
            "seconds": round(time.monotonic() - began, 1),
            **scores,
        }
        write_atomically(path, json.dumps(result, indent=1).encode())
        return result

    def _model(self, cell: Cell) -> ModelSettings:
        """Return the network of a cell: a system that reads evidence, or text only."""
        named = self.recipe.model.fusion
        reads = "synthesis" if named == "text_only" else named
        fusion = reads if cell.evidence == "on" else "text_only"
        return self.recipe.model.model_copy(update={"fusion": fusion})

    def _splits(self, cell: Cell) -> dict[str, list[Features]]:
        needs = tuple(feature_shapes(self.source, self._model(cell)))
        for split in _SPLITS:
            if (split, cell.evidence) not in self.splits:
                self.splits[split, cell.evidence] = read_split(self.source, split, needs)
        return {split: self.splits[split, cell.evidence] for split in _SPLITS}

    def _fingerprint(self, cell: Cell) -> str:
        """Return a digest of everything that decides a cell's result."""
        manifest: Any = getattr(self.source, "manifest", None)
        settings = self.recipe.discover.model_dump(mode="json")
        own = {"clusters": settings["clusters"]} if cell.method in CLUSTERING else {}
        group = "metasre" if cell.method == "supervised" else cell.method
        decides = {
            "cell": asdict(cell),
            "store": "" if manifest is None else manifest.fingerprint,
            "model": self._model(cell).model_dump(mode="json"),
            "train": self.recipe.train.model_dump(mode="json", exclude={"seed"}),
            "discover": {**own, group: settings.get(group)},
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _finished(path: Path, wanted: str) -> dict[str, Any]:
    """Return a result that was written before.

    Raises:
        InputError: it is damaged, or of another store or other settings.
    """
    try:
        with path.open("rb") as file:
            result: dict[str, Any] = json.loads(file.read(_MOST_BYTES))
        found = result["fingerprint"]
        table([result])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged ({error}). Delete it, and it is made anew."
        ) from error
    if found != wanted:
        raise InputError(
            f"{path} is of another store or other settings. Choose another --out folder, or "
            "delete that file."
        )
    return result


def _clusters(
    reader: PairReader,
    cell: Cell,
    settings: DiscoverSettings,
    splits: Mapping[str, Sequence[Features]],
) -> dict[str, Any]:
    """Return scores of clusters: found in the words of train, told for the posts of test.

    The method gets `Pairs`, which hold no annotation; labels are read here, to score.
    """
    found = _find(reader, cell.method, settings, Pairs(splits["train"]))
    test = splits["test"]
    clusters = found.assign(Pairs(test)).tolist()
    relations = [relation_of(post) for post in test]
    none = find_none_label(relation_of(post) for posts in splits.values() for post in posts)
    related = [at for at, relation in enumerate(relations) if relation != none]
    ids = [post.example.post.example_id for post in test]
    return {
        "all": cluster_scores(relations, clusters).to_json(),
        # Whoever has no relation need not be alike; the papers score related pairs only.
        "related": cluster_scores(
            [relations[at] for at in related], [clusters[at] for at in related]
        ).to_json()
        if related
        else None,
        "used": len(set(clusters)),
        "clusters": dict(zip(ids, clusters, strict=True)),
    }


def _find(reader: PairReader, method: str, settings: DiscoverSettings, pairs: Pairs) -> Found:
    if method == "selfore":
        return selfore(reader, pairs, settings.clusters, settings.selfore)
    if method == "hiure":
        return hiure(reader, pairs, settings.clusters, settings.hiure)
    return untrained(reader, pairs, settings.clusters)


def _few(
    reader: PairReader,
    cell: Cell,
    settings: DiscoverSettings,
    splits: Mapping[str, Sequence[Features]],
) -> dict[str, Any]:
    """Return micro F1 on test of a classifier that learned from a share of the labels."""
    few = few_labels(
        reader, splits["train"], splits["dev"], cell.share, settings.metasre.unlabelled
    )
    learn = metasre if cell.method == "metasre" else supervised
    taught = learn(reader, few, settings.metasre)
    test = splits["test"]
    found = guesses(reader, few, taught.classifier, reader.prepare(Pairs(test)))
    relations = [relation_of(post) for post in test]
    return {
        "f1": micro_f1(relations, found),
        "accuracy": float(np.mean([a == b for a, b in zip(relations, found, strict=True)])),
        "dev_f1": taught.dev_f1,
        "labelled": len(few.labelled.posts),
        "unlabelled": len(few.unlabelled) if cell.method == "metasre" else 0,
    }


def _headline(result: Mapping[str, Any]) -> str:
    if "f1" in result:
        return f"F1 {100 * result['f1']:.2f} ({result['seconds']:.0f} s)"
    scores = result["all"]
    return (
        f"B3 {100 * scores['b3_f1']:.2f}, V {100 * scores['v_measure']:.2f}, "
        f"ARI {100 * scores['ari']:.2f} ({result['seconds']:.0f} s)"
    )


def _write(out: Path, recipe: Recipe, results: Sequence[dict[str, Any]]) -> None:
    content = {"recipe": recipe.model_dump(mode="json"), "cells": list(results)}
    write_atomically(out / "discover.json", json.dumps(content, indent=1).encode())
    write_atomically(out / "discover.md", (table(results) + "\n").encode())
