"""A run reads what it learned to read: feature sets and embeddings of the same making, or none."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from cache_helpers import build
from comparing_helpers import tiny_recipe
from feature_helpers import add_features
from model_helpers import ALL_STREAMS, MemoryStore, make_parts, model_settings, stored

from cache import FeatureSet, InputError, Post, open_store
from model.build import Parts, feature_shapes
from model.fusion import needs_of
from model.run import DESCRIPTION, WEIGHTS, FeatureShape, write_run, write_tensors
from model.scoring.evaluation import prepare_split
from pipelines import prediction
from pipelines.runs import write_recipe
from retrieval.features.maker import FeatureMaker
from retrieval.sight.observe import Observer

CHAIN = "chain, rule 1"
SPACY = "spacy:small 0123abcd"


def store_of(**sets: Mapping[str, object]) -> MemoryStore:
    """Return a store of one post whose feature sets are changed as named."""
    store = MemoryStore([stored("a", "velora sings", kept=ALL_STREAMS, photo=True, split="test")])
    for name, changes in sets.items():
        entry = store.manifest.feature_sets[name]
        store.manifest.feature_sets[name] = SimpleNamespace(**{**vars(entry), **changes})
    return store


def parts_of(folder: Path, fusion: str, store: MemoryStore) -> Parts:
    """Return an untrained network that says it learned from ``store``."""
    parts = make_parts(folder, fusion=fusion)
    shapes = feature_shapes(store, parts.run.model)
    return dataclasses.replace(parts, run=parts.run.model_copy(update={"shapes": shapes}))


# --- evaluate and explain ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fusion", "name", "changes", "said"),
    [
        ("hvpnet", "pyramid", {"stages": (2, 3, 3, 6)}, r"stages \[2, 3, 4, 5\] -> \[2, 3, 3, 6"),
        ("ifaformer", "grid", {"dims": (7,)}, r"sizes \[5\] -> \[7\]"),
        ("mega", "parse", {"source": SPACY}, f"made by '{CHAIN}' -> '{SPACY}'"),
    ],
)
def test_feature_sets_unlike_those_of_the_training_are_refused(
    tmp_path: Path, fusion: str, name: str, changes: dict[str, object], said: str
) -> None:
    parts = parts_of(tmp_path, fusion, store_of(parse={"source": CHAIN}))

    assert len(prepare_split(parts, store_of(parse={"source": CHAIN}), "test")) == 1
    with pytest.raises(InputError, match=rf"store's {name} is not such.*{said}.*or train on"):
        prepare_split(parts, store_of(**{name: changes}), "test")


def test_a_store_of_posts_without_photos_differs_in_no_size(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, "hvpnet", store_of())
    store = MemoryStore([stored("a", "velora sings", split="test")])
    store.manifest.feature_sets["pyramid"] = SimpleNamespace(**dict(FeatureShape()))

    assert len(prepare_split(parts, store, "test")) == 1


def test_a_run_that_does_not_say_who_made_its_sets_takes_any_maker(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, "mega", store_of())

    assert len(prepare_split(parts, store_of(parse={"source": SPACY}), "test")) == 1


@pytest.mark.parametrize(
    ("found", "learned", "said"),
    [
        (0, 6, "the store has no image embeddings, and the run learned from those with 6"),
        (6, 0, "embeddings have 6 numbers, and the run learned from a store without"),
    ],
)
def test_vectors_where_the_run_knew_none_and_none_where_it_did_are_refused_to_who_reads_them(
    tmp_path: Path, found: int, learned: int, said: str
) -> None:
    store = store_of()
    store.manifest.embedding_dim = found
    for fusion in ("text_only", "more"):
        parts = make_parts(tmp_path / fusion, fusion=fusion, visual_dim=learned)
        assert len(prepare_split(parts, store, "test")) == 1

    parts = make_parts(tmp_path / "synthesis", fusion="synthesis", visual_dim=learned)
    with pytest.raises(InputError, match=rf"{said}.*observe\.encoder"):
        prepare_split(parts, store, "test")


def test_a_store_that_lost_its_embeddings_is_refused_to_who_reads_regions(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, "mega", store_of())
    store = store_of()
    store.manifest.embedding_dim = None

    with pytest.raises(InputError, match="the store has no image embeddings"):
        prepare_split(parts, store, "test")


# --- stores that lack a set --------------------------------------------------------------------


def test_the_command_that_adds_a_set_names_the_store_and_what_it_costs(tmp_path: Path) -> None:
    build(tmp_path / "other")
    add_features(tmp_path / "other", ["parse"])
    with open_store(tmp_path / "other", reader="parquet") as store:
        with pytest.raises(InputError) as error:
            feature_shapes(store, model_settings(fusion="mega"))
        add_features(tmp_path / "other", ["region_graph"])
        before = store.manifest.fingerprint
    with open_store(tmp_path / "other", reader="parquet") as store:
        shapes = feature_shapes(store, model_settings(fusion="mega"))
        after = store.manifest.fingerprint

    command = (
        f"`ramie build RECIPE --store {tmp_path / 'other'} "
        '--set \'observe.features=["parse", "region_graph"]\'`'
    )
    assert command in str(error.value)
    assert before != after
    assert "fingerprint changes" in str(error.value)
    assert shapes["parse"].source == "made-up parse"


# --- predict -----------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run of `mega` whose recipe parses with ``chain``; evidence is not looked for."""
    folder = tmp_path / "run"
    recipe = tiny_recipe(tmp_path / "data")
    maker = FeatureMaker(recipe.observe, Observer(recipe.observe))
    names: tuple[FeatureSet, ...] = needs_of("mega")
    made = store_of(**{name: {"source": maker.source(name)} for name in names})
    parts = parts_of(folder, "mega", made)
    write_run(folder, parts.run)
    write_tensors(folder / WEIGHTS, parts.network.state_dict())
    write_recipe(folder, recipe, tmp_path / "store", ())
    monkeypatch.setattr(prediction, "retrieve", lambda *_: stored("new", "velora sings"))
    return folder


