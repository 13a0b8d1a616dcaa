"""Promises of merging: nothing is lost, nothing is made up, and no order decides by accident."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cache_helpers import IDENTITY, files_of, image, plain, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_helpers import NAMES, Change, build_part, found_at, shared_files

from cache import (
    InputError,
    Post,
    Recording,
    Recordings,
    StoreDamaged,
    StoredExample,
    StoreError,
    StoreMismatch,
    StoreWriter,
    open_store,
    read_manifest,
    verify_store,
)
from cache.files import write_atomically as write
from cache.manifest import SEVERAL_REFERENCES
from cache.operations import merge as merging
from cache.operations import rewrite as rewriting
from cache.operations.merge import merge_stores
from cache.operations.merge_conflicts import Prefer
from cache.operations.withhold import withhold_store
from cache.writing.complete import Stated, complete
from pipelines.cli import main

# Posts of which the stores of these tests have evidence.
WITH_EVIDENCE = "post-00-02"
OTHER = {**IDENTITY, "recipe": {"name": "test", "keep": 3}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that holds all posts; nobody changes it."""
    path = tmp_path_factory.mktemp("whole") / "store"
    build_part(path)
    return path


def read(path: Path, name: str) -> StoredExample:
    with open_store(path, reader="parquet", withheld_ok=True) as store:
        return store.read(name)


def titles(path: Path, name: str = WITH_EVIDENCE) -> set[str]:
    return {kept.hit.title for kept in read(path, name).evidence}


def relabelled(row: StoredExample) -> StoredExample:
    return replace(row, example=replace(row.example, relation="/per/org/left"))


def other_split(row: StoredExample) -> StoredExample:
    return replace(row, example=replace(row.example, split="dev"))


def reworded(row: StoredExample) -> StoredExample:
    """Say something else in as many words."""
    post = row.example.post
    other = Post(post.example_id, ("x",) * len(post.tokens), post.photo_name, post.head, post.tail)
    example = replace(row.example, post=other)
    return StoredExample(example, replace(row.observation, post=other), row.evidence)


@settings(max_examples=8, deadline=None)
@given(
    owners=st.lists(
        st.sets(st.integers(0, 2), min_size=1), min_size=len(NAMES), max_size=len(NAMES)
    ),
    order=st.permutations(range(3)),
)
def test_parts_of_one_build_make_the_store_that_one_undisturbed_build_makes(
    whole: Path, owners: list[set[int]], order: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder) / str(number) for number in range(3)]
        for number, part in enumerate(parts):
            build_part(part, [n for n, who in zip(NAMES, owners, strict=True) if number in who])

        merge_stores(Path(folder) / "out", [parts[number] for number in order])

        assert files_of(Path(folder) / "out") == files_of(whole)


def test_posts_that_nobody_finished_stay_unfinished(tmp_path: Path) -> None:
    build_part(tmp_path / "a", NAMES[:3])
    build_part(tmp_path / "b", NAMES[2:7])

    report = merge_stores(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])

    assert report.manifest.unfinished == NAMES[7:]
    assert report.manifest.num_examples == 7
    assert set(report.finished) == set(NAMES[:7]) - {NAMES[2]}
    assert verify_store(tmp_path / "out").ok


def test_a_store_merged_with_itself_is_the_store(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")

    merge_stores(tmp_path / "out", [whole, tmp_path / "copy", whole])

    assert files_of(tmp_path / "out") == files_of(whole)


def test_what_a_merge_leaves_of_a_merge_is_the_same(tmp_path: Path, whole: Path) -> None:
    build_part(tmp_path / "other", identity=OTHER, change=found_at("2026-12-01T00:00:00Z"))
    merge_stores(tmp_path / "one", [whole, tmp_path / "other"], mixed=True)

    merge_stores(tmp_path / "two", [tmp_path / "one"])

    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")


def test_nothing_is_written_into_the_stores_that_are_merged(tmp_path: Path) -> None:
    build_part(tmp_path / "a", NAMES[:3])
    build_part(tmp_path / "b", NAMES[2:])
    before = [files_of(tmp_path / name) for name in "ab"]

    merge_stores(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])

    assert [files_of(tmp_path / name) for name in "ab"] == before


def test_stores_of_other_settings_are_refused_unless_a_mixture_is_asked_for(
    tmp_path: Path, whole: Path
) -> None:
    build_part(tmp_path / "other", identity=OTHER)

    with pytest.raises(StoreMismatch, match=r"recipe\.keep differ.*--mixed"):
        merge_stores(tmp_path / "out", [whole, tmp_path / "other"])
    assert not (tmp_path / "out" / "manifest.json").exists()

    report = merge_stores(tmp_path / "out", [whole, tmp_path / "other"], mixed=True)
    assert report.differing == ("recipe.keep",)


