"""Promises of comparing two stores: every change is told, by what it is, and nothing else is."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from cache_helpers import IDENTITY, image, shard, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_helpers import NAMES, Change, build_part, found_at, name_of

from cache import (
    Dropped,
    Recording,
    Recordings,
    StoreDamaged,
    StoredExample,
    StoreWriter,
    read_manifest,
)
from cache.operations.diff import Aspect, StoreDiff, diff_stores
from cache.operations.diff_hits import HitChange
from cache.operations.withhold import withhold_store
from pipelines.cli import main

MIRROR = {"gained": "lost", "lost": "gained", "dropped": "restored", "restored": "dropped"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store; nobody changes it."""
    path = tmp_path_factory.mktemp("whole") / "store"
    build_part(path)
    return path


def relabelled(row: StoredExample) -> StoredExample:
    return replace(row, example=replace(row.example, entities=()))


def other_split(row: StoredExample) -> StoredExample:
    return replace(row, example=replace(row.example, split="dev"))


def reworded(row: StoredExample) -> StoredExample:
    post = replace(row.example.post, tokens=("x",) * len(row.example.post.tokens))
    example = replace(row.example, post=post)
    return StoredExample(example, replace(row.observation, post=post), row.evidence)


def other_photo(row: StoredExample) -> StoredExample:
    return replace(row, observation=replace(row.observation, photo_key=image(9).key))


def seen_otherwise(row: StoredExample) -> StoredExample:
    return replace(row, observation=replace(row.observation, sentence_embedding=None))


def rescored(row: StoredExample) -> StoredExample:
    kept = (replace(one, hit=replace(one.hit, relevance=0.5)) for one in row.evidence)
    return replace(row, evidence=tuple(kept))


def write(path: Path, row: StoredExample, dropped: Collection[Dropped] = ()) -> None:
    """Write a store of one post."""
    with StoreWriter(path, identity=IDENTITY, num_shards=1) as writer:
        media = shard(0).media
        writer.write_shard(0, [row], {name_of(row): list(dropped)}, media)
        writer.close({})


def hits(diff: StoreDiff) -> list[HitChange]:
    return [hit for post in diff.posts for hit in post.hits]


def mirrored(diff: StoreDiff) -> StoreDiff:
    """What the difference is the other way round."""

    def turned(pairs: dict[str, tuple[object, object]]) -> dict[str, tuple[object, object]]:
        return {key: (after, before) for key, (before, after) in pairs.items()}

    lost, gained, renewed = diff.recordings
    return StoreDiff(
        fingerprints=diff.fingerprints[::-1],
        settings=turned(diff.settings),  # type: ignore[arg-type]
        stated=turned(diff.stated),  # type: ignore[arg-type]
        only=diff.only[::-1],
        aspects=diff.aspects,
        hits=type(diff.hits)(
            {(MIRROR.get(key[0], key[0]), *key[1:]): n for key, n in diff.hits.items()}
        ),
        reasons=turned(diff.reasons),  # type: ignore[arg-type]
        contents=turned(diff.contents),  # type: ignore[arg-type]
        recordings=(gained, lost, renewed),
        posts=[
            post._replace(
                hits=tuple(
                    hit._replace(
                        change=MIRROR.get(hit.change, hit.change),  # type: ignore[arg-type]
                        values=turned(hit.values),
                    )
                    for hit in post.hits
                )
            )
            for post in diff.posts
        ],
    )


CHANGES: list[Change] = [
    lambda row: row,
    found_at("2026-11-02"),
    relabelled,
    other_split,
    reworded,
    seen_otherwise,
    rescored,
]


