"""Photos decoded at the scale that models need: as safe as in full, and seen as in full."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_vision import picture, tiny_settings, write_clip, write_yolo

from cache.records import Observation, Post
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer
from retrieval.sight.photos import Needs, Photo, PhotoProblem, decode_image

NEEDS = Needs(64, 64)
SIZES = [(1600, 1200), (900, 1200), (520, 515), (300, 260), (128, 1000), (100, 100)]


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def verdict(data: bytes, needs: Needs | None) -> object:
    """Return why an image is refused, or all that is told of it."""
    try:
        media = decode_image(data, needs).media
    except PhotoProblem as problem:
        return problem.reason
    return media.key, media.data, media.format, media.width, media.height


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 700)] * 2), st.tuples(*[st.integers(1, 300)] * 2))
def test_a_photo_is_as_small_as_what_is_needed_allows(
    size: tuple[int, int], least: tuple[int, int]
) -> None:
    needs = Needs(*least)
    photo = decode_image(jpeg(Image.new("RGB", size)), needs)
    assert (photo.media.width, photo.media.height) == size
    found = photo.pixels.size
    for side, needed, original in ((max, *least[:1], size), (min, *least[1:], size)):
        assert side(found) >= min(needed, side(original))
    # No side could be a quarter smaller.
    assert max(least[0] / max(found), least[1] / min(found)) >= 0.79
    assert found[0] / size[0] == pytest.approx(found[1] / size[1], abs=1 / min(size))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_scaled_photo_is_upright_and_told_in_its_full_size(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(picture(3, 400, 300), exif=exif, quality=95)
    full, scaled = decode_image(data), decode_image(data, NEEDS)
    told = [(one.media.width, one.media.height) for one in (full, scaled)]
    assert told == [full.pixels.size] * 2
    assert scaled.pixels.size == tuple(side // 4 for side in full.pixels.size)
    expected = np.asarray(full.pixels.reduce(4), dtype=np.int16)
    assert np.abs(np.asarray(scaled.pixels, dtype=np.int16) - expected).max() <= 24


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_every_kind_of_jpeg_becomes_a_small_rgb_image(mode: str, progressive: bool) -> None:
    data = jpeg(picture(1, 512, 512).convert(mode), progressive=progressive)
    photo = decode_image(data, NEEDS)
    assert (photo.pixels.mode, photo.pixels.size) == ("RGB", (64, 64))


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "GIF", "BMP"])
def test_other_formats_are_decoded_in_full_and_then_scaled(image_format: str) -> None:
    buffer = BytesIO()
    picture(1, 512, 512).save(buffer, image_format)
    full, asked = decode_image(buffer.getvalue()), decode_image(buffer.getvalue(), NEEDS)
    small = full.pixels.resize(NEEDS, Image.Resampling.BILINEAR)
    assert small.tobytes() == asked.pixels.tobytes()
    assert full.media == asked.media


@pytest.mark.parametrize("progressive", [False, True])
def test_what_is_cut_off_is_refused_as_in_full(progressive: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    data = jpeg(Image.fromarray(noise), progressive=progressive)
    cut = [data[:end] for end in range(1, len(data), 131)]
    assert [verdict(one, Needs(16, 16)) for one in cut] == [verdict(one, None) for one in cut]
    assert verdict(data[:-200], Needs(16, 16)) == "damaged"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_are_judged_as_in_full(data: st.DataObject) -> None:
    content = bytearray(DAMAGED)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert verdict(bytes(content), Needs(16, 16)) == verdict(bytes(content), None)


DAMAGED = jpeg(picture(7, 128, 96), quality=90)


def test_too_many_pixels_are_refused_before_any_is_decoded() -> None:
    data = bytearray(jpeg(Image.new("RGB", (16, 16))))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    assert verdict(bytes(data), Needs(16, 16)) == "too many pixels"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ObserveSettings:
    folder = tmp_path_factory.mktemp("weights")
    return tiny_settings(write_clip(folder / "clip"), write_yolo(folder / "yolo.pt"))


def seen_by(observer: Observer, datas: Sequence[bytes]) -> tuple[list[Photo], list[Observation]]:
    photos = [decode_image(data, observer.needs) for data in datas]
    posts = [Post(f"train-{index}", ("a",), "a.jpg") for index in range(len(datas))]
    return photos, observer.observe(posts, photos, ["ok"] * len(datas))


def with_decode(chosen: ObserveSettings, decode: str) -> ObserveSettings:
    return ObserveSettings.model_validate({**chosen.model_dump(), "decode": decode})


def test_needs_are_those_of_the_models(tiny: ObserveSettings) -> None:
    assert Observer(tiny).needs is None
    scaled = with_decode(tiny, "scaled")
    # The detector reads 64 pixels; of a crop of half the photo the encoder reads 32.
    assert Observer(scaled, device="cpu").needs == Needs(64, 64)
    without = scaled.model_copy(update={"detector": "none"})
    assert Observer(without, device="cpu").needs == Needs(1, 32)
    without = scaled.model_copy(update={"encoder": "none"})
    assert Observer(without, device="cpu").needs == Needs(64, 1)


def test_regions_are_told_in_the_photo_itself_and_vectors_are_close(tiny: ObserveSettings) -> None:
    datas = [jpeg(picture(seed, *size), quality=95) for seed, size in enumerate(SIZES)]
    _, exact = seen_by(Observer(tiny, device="cpu"), datas)
    photos, rough = seen_by(Observer(with_decode(tiny, "scaled"), device="cpu"), datas)
    assert [photo.pixels.size for photo in photos[:2]] == [(85, 64), (64, 85)]
    for (width, height), photo, ours, theirs in zip(SIZES, photos, rough, exact, strict=True):
        assert ours.photo_embedding is not None
        assert theirs.photo_embedding is not None
        assert ours.photo_embedding @ theirs.photo_embedding > 0.99
        assert len(ours.regions) == len(theirs.regions)
        # One pixel of the detector's square, and one of the scaled photo.
        apart = max(width, height) / 64 + width / photo.pixels.width
        assert ours.regions[0].box == pytest.approx(theirs.regions[0].box, abs=apart)
        assert ours.regions[0].label == theirs.regions[0].label
        assert ours.regions[0].embedding is not None
        assert theirs.regions[0].embedding is not None
        assert ours.regions[0].embedding @ theirs.regions[0].embedding > 0.97


def test_a_photo_that_needs_all_its_pixels_is_seen_bit_for_bit_as_in_full(
    tiny: ObserveSettings,
) -> None:
    data = jpeg(picture(5, 78, 70))
    (_, [exact]), (_, [rough]) = (
        seen_by(Observer(with_decode(tiny, decode), device="cpu"), [data])
        for decode in ("full", "scaled")
    )
    assert exact.regions
    for one, two in zip(exact.regions, rough.regions, strict=True):
        assert (one.box, one.label, one.confidence) == (two.box, two.label, two.confidence)
        assert np.array_equal(one.embedding, two.embedding)  # type: ignore[arg-type]
    assert np.array_equal(exact.photo_embedding, rough.photo_embedding)  # type: ignore[arg-type]


def test_where_the_detector_decides_it_sees_what_it_sees_in_full(tiny: ObserveSettings) -> None:
    buffer = BytesIO()
    picture(6, 200, 160).save(buffer, "PNG")
    alone = tiny.model_copy(update={"encoder": "none"})
    (_, [exact]), ([photo], [rough]) = (
        seen_by(Observer(with_decode(alone, decode), device="cpu"), [buffer.getvalue()])
        for decode in ("full", "scaled")
    )
    assert photo.pixels.size == (64, 51)
    assert exact.regions
    assert [(one.box, one.confidence) for one in exact.regions] == [
        (one.box, one.confidence) for one in rough.regions
    ]


def test_how_photos_are_decoded_is_in_the_fingerprint_of_what_is_seen_alone(
    tiny: ObserveSettings,
) -> None:
    full, scaled = Observer(tiny), Observer(with_decode(tiny, "scaled"))
    assert full.fingerprint != scaled.fingerprint
    # Vectors of both may be compared: with those of a knowledge base, which decodes in full.
    assert full.encoder_fingerprint == scaled.encoder_fingerprint


@pytest.mark.real
def test_real_models_see_a_scaled_photo_as_in_full(real_data: Path) -> None:
    models = real_data / "models"
    base = tiny_settings(models / "miniclip", models / "yolov8n" / "yolov8n.pt", batch_size=8)
    paths = sorted((real_data / "data" / "mnre_photos").rglob("*.jpg"))[:6]
    datas = []
    for path in paths:
        with Image.open(path) as image:
            datas.append(jpeg(image.convert("RGB").resize((1600, 1200)), quality=90))
    _, exact = seen_by(Observer(base, device="cpu"), datas)
    photos, rough = seen_by(Observer(with_decode(base, "scaled"), device="cpu"), datas)
    assert {photo.pixels.size for photo in photos} == {(800, 600)}
    for ours, theirs in zip(rough, exact, strict=True):
        assert ours.photo_embedding @ theirs.photo_embedding > 0.97  # type: ignore[operator]
        if theirs.regions and theirs.regions[0].confidence > 0.6:
            assert ours.regions[0].box == pytest.approx(theirs.regions[0].box, abs=40)
