"""Leaving out what an owner may not hand on: nothing of it is left, and the rest is whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from cache_helpers import IDENTITY, build, files_of, hit, shard, vector

from cache import (
    Dropped,
    Evidence,
    Example,
    InputError,
    Manifest,
    Media,
    Observation,
    Post,
    Region,
    Span,
    StoreChanged,
    StoreDamaged,
    StoredExample,
    StoreWithheld,
    StoreWriter,
    content_key,
    open_store,
    read_manifest,
    verify_store,
)
from cache.operations.withhold import withhold_store
from cache.writing.complete import mend_ends, publish, restate

SECRETS = ("secretword", "secretlabel", "secretrelation", "secretphoto", "secretbyte")
SAID = ("webonly", "webtitle", "webreason")


def secret_store(path: Path) -> Manifest:
    """Write a store of three posts whose words, labels and photos hold the secrets."""
    rng = np.random.default_rng(0)
    photo = Media(content_key(b"secretbyte"), b"secretbyte", "PNG", 4, 3)
    with StoreWriter(path, identity=IDENTITY, num_shards=2) as writer:
        for index, names in enumerate((("a", "b"), ("c",))):
            rows, dropped = [], {}
            for name in names:
                post = Post(name, ("the", "secretword"), "secretphoto.jpg", Span(0, 1), Span(1, 2))
                spans = (Span(1, 2, "secretlabel"),)
                regions = (Region((0, 0, 4, 3), "dog", 0.5, vector(rng)),)
                seen = Observation(post, photo.key, "ok", vector(rng), vector(rng), regions)
                web = replace(
                    hit(rng, 0, None, 1), provider="web", title="webtitle", text="webonly"
                )
                kb = replace(hit(rng, 1, photo.key, 1), text="shared")
                shared = replace(web, text="shared", document_id="other")
                kept = tuple(Evidence(one, i, 0.5) for i, one in enumerate((web, kb, shared)))
                dropped[name] = (Dropped(web, "noise", "webreason"), Dropped(kb, "cut", "rank 9"))
                example = Example(post, "train", spans, "secretrelation")
                rows.append(StoredExample(example, seen, kept))
            writer.write_shard(index, rows, dropped, [photo])
        counters = {"posts": 3, "data set: label 'secretlabel' in dev but not in train": 1}
        return writer.close(counters, rights={"posts": "mine"})


def everything_in(store: Path) -> str:
    """Return all that the files of a store say: their bytes, and every column decompressed."""
    said = [data.decode("latin-1") for data in files_of(store).values()]
    said += [str(pq.read_table(path).to_pylist()) for path in sorted(store.rglob("*.parquet"))]
    return "\n".join(said)


def test_no_word_label_photo_name_or_image_byte_is_left(tmp_path: Path) -> None:
    secret_store(tmp_path / "whole")
    before = everything_in(tmp_path / "whole")
    assert all(secret in before for secret in SECRETS)
    copy = withhold_store(tmp_path / "whole", tmp_path / "copy")
    after = everything_in(tmp_path / "copy")
    assert [secret for secret in SECRETS if secret in after] == []
    assert all(said in after for said in SAID)
    assert copy.counters == {"posts": 3}
    assert copy.rights == {"posts": "mine"}


def test_a_copy_is_sound_and_says_what_it_lacks_and_of_which_store(tmp_path: Path) -> None:
    whole = build(tmp_path / "whole")
    copy = withhold_store(tmp_path / "whole", tmp_path / "copy")
    assert verify_store(tmp_path / "copy").problems == ()
    assert copy == read_manifest(tmp_path / "copy")
    assert (copy.withheld, copy.original) == (("images", "posts"), whole.fingerprint)
    assert (copy.identity, copy.num_examples) == (whole.identity, whole.num_examples)
    for before, after in zip(whole.shards, copy.shards, strict=True):
        for table in ("evidence", "dropped", "texts"):
            assert before.files[table] == after.files[table]


def test_what_was_seen_in_a_post_and_its_evidence_stay(tmp_path: Path) -> None:
    build(tmp_path / "whole")
    withhold_store(tmp_path / "whole", tmp_path / "copy")
    with pytest.raises(StoreWithheld, match="posts"):
        open_store(tmp_path / "copy")
    with (
        open_store(tmp_path / "whole", reader="parquet") as whole,
        open_store(tmp_path / "copy", reader="parquet", withheld_ok=True) as copy,
    ):
        assert whole.example_ids() == copy.example_ids()
        for name in whole.example_ids():
            before, after = whole.read(name), copy.read(name)
            assert after.post_sha256 == before.post_sha256
            assert after.example == Example(Post(name, ()), before.example.split)
            assert after.observation.photo_key == before.observation.photo_key
            assert len(after.observation.regions) == len(before.observation.regions)
            assert [one.hit.text for one in after.evidence] == [
                one.hit.text for one in before.evidence
            ]


def test_leaving_out_in_two_steps_is_leaving_out_at_once(tmp_path: Path) -> None:
    build(tmp_path / "whole")
    withhold_store(tmp_path / "whole", tmp_path / "once")
    withhold_store(tmp_path / "whole", tmp_path / "step", kinds=["posts"])
    withhold_store(tmp_path / "step", tmp_path / "twice", kinds=["images"])
    assert files_of(tmp_path / "twice") == files_of(tmp_path / "once")


def test_a_copy_of_what_lacks_something_does_not_pass_it_for_whole(tmp_path: Path) -> None:
    build(tmp_path / "whole")
    part = withhold_store(tmp_path / "whole", tmp_path / "part", kinds=["posts"])
    # As a merge of stores that each lack something of another store leaves it.
    publish(tmp_path / "part", part.model_copy(update={"original": ""}))
    copy = withhold_store(tmp_path / "part", tmp_path / "copy", kinds=["images"])
    assert (copy.withheld, copy.original) == (("images", "posts"), "")
    assert "The whole store has" not in (tmp_path / "copy" / "README.md").read_text()


def test_images_alone_can_be_left_out_and_the_posts_are_still_read(tmp_path: Path) -> None:
    build(tmp_path / "whole")
    copy = withhold_store(tmp_path / "whole", tmp_path / "copy", kinds=["images"])
    assert copy.withheld == ("images",)
    with open_store(tmp_path / "copy", reader="parquet") as store:
        name = store.example_ids("train")[0]
        assert store.read(name).example.post.tokens
        with pytest.raises(StoreWithheld):
            store.media(store.read(name).observation.photo_key or "")


def test_what_only_the_named_providers_say_is_left_out_and_no_more(tmp_path: Path) -> None:
    secret_store(tmp_path / "whole")
    copy = withhold_store(tmp_path / "whole", tmp_path / "copy", kinds=[], texts_of=["web"])
    after = everything_in(tmp_path / "copy")
    assert all(word in everything_in(tmp_path / "whole") for word in SAID)
    assert [word for word in SAID if word in after] == []
    # A text that another provider says as well, and titles and reasons of others.
    assert all(word in after for word in ("shared", "A title", "rank 9"))
    assert copy.withheld == ("texts",)
    assert verify_store(tmp_path / "copy").problems == ()
    with open_store(tmp_path / "copy", reader="parquet") as store:
        assert [one.hit.text for one in store.read("c").evidence] == ["", "shared", "shared"]


def test_recordings_and_derived_files_are_no_part_of_a_copy(tmp_path: Path) -> None:
    build(tmp_path / "whole")
    for folder in ("recordings", "local"):
        (tmp_path / "whole" / folder).mkdir()
        (tmp_path / "whole" / folder / "x").write_bytes(b"the words of a post")
    withhold_store(tmp_path / "whole", tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {
        *("examples", "evidence", "dropped", "texts", "media", "manifest.json", "README.md")
    }


def test_a_damaged_store_gives_no_copy(tmp_path: Path) -> None:
    manifest = build(tmp_path / "whole")
    path = tmp_path / "whole" / manifest.shards[1].files["dropped"].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match="dropped"):
        withhold_store(tmp_path / "whole", tmp_path / "copy")
    assert not (tmp_path / "copy" / "manifest.json").exists()


def test_an_interrupted_copy_is_made_again_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "whole")
    withhold_store(tmp_path / "whole", tmp_path / "plain")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cache.operations.withhold.complete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            withhold_store(tmp_path / "whole", tmp_path / "copy", kinds=["images"])
    withhold_store(tmp_path / "whole", tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(tmp_path / "plain")


@pytest.mark.parametrize(
    ("out", "arguments", "message"),
    [
        ("copy", {"kinds": []}, "nothing is to be left out"),
        ("copy", {"kinds": ["labels"]}, "'labels'"),
        ("copy", {"texts_of": ["wbe"]}, "'wbe'.* kb"),
        ("whole", {}, "are inside of each other"),
        ("whole/copy", {}, "are inside of each other"),
        ("other", {}, "holds a store"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_writes_nothing(
    tmp_path: Path, out: str, arguments: dict[str, list[str]], message: str
) -> None:
    build(tmp_path / "whole")
    build(tmp_path / "other", 1)
    before = files_of(tmp_path)
    with pytest.raises(InputError, match=message):
        withhold_store(tmp_path / "whole", tmp_path / out, **arguments)
    assert files_of(tmp_path) == before


def test_rights_can_be_stated_later_and_nothing_else_changes(tmp_path: Path) -> None:
    manifest = build(tmp_path / "store")
    before = files_of(tmp_path / "store")
    restate(tmp_path / "store", manifest, {"licence": "MIT"})
    after = files_of(tmp_path / "store")
    assert {name for name in after if after[name] != before[name]} == {
        "manifest.json",
        "README.md",
    }
    assert read_manifest(tmp_path / "store") == manifest.model_copy(
        update={"rights": {"licence": "MIT"}}
    )
    assert verify_store(tmp_path / "store").problems == ()


def test_a_store_that_was_built_anew_meanwhile_is_not_made_the_old_one_again(
    tmp_path: Path,
) -> None:
    old = build(tmp_path / "store")
    build(tmp_path / "store", 1)
    before = files_of(tmp_path / "store")
    with pytest.raises(StoreChanged, match="Run the same command again"):
        restate(tmp_path / "store", old, {"licence": "MIT"})
    mend_ends(tmp_path / "store", old)
    assert files_of(tmp_path / "store") == before


def test_what_a_crash_cut_off_a_finished_store_is_written_again(tmp_path: Path) -> None:
    manifest = build(tmp_path / "store")
    before = files_of(tmp_path / "store")
    (tmp_path / "store" / "README.md").write_text("cut")
    mend_ends(tmp_path / "store", manifest)
    assert files_of(tmp_path / "store") == before


def test_a_shard_without_posts_can_be_copied(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "whole", identity=IDENTITY, num_shards=1) as writer:
        part = shard(0, 0)
        writer.write_shard(0, part.rows, part.dropped, [])
        writer.close({})
    withhold_store(tmp_path / "whole", tmp_path / "copy")
    assert verify_store(tmp_path / "copy").problems == ()
