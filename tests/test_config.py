from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cache.errors import InputError
from pipelines import building
from pipelines.config import RightsSettings, load_recipe
from pipelines.recipe_files import PACKAGE, RECIPES, recipe_names

MINIMAL = '[dataset]\nreader = "jsonl"\ntask = "mner"\nroot = "posts"\n'


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid_and_carries_its_own_name(name: str) -> None:
    try:
        recipe = load_recipe(name)
    except InputError as error:  # an encoder of an extra that is not installed
        assert "install" in str(error), error  # noqa: PT017
        pytest.skip(str(error))
    assert recipe.name == name
    # Whoever hands its store on must be able to say whose it is.
    assert recipe.rights.stated().keys() >= {"posts", "evidence"}


def test_a_misspelt_key_is_answered_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + "[curate]\nnear_duplicates_text = 0.9\n")

    with pytest.raises(InputError, match=r"did you mean 'near_duplicate_text'\?"):
        load_recipe(str(path))


def test_a_misspelt_group_is_answered_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + "[curat]\n")

    with pytest.raises(InputError, match=r"unknown setting 'curat'; did you mean 'curate'\?"):
        load_recipe(str(path))


def test_a_misspelt_key_in_a_list_of_groups_is_answered_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + "[[ask.imports]]\nlevl = 'image'\n")

    with pytest.raises(InputError, match=r"did you mean 'level'\?"):
        load_recipe(str(path))


def test_rights_are_stated_in_the_recipe_and_decide_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + "[observe]\ndetector = 'none'\nencoder = 'none'\n")
    silent = load_recipe(str(path))
    stated = silent.model_copy(update={"rights": RightsSettings(licence="MIT", posts=" ")})
    assert silent.build_settings() == stated.build_settings()

    given: dict[str, object] = {}
    monkeypatch.setattr(building, "read_dataset", lambda _: SimpleNamespace(problems=()))
    monkeypatch.setattr(building, "make_providers", lambda *_: [])
    monkeypatch.setattr(building, "build_store", lambda *_, **told: given.update(told))
    building.build_recipe(stated, tmp_path / "store")
    assert given["rights"] == {"licence": "MIT"}


def test_a_value_out_of_range_is_named_with_the_value(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + "[curate]\nnear_duplicate_text = 1.5\n")

    with pytest.raises(InputError, match=r"curate.near_duplicate_text.*1\.5"):
        load_recipe(str(path))


def test_overrides_are_toml_and_fall_back_to_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)

    recipe = load_recipe(
        str(path),
        [
            "curate.keep_per_stream=3",
            "observe.encoder=none",
            'ask.providers=["recorded"]',
            "dataset.root=some where",
        ],
    )

    assert recipe.curate.keep_per_stream == 3
    assert recipe.observe.encoder == "none"
    assert recipe.ask.providers == ("recorded",)
    assert recipe.dataset.root == Path("some where")


@pytest.mark.parametrize("override", ["curate.keep_per_stream", "=3", "dataset.root.deeper=1"])
def test_an_override_that_is_none_says_how_to_write_one(override: str) -> None:
    with pytest.raises(InputError, match="--set"):
        load_recipe("sample", [override])


def test_an_unknown_recipe_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(InputError, match=r"did you mean 'twitter2017'.*mnre"):
        load_recipe("twitter2016")


def test_a_package_path_is_resolved_without_importing_the_package(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + '[observe]\nencoder = "local-dir:package:pipelines/recipes"\n')

    assert load_recipe(str(path)).observe.encoder == f"local-dir:{RECIPES}"
    assert RECIPES.parent == PACKAGE


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + '[model]\ntext_encoder = "package:no_such_package/model"\n')

    with pytest.raises(InputError, match="no_such_package"):
        load_recipe(str(path))


def test_broken_toml_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[dataset\n")

    with pytest.raises(InputError, match=r"mine\.toml is not valid TOML"):
        load_recipe(str(path))