def test_the_identity_of_a_mixture_tells_its_stores_and_how_they_differ(
    tmp_path: Path, whole: Path
) -> None:
    build_part(tmp_path / "other", NAMES[:2], identity=OTHER)

    report = merge_stores(tmp_path / "out", [whole, tmp_path / "other"], mixed=True)

    identity = report.manifest.identity
    assert identity["recipe"] == {"name": "test"}
    assert identity["fingerprints"] == IDENTITY["fingerprints"]
    merged: Any = identity["merged"]
    told = {(one["fingerprint"], one["differs"]["recipe.keep"]) for one in merged["stores"]}
    assert told == {(report.stores[0][1], 5), (report.stores[1][1], 3)}


@pytest.mark.parametrize("prefer", [None, "latest"])
def test_a_mixture_does_not_depend_on_the_order_of_its_stores(
    tmp_path: Path, whole: Path, prefer: Prefer | None
) -> None:
    build_part(tmp_path / "b", NAMES[:5], identity=OTHER)
    build_part(tmp_path / "c", NAMES[3:], change=found_at("2026-12-01T00:00:00Z"))
    stores = [whole, tmp_path / "b", tmp_path / "c"]

    merge_stores(tmp_path / "one", stores, mixed=True, prefer=prefer)
    merge_stores(tmp_path / "two", stores[::-1], mixed=True, prefer=prefer)

    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert verify_store(tmp_path / "one").ok


@pytest.mark.parametrize(
    "identity",
    [
        {**IDENTITY, "fingerprints": {"observe": "other", "ask": "b"}},
        {**IDENTITY, "settings": {"observe": {"encoder": "ViT-L-14"}}},
    ],
)
def test_embeddings_of_different_encoders_are_never_mixed(
    tmp_path: Path, whole: Path, identity: dict[str, object]
) -> None:
    build_part(tmp_path / "other", identity=identity)

    with pytest.raises(StoreMismatch, match=r"different encoders: .*(observe|encoder).* differ"):
        merge_stores(tmp_path / "out", [whole, tmp_path / "other"], mixed=True)


def test_an_encoder_that_is_named_decides_alone(tmp_path: Path) -> None:
    for name in "ab":
        build_part(tmp_path / name, identity={**IDENTITY, "encoder": name})

    with pytest.raises(StoreMismatch, match="different encoders: encoder differ"):
        merge_stores(tmp_path / "out", [tmp_path / "a", tmp_path / "b"], mixed=True)


def test_other_detectors_may_be_mixed_where_the_encoder_is_known_to_be_the_same(
    tmp_path: Path,
) -> None:
    for name in "ab":
        prints = {"observe": name, "ask": "b"}
        build_part(tmp_path / name, identity={"encoder": "clip", "fingerprints": prints})

    report = merge_stores(tmp_path / "out", [tmp_path / "a", tmp_path / "b"], mixed=True)

    assert report.differing == ("fingerprints.observe",)


@pytest.mark.parametrize("turned", [False, True])
def test_of_different_evidence_the_one_that_was_found_last_is_taken(
    tmp_path: Path, whole: Path, turned: bool
) -> None:
    build_part(tmp_path / "new", NAMES[:4], change=found_at("2026-11-02T00:00:00Z", "new"))
    build_part(tmp_path / "old", NAMES[:4], change=found_at("2026-10-30T00:00:00Z", "old"))
    stores = [whole, tmp_path / "new", tmp_path / "old"]

    report = merge_stores(tmp_path / "out", stores[::-1] if turned else stores)

    assert titles(tmp_path / "out") == {"new"}
    found = {one.example_id: one for one in report.conflicts}
    assert found[WITH_EVIDENCE].kind == "evidence"
    assert found[WITH_EVIDENCE].taken == dict(report.stores)[tmp_path / "new"]
    assert len(found[WITH_EVIDENCE].stores) == 3


def test_a_time_that_cannot_be_wins_nothing(tmp_path: Path, whole: Path) -> None:
    build_part(tmp_path / "b", change=found_at("9999-12-31T00:00:00Z", "from the future"))
    build_part(tmp_path / "c", change=found_at("zzz", "nonsense"))

    merge_stores(tmp_path / "out", [tmp_path / "b", tmp_path / "c", whole])

    # A post without dropped hits, whose times would count as well.
    assert titles(tmp_path / "out", "post-00-01") == {"A title"}


