"""Promises of retrieval.curation.consistency: calibrated without labels, whatever the encoder."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from curation_helpers import make_hit, unit

from cache.errors import InputError
from cache.records import Hit, Observation, Post, Region, Vector
from retrieval.curation.consistency import Reference, drop_inconsistent, score_consistency

DIM = 24
Encoder = Callable[[Vector], Vector]
Case = tuple[Observation, list[Hit]]


def plain(latent: Vector) -> Vector:
    return unit(*latent)


def crowded(latent: Vector) -> Vector:
    """Every cosine is above 0.9, as with encoders whose vectors fill a narrow cone."""
    return unit(*(latent + 20.0))


def lopsided(latent: Vector) -> Vector:
    """A few numbers outweigh all others."""
    return unit(*(latent * np.linspace(4.0, 0.05, DIM, dtype=np.float32)))


def make_cases(count: int, encode: Encoder, seed: int = 0, sparse: bool = False) -> list[Case]:
    """Return posts about something each, and what was found: three in four hits are about it."""
    numbers, words = np.random.default_rng(seed), random.Random(seed)

    def draw(near: Vector, noise: float) -> Vector:
        return encode((near + noise * numbers.standard_normal(DIM)).astype(np.float32))

    cases: list[Case] = []
    for index in range(count):
        topic = numbers.standard_normal(DIM).astype(np.float32)
        name = f"name{index}"
        has_photo = not sparse or index % 3 > 0
        observation = Observation(
            Post(f"p{seed}-{index}", (name, *words.choices(COMMON, k=8))),
            photo_key=f"k{seed}-{index}" if has_photo else None,
            photo_status="ok" if has_photo else "none",
            photo_embedding=draw(topic, 1.0) if has_photo else None,
            sentence_embedding=draw(topic, 1.0),
            regions=tuple(
                Region((0, 0, 9, 9), "thing", 0.5, draw(topic, 1.5)) for _ in range(index % 3)
            ),
        )
        hits = []
        for place in range(12):
            about = topic if place % 4 else numbers.standard_normal(DIM).astype(np.float32)
            text = [name] if place % 4 == 1 else []
            hits.append(
                make_hit(
                    f"d{seed}-{index}-{place}",
                    " ".join(text + words.choices(COMMON, k=12)),
                    level=("image", "sentence")[place % 2],
                    modality=("text", "image")[place % 3 % 2],
                    media_key=f"m{seed}-{index}-{place}",
                    rank=place,
                    embedding=draw(about, 1.0),
                )
            )
        cases.append((observation, hits))
    return cases


COMMON = [f"word{index}" for index in range(60)]
CASES = make_cases(60, plain)
REFERENCE = Reference(CASES[:40])


def consistency(
    hits: Sequence[Hit], observation: Observation, reference: Reference
) -> list[float]:
    scored = score_consistency(hits, observation, reference)
    return [hit.consistency for hit in scored if hit.consistency is not None]


@pytest.mark.parametrize("encode", [plain, crowded, lopsided])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_promised_share_of_unrelated_hits_is_kept_whatever_the_encoder(
    encode: Encoder, sparse: bool
) -> None:
    cases = make_cases(140, encode, sparse=sparse)
    reference = Reference(cases[:80])
    pool = [hit for _, hits in cases[110:] for hit in hits]
    chooser = random.Random(1)
    scores = [
        consistency([*hits, stranger], observation, reference)[-1]
        for observation, hits in cases[80:110]
        for stranger in chooser.sample(pool, 12)
    ]
    for share in (0.3, 0.1, 0.05):
        kept = np.mean([score > 1 - share for score in scores])
        # Of 360 draws; 0.04 is two and a half standard errors and more.
        assert abs(kept - share) <= max(0.04, share / 4)


def test_the_score_tells_better_than_any_cosine_what_is_about_the_post() -> None:
    scored = [
        (hit, observation)
        for observation, hits in CASES[40:]
        for hit in score_consistency(hits, observation, REFERENCE)
    ]

    def tells(value: Callable[[Hit, Observation], float]) -> float:
        about = np.array([value(hit, post) for hit, post in scored if hit.rank % 4])
        stray = np.array([value(hit, post) for hit, post in scored if not hit.rank % 4])
        return float(np.mean(about[:, None] > stray))

    def to_sentence(hit: Hit, post: Observation) -> float:
        assert hit.embedding is not None
        assert post.sentence_embedding is not None
        return float(hit.embedding @ post.sentence_embedding)

    def to_photo(hit: Hit, post: Observation) -> float:
        assert hit.embedding is not None
        assert post.photo_embedding is not None
        return float(hit.embedding @ post.photo_embedding)

    single = max(tells(to_sentence), tells(to_photo))
    assert tells(lambda hit, _: hit.consistency or 0.0) > (1 + single) / 2


def test_a_hit_that_is_close_to_every_post_is_no_better_than_chance() -> None:
    everything = np.mean(
        [o.sentence_embedding for o, _ in CASES if o.sentence_embedding is not None], axis=0
    )
    hub = make_hit("hub", "word1 word2", embedding=unit(*everything))
    scores = [
        consistency([*hits, hub], observation, REFERENCE)[-1] for observation, hits in CASES[40:]
    ]
    assert 0.3 < np.mean(scores) < 0.7


def test_neither_the_order_of_hits_nor_that_of_the_reference_matters() -> None:
    observation, hits = CASES[50]
    shuffled = random.Random(3).sample(hits, len(hits))
    again = Reference([(o, h[::-1]) for o, h in CASES[39::-1]])
    wanted = {
        h.document_id: h.consistency for h in score_consistency(hits, observation, REFERENCE)
    }
    found = {h.document_id: h.consistency for h in score_consistency(shuffled, observation, again)}
    assert found == wanted


def test_one_text_with_several_vectors_counts_as_the_same_one_in_any_order() -> None:
    observation, hits = CASES[50]
    hits = [replace(hit, text="one text of many vectors", media_key="k") for hit in hits[:8]]
    hits += CASES[50][1][8:]
    wanted, turned = (
        {h.document_id: h.consistency for h in score_consistency(some, observation, REFERENCE)}
        for some in (hits, hits[::-1])
    )
    assert turned == wanted


@pytest.mark.parametrize("what", ["itself", "another name", "the same photo"])
def test_a_post_of_the_reference_is_no_other_post_to_itself(what: str) -> None:
    observation, hits = CASES[45]
    twin = observation
    if what == "another name":
        twin = replace(
            observation, post=replace(observation.post, example_id="twin"), photo_key="x"
        )
    if what == "the same photo":
        twin = replace(observation, post=Post("twin", ("quite", "other", "words")))
    left_out = fit(hits, observation, Reference([*CASES[:40], (twin, hits)]))
    stranger = replace(twin, post=Post("s", ("all", "else")), photo_key="other")
    compared = fit(hits, observation, Reference([*CASES[:40], (stranger, hits)]))
    alone = fit(hits, observation, REFERENCE)
    # Were it compared with its twin, every hit would fit one other post just as well.
    assert abs(left_out - alone) < (alone - compared) / 3


def fit(hits: Sequence[Hit], observation: Observation, reference: Reference) -> float:
    """Return the mean log odds that the hits fit better than chance."""
    scores = np.array(consistency(hits, observation, reference))
    return float(np.log(scores / (1 - scores)).mean())


def test_what_a_post_lacks_does_not_count_on_the_other_side_either() -> None:
    observation, hits = CASES[50]
    blind = replace(observation, photo_key=None, photo_embedding=None, regions=())
    without = [
        (replace(o, photo_key=None, photo_embedding=None, regions=()), h) for o, h in CASES[:40]
    ]
    found = consistency(hits, blind, REFERENCE)
    assert found == consistency(hits, blind, Reference(without))
    assert found != consistency(hits, observation, REFERENCE)


def test_words_alone_are_enough_and_nothing_at_all_passes() -> None:
    cases = [
        (
            replace(o, sentence_embedding=None, photo_embedding=None, regions=()),
            [replace(hit, embedding=None) for hit in h],
        )
        for o, h in CASES
    ]
    reference = Reference(cases[:40])
    observation, hits = cases[50]
    bare = make_hit("bare", modality="image", media_key="m")
    scored = score_consistency([*hits, bare], observation, reference)
    named = [hit.consistency for hit in scored if "name50" in hit.text]
    assert all(score is not None and score > 0.9 for score in named)
    assert scored[-1].consistency is None
    assert bare.document_id in {h.document_id for h in drop_inconsistent(scored, 0.01)[0]}


def test_without_enough_other_posts_nothing_is_said() -> None:
    observation, hits = CASES[50]
    assert score_consistency(hits, observation, None) == hits
    for few in ([], CASES[:1], CASES[:8]):
        scored = score_consistency(hits, observation, Reference(few))
        assert {hit.consistency for hit in scored} == {None}


def test_scores_tell_good_from_better_and_never_reach_0_or_1() -> None:
    cases = make_cases(40, plain, seed=5)
    observation, hits = cases[-1]
    assert observation.sentence_embedding is not None
    aim = observation.sentence_embedding
    away = unit(*np.random.default_rng(0).standard_normal(DIM))
    graded = [
        make_hit(f"g{step}", "name39", embedding=unit(*(aim + step * 0.2 * away)))
        for step in range(6)
    ]
    reference = Reference(cases[:-1])
    scores = [consistency([*hits, hit], observation, reference)[-1] for hit in graded]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)
    everything = [s for o, h in cases for s in consistency(h, o, reference)]
    assert min(everything) > 0
    assert max(everything + scores) < 1
    assert all(score == round(score, 6) for score in everything)


def test_a_pickled_reference_scores_the_same_and_is_small() -> None:
    observation, hits = CASES[50]
    data = pickle.dumps(REFERENCE)
    assert len(data) < 2_000_000
    again = pickle.loads(data)  # noqa: S301 - our own bytes
    assert consistency(hits, observation, again) == consistency(hits, observation, REFERENCE)


def test_an_embedding_of_another_encoder_is_refused() -> None:
    observation, _ = CASES[50]
    with pytest.raises(InputError, match="different encoders"):
        score_consistency([make_hit("d", "t", embedding=unit(1, 0))], observation, REFERENCE)
    with pytest.raises(InputError, match="different encoders"):
        Reference([(observation, [make_hit("d", "t", embedding=unit(1, 0))])])


def test_hits_at_the_threshold_go_and_unknown_ones_stay() -> None:
    values = (None, 0.899999, 0.9, 0.900001, 1e-6)
    hits = [make_hit(str(v), "t") for v in values]
    scored = [replace(hit, consistency=v) for hit, v in zip(hits, values, strict=True)]
    kept, dropped = drop_inconsistent(scored, 0.1)
    assert [hit.document_id for hit in kept] == ["None", "0.900001"]
    assert {one.step for one in dropped} == {"consistency"}
    assert "0.900 of other posts" in dropped[1].reason
    assert drop_inconsistent(scored, 1.0) == (scored, [])
