"""The table of ``ramie discover``: methods with and without evidence, over labels and seeds.

A *cell* is one training (`pipelines.discovery_cells`). Finished cells lie in files of their own
and are taken as they are; an unfinished one starts over. The table is written after every cell.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from cache.errors import InputError
from cache.reader import Features
from model.build import feature_shapes
from model.data import ExampleSource, read_split
from model.device import choose_device
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
from model.training.same_run import differences
from pipelines.config import Recipe
from pipelines.discovery_cells import CLUSTERING, Cell, Decided, Evidence, decided, network_of
from pipelines.discovery_table import table
from pipelines.runs import code_commit

_MOST_BYTES: Final = 64 << 20
_SHOWN: Final = 6


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
        wanted = decided(self.recipe, self.source, cell, choose_device(self.device))
        if path.is_file():
            return _finished(path, wanted)
        began = time.monotonic()
        network = network_of(self.recipe, cell)
        reader = pair_reader(
            self.source,
            network,
            self.recipe.train.model_copy(update={"seed": cell.seed}),
            self.out / "encoders" / f"evidence-{cell.evidence}",
            device=self.device,
            progress=self.progress,
        )
        found = _clusters if cell.method in CLUSTERING else _few
        scores = found(reader, cell, self.recipe.discover, self._splits(cell))
        result = {
            **asdict(cell),
            "decided": wanted.model_dump(mode="json"),
            "fusion": network.fusion,
            "commit": code_commit(),
            "seconds": round(time.monotonic() - began, 1),
            **scores,
        }
        write_atomically(path, json.dumps(result, indent=1).encode())
        return result

    def _splits(self, cell: Cell) -> dict[str, list[Features]]:
        """Return what the cell reads: who looks for clusters chooses nothing by dev."""
        needs = tuple(feature_shapes(self.source, network_of(self.recipe, cell)))
        names = ("train", "test") if cell.method in CLUSTERING else ("train", "dev", "test")
        for split in names:
            if (split, cell.evidence) not in self.splits:
                self.splits[split, cell.evidence] = read_split(self.source, split, needs)
        return {split: self.splits[split, cell.evidence] for split in names}


def _finished(path: Path, wanted: Decided) -> dict[str, Any]:
    """Return a result that was written before.

    Raises:
        InputError: it is damaged, or of another store or other settings.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
        result: dict[str, Any] = json.loads(content, parse_constant=_no_number)
        found = Decided.model_validate(result["decided"])
        table([result]), _headline(result)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        undescribed = isinstance(error, (ValidationError, KeyError))
        what = "what decided it is not there, or is no such thing" if undescribed else str(error)
        raise InputError(
            f"{path} is damaged, or of an older version ({what}). Delete it, and it is made anew."
        ) from error
    differ = list(differences(found.model_dump(mode="json"), wanted.model_dump(mode="json")))
    if differ:
        raise InputError(
            f"{path} is of another store or other settings: {'; '.join(differ[:_SHOWN])} (there "
            "-> asked for). Choose another --out folder, or delete that file."
        )
    return result


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no figure")


def _clusters(
    reader: PairReader,
    cell: Cell,
    settings: DiscoverSettings,
    splits: Mapping[str, Sequence[Features]],
) -> dict[str, Any]:
    """Return scores of clusters: found in the words of train, told for the posts of test.

    The method gets `Pairs`, which hold no annotation; labels are read here, to score.
    """
    train, test = splits["train"], splits["test"]
    # Before the training: a test that cannot be scored is not to be found out after it.
    relations = [relation_of(post) for post in test]
    clusters = _find(reader, cell.method, settings, Pairs(train)).assign(Pairs(test)).tolist()
    none = find_none_label([*relations, *(post.example.relation or "" for post in train)])
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
        # What B-cubed gives to whoever tells nothing apart.
        "one_cluster_b3_f1": cluster_scores(relations, [0] * len(relations)).b3_f1,
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
    test = splits["test"]
    # Before the training, as above.
    relations = [relation_of(post) for post in test]
    few = few_labels(
        reader, splits["train"], splits["dev"], cell.share, settings.metasre.unlabelled
    )
    learn = metasre if cell.method == "metasre" else supervised
    taught = learn(reader, few, settings.metasre)
    found = guesses(reader, few, taught.classifier, reader.prepare(Pairs(test)))
    return {
        "f1": micro_f1(relations, found, few.none),
        "accuracy": float(np.mean([a == b for a, b in zip(relations, found, strict=True)])),
        "dev_f1": taught.dev_f1,
        "labelled": len(few.labelled.posts),
        "relations_seen": len(few.relations),
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
