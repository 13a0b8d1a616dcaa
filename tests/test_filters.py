"""Promises of retrieval.curation.filters and retrieval.curation.vectors."""

from __future__ import annotations

import numpy as np
import pytest
from curation_helpers import encode, make_hit, no_hash, observe, picture, unit

from cache.errors import InputError
from retrieval.curation.consistency import cosine, cosines
from retrieval.curation.curate import ImageHashes
from retrieval.curation.filters import (
    drop_empty,
    drop_irrelevant,
    drop_post_photos,
    drop_post_texts,
)

POST = "RT @sam : Rain stops the cup final in Oslo https://t.co/abc"


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("Rain stops the cup final in Oslo", True),
        ("RT @sam: rain stops the cup final in OSLO!! https://t.co/abc", True),
        ("Oslo weather. Rain stops the cup final in Oslo", True),
        ("Oslo had rain when the cup final stopped", False),
        ("Oslo", False),
        ("", False),
    ],
)
def test_copies_of_the_post_go_raw_cleaned_or_under_a_title(text: str, copy: bool) -> None:
    hit = make_hit("d", text, title="Oslo weather")
    kept, dropped = drop_post_texts([hit], POST.split(), 0.8)
    assert (len(kept), len(dropped)) == ((0, 1) if copy else (1, 0))
    if copy:
        assert dropped[0].step == "post_text"


def test_overlap_with_the_post_exactly_at_the_threshold_is_a_copy() -> None:
    hit = make_hit("d", "a b c d e x")  # trigrams: 3 of 5 in common
    post = ["a", "b", "c", "d", "e", "y"]
    assert drop_post_texts([hit], post, 0.6)[0] == []
    assert drop_post_texts([hit], post, 0.61)[1] == []


def test_a_two_word_post_is_copied_only_by_its_two_words() -> None:
    hits = [make_hit("same", "lakers WIN"), make_hit("longer", "Lakers win the game")]
    kept, dropped = drop_post_texts(hits, ["Lakers", "win"], 0.8)
    assert ([h.document_id for h in kept], [d.hit.document_id for d in dropped]) == (
        ["longer"],
        ["same"],
    )


def test_the_posts_own_photo_goes_by_bytes_looks_or_embedding() -> None:
    photo = encode(picture(1))
    smaller = encode(picture(1).resize((48, 36)), "JPEG")
    other = encode(picture(2))
    hashes = ImageHashes({one.key: one for one in (photo, smaller, other)}.__getitem__)
    observation = observe(photo_key=photo.key, photo_embedding=unit(1, 0))
    hits = [
        make_hit("bytes", modality="image", media_key=photo.key),
        make_hit("looks", modality="image", media_key=smaller.key),
        make_hit("meaning", modality="image", media_key=other.key, embedding=unit(1, 0.01)),
        make_hit("other", modality="image", media_key=other.key, embedding=unit(0, 1)),
        make_hit("text", "with the photo's vector", embedding=unit(1, 0)),
    ]
    kept, dropped = drop_post_photos(hits, observation, hashes, 10, 0.98)
    assert [hit.document_id for hit in kept] == ["other", "text"]
    assert [one.reason for one in dropped] == [
        "the post's own photo: same bytes",
        "the post's own photo: 0 bits apart",
        "the post's own photo: cosine 1.000",
    ]
    assert drop_post_photos(hits, observe(), no_hash, 10, 0.98) == (hits, [])


def test_hits_without_what_their_stream_is_made_of_go() -> None:
    broken = encode(picture(1))
    hashes = ImageHashes(lambda key: type(broken)(key, b"no image", "PNG", 1, 1))
    hits = [
        make_hit("blank", " \u200b \n"),
        make_hit("none", "a caption", modality="image"),
        make_hit("broken", modality="image", media_key=broken.key),
        make_hit("fine", "words"),
    ]
    kept, dropped = drop_empty(hits, hashes)
    assert [hit.document_id for hit in kept] == ["fine"]
    assert [one.reason.split(":")[0] for one in dropped] == [
        "no text",
        "no image",
        "image cannot be read",
    ]


def test_relevance_at_the_floor_and_unknown_relevance_pass() -> None:
    hits = [make_hit(str(value), "t", relevance=value) for value in (0.3, 0.299999, -1.0, None)]
    kept, dropped = drop_irrelevant(hits, 0.3)
    assert [hit.relevance for hit in kept] == [0.3, None]
    assert [one.reason for one in dropped] == [
        "relevance 0.300 below 0.3",
        "relevance -1.000 below 0.3",
    ]


def test_cosine_needs_no_unit_vectors_and_refuses_those_of_another_encoder() -> None:
    assert cosine(np.array([3, 4], np.float32), np.array([8, 6], np.float32)) == 0.96
    assert cosine(np.zeros(2, np.float32), unit(1, 0)) == 0.0
    vectors = [unit(1, 0), None, np.array([8, 6], np.float32), np.zeros(2, np.float32)]
    table = cosines(vectors)
    for row, one in enumerate(vectors):
        for column, other in enumerate(vectors):
            known = one is not None and other is not None
            wanted = cosine(one, other) if known else np.nan  # type: ignore[arg-type]
            assert np.array_equal(table[row, column], wanted, equal_nan=True)
    assert cosines([None]).shape == (1, 1)
    with pytest.raises(InputError, match="of 2 numbers"):
        cosines([unit(1, 0), unit(1, 0, 0)])
    with pytest.raises(InputError, match=r"of 2 numbers with one of 3: .* different encoders"):
        cosine(unit(1, 0), unit(1, 0, 0))
