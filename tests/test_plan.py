"""Promises of ``ramie plan``: what it foresees is what a build then asks, finds and writes."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from live_helpers import LivePlayer
from tiny_kb import Line, write_folder

from cache.keys import content_key
from cache.records import Observation, Query
from pipelines.building import build_recipe
from pipelines.cli import main
from pipelines.config import Recipe, load_recipe
from pipelines.planning.forecast import expected_bytes, forecast
from pipelines.planning.questions import expected_questions
from pipelines.planning.rates import Measured, Rates, measure, through
from pipelines.planning.sample_build import folder_bytes, part_of
from retrieval.asking.queries import make_queries
from retrieval.building.identity import store_identity
from retrieval.datasets import read_dataset
from retrieval.kb.knowledge_base import build_kb
from retrieval.providers.base import query_key

POSTS = 240
SAMPLE = 90
RECIPE = """
shard_size = 64
[dataset]
reader = "jsonl"
task = "mner"
root = "{root}"
[observe]
detector = "none"
encoder = "none"
[ask]
providers = {providers}
kb = "{root}/kb"
hits_per_query = 8
[ask.searxng]
address = "https://search.example/"
[ask.vision]
endpoint = "https://vision.example/"
[curate]
max_false_keeps = 1.0
reference_posts = 30
[curate.noise]
keyword_list = false
spam = false
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with posts, one in four of them a repetition, and a knowledge base."""
    folder, rng = tmp_path_factory.mktemp("world"), random.Random(5)
    words = [f"w{number}ord" for number in range(300)]

    def sentence() -> list[str]:
        return rng.choices(words, k=9)

    sentences = [sentence() for _ in range(POSTS * 3 // 4)]
    sentences += sentences[: POSTS - len(sentences)]
    for split, first in (("train", 0), ("dev", 1), ("test", 2)):
        rows = [
            json.dumps({"id": f"p{number:04d}", "tokens": sentences[number], "entities": []})
            for number in range(first, POSTS, 3)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    lines: list[Line] = [
        {"id": f"d{number}", "title": f"No {number}", "text": " ".join(sentence() + sentence())}
        for number in range(400)
    ]
    write_folder(folder / "documents", lines, num_images=0)
    build_kb(folder / "documents", folder / "kb", recipe_of(folder).observe)
    return folder


def recipe_of(world: Path, *providers: str, **settings: object) -> Recipe:
    """Return the recipe of the world, asking ``kb`` unless told otherwise."""
    path = world / "plan.toml"
    path.write_text(RECIPE.format(root=world, providers=json.dumps(providers or ["kb"])))
    return load_recipe(str(path), [f"{key}={value}" for key, value in settings.items()])


def measured_of(recipe: Recipe) -> Measured:
    """Return what a sample tells."""
    return measure(recipe, SAMPLE, lambda text: None)


def test_a_build_asks_finds_and_writes_what_was_foreseen(world: Path, tmp_path: Path) -> None:
    recipe = recipe_of(world)
    plan = forecast(recipe, measured_of(recipe), POSTS, 1)
    report = build_recipe(recipe, tmp_path / "store", say=lambda text: None)
    counters: Any = report.counters

    # A question that two posts have is asked once, and foreseen once.
    (questions,) = plan.questions
    assert (questions.distinct, questions.exact) == (report.asked, True)
    assert report.asked == 2 * POSTS * 3 // 4
    found = counters["evidence"] + counters.get("dropped", 0)
    assert plan.hits == pytest.approx(found, rel=0.1)
    assert plan.kept == pytest.approx(counters["evidence"], rel=0.1)
    really = folder_bytes(tmp_path / "store")
    for folder in ("evidence", "examples", "recordings", "texts"):
        assert plan.size_bytes[folder] == pytest.approx(really[folder], rel=0.2), folder
    assert sum(plan.size_bytes.values()) == pytest.approx(sum(really.values()), rel=0.15)


def test_what_is_recorded_already_is_told_apart(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, call = tmp_path / "store", ["--json", "--sample", "12"]
    recipe = recipe_of(world)
    build_recipe(recipe, store, say=lambda text: None)

    assert main(["plan", str(world / "plan.toml"), "--store", str(store), *call]) == 0

    (questions,) = json.loads(capsys.readouterr().out)["plan"]["questions"]
    assert questions["recorded"] == questions["distinct"] == 2 * POSTS * 3 // 4
    assert questions["missing"] == 0
    # Nothing of the plan itself is left behind, nor changed.
    assert build_recipe(recipe, store, say=lambda text: None).action == "nothing to do"


def test_the_command_prints_one_json_object(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_of(world)
    call = ["plan", str(world / "plan.toml"), "--posts", "960", "--json", "--sample", "30"]

    assert main(call) == 0

    told = json.loads(capsys.readouterr().out)["plan"]
    assert told["posts"] == 960
    assert told["questions"][0]["distinct"] == 4 * 2 * POSTS * 3 // 4
    assert any("multiplied by 4" in one for one in told["assumptions"])
    assert told["seconds"] > 0


@pytest.mark.parametrize("option", ["--posts", "--workers", "--sample"])
def test_no_posts_or_workers_is_a_wrong_call(
    option: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_of(world)
    assert main(["plan", str(world / "plan.toml"), option, "0"]) == 2
    assert option in capsys.readouterr().err


def test_live_providers_cost_their_pace_and_price_and_are_not_asked(world: Path) -> None:
    # There is no such host, and a test that looked for it would fail.
    priced = {"ask.prices.searxng": 4.0, "ask.prices.currency": "EUR"}
    recipe = recipe_of(world, "searxng", **priced)
    plan = forecast(recipe, measured_of(recipe), POSTS, 8)

    (questions,) = plan.questions
    number = 2 * POSTS * 3 // 4
    assert (questions.requests, questions.seconds) == (number, number * 2.5)
    assert plan.money == {"searxng": pytest.approx(number * 4.0 / 1000)}
    assert plan.currency == "EUR"
    # Eight machines do not make a provider answer faster than every 2.5 s.
    assert plan.parts["line"] >= (number - 1) * 2.5
    assert plan.fetches == number * 8
    assert any("nobody was asked" in one for one in plan.assumptions)


def test_of_posts_beyond_those_that_are_recorded_every_question_is_asked(world: Path) -> None:
    recipe = recipe_of(world, "searxng", **{"ask.prices.searxng": 4.0})
    measured = measured_of(recipe)
    (provider,) = measured.providers
    recorded = {
        query_key(provider, query, recipe.ask.hits_per_query)
        for example in measured.dataset.examples
        for query in make_queries(Observation(example.post))
    }
    plan = forecast(recipe, measured, POSTS * 3, 1, recorded)

    (questions,) = plan.questions
    number = 2 * POSTS * 3 // 4
    assert (questions.distinct, questions.recorded) == (number * 3, number)
    assert questions.requests == questions.missing == number * 2
    assert questions.seconds == number * 2 * 2.5
    assert plan.money == {"searxng": pytest.approx(number * 2 * 4.0 / 1000)}


class PhotoSearch(LivePlayer):
    """Is asked about photos alone."""

    def accepts(self, query: Query) -> bool:
        return bool(query.image_key)


def test_of_questions_about_photos_those_that_are_recorded_are_told_apart(world: Path) -> None:
    dataset = read_dataset(recipe_of(world).dataset)
    posts = [example.post for example in dataset.examples]
    photos = {post.example_id: Path(f"{post.example_id}.jpg") for post in posts}
    dataset = replace(dataset, photos=photos)
    sample = [Observation(post, photo_key=content_key(post.example_id.encode())) for post in posts]
    sample = sample[: POSTS // 10]
    provider = PhotoSearch("photos", answers_both=True)
    keys = [
        query_key(provider, query, 8)
        for one in sample[: len(sample) // 4]
        for query in make_queries(one)
        if provider.accepts(query)
    ]

    fresh = expected_questions(dataset, sample, provider, (), 8, 2.5)
    again = expected_questions(dataset, sample, provider, keys, 8, 2.5)
    beyond = expected_questions(dataset, sample, provider, keys, 8, 2.5, times=2)

    assert (fresh.distinct, fresh.recorded, fresh.requests) == (2 * POSTS, 0, POSTS)
    assert (again.distinct, again.recorded) == (2 * POSTS, 2 * POSTS // 4)
    assert again.requests == POSTS * 3 // 4
    assert (beyond.distinct, beyond.recorded) == (4 * POSTS, 2 * POSTS // 4)
    assert (beyond.requests, beyond.exact) == (POSTS * 3 // 4 + POSTS, False)


def test_a_price_changes_no_fingerprint(world: Path) -> None:
    identities = [
        store_identity(recipe.build_settings(), read_dataset(recipe.dataset), "", [])
        for recipe in (recipe_of(world), recipe_of(world, **{"ask.prices.vision": 3.5}))
    ]
    assert identities[0] == identities[1]


def test_a_sample_is_spread_over_the_data_set(world: Path) -> None:
    dataset = read_dataset(recipe_of(world).dataset)
    names = [one.post.example_id for one in part_of(dataset, 4).examples]
    assert names == ["p0000", "p0060", "p0120", "p0180"]


def test_what_is_shared_grows_more_slowly_and_nothing_faster_than_the_posts() -> None:
    rates = Rates(
        posts=(100, 400),
        cores=2,
        starting_s=0.0,
        reading_s=0.0,
        stages={},
        comparing_s=0.0,
        closing_s=0.0,
        asked=0,
        hits=0.0,
        kept=0.0,
        # Four times the posts: twice the bytes, five times, as many, none at first.
        size_bytes={"texts": (10, 20), "rows": (10, 50), "parse": (7, 7), "media": (0, 40)},
    )
    assert expected_bytes(rates, 1600) == {"texts": 40, "rows": 200, "parse": 7, "media": 160}


def test_what_is_fixed_and_what_comes_with_each_post_are_told_apart() -> None:
    assert through((10, 3.0), (30, 7.0)) == pytest.approx((1.0, 0.2))
    # Noise must not make either negative.
    assert through((10, 3.0), (30, 2.0)) == (2.0, 0.0)
    assert through((10, 1.0), (30, 9.0)) == pytest.approx((0.0, 0.3))
