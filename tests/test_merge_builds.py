"""Promises about parts of one build that real builders left, and about going on after a merge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builder_helpers import (
    SENTENCES,
    STRICTER,
    CountingObserver,
    CountingProvider,
    build,
    make_dataset,
)
from cache_helpers import files_of
from merge_helpers import many_posts, shared_files

from cache.checking.verify import verify_store
from cache.errors import StoreMismatch
from cache.manifest import read_manifest
from cache.operations.merge import merge_stores
from pipelines.cli import main
from retrieval.datasets import Dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return the data set of all these tests; nobody changes its files."""
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def _one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record every answer at one time, as in one build."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795000000")


def build_without(store: Path, dataset: Dataset, *places: int) -> None:
    """Build while the provider does not answer to some sentences."""
    provider = CountingProvider(down={SENTENCES[place] for place in places})
    assert build(store, dataset, CountingObserver(), provider).unfinished


def test_builds_that_lack_different_posts_make_the_undisturbed_store(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "whole", dataset)
    build_without(tmp_path / "a", dataset, 0, 1)
    build_without(tmp_path / "b", dataset, 2, 4)

    merge_stores(tmp_path / "out", [tmp_path / "b", tmp_path / "a"])

    assert shared_files(tmp_path / "out") == shared_files(tmp_path / "whole")
    assert verify_store(tmp_path / "out").ok


def test_a_build_goes_on_with_a_merged_store_and_asks_only_what_nobody_asked(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "whole", dataset)
    build_without(tmp_path / "a", dataset, 0, 1, 2)
    build_without(tmp_path / "b", dataset, 0, 2, 4)
    merge_stores(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])
    observer, provider = CountingObserver(), CountingProvider()

    build(tmp_path / "out", dataset, observer, provider)

    assert shared_files(tmp_path / "out") == shared_files(tmp_path / "whole")
    assert set(observer.observed) == {"e0", "e2", "e3"}
    assert all(SENTENCES[1] not in asked and SENTENCES[4] not in asked for asked in provider.asked)


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_parts_that_teammates_build_make_the_whole_store(
    tmp_path: Path, dataset: Dataset, parts: int
) -> None:
    build(tmp_path / "whole", dataset)
    provider = CountingProvider()
    stores = [tmp_path / str(number) for number in range(parts)]
    for number, store in enumerate(stores, start=1):
        report = build(store, dataset, provider=provider, part=(number, parts))
        assert not report.unfinished

    merge_stores(tmp_path / "out", stores)

    assert shared_files(tmp_path / "out") == shared_files(tmp_path / "whole")
    assert sum(read_manifest(store).num_examples for store in stores) == len(SENTENCES)


def test_parts_built_one_after_the_other_in_one_folder_make_the_whole_store(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "whole", dataset)

    for number in (2, 1, 3):
        build(tmp_path / "store", dataset, part=(number, 3))

    assert shared_files(tmp_path / "store") == shared_files(tmp_path / "whole")


def test_a_part_leaves_the_posts_of_others_alone_whatever_they_were_compared_with(
    tmp_path: Path,
) -> None:
    dataset = many_posts()
    build(tmp_path / "whole", dataset)
    down = {" ".join(dataset.examples[-1].post.tokens)}
    build(tmp_path / "store", dataset, provider=CountingProvider(down=down), part=(1, 2))
    first = read_manifest(tmp_path / "store").shards[0]

    build(tmp_path / "store", dataset, part=(2, 2))

    manifest = read_manifest(tmp_path / "store")
    assert manifest.shards[0] == first
    assert not manifest.unfinished
    assert not manifest.compared_alike
    build(tmp_path / "store", dataset)
    assert shared_files(tmp_path / "store") == shared_files(tmp_path / "whole")


def test_a_part_is_not_built_where_others_would_lose_their_posts(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "store", dataset)
    before = files_of(tmp_path / "store")

    with pytest.raises(StoreMismatch, match="belongs to another part"):
        build(tmp_path / "store", dataset, curate=STRICTER, part=(1, 2))

    assert files_of(tmp_path / "store") == before


def test_a_build_after_a_merge_scores_all_evidence_by_one_reference(tmp_path: Path) -> None:
    dataset = many_posts()
    build(tmp_path / "whole", dataset)
    for name, place in (("a", 3), ("b", 9)):
        down = {" ".join(dataset.examples[place].post.tokens)}
        build(tmp_path / name, dataset, provider=CountingProvider(down=down))
    report = merge_stores(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])
    assert not report.manifest.unfinished
    assert not report.manifest.compared_alike
    provider = CountingProvider()

    build(tmp_path / "out", dataset, provider=provider)

    assert shared_files(tmp_path / "out") == shared_files(tmp_path / "whole")
    assert not provider.asked


RECIPE = """
shard_size = 2
[dataset]
reader = "jsonl"
task = "mner"
root = "{root}"
[observe]
detector = "none"
encoder = "none"
[ask]
providers = []
"""


def test_teammates_build_parts_and_merge_them_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "dev", "test"):
        posts = [{"id": f"{split}-{n}", "tokens": ["Hi", "Ada"], "entities": []} for n in "123"]
        lines = "".join(json.dumps(post) + "\n" for post in posts)
        (tmp_path / f"{split}.jsonl").write_text(lines)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(root=tmp_path))
    stores = {name: str(tmp_path / name) for name in ("whole", "one", "two", "out")}

    assert main(["build", str(recipe), "--store", stores["whole"]]) == 0
    for name, part in (("one", "1/2"), ("two", "2/2")):
        assert main(["build", str(recipe), "--store", stores[name], "--part", part]) == 0
        assert "unfinished until `ramie merge`" in capsys.readouterr().out
    assert main(["merge", stores["out"], stores["two"], stores["one"]]) == 0

    assert shared_files(tmp_path / "out") == shared_files(tmp_path / "whole")
    assert main(["diff", stores["out"], stores["whole"]]) == 0
    for wrong in ("3/2", "0/2", "half"):
        with pytest.raises(SystemExit):
            main(["build", str(recipe), "--part", wrong])
