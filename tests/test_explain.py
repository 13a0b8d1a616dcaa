"""``ramie explain`` on a store of hostile posts: every figure, one page, nothing that can run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from model_helpers import VISUAL_DIM, make_parts, vector
from test_inspect import (
    CLOSING,
    HANDLER,
    LINK,
    SCRIPT,
    Seen,
    chromium,  # noqa: F401
    dump_dom,
    hit,
    picture,
)

from cache import (
    STREAMS,
    Evidence,
    Example,
    InputError,
    Media,
    Observation,
    Post,
    Region,
    Span,
    StoredExample,
    StoreWriter,
    open_store,
)
from model.run import WEIGHTS, SecondTask, read_run, write_run, write_tensors
from pipelines.cli import main
from pipelines.explaining.explanation import explain
from pipelines.explaining.page import write_page
from pipelines.page.page import POLICY

RELATIONS = ("None", "/per/per/peer")


def make_post(index: int, split: str, photo: Media, image: Media, hostile: str) -> StoredExample:
    """Return a post with one kept hit in every stream, but for every third one."""
    post = Post(
        f"{split}-{index}{hostile}",
        ("Ann", f"met{hostile}", "Bob", "."),
        f"{index}.jpg",
        Span(0, 1),
        Span(2, 3),
    )
    kept = []
    for rank, stream in enumerate(STREAMS if index % 3 else ()):
        key = image.key if stream[1] == "image" else None
        found = hit(f"K{index}-{'-'.join(stream)}", stream, key, hostile)
        found = dataclasses.replace(found, embedding=vector(rank + index), consistency=0.5)
        kept.append(Evidence(found, 0, 1 / 60))
    label = f"PER{hostile}" if index % 2 else "PER"
    example = Example(post, split, (Span(0, 1, label),), RELATIONS[index % 2])
    regions = (Region((4.0, 5.0, 30.0, 40.0), f"dog{hostile}", 0.9, vector(index)),)
    seen = Observation(post, photo.key, "ok", vector(index), vector(index + 9), regions)
    return StoredExample(example, seen, tuple(kept))


def make_store(path: Path, hostile: str = "", protocol: str | None = None) -> Path:
    photo, image = picture(10), picture(250)
    posts = [
        make_post(index, split, photo, image, hostile)
        for split in ("test", "train")
        for index in range(5)
    ]
    dataset = {} if protocol is None else {"reader": "mnre", "protocol": protocol}
    identity = {"name": "tiny", "settings": {"dataset": dataset}}
    with StoreWriter(path, identity=identity, num_shards=1) as writer:
        writer.write_shard(0, posts, {}, [photo, image], [])
        writer.close({})
    return path


def make_run(
    folder: Path,
    task: str = "entities",
    fusion: str = "synthesis",
    second: SecondTask | None = None,
) -> Path:
    labels = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER") if task == "entities" else RELATIONS
    parts = make_parts(
        folder, task=task, fusion=fusion, labels=labels, visual_dim=VISUAL_DIM, second=second
    )
    write_run(folder, parts.run)
    write_tensors(folder / WEIGHTS, parts.network.state_dict())
    return folder


def page_of(folder: Path, hostile: str = "", task: str = "entities") -> str:
    run, store = make_run(folder / "run", task), make_store(folder / "store", hostile)
    found = explain(run, store)
    with open_store(store, reader="parquet") as source:
        assert write_page(found, source, folder / "page.html", 50) == 5
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_every_post_and_all_its_evidence_is_explained_and_adds_up(
    task: str, tmp_path: Path
) -> None:
    found = explain(make_run(tmp_path / "run", task), make_store(tmp_path / "store"))
    assert [len(post.items) for post in found.attributions] == [0, 6, 6, 0, 6]
    assert found.errors.posts == len(found.evaluation.example_ids) == 5
    if task == "entities":
        assert found.errors.total == found.evaluation.scores.strict.micro  # type: ignore[union-attr]
    else:
        assert found.errors.total == found.evaluation.scores.micro  # type: ignore[union-attr]
    assert {name: stream.items for name, stream in found.streams.items()} == {
        " ".join(stream): 3 for stream in STREAMS
    }
    assert set(found.agreement) == {"spearman", "spearman signed", "kendall", "kendall signed"}
    for agreement in found.agreement.values():
        assert agreement.posts + agreement.undecided == 3
        assert agreement.too_few == 2
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [len(post["items"]) for post in written["posts"]] == [0, 6, 6, 0, 6]
    assert written["posts"][1]["items"][0]["stream"] == "image text"
    # Every post of the test split has the words of one of the training split.
    assert found.errors.by_seen["unseen"].counts.fn == 0


def test_a_run_of_both_tasks_is_explained_for_the_one_asked_for(tmp_path: Path) -> None:
    second = SecondTask(task="relations", labels=RELATIONS, store="")
    run = make_run(tmp_path / "run", fusion="joint", second=second)
    store = make_store(tmp_path / "store")

    assert explain(run, store).evaluation.task == "entities"
    found = explain(run, store, task="relations")

    assert found.evaluation.task == "relations"
    assert [len(post.items) for post in found.attributions] == [0, 6, 6, 0, 6]
    assert found.errors.total == found.evaluation.scores.micro  # type: ignore[union-attr]
    with pytest.raises(InputError, match="trained for entities only"):
        explain(make_run(tmp_path / "other"), store, task="relations")


def test_what_a_low_resource_run_was_never_shown_is_unseen(tmp_path: Path) -> None:
    """The training split has every name of the test split; a fifth of it has one of five."""
    run, photo, image = make_run(tmp_path / "run"), picture(10), picture(250)
    posts = []
    for split in ("test", "train"):
        for index in range(5):
            made = make_post(index, split, photo, image, "")
            tokens = (f"Ann{index}", *made.example.post.tokens[1:])
            post = dataclasses.replace(made.example.post, tokens=tokens)
            example = dataclasses.replace(made.example, post=post)
            seen = dataclasses.replace(made.observation, post=post)
            posts.append(dataclasses.replace(made, example=example, observation=seen))
    with StoreWriter(tmp_path / "store", identity={"name": "tiny"}, num_shards=1) as writer:
        writer.write_shard(0, posts, {}, [photo, image], [])
        writer.close({})
    described = read_run(run)
    train = described.train.model_copy(update={"share": 0.2})
    write_run(run, described.model_copy(update={"train": train}))

    found = explain(run, tmp_path / "store", limit=1).errors.by_seen

    assert (found["seen"].counts.support, found["unseen"].counts.support) == (1, 4)


def test_posts_are_drawn_by_seed_and_errors_are_of_all(tmp_path: Path) -> None:
    run, store = make_run(tmp_path / "run"), make_store(tmp_path / "store")
    draws = [
        [post.example_id for post in explain(run, store, limit=2, seed=seed).attributions]
        for seed in (0, 0, 1, 2)
    ]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 1
    assert explain(run, store, limit=2).errors.posts == 5
    with pytest.raises(InputError, match="--limit 0"):
        explain(run, store, limit=0)


def test_a_system_without_weights_has_effects_and_no_agreement(tmp_path: Path) -> None:
    found = explain(make_run(tmp_path / "run", fusion="more"), make_store(tmp_path / "store"))
    assert found.agreement == {}
    assert {stream.weight for stream in found.streams.values()} == {None}
    assert any(stream.size > 0 for stream in found.streams.values())
    assert {name.split()[1] for name in found.streams} == {"text"}


def test_what_a_system_cannot_read_is_called_unread(tmp_path: Path) -> None:
    run, store = make_run(tmp_path / "run", fusion="text_only"), make_store(tmp_path / "store")
    found = explain(run, store)

    assert [len(post.items) for post in found.attributions] == [0] * 5
    assert found.streams == {}
    with open_store(store, reader="parquet") as source:
        write_page(found, source, tmp_path / "page.html", 50)
    text = Seen((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert text.count("no evidence was read; 6 more are kept and not read by this model") == 3


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_the_page_shows_every_item_with_its_bars_and_both_readings(
    task: str, tmp_path: Path
) -> None:
    page = page_of(tmp_path, task=task)
    seen = Seen(page)
    assert seen.tags.count("article") == seen.tags.count("img") == 5
    for index in (1, 2, 4):
        for level, modality in STREAMS:
            assert seen.text.count(f"passage K{index}-{level}-{modality} ") == 1
    classes = [value for _, name, value in seen.attributes if name == "class"]
    # Of each of 18 items: its weight, what it did to the answer, and to the annotation.
    assert classes.count("bar") == 18
    assert classes.count("bar signed") == 36
    assert classes.count("verdict right") + classes.count("verdict wrong") == 5
    for said in ("annotated", "predicted", "consistency 0.500", "kb ", "log-probability"):
        assert said in seen.text
    for title in ("By seen in training", "By evidence kept", "Kinds of answers", "95 % interval"):
        assert title in seen.text


def test_evidence_is_sorted_by_what_it_did(tmp_path: Path) -> None:
    run, store = make_run(tmp_path / "run"), make_store(tmp_path / "store")
    found = explain(run, store)
    with open_store(store, reader="parquet") as source:
        write_page(found, source, tmp_path / "page.html", 50)
        text = Seen((tmp_path / "page.html").read_text(encoding="utf-8")).text
        for post in found.attributions:
            kept = source.read(post.example_id).evidence
            order = sorted(post.items, key=lambda item: -abs(item.effect))
            places = [text.index(f"title {_name(kept[item.index])} ") for item in order]
            assert places == sorted(places)


def _name(evidence: Evidence) -> str:
    return evidence.hit.title.split()[1]


def test_nothing_is_loaded_from_outside_and_nothing_can_run(tmp_path: Path) -> None:
    seen = Seen(page_of(tmp_path, f"{SCRIPT}{HANDLER}{CLOSING}"))
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(seen.tags)
    for tag, name, value in seen.attributes:
        assert not name.startswith("on")
        if name == "src":
            assert value.startswith("data:image/jpeg;base64,")
        if name == "href":
            assert tag == "a"
            assert value.startswith(("#post-", "https://"))
    assert ("meta", "content", POLICY) in seen.attributes
    assert LINK in seen.text


@pytest.mark.parametrize("hostile", [SCRIPT, HANDLER, CLOSING, "\u202e<b>&lt;</p>"])
def test_hostile_text_is_shown_as_it_is(tmp_path: Path, hostile: str) -> None:
    seen = Seen(page_of(tmp_path, hostile))
    assert "b" in seen.tags
    assert seen.tags.count("article") == 5
    for said in (
        f"title K1-image-text {hostile}",
        f"met{hostile}",
        f"PER{hostile}",
        f"kb {hostile}",
    ):
        assert said in seen.text


def test_the_verb_prints_a_table_or_json_and_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, store = make_run(tmp_path / "run"), make_store(tmp_path / "store")
    call = ["explain", str(run), "--store", str(store), "--device", "cpu"]
    page = tmp_path / "out.html"
    assert main([*call, "--html", str(page), "--show", "2"]) == 0
    told = capsys.readouterr()
    for said in ("rank agreement", "| image text", "| seen", "| boundary and type", "annotated"):
        assert said in told.out
    assert "2 posts" in told.err
    assert Seen(page.read_text(encoding="utf-8")).tags.count("article") == 2
    assert main([*call, "--limit", "1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["posts"]) == 1
    assert main([*call, "--limit", "0"]) == 1
    assert "leave it out" in capsys.readouterr().err


def test_no_figure_is_told_without_its_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", "relations")
    bad = make_store(tmp_path / "bad", protocol=f"MNRE{SCRIPT}\n, legacy-objects")
    good = make_store(tmp_path / "good", protocol="MNRE version 2, clean")
    own = make_store(tmp_path / "own")
    page = tmp_path / "page.html"
    told: dict[Path, list[str]] = {}
    for store in (bad, good, own):
        call = [str(run), "--store", str(store), "--device", "cpu"]
        assert main(["explain", *call, "--html", str(page)]) == 0
        told[store] = [Seen(page.read_text(encoding="utf-8")).text]
        for verb in ("evaluate", "explain"):
            capsys.readouterr()
            assert main([verb, *call]) == 0
            told[store].append(capsys.readouterr().out)
            assert main([verb, *call, "--json"]) == 0
            written = json.loads(capsys.readouterr().out)
            assert bool(written["protocol"]) == (store != own)
            assert bool(written["contaminated"]) == (store == bad)

    for text in told[bad]:
        assert f"protocol: MNRE{SCRIPT} , legacy-objects; CONTAMINATED: the published" in text
    for text in told[good]:
        assert "protocol: MNRE version 2, clean" in text
        assert "CONTAMINATED" not in text
    for text in told[own]:
        assert "protocol" not in text


def test_evaluate_fits_a_temperature_and_says_what_it_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, store = make_run(tmp_path / "run", "relations"), make_store(tmp_path / "store")
    dev = tmp_path / "dev"
    photo = picture(10)
    posts = [make_post(i, split, photo, photo, "") for split in ("dev", "test") for i in range(4)]
    with StoreWriter(dev, identity={}, num_shards=1) as writer:
        writer.write_shard(0, posts, {}, [photo], [])
        writer.close({})
    call = ["evaluate", str(run), "--store", str(dev), "--device", "cpu"]
    assert main(call) == 0
    assert "--calibrate fits a temperature" in capsys.readouterr().out
    assert main([*call, "--calibrate"]) == 0
    told = capsys.readouterr().out
    assert "calibration as trained: ECE" in told
    assert "at temperature " in told
    assert "| probability | answers |" in told
    assert main([*call, "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["calibrated"]["count"] == written["calibration"]["count"] == 4
    # A split without annotations of the task, or none at all, is an error with a way out.
    assert main(["evaluate", str(run), "--store", str(store), "--calibrate"]) == 1
    assert "split 'dev'" in capsys.readouterr().err


@pytest.mark.browser
def test_no_hostile_text_runs_in_a_browser(tmp_path: Path, chromium: str) -> None:  # noqa: F811
    page = page_of(tmp_path, f"{SCRIPT}{HANDLER}{CLOSING}")
    assert "<title>pwned" not in dump_dom(chromium, page, tmp_path)
    unguarded = page.replace("Content-Security-Policy", "x-nothing")
    opened = dump_dom(chromium, unguarded, tmp_path)
    assert "<title>pwned" not in opened
    assert opened.count("<article") == 5
