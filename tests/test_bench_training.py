"""What `ramie bench train` compares is the same work, and what it counts is what is encoded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model_helpers import MemoryStore, make_parts, stored

from cache.errors import InputError
from model.batch import Batch
from model.build import Parts
from model.data import read_split
from model.settings import TrainSettings
from model.training.plan import Plan
from pipelines.bench.figures import Figure
from pipelines.bench.train import Subject, bench_train
from pipelines.bench.training.author_style import author_style, pieces_of, pieces_per_post_pass
from pipelines.bench.training.ddp import bench_ddp
from pipelines.bench.training.encoder import whole_words, write_encoder
from pipelines.bench.training.network import network_on
from pipelines.bench.training.padding import padded
from pipelines.bench.training.posts import MAX_TEXT_PIECES, TEXTS, TEXTS_PER_POST, made_up_posts
from pipelines.bench.training.speed import training_flops
from pipelines.bench.training.step import bench_step

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return network_on(write_encoder(tmp_path_factory.mktemp("encoder"), "tiny", seed=1), seed=1)


@pytest.fixture(scope="module")
def batch(parts: Parts) -> Batch:
    posts = made_up_posts(3, TEXTS["step"], whole_words(), seed=2)
    return parts.collator([parts.preparer.prepare(post) for post in posts])


def rows(batch: Batch) -> dict[tuple[int, int], list[int]]:
    """Return the real pieces of each evidence text, by window and slot."""
    return {
        (int(window), int(slot)): pieces[mask].tolist()
        for group in batch.groups
        for pieces, mask, window, slot in zip(
            group.pieces, group.mask, group.window, group.slot, strict=True
        )
    }


@pytest.mark.parametrize("kind", TEXTS)
def test_every_post_has_eleven_texts_that_fit(parts: Parts, kind: str) -> None:
    made = made_up_posts(5, TEXTS[kind], whole_words(), seed=3)
    texts = [
        item.passage
        for post in made
        for item in parts.preparer.prepare(post).evidence.texts
        if item.passage is not None
    ]

    assert len(texts) == 5 * TEXTS_PER_POST
    assert max(len(text.pieces) for text in texts) <= MAX_TEXT_PIECES - 2
    assert made[3].evidence == made_up_posts(5, TEXTS[kind], whole_words(), seed=3)[3].evidence


def test_the_authors_way_shows_the_same_pieces_one_text_at_a_time(
    parts: Parts, batch: Batch
) -> None:
    apart = author_style(batch, parts.collator.pieces.pad)

    assert [group.pieces.shape for group in apart.groups] == [(1, MAX_TEXT_PIECES)] * 33
    assert apart.pieces.shape == apart.mask.shape == (3, 128)
    assert rows(apart) == rows(batch)
    assert torch.equal(apart.pieces[apart.mask], batch.pieces[batch.mask])


def test_both_ways_give_the_same_loss_and_gradient() -> None:
    figures = bench_step("step", posts=2, seed=1, device=CPU, size="tiny")
    by_name = {figure.what: figure for figure in figures}

    compared = [figure for what, figure in by_name.items() if "float32" in what and figure.bound]
    assert len(compared) == 2
    assert all(figure.met for figure in compared)
    # By the clock, other programs may take their share of one way and not of the other.
    assert by_name["times faster by processor time"].value > 1
    assert 0 < by_name["share of the speed of a matrix product"].value < 1


def test_a_text_that_is_left_out_changes_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_mask(batch: Batch, pad: int) -> Batch:
        apart = author_style(batch, pad)
        apart.groups[0].is_evidence[:, 5:] = False
        return apart

    monkeypatch.setattr("pipelines.bench.training.step.author_style", without_mask)
    figures = bench_step("step", posts=2, seed=1, device=CPU, size="tiny")

    assert not next(figure for figure in figures if figure.what.startswith("gradient")).met


def test_pieces_are_counted_with_and_without_padding(parts: Parts, batch: Batch) -> None:
    encoded, real = pieces_of(batch)
    texts = rows(batch).values()

    assert real == int(batch.mask.sum()) + sum(map(len, texts))
    assert encoded > real
    assert pieces_of(author_style(batch, 0)) == (3 * 128 + 33 * MAX_TEXT_PIECES, real)
    assert pieces_per_post_pass(batch) == 3 * 128 + 33 * max(map(len, texts))


def test_operations_are_counted_for_real_pieces_only(parts: Parts, batch: Batch) -> None:
    encoder = parts.network.encoder
    weights = sum(p.numel() for name, p in encoder.named_parameters() if ".layer." in name)
    lengths = [*batch.mask.sum(dim=1).tolist(), *map(len, rows(batch).values())]
    forward = sum(2 * n * weights + 2 * 2 * (2 * n * n * encoder.dim) for n in lengths)

    assert training_flops(encoder, batch) == 3 * forward
    assert training_flops(encoder, author_style(batch, 0)) == 3 * forward


def test_padding_of_an_epoch_counts_every_post_once(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, evidence_reading="separate")
    words = ["velora", "quill sings", "tamber in the club", "a river in a place", "club"]
    store = MemoryStore([stored(f"p{i}", text) for i, text in enumerate(words)])
    posts = [parts.preparer.prepare(post) for post in read_split(store, "train")]

    def planned(batch_size: int) -> Plan:
        return Plan(posts, parts.collator, TrainSettings(batch_size=batch_size), mismatch=0.0)

    assert padded(planned(1)) == (13 + 10, 13 + 10)
    real, encoded = padded(planned(5))
    assert (real, encoded) == (13 + 10, 5 * (5 + 2))


def test_an_unknown_part_and_no_posts_are_refused(tmp_path: Path) -> None:
    model = make_parts(tmp_path).run.model
    with pytest.raises(InputError, match="no part 'stop'; known are step, names"):
        bench_train(["stop"], Subject(tmp_path, model), print)
    with pytest.raises(InputError, match="cannot measure with 0 posts"):
        bench_train([], Subject(tmp_path, model, batch_size=0), print)


def test_too_little_memory_is_said_before_it_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.bench.training.step.free_bytes", lambda: 1000)

    with pytest.raises(InputError, match=r"batch of 2 posts, and 0\.0 are free\. Give fewer"):
        bench_step("step", posts=2, seed=1, device=CPU, size="tiny")


@pytest.mark.slow
def test_two_processes_lose_the_same_as_one() -> None:
    figures: dict[str, Figure] = {f.what: f for f in bench_ddp(1, "tiny", steps=3, posts=4)}

    assert figures["largest difference of a loss"].met
    assert all(figure.value > 0 for what, figure in figures.items() if "posts/s" in what)