@settings(max_examples=8, deadline=None)
@given(
    ours=st.sets(st.sampled_from(NAMES)),
    theirs=st.sets(st.sampled_from(NAMES)),
    changes=st.lists(st.sampled_from(CHANGES), min_size=len(NAMES), max_size=len(NAMES)),
)
def test_a_difference_read_backwards_is_the_difference_the_other_way_round(
    ours: set[str], theirs: set[str], changes: list[Change]
) -> None:
    of = dict(zip(NAMES, changes, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "a", Path(folder) / "b"
        build_part(one, ours)
        build_part(other, theirs, change=lambda row: of[name_of(row)](row))

        there, back = diff_stores(one, other), diff_stores(other, one)

        assert mirrored(there) == back
        assert there.only == (sorted(ours - theirs), sorted(theirs - ours))
        assert diff_stores(one, one).equal


def test_a_store_does_not_differ_from_itself(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")

    diff = diff_stores(whole, tmp_path / "copy")

    assert diff.equal
    assert diff == StoreDiff(diff.fingerprints)


@pytest.mark.parametrize(
    ("change", "aspect"),
    [
        (relabelled, "labels"),
        (other_split, "split"),
        (reworded, "inputs"),
        (other_photo, "photo"),
        (seen_otherwise, "seen"),
        (rescored, "evidence"),
    ],
)
def test_what_changed_about_a_post_is_told_by_what_it_is(
    tmp_path: Path, change: Change, aspect: Aspect
) -> None:
    row = stored("p", 4, image(0))
    row = replace(row, example=replace(row.example, split="train", entities=None), post_sha256="")
    write(tmp_path / "a", row)
    write(tmp_path / "b", change(row))

    diff = diff_stores(tmp_path / "a", tmp_path / "b")

    # A photo is seen, too.
    assert set(diff.aspects) - ({"seen"} if aspect == "photo" else set()) == {aspect}
    assert diff.aspects[aspect] == ["p"]
    assert [post.example_id for post in diff.posts] == ["p"]
    assert not diff.settings
    assert not diff.stated


def test_what_became_of_each_hit_is_told(tmp_path: Path) -> None:
    row = stored("p", 4, image(0))
    first, second, third, fourth = row.evidence
    write(tmp_path / "a", replace(row, evidence=(first, second, third)))
    moved = replace(third, rank=1)
    write(
        tmp_path / "b",
        replace(row, evidence=(first, moved, fourth)),
        [Dropped(second.hit, "noise", "an advertisement")],
    )

    diff = diff_stores(tmp_path / "a", tmp_path / "b")

    found = {hit.document_id: hit for hit in hits(diff)}
    assert found[second.hit.document_id].change == "dropped"
    assert found[second.hit.document_id].reason == "noise: an advertisement"
    assert found[third.hit.document_id].change == "moved"
    assert found[third.hit.document_id].values == {"rank": (2, 1)}
    assert found[fourth.hit.document_id].change == "gained"
    assert len(found) == 3
    assert diff.reasons == {"noise": (0, 1)}
    assert {(change, provider): n for (change, _, provider), n in diff.hits.items()} == {
        ("dropped", "kb"): 1,
        ("moved", "kb"): 1,
        ("gained", "kb"): 1,
    }


def test_a_score_and_a_text_that_changed_are_told_with_both_values(tmp_path: Path) -> None:
    row = stored("p", 2, image(0))
    one, other = row.evidence
    scored = replace(one, hit=replace(one.hit, provider_score=0.125))
    altered = replace(other, hit=replace(other.hit, title="New"))
    write(tmp_path / "a", row)
    write(tmp_path / "b", replace(row, evidence=(scored, altered)))

    found = hits(diff_stores(tmp_path / "a", tmp_path / "b"))

    assert {(hit.change, *hit.values.items()) for hit in found} == {
        ("scored", ("provider_score", (one.hit.provider_score, 0.125))),
        ("altered", ("title", ("A title", "New"))),
    }


def test_settings_and_statements_are_told_with_both_values(tmp_path: Path) -> None:
    build_part(tmp_path / "a", NAMES[1:], rights={"posts": "ours"})
    other = {**IDENTITY, "recipe": {"name": "test", "keep": 3}, "new": True}
    build_part(tmp_path / "b", NAMES[1:], identity=other, rights={"posts": "theirs"})

    diff = diff_stores(tmp_path / "a", tmp_path / "b")

    assert diff.settings == {"recipe.keep": (5, 3), "new": (None, True)}
    assert diff.stated == {"rights.posts": ("ours", "theirs")}
    assert not diff.aspects


def test_what_was_left_out_is_no_change_of_posts(tmp_path: Path, whole: Path) -> None:
    withhold_store(whole, tmp_path / "bare")

    diff = diff_stores(whole, tmp_path / "bare")

    assert diff.stated["withheld"] == ([], ["images", "posts"])
    assert not diff.aspects
    assert not diff.equal


def test_texts_that_were_left_out_are_no_change_of_the_hits_that_say_them(
    tmp_path: Path, whole: Path
) -> None:
    providers = read_manifest(whole).summary["providers"]
    assert isinstance(providers, dict)
    withhold_store(whole, tmp_path / "bare", kinds=[], texts_of=[*providers])
    diff = diff_stores(whole, tmp_path / "bare")
    assert diff.stated["withheld"] == ([], ["texts"])
    assert (diff.aspects, diff.hits, diff.posts) == ({}, {}, [])

    # What did change is told as in whole stores, and nothing beside it.
    build_part(tmp_path / "rescored", change=rescored)
    told = diff_stores(whole, tmp_path / "rescored")
    bare = diff_stores(tmp_path / "bare", tmp_path / "rescored")
    assert (bare.aspects, bare.hits, bare.posts) == (told.aspects, told.hits, told.posts)
    assert bare.posts


def test_contents_that_only_one_store_needs_are_counted(tmp_path: Path) -> None:
    row = stored("p", 1, image(0))
    (kept,) = row.evidence
    texts = ["one", "two"]
    for name, text in zip("ab", texts, strict=True):
        evidence = (replace(kept, hit=replace(kept.hit, text=text)),)
        write(tmp_path / name, replace(row, evidence=evidence))

    assert diff_stores(tmp_path / "a", tmp_path / "b").contents == {
        "texts": (1, 1),
        "images": (0, 0),
    }


def test_recordings_are_compared_even_where_the_manifests_are_equal(
    tmp_path: Path, whole: Path
) -> None:
    for name, answers in (("a", {"x": "1", "y": "1"}), ("b", {"y": "2", "z": "1"})):
        shutil.copytree(whole, tmp_path / name)
        with Recordings(tmp_path / name / "recordings") as book:
            book.put_segment(
                [
                    Recording(key, "kb", "{}", f"2026-11-0{day}", b"")
                    for key, day in answers.items()
                ]
            )

    diff = diff_stores(tmp_path / "a", tmp_path / "b")

    assert diff.recordings == (["x"], ["z"], ["y"])
    assert not diff.equal
    assert not diff.aspects


def test_the_same_posts_in_other_shards_have_not_changed(tmp_path: Path, whole: Path) -> None:
    rows = [row for index in range(3) for row in shard(index, 4).rows]
    dropped = {name: one for index in range(3) for name, one in shard(index, 4).dropped.items()}
    media = [item for index in range(3) for item in shard(index, 4).media]
    with StoreWriter(tmp_path / "one", identity=IDENTITY, num_shards=1) as writer:
        writer.write_shard(0, rows, dropped, media)
        writer.close({})

    diff = diff_stores(whole, tmp_path / "one")

    assert diff.stated["shards"] == (3, 1)
    assert not diff.aspects
    assert diff.only == ([], [])
    assert diff.contents == {"texts": (0, 0), "images": (0, 0)}


def test_posts_are_told_one_by_one_as_many_as_asked_for(tmp_path: Path, whole: Path) -> None:
    build_part(tmp_path / "b", change=found_at("2026-11-02"))

    every, some = (diff_stores(whole, tmp_path / "b", most_posts=n) for n in (None, 2))

    assert len(every.posts) > 2
    assert some.posts == every.posts[:2]
    assert some.hits == every.hits


def test_a_damaged_store_is_not_compared(tmp_path: Path, whole: Path) -> None:
    build_part(tmp_path / "b", NAMES[1:])
    path = sorted((tmp_path / "b" / "evidence").glob("*"))[0]
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")

    with pytest.raises(StoreDamaged, match=path.name):
        diff_stores(whole, tmp_path / "b")


def test_the_exit_code_tells_equal_from_different_from_trouble(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_part(tmp_path / "b", NAMES[1:])

    codes = [main(["diff", str(whole), str(other)]) for other in (whole, tmp_path / "b", tmp_path)]

    assert codes == [0, 1, 2]
    assert "there is no store" in capsys.readouterr().err


def test_the_command_shows_some_posts_and_gives_all_as_json(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_part(tmp_path / "b", change=found_at("2026-11-02", "\x1b[2Jtitle\n  post nobody"))
    stores = [str(whole), str(tmp_path / "b")]

    assert main(["diff", *stores, "--posts", "1"]) == 1
    text = capsys.readouterr().out
    assert main(["diff", *stores, "--json"]) == 1
    result = json.loads(capsys.readouterr().out)

    assert "\x1b" not in text
    assert text.count("\n  post ") == 1
    assert f"{len(result['posts']) - 1} more posts changed" in text
    assert {post["example_id"] for post in result["posts"]} == set(result["changed"]["evidence"])
