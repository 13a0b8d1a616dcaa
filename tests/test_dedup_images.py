"""Promises of retrieval.dedup_images."""

from __future__ import annotations

import math
import random

import numpy as np
from curation_helpers import encode, flat_scores, make_hit, picture, unit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from cache.records import Hit, Media
from retrieval.curate import ImageHashes
from retrieval.dedup_images import (
    ImageHash,
    drop_near_images,
    drop_same_images,
    hash_distance,
    image_hash,
    near_images,
)


def slow_hash(image: Image.Image) -> ImageHash:
    """Return both hashes from their definitions, number by number."""
    grey = image.convert("L")
    small = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS)).astype(float)
    low = [
        sum(
            small[y, x]
            * math.cos(math.pi * v * (2 * y + 1) / 64)
            * math.cos(math.pi * u * (2 * x + 1) / 64)
            for y in range(32)
            for x in range(32)
        )
        for v in range(8)
        for u in range(8)
    ]
    ordered = sorted(low)
    middle = (ordered[31] + ordered[32]) / 2
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.LANCZOS)).astype(int)
    gradient = [steps[y, x + 1] > steps[y, x] for y in range(8) for x in range(8)]

    def number(bits: list[bool]) -> int:
        return int("".join("1" if bit else "0" for bit in bits), 2)

    return ImageHash(number([value > middle for value in low]), number(gradient))


def image_hit(name: str, rank: int, **rest: object) -> Hit:
    """Return an image hit whose media key is its name."""
    return make_hit(name, modality="image", media_key=name, rank=rank, **rest)  # type: ignore[arg-type]


def hashes_of(media: list[Media]) -> ImageHashes:
    """Return hashes by key of some pictures."""
    by_key = {one.key: one for one in media}
    return ImageHashes(lambda key: by_key[key])


def test_hashes_equal_their_slow_definitions() -> None:
    for seed in range(3):
        assert image_hash(picture(seed)) == slow_hash(picture(seed))


def test_recompressed_scaled_and_brightened_pictures_are_near_the_original() -> None:
    for seed in range(20):
        original = picture(seed)
        own = image_hash(original)
        jpeg = encode(original, "JPEG", quality=30)
        changed = [
            ImageHashes(lambda key, jpeg=jpeg: jpeg)(jpeg.key),  # type: ignore[misc]
            image_hash(original.resize((48, 36), Image.Resampling.BICUBIC)),
            image_hash(ImageEnhance.Brightness(original).enhance(0.8)),
        ]
        assert own is not None
        assert all(one is not None and hash_distance(own, one) <= 6 for one in changed)


def test_different_pictures_are_far_apart() -> None:
    found = [image_hash(picture(seed)) for seed in range(40)]
    distances = [
        hash_distance(one, other)
        for place, one in enumerate(found)
        for other in found[:place]
        if one is not None and other is not None
    ]
    assert len(distances) == 780
    assert min(distances) > 10


def test_flat_pictures_have_no_hash_and_equal_nothing_but_their_bytes() -> None:
    red, blue = (Image.new("RGB", (40, 40), colour) for colour in ("red", "blue"))
    assert image_hash(red) is None
    media = [encode(red), encode(blue)]
    hits = [
        make_hit(str(place), modality="image", media_key=one.key, rank=place)
        for place, one in enumerate(media)
    ]
    kept, dropped = drop_near_images(hits, flat_scores(hits), hashes_of(media), 10, 0.98)
    assert (len(kept), dropped) == (2, [])


def test_frequencies_that_a_symmetric_picture_lacks_are_no_random_bits() -> None:
    half = np.asarray(picture(3).convert("L").resize((32, 64)))
    mirrored = Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1))
    found = image_hash(mirrored)
    assert found is not None
    bits = np.array([int(bit) for bit in f"{found.phash:064b}"]).reshape(8, 8)
    assert len(set(bits[:, 1::2].ravel().tolist())) == 1
    assert len(set(bits[:, ::2].ravel().tolist())) == 2


def test_the_same_bytes_appear_once_in_a_stream_and_once_in_every_stream() -> None:
    hits = [
        image_hit("x", 0, level="image"),
        make_hit("again", modality="image", media_key="x", rank=1, level="image"),
        image_hit("x", 0, level="sentence"),
    ]
    kept, dropped = drop_same_images(hits, flat_scores(hits))
    assert kept == [hits[0], hits[2]]
    assert [(one.hit, one.step, one.reason) for one in dropped] == [
        (hits[1], "same_image", "same bytes as kb/x"),
    ]


BASE = 0x0123456789ABCDEF


@given(
    st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=6),
    st.integers(0, 24),
    st.randoms(use_true_random=False),
)
@settings(max_examples=120, deadline=None)
def test_near_images_equal_the_slow_all_pairs_reference_in_any_order(
    flips: list[tuple[int, int]], max_bits: int, shuffler: random.Random
) -> None:
    # The n lowest bits flipped: two pictures are |n - m| bits apart, thresholds met exactly.
    table = {
        f"i{place}": ImageHash(BASE ^ ((1 << p) - 1), BASE ^ ((1 << d) - 1))
        for place, (p, d) in enumerate(flips)
    }
    hits = [image_hit(name, place) for place, name in enumerate(table)]
    wanted: list[int] = []
    for place, (p, d) in enumerate(flips):
        near = [max(abs(p - flips[k][0]), abs(d - flips[k][1])) <= max_bits for k in wanted]
        if not any(near):
            wanted.append(place)

    shuffled = list(hits)
    shuffler.shuffle(shuffled)
    kept, dropped = drop_near_images(shuffled, flat_scores(hits), table.get, max_bits, 0.98)

    assert kept == [hits[place] for place in wanted]
    assert len(kept) + len(dropped) == len(hits)


def test_equal_meaning_is_a_near_duplicate_where_hashes_say_nothing() -> None:
    one, other = (None, unit(1, 0)), (None, unit(1, 0.1))
    assert near_images(one, other, 10, 0.99) == "cosine 0.995"
    assert near_images(one, other, 10, 0.996) == ""
    assert near_images(one, (None, None), 10, 0.1) == ""
    exactly = (None, unit(3, 4)), (None, unit(1, 0))
    assert near_images(*exactly, 10, 0.6) == "cosine 0.600"
