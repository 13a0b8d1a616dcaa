"""Promises of retrieval.curation.dedup_images."""

from __future__ import annotations

import itertools
import math
import random
from functools import cache

import numpy as np
import pytest
from curation_helpers import encode, flat_scores, make_hit, picture, unit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from cache.records import Hit, Media
from retrieval.curation.curate import ImageHashes
from retrieval.curation.dedup_images import (
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
        found = image_hash(picture(seed))
        assert found is not None
        assert found._replace(looks=None) == slow_hash(picture(seed))


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
    assert near_images(one, [other, (None, None)], 10, 0.99) == ["cosine 0.995", ""]
    assert near_images(one, [other], 10, 0.996) == [""]
    assert near_images((None, unit(3, 4)), [(None, unit(1, 0))], 10, 0.6) == ["cosine 0.600"]
    assert near_images(one, [], 10, 0.6) == []


def detailed(seed: int) -> Image.Image:
    """Return a picture with edges, as photos have: rectangles of all sizes."""
    rng = random.Random(seed)
    image = Image.new("RGB", (200, 150), rng.randbytes(3).hex().join(("#", "")))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = rng.randrange(200), rng.randrange(150)
        corner = (x + rng.randint(5, 60), y + rng.randint(5, 45))
        draw.rectangle(((x, y), corner), fill=rng.randbytes(3).hex().join(("#", "")))
    return image


def cropped(image: Image.Image, left: float, top: float, side: float) -> Image.Image:
    """Return a part of a picture, in shares of its width and height."""
    width, height = image.size
    box = (left * width, top * height, (left + side) * width, (top + side) * height)
    return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("left", "top", "side"), [(0.05, 0.05, 0.9), (0, 0.3, 0.7), (0.2, 0, 0.8)]
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_parts_and_mirror_images_are_the_same_picture_whichever_comes_first(
    left: float, top: float, side: float, mirrored: bool
) -> None:
    for seed in range(5):
        whole = detailed(seed)
        part = cropped(whole, left, top, side)
        part = ImageOps.mirror(part) if mirrored else part
        one, other = (image_hash(whole), None), (image_hash(part), None)
        why = near_images(one, [other], 8, 0.98)
        assert why == near_images(other, [one], 8, 0.98)
        assert why[0].startswith("cut or mirrored: detail 0.")


def test_mirror_images_are_found_whatever_the_light() -> None:
    for seed in range(5):
        brighter = ImageEnhance.Brightness(ImageOps.mirror(detailed(seed))).enhance(1.3)
        seen = (image_hash(brighter), None)
        assert near_images((image_hash(detailed(seed)), None), [seen], 8, 0.98) != [""]


def test_other_pictures_and_parts_of_other_pictures_are_not_the_same() -> None:
    hashes = [image_hash(detailed(seed)) for seed in range(20)]
    hashes += [image_hash(cropped(detailed(seed), 0.1, 0.1, 0.8)) for seed in range(20)]
    for place, hashed in enumerate(hashes):
        others = [(other, None) for other in hashes if other is not hashed]
        why = near_images((hashed, None), others, 8, 0.98)
        assert sum(map(bool, why)) == 1, place


@given(st.lists(st.integers(0, 8), max_size=7), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_crops_and_mirrors_fall_to_the_same_picture_in_any_order(
    picked: list[int], shuffler: random.Random
) -> None:
    # Chains come up: both ends are parts of the whole, but hardly of each other.
    hits = [image_hit(f"i{one}-{place}", place) for place, one in enumerate(picked)]
    table = {hit.document_id: _edited()[one] for hit, one in zip(hits, picked, strict=True)}
    shuffled = list(hits)
    shuffler.shuffle(shuffled)

    kept, dropped = drop_near_images(hits, flat_scores(hits), table.get, 8, 0.98)
    assert drop_near_images(shuffled, flat_scores(hits), table.get, 8, 0.98) == (kept, dropped)
    places = {hit: place for place, hit in enumerate(hits)}
    for one, other in itertools.combinations(kept, 2):
        pair = (table[one.document_id], None), (table[other.document_id], None)
        assert near_images(pair[0], [pair[1]], 8, 0.98) == [""]
    for gone in dropped:
        own = (table[gone.hit.document_id], None)
        better = [hit for hit in kept if places[hit] < places[gone.hit]]
        assert any(near_images(own, [(table[hit.document_id], None) for hit in better], 8, 0.98))


@cache
def _edited() -> list[ImageHash | None]:
    """Return hashes of two pictures, of parts of them that overlap, and of their mirror images."""
    return [
        image_hash(edit)
        for seed in (0, 1)
        for whole in (detailed(seed),)
        for edit in (whole, cropped(whole, 0, 0, 0.75), cropped(whole, 0.25, 0.25, 0.75))
    ] + [image_hash(ImageOps.mirror(detailed(seed))) for seed in range(3)]


def test_the_same_light_and_dark_with_other_detail_is_another_picture() -> None:
    def with_detail(seed: int) -> Image.Image:
        noise = np.random.default_rng(seed).integers(-70, 70, (24, 32))
        fine = np.kron(noise, np.ones((6, 6)))
        broad = np.asarray(picture(5, (192, 144)).convert("L"), dtype=np.float64)
        return Image.fromarray(np.clip(broad + fine, 0, 255).astype(np.uint8)).convert("RGB")

    hashes = [image_hash(with_detail(seed)) for seed in range(8)]
    for place, hashed in enumerate(hashes):
        others = [(other, None) for other in hashes[:place]]
        assert not any(near_images((hashed, None), others, 0, 0.98))