def test_of_evidence_found_at_one_time_some_is_taken_in_any_order(
    tmp_path: Path, whole: Path
) -> None:
    build_part(tmp_path / "b", change=found_at("2026-11-01T00:00:00Z", "b"))

    merge_stores(tmp_path / "one", [whole, tmp_path / "b"])
    merge_stores(tmp_path / "two", [tmp_path / "b", whole])

    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_the_store_that_is_named_first_wins_where_that_is_asked_for(
    tmp_path: Path, whole: Path
) -> None:
    build_part(tmp_path / "new", change=found_at("2026-11-02T00:00:00Z", "new"))

    merge_stores(tmp_path / "one", [whole, tmp_path / "new"], prefer="first")
    merge_stores(tmp_path / "two", [tmp_path / "new", whole], prefer="first")

    assert titles(tmp_path / "one") == {"A title"}
    assert titles(tmp_path / "two") == {"new"}


@pytest.mark.parametrize(
    ("change", "what"),
    [(relabelled, "annotations"), (other_split, "split"), (reworded, "words")],
)
def test_different_posts_under_one_id_are_refused_unless_somebody_is_to_be_believed(
    tmp_path: Path,
    whole: Path,
    change: Change,
    what: str,
) -> None:
    build_part(tmp_path / "b", [WITH_EVIDENCE, "post-01-01"], change=change)
    stores = [tmp_path / "b", whole]

    with pytest.raises(StoreMismatch, match=rf"'{WITH_EVIDENCE}' \({what}\).*--prefer first"):
        merge_stores(tmp_path / "out", stores)

    report = merge_stores(tmp_path / "out", stores, prefer="first")
    assert {one.kind for one in report.conflicts} == {"post"}
    taken, given_first = (read(tmp_path / name, WITH_EVIDENCE) for name in ("out", "b"))
    assert plain(taken) == plain(given_first)


def test_the_post_found_last_wins_where_that_is_asked_for(tmp_path: Path, whole: Path) -> None:
    def change(row: StoredExample) -> StoredExample:
        return found_at("2026-11-02T00:00:00Z", "new")(relabelled(row))

    build_part(tmp_path / "b", change=change)

    merge_stores(tmp_path / "out", [whole, tmp_path / "b"], prefer="latest")

    assert read(tmp_path / "out", WITH_EVIDENCE).example.relation == "/per/org/left"


def test_a_post_with_its_photo_is_taken_before_one_without(tmp_path: Path, whole: Path) -> None:
    def lost(row: StoredExample) -> StoredExample:
        seen = replace(
            row.observation,
            photo_key=None,
            photo_status="missing",
            photo_embedding=None,
        )
        return found_at("2026-11-02T00:00:00Z")(replace(row, observation=seen))

    build_part(tmp_path / "b", change=lost)

    merge_stores(tmp_path / "out", [tmp_path / "b", whole])

    assert read(tmp_path / "out", WITH_EVIDENCE).observation.photo_status == "ok"


def test_a_store_with_its_evidence_only_is_filled_from_a_whole_one(
    tmp_path: Path, whole: Path
) -> None:
    withhold_store(whole, tmp_path / "bare", texts_of=["kb"])

    report = merge_stores(tmp_path / "out", [tmp_path / "bare", whole])

    assert report.manifest.withheld == ()
    assert files_of(tmp_path / "out") == files_of(whole)


def test_newer_evidence_without_words_gets_the_words_of_an_older_whole_store(
    tmp_path: Path, whole: Path
) -> None:
    build_part(tmp_path / "new", change=found_at("2026-11-02T00:00:00Z", "new"))
    withhold_store(tmp_path / "new", tmp_path / "bare")

    report = merge_stores(tmp_path / "out", [whole, tmp_path / "bare"])

    assert report.manifest.withheld == ()
    assert shared_files(tmp_path / "out") == shared_files(tmp_path / "new")


def test_newer_evidence_without_texts_gets_those_that_an_older_store_has(
    tmp_path: Path, whole: Path
) -> None:
    build_part(tmp_path / "new", change=found_at("2026-11-02T00:00:00Z", ""))
    withhold_store(tmp_path / "new", tmp_path / "bare", kinds=[], texts_of=["kb"])

    report = merge_stores(tmp_path / "out", [whole, tmp_path / "bare"])

    assert report.manifest.withheld == ()
    texts = {kept.hit.text for kept in read(tmp_path / "out", WITH_EVIDENCE).evidence}
    assert texts == {kept.hit.text for kept in read(whole, WITH_EVIDENCE).evidence}
    assert any(texts)
    assert titles(tmp_path / "out") == {""}


