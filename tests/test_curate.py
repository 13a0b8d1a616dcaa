"""Promises of retrieval.curation.curate: all steps together."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
from curation_helpers import encode, make_hit, no_hash, observe, picture, unit
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import ImageOps

from cache.records import STREAMS, Dropped, Evidence, Hit, Observation, Post, Vector
from retrieval.curation.consistency import Reference
from retrieval.curation.curate import ImageHashes, Surroundings, curate
from retrieval.curation.dedup_images import ImageHash
from retrieval.curation.leaks import LeakGuard
from retrieval.settings import CurateSettings, NoiseSettings

# Texts of a few invented words are no noise here.
NO_NOISE = NoiseSettings(too_short=0, keyword_list=False)
SETTINGS = CurateSettings(keep_per_stream=2, min_relevance=0.2, noise=NO_NOISE)
SENTENCE = "rain stops the cup final in Oslo"
TEXTS = st.one_of(
    st.lists(st.sampled_from(["rain", "cup", "Oslo", "wins"]), max_size=12).map(" ".join),
    # A chain: each is a copy of the next one, quotes it or is quoted, but not the first the last.
    st.sampled_from(
        [
            "a b c d e f g h i j k l m n o p q r s t u v",
            "a b c d e f g h i j",
            "a b c d e f g h x y",
            "a b c d e f v w x y",
            SENTENCE,
        ]
    ),
)
HASHES = {"i0": ImageHash(0, 0), "i1": ImageHash(1023, 1023), "i2": ImageHash(2047, 2047)}
HITS = st.builds(
    make_hit,
    st.sampled_from(["a", "b", "c"]),
    TEXTS,
    level=st.sampled_from(["image", "object", "sentence"]),
    modality=st.sampled_from(["text", "image"]),
    rank=st.integers(0, 2),
    region_index=st.integers(-1, 1),
    provider=st.sampled_from(["kb", "web"]),
    media_key=st.sampled_from([None, *HASHES]),
    query_key=st.sampled_from(["q", "r"]),
    relevance=st.sampled_from([None, 0.1, 0.2, 0.9]),
    embedding=st.sampled_from([None, unit(1, 0), unit(1, 0.1), unit(0, 1)]),
)


def told(found: tuple[list[Evidence], list[Dropped]]) -> list[tuple[object, ...]]:
    """Return a result as values that compare; records with vectors compare by identity."""

    def told_hit(hit: Hit) -> tuple[object, ...]:
        vector = None if hit.embedding is None else hit.embedding.tobytes()
        bare = replace(hit, embedding=None)
        return (*(getattr(bare, name) for name in Hit.__dataclass_fields__), vector)

    evidence, dropped = found
    return [
        *((*told_hit(one.hit), one.rank, one.fused_score) for one in evidence),
        *((*told_hit(one.hit), one.step, one.reason) for one in dropped),
    ]


def reference() -> Reference:
    """Return other posts with what was found for them, enough to learn from."""
    numbers = np.random.default_rng(0)

    def vector() -> Vector:
        return unit(*numbers.standard_normal(2))

    return Reference(
        [
            (
                Observation(Post(f"p{post}", ("cup", f"of{post}")), sentence_embedding=vector()),
                [
                    make_hit(f"d{post}-{rank}", f"rain {rank}", rank=rank, embedding=vector())
                    for rank in range(4)
                ],
            )
            for post in range(24)
        ]
    )


REFERENCE = reference()
GUARD = LeakGuard([Post("q", tuple(["a", "b", "c", "d", "e", "f", "v", "w", "x", "y"]))])


@given(st.lists(HITS, max_size=12), st.randoms(use_true_random=False))
@hypothesis_settings(max_examples=150, deadline=None)
def test_permuting_the_hits_changes_no_result(hits: list[Hit], shuffler: random.Random) -> None:
    observation = observe(SENTENCE, sentence_embedding=unit(1, 1))
    shuffled = list(hits)
    shuffler.shuffle(shuffled)
    # Hits that differ in nothing but their scores or vectors may stand in for each other; others
    # may show the same and have other vectors.
    distinct = {
        (h.level, h.modality, h.rank, h.provider, h.document_id, h.region_index, h.query_key)
        for h in hits
    }
    if len(distinct) < len(hits):
        return
    picky = SETTINGS.model_copy(update={"max_false_keeps": 0.6})
    for settings, around in (
        (SETTINGS, Surroundings(HASHES.get)),
        (picky, Surroundings(HASHES.get, REFERENCE, GUARD)),
    ):
        in_order, otherwise = (
            curate(observation, some, settings, around) for some in (hits, shuffled)
        )
        assert told(otherwise) == told(in_order)


@given(st.lists(HITS, max_size=12))
@hypothesis_settings(max_examples=100, deadline=None)
def test_every_hit_comes_out_once_and_evidence_keeps_its_promises(hits: list[Hit]) -> None:
    evidence, dropped = curate(observe(SENTENCE), hits, SETTINGS, Surroundings(HASHES.get))
    out = Counter(one.hit.document_id for one in evidence)
    out += Counter(one.hit.document_id for one in dropped)
    assert out == Counter(hit.document_id for hit in hits)
    assert all(one.step and one.reason for one in dropped)

    streams = Counter((one.hit.level, one.hit.modality) for one in evidence)
    assert all(count <= SETTINGS.keep_per_stream for count in streams.values())
    places = [STREAMS.index((one.hit.level, one.hit.modality)) for one in evidence]
    assert places == sorted(places)
    for stream in streams:
        own = [one for one in evidence if (one.hit.level, one.hit.modality) == stream]
        assert [one.rank for one in own] == list(range(len(own)))
        scores = [one.fused_score for one in own]
        assert scores == sorted(scores, reverse=True)
        things = [one.hit.text if stream[1] == "text" else one.hit.media_key for one in own]
        assert len(set(things)) == len(things)
    assert all(one.hit.relevance is None or one.hit.relevance >= 0.2 for one in evidence)
    assert all(one.hit.modality == "image" or one.hit.text.strip() for one in evidence)


def test_each_step_drops_its_own_and_says_so() -> None:
    photo, other = encode(picture(1)), encode(picture(2))
    smaller = encode(picture(2).resize((60, 45)), "JPEG")
    mirrored = encode(ImageOps.mirror(picture(2)))
    media = {one.key: one for one in (photo, other, smaller, mirrored)}
    long = "the final in Oslo was stopped by heavy rain for one hour"
    hits = [
        make_hit("best", long, rank=0),
        make_hit("same", long.upper(), rank=1),
        make_hit("near", long + " today", rank=2),
        make_hit("copy", SENTENCE, rank=3),
        make_hit("off", "how to bake bread", rank=4, relevance=0.1),
        make_hit("blank", "", rank=5),
        make_hit("second", "Oslo is a city", rank=6),
        make_hit("third", "cups are for tea", rank=7),
        make_hit("quoted", "Oslo was stopped by", rank=8),
        make_hit("own", modality="image", media_key=photo.key, rank=0),
        make_hit("other", modality="image", media_key=other.key, rank=1),
        make_hit("again", modality="image", media_key=other.key, rank=2),
        make_hit("smaller", modality="image", media_key=smaller.key, rank=3),
        make_hit("mirrored", modality="image", media_key=mirrored.key, rank=4),
    ]
    observation = observe(SENTENCE, photo_key=photo.key)
    around = Surroundings(ImageHashes(media.__getitem__))
    evidence, dropped = curate(observation, hits, SETTINGS, around)
    assert [(one.hit.document_id, one.rank) for one in evidence] == [
        ("best", 0),
        ("second", 1),
        ("other", 0),
    ]
    assert [(one.hit.document_id, one.step) for one in dropped] == [
        ("same", "same_text"),
        ("near", "near_text"),
        ("copy", "post_text"),
        ("off", "relevance"),
        ("blank", "empty"),
        ("third", "cut"),
        ("quoted", "contained_text"),
        ("own", "post_photo"),
        ("again", "same_image"),
        ("smaller", "near_image"),
        ("mirrored", "near_image"),
    ]
    assert evidence[0].fused_score == 1 / 61


def test_a_hit_that_falls_anyway_does_not_take_its_better_copy_along() -> None:
    hits = [
        make_hit("first", "rain in Oslo today", rank=0, query_key="q", relevance=0.0),
        make_hit("copy", "rain in Oslo today", rank=1, query_key="r", relevance=0.9),
    ]
    evidence, dropped = curate(observe(), hits, SETTINGS, Surroundings(no_hash))
    assert [one.hit.document_id for one in evidence] == ["copy"]
    assert [one.step for one in dropped] == ["relevance"]


def test_what_two_answers_agree_on_goes_before_a_first_place_of_one() -> None:
    hits = [
        make_hit("alone", "bread and butter", rank=0, provider="kb"),
        make_hit("both", "rain in Oslo", rank=1, provider="kb"),
        make_hit("both", "rain in Oslo", rank=1, provider="web"),
    ]
    evidence, dropped = curate(observe(), hits, SETTINGS, Surroundings(no_hash))
    assert [one.hit.document_id for one in evidence] == ["both", "alone"]
    assert [one.step for one in dropped] == ["same_text"]


def test_dropped_hits_carry_their_scores_too() -> None:
    hits = [make_hit("off", "bread", relevance=0.1, embedding=unit(1, 0))]
    observation = observe(sentence_embedding=unit(1, 0))
    _, dropped = curate(observation, hits, SETTINGS, Surroundings(no_hash, REFERENCE))
    assert dropped[0].step == "relevance"
    assert dropped[0].hit.consistency is not None


def test_no_hits_make_no_evidence() -> None:
    assert curate(observe(), [], SETTINGS, Surroundings(no_hash)) == ([], [])
