"""SelfORE, HiURE and MetaSRE: what all of them read, what they find, and their steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from discovery_helpers import (
    RELATIONS,
    VIEWS,
    World,
    features,
    known,
    lively,
    reader,
    told_by_evidence,
    told_by_images,
    told_by_words,
)
from model_helpers import ALL_STREAMS, VISUAL_DIM, stored
from torch import nn

from cache.errors import RamieError
from cache.records import Span
from model.discovery.classify import PairClassifier
from model.discovery.few import few_labels, guesses
from model.discovery.found import Found
from model.discovery.hiure import hiure
from model.discovery.metasre import metasre
from model.discovery.pairs import PairReader, Pairs, make_optimizer, take_step
from model.discovery.scores import cluster_scores
from model.discovery.selfore import selfore
from model.discovery.settings import HiureSettings, MetaSreSettings, SelfOreSettings

SELFORE = SelfOreSettings(loops=2, epochs=4, hidden=32, latent=4, warm_epochs=30, refine_epochs=10)
HIURE = HiureSettings(epochs=3, layers=(8, 3), queue=64, momentum=0.9)
Method = Callable[[PairReader, Pairs], Found]
METHODS: dict[str, Method] = {
    "selfore": lambda reader, pairs: selfore(reader, pairs, 3, SELFORE),
    "hiure": lambda reader, pairs: hiure(reader, pairs, 3, HIURE),
}


# What is read


@pytest.mark.parametrize("fusion", ["text_only", "synthesis"])
def test_a_pair_is_the_fused_states_at_the_two_opening_markers(
    tmp_path: Path, fusion: str
) -> None:
    reads = reader(tmp_path, fusion)
    network = reads.network().eval()
    posts = reads.prepare(Pairs(features(told_by_words(3, "train"))))

    found = reads.look(network, posts)

    batch = reads.batch(posts)
    words = network.extractor.read(batch).words
    for row, post in enumerate(posts):
        head, tail = words[row, post.head_unit], words[row, post.tail_unit]
        torch.testing.assert_close(found[row], torch.cat([head, tail]), rtol=1e-4, atol=1e-5)


def test_pairs_hold_no_annotation(tmp_path: Path) -> None:
    posts = features(told_by_words(3, "train"))

    pairs = Pairs(posts)

    assert {post.example.relation for post in posts} == set(RELATIONS)
    for post in pairs.posts:
        assert post.example.relation is None
        assert post.example.entities is None
    reads = reader(tmp_path)
    assert reads.batch(reads.prepare(pairs)).relations is None


@pytest.mark.parametrize("method", METHODS)
def test_other_labels_give_the_same_clusters_and_so_does_the_same_seed(
    tmp_path: Path, method: str
) -> None:
    posts = features(told_by_words(18, "train"))
    relabelled = [
        post._replace(
            example=type(post.example)(post.example.post, "train", (), f"other {place % 5}")
        )
        for place, post in enumerate(posts)
    ]
    clusters = []
    for given in (posts, relabelled):
        found = METHODS[method](reader(tmp_path, "synthesis"), Pairs(given))
        clusters.append(found.assign(Pairs(given)).tolist())

    assert clusters[0] == clusters[1]


@pytest.mark.parametrize("fusion", ["text_only", "synthesis"])
def test_a_pair_is_the_same_alone_and_beside_longer_ones(tmp_path: Path, fusion: str) -> None:
    """And beside pairs with more evidence, whether evidence is read or not."""
    mentions, evident = (Span(0, 1), Span(2, 3)), fusion == "synthesis"
    words, place = "velora quill tamber", (Span(12, 13), Span(16, 18))
    posts = [
        stored("long", "velora quill a in the " * 4, kept=ALL_STREAMS, photo=True, mentions=place),
        stored("bare", words, mentions=mentions),
        stored("told", words, kept=ALL_STREAMS[2:5], photo=True, mentions=mentions),
        stored("read", words, kept=ALL_STREAMS[5:6], mentions=mentions),
    ]
    reads = lively(reader(tmp_path, fusion, visual_dim=VISUAL_DIM if evident else 0))
    network, prepared = reads.network(), reads.prepare(Pairs(features(posts)))
    # A window more, so that windows and posts have other numbers.
    assert [len(post.windows) for post in prepared] == [2, 1, 1, 1]

    together = reads.look(network, prepared)

    alone = [reads.look(network, [post]) for post in prepared]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)
    bare, told, read = together[1:]
    for other in (told, read):
        assert float((bare - other).abs().max()) > 0.1 if evident else torch.equal(bare, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fusion", "world"), [("text_only", told_by_words), ("synthesis", told_by_evidence)]
)
def test_what_selfore_finds_in_a_tiny_world_is_far_above_chance(
    tmp_path: Path, fusion: str, world: World
) -> None:
    """Its clusters are a classifier's: an untrained one puts nearly all pairs into one."""
    train, test = features(world(60, "train")), features(world(30, "test", 60))

    found = METHODS["selfore"](reader(tmp_path, fusion), Pairs(train)).assign(Pairs(test)).tolist()

    chance = np.random.default_rng(0)
    by_chance = [
        cluster_scores(known(test), chance.permutation(found).tolist()).ari for _ in range(200)
    ]
    assert cluster_scores(known(test), found).ari > max(by_chance)