def test_images_of_evidence_that_was_not_taken_are_not_taken(tmp_path: Path) -> None:
    def with_image(number: int) -> Change:
        def change(row: StoredExample) -> StoredExample:
            hits = (
                replace(
                    one.hit, media_key=image(number).key, retrieved_at=f"2026-11-{10 + number}"
                )
                for one in row.evidence
            )
            kept = zip(row.evidence, hits, strict=True)
            return replace(row, evidence=tuple(replace(one, hit=hit) for one, hit in kept))

        return change

    row, beside = stored("p", 4, image(0)), stored("q", 5, image(0))
    for number, others in ((1, [beside]), (2, [])):
        with StoreWriter(tmp_path / str(number), identity=IDENTITY, num_shards=1) as writer:
            rows = [with_image(number)(row), *others]
            writer.write_shard(0, rows, {}, [image(0), image(number)])
            writer.close({})

    merge_stores(tmp_path / "out", [tmp_path / "2", tmp_path / "1"])

    with open_store(tmp_path / "out", reader="parquet") as store:
        assert store.media(image(2).key) == image(2)
        with pytest.raises(InputError, match="holds no image"):
            store.media(image(1).key)


def test_values_that_no_writer_writes_are_not_merged(tmp_path: Path, whole: Path) -> None:
    hostile = tmp_path / "hostile"
    shutil.copytree(whole, hostile)
    manifest = read_manifest(hostile)
    shard, *others = manifest.shards
    table = rewriting.whole_table(hostile, shard.files["evidence"], "evidence")
    table = rewriting.replaced(table, {"relevance": [math.nan] * table.num_rows})
    files = {**shard.files, "evidence": rewriting.write_table(hostile, 0, "evidence", table)}
    entries = [shard.model_copy(update={"files": files}), *others]
    complete(hostile, manifest.identity, entries, Stated({}, {}, (), ""))

    with pytest.raises(StoreDamaged, match=r"shard 0: .*relevance makes no sense: nan"):
        merge_stores(tmp_path / "out", [hostile])


def test_what_no_store_has_stays_withheld_and_the_rest_does_not(
    tmp_path: Path, whole: Path
) -> None:
    withhold_store(whole, tmp_path / "bare", texts_of=["kb"])
    build_part(tmp_path / "some", NAMES[:4])

    report = merge_stores(tmp_path / "out", [tmp_path / "bare", tmp_path / "some"])

    assert set(report.manifest.withheld) == {"posts", "texts", "images"}
    assert read(tmp_path / "out", NAMES[1]).example == read(whole, NAMES[1]).example
    assert read(tmp_path / "out", NAMES[-1]).example.post.tokens == ()
    assert verify_store(tmp_path / "out").ok
    with open_store(tmp_path / "out", reader="parquet", withheld_ok=True) as store:
        assert store.media(image(0).key) == image(0)


def test_withheld_stores_of_one_original_stay_a_part_of_it(tmp_path: Path, whole: Path) -> None:
    original = withhold_store(whole, tmp_path / "a", kinds=["images"]).original
    withhold_store(whole, tmp_path / "b", kinds=["images", "posts"])

    report = merge_stores(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])

    assert report.manifest.withheld == ("images",)
    assert report.manifest.original == original
    assert files_of(tmp_path / "out") == files_of(tmp_path / "a")


def test_of_two_answers_to_one_question_the_later_one_counts(tmp_path: Path) -> None:
    for name, moment, keys in (("a", "2026-11-02", "xy"), ("b", "2026-11-01", "yz")):
        build_part(tmp_path / name)
        with Recordings(tmp_path / name / "recordings") as book:
            body = name.encode()
            answers = [Recording(key, "kb", "{}", moment, body) for key in keys]
            book.put_segment(answers, [image(ord(name))])

    report = merge_stores(tmp_path / "out", [tmp_path / "b", tmp_path / "a"])

    with Recordings(tmp_path / "out" / "recordings") as book:
        found = {one.key: book.get(one.key) for one in book.asked()}
        assert {key: one and one.body for key, one in found.items()} == {
            "x": b"a",
            "y": b"a",
            "z": b"b",
        }
        assert book.media(image(ord("a")).key) == image(ord("a"))
        assert book.media(image(ord("b")).key) == image(ord("b"))
    assert report.num_answers == 3


def test_rights_that_differ_are_all_kept_with_their_stores(tmp_path: Path) -> None:
    one = build_part(tmp_path / "a", rights={"licence": "mit", "posts": "ours"})
    other = build_part(tmp_path / "b", rights={"licence": "mit", "posts": "theirs"})

    report = merge_stores(tmp_path / "out", [tmp_path / "b", tmp_path / "a"])

    assert report.manifest.rights["licence"] == "mit"
    for text, manifest in (("ours", one), ("theirs", other)):
        assert f"{text} (store {manifest.fingerprint[:12]})" in report.manifest.rights["posts"]