def rewrite(run: Path, source: str | None) -> None:
    """Say in ``run`` that ``source`` made its parses; None says nothing, as earlier versions."""
    described = json.loads((run / DESCRIPTION).read_text())
    for name, shape in described["shapes"].items():
        if source is None:
            del shape["source"]
        elif name == "parse":
            shape["source"] = source
    (run / DESCRIPTION).write_text(json.dumps(described))


def test_a_post_is_not_parsed_by_another_parser_than_those_of_the_training(run: Path) -> None:
    post = Post("new", ("velora", "sings"))
    prediction.predict_post(run, post, None, device="cpu")
    rewrite(run, SPACY)

    with pytest.raises(
        InputError, match=rf"a parse made by '{SPACY}'.*by '{CHAIN}' here\..*ramie train RECIPE"
    ):
        prediction.predict_post(run, post, None, device="cpu")


def test_a_run_of_an_earlier_version_predicts_as_it_did(run: Path) -> None:
    rewrite(run, None)

    answer = prediction.predict_post(run, Post("new", ("velora", "sings")), None, device="cpu")

    assert answer.post.tokens == ("velora", "sings")


# --- make reproduce ----------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("named", "passed"), [([], ""), (["STORE=elsewhere/x"], "--store elsewhere/x")]
)
def test_make_reproduce_takes_the_store_that_is_named(named: list[str], passed: str) -> None:
    call = ["make", "-n", "reproduce", "RECIPE=mnre", "SIZE=tiny", *named]
    root = Path(__file__).parent.parent
    # Not what a `make test STORE=...` around it hands on.
    bare = {"PATH": os.environ["PATH"]}

    said = subprocess.run(call, cwd=root, env=bare, capture_output=True, text=True, check=True)

    assert said.stdout.splitlines()[-1].split() == [
        *(".venv/bin/ramie", "reproduce", "mnre", "--size", "tiny"),
        *passed.split(),
    ]