@pytest.mark.parametrize("method", METHODS)
def test_what_only_evidence_tells_is_hidden_without_it(tmp_path: Path, method: str) -> None:
    train = Pairs(features(told_by_evidence(12, "train")))

    blind = METHODS[method](reader(tmp_path, "text_only"), train).assign(train)

    assert len(set(blind.tolist())) == 1


SHORT_SELFORE = SELFORE.model_copy(update={"loops": 1, "epochs": 15})
SHORT_HIURE = HIURE.model_copy(update={"epochs": 2, "instance_epochs": 2})
SHORT_METASRE = MetaSreSettings(increments=1, warm_steps=20, steps=20, meta_steps=2)


def learned(
    method: str,
    reads: PairReader,
    world: World,
    meta: MetaSreSettings = SHORT_METASRE,
    count: int = 12,
) -> tuple[list[str], list[str]]:
    """Return the relations of some test posts, and what a short training says of each."""
    train, test = features(world(count, "train")), features(world(6, "test", count))
    if method == "metasre":
        few = few_labels(reads, train, test, 0.5, 0.5)
        return known(test), guesses(reads, few, metasre(reads, few, meta).classifier, few.dev)
    if method == "selfore":
        found = selfore(reads, Pairs(train), 3, SHORT_SELFORE)
    else:
        found = hiure(reads, Pairs(train), 3, SHORT_HIURE)
    return known(test), [str(cluster) for cluster in found.assign(Pairs(test))]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("method", ["selfore", "metasre"])
def test_what_only_one_kind_of_image_tells_is_found(
    tmp_path: Path, method: str, view: str
) -> None:
    """HiURE has a test of its own, of a world that is no cluster before any training."""
    reads = lively(reader(tmp_path, "synthesis", visual_dim=VISUAL_DIM))
    world = functools.partial(told_by_images, telling=(view,))
    longer = SHORT_METASRE.model_copy(update={"warm_steps": 50, "steps": 50})

    relations, found = learned(method, reads, world, longer, 24)

    assert cluster_scores(relations, found).ari == 1
    if method == "metasre":
        assert found == relations


# Steps


@pytest.mark.parametrize("fusion", ["text_only", "synthesis", "more"])
def test_the_optimizer_holds_every_trained_parameter_once_at_its_rate(
    tmp_path: Path, fusion: str
) -> None:
    reads = reader(tmp_path, fusion, visual_dim=VISUAL_DIM)
    classifier = PairClassifier(reads.network(), 3, 0.0)

    optimizer = make_optimizer([classifier], reads.train)

    trained = {id(p): name for name, p in classifier.named_parameters() if p.requires_grad}
    held = {id(p): g["peak"] for g in optimizer.param_groups for p in g["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(trained)
    settings = reads.train
    for key, name in trained.items():
        pretrained = ".backbone." in name
        rate = settings.learning_rate if pretrained else settings.head_learning_rate
        assert held[key] == rate, name


@pytest.mark.parametrize("method", [*METHODS, "metasre"])
def test_a_loss_that_is_not_finite_names_all_posts_of_the_step(
    tmp_path: Path, method: str
) -> None:
    """MetaSRE's second step is the judge's: of posts with labels and without."""
    reads = reader(tmp_path, batch_size=12, learning_rate=1e30, head_learning_rate=1e30)
    meta = MetaSreSettings(increments=1, warm_steps=1, steps=1, meta_steps=1)

    with pytest.raises(RamieError, match="loss that is not finite") as refused:
        learned(method, reads, told_by_words, meta)

    for number in range(12):
        assert f"train-{number:03}" in str(refused.value)


def test_a_gradient_that_is_not_finite_names_the_posts_and_changes_nothing(
    tmp_path: Path,
) -> None:
    reads = reader(tmp_path)
    posts = reads.prepare(Pairs(features(told_by_words(12, "train"))))
    weight = nn.Parameter(torch.zeros(1))

    with pytest.raises(RamieError, match=r"gradient .* not finite .*train-000, .*train-011\. "):
        take_step(torch.optim.AdamW([weight]), weight.sqrt().sum(), reads.train, posts)

    assert weight.item() == 0


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("selfore", "model.discovery.classify.weighted_loss"),
        ("selfore", "torch.optim.AdamW.step"),
        ("hiure", "model.discovery.hiure.instance_loss"),
        ("hiure", "torch.optim.AdamW.step"),
        ("metasre", "model.discovery.metasre.judge"),
        ("metasre", "model.discovery.metasre.step_along_gradients"),
    ],
)
def test_too_little_memory_in_a_step_names_the_size_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, where: str
) -> None:
    def exhausted(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(where, exhausted)

    with pytest.raises(
        RamieError, match=r"out of memory with \d+ posts \(.*\. Lower train\.batch"
    ):
        learned(method, reader(tmp_path), told_by_words)