def test_what_was_compared_differently_does_not_count_as_compared_alike(tmp_path: Path) -> None:
    build_part(tmp_path / "a", NAMES[:2], compared_with="a" * 64)
    build_part(tmp_path / "b", NAMES[2:], compared_with="b" * 64)

    report = merge_stores(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])

    mixed, *others = (shard.compared_with for shard in report.manifest.shards)
    assert mixed == SEVERAL_REFERENCES
    assert others == ["b" * 64] * 2
    assert not report.manifest.compared_alike


def test_a_merge_that_was_killed_is_run_again_to_the_same_bytes(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_part(tmp_path / "a", NAMES[:5])
    build_part(tmp_path / "b", NAMES[4:])
    stores = [tmp_path / "a", tmp_path / "b"]
    for moment in range(1, 40):
        left = [moment]

        def killed(path: Path, data: bytes, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise StoreError("no room")
            write(path, data)

        monkeypatch.setattr(rewriting, "write_atomically", killed)
        try:
            merge_stores(tmp_path / "out", stores)
            break
        except StoreError:
            assert not (tmp_path / "out" / "manifest.json").exists()
    assert moment > 5

    assert files_of(tmp_path / "out") == files_of(whole)


def test_recordings_of_an_abandoned_merge_are_not_those_of_the_next_one(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        build_part(tmp_path / name)
        with Recordings(tmp_path / name / "recordings") as book:
            book.put_segment([Recording(name, "kb", "{}", "2026-11-02", b"")])

    def killed(*_: object) -> None:
        raise StoreError("no room")

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(merging, "carry_features", killed)
        with pytest.raises(StoreError, match="no room"):
            merge_stores(out, [tmp_path / "a"])
    before = files_of(out)
    assert [name for name in before if name.startswith("recordings/")]

    with pytest.raises(
        InputError, match=r"recordings/answers-\w+\.parquet.* of none of the stores"
    ):
        merge_stores(out, [whole, tmp_path / "b"])
    # A copy without posts has none at all, for their questions quote the posts.
    with pytest.raises(InputError, match="of none of the stores"):
        withhold_store(tmp_path / "a", out)
    assert files_of(out) == before

    assert merge_stores(out, [tmp_path / "b", tmp_path / "a"]).num_answers == 2


def test_a_folder_that_holds_a_store_is_not_written_over(tmp_path: Path, whole: Path) -> None:
    build_part(tmp_path / "a")
    before = files_of(tmp_path / "a")

    for out, stores in (
        (tmp_path / "a", [whole]),
        (tmp_path / "a", [whole, tmp_path / "a"]),
        (tmp_path / "a" / "inside", [tmp_path / "a", whole]),
    ):
        with pytest.raises(InputError, match="another folder"):
            merge_stores(out, stores)

    assert files_of(tmp_path / "a") == before


@pytest.mark.parametrize("table", ["examples", "evidence", "dropped", "texts", "media"])
def test_a_damaged_store_is_not_merged(tmp_path: Path, whole: Path, table: str) -> None:
    shutil.copytree(whole, tmp_path / "a")
    path = sorted((tmp_path / "a" / table).glob("*"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(StoreDamaged, match=path.name):
        merge_stores(tmp_path / "out", [tmp_path / "a"])


def test_an_empty_store_is_merged_like_any_other(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "a", identity=IDENTITY, num_shards=0) as writer:
        writer.close({})

    report = merge_stores(tmp_path / "out", [tmp_path / "a"])

    assert report.manifest.shards == ()
    assert verify_store(tmp_path / "out").ok


def test_the_command_reports_conflicts_in_short_and_all_of_them_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_part(tmp_path / "a")
    build_part(tmp_path / "b", change=found_at("2026-11-02T00:00:00Z", "new"))
    stores = [str(tmp_path / "a"), str(tmp_path / "b")]

    assert main(["merge", str(tmp_path / "out"), *stores]) == 0
    text = capsys.readouterr().out
    assert main(["merge", str(tmp_path / "again"), *stores, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)

    kinds = [one["kind"] for one in result["conflicts"]]
    assert f"{kinds.count('equal')} posts are in several stores with the same evidence" in text
    assert f"{kinds.count('evidence')} posts are in several stores with other evidence" in text
    assert {one["example_id"] for one in result["conflicts"]} == set(NAMES)
    assert main(["merge", str(tmp_path / "out"), *stores]) == 1
