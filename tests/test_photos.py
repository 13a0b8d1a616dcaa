from __future__ import annotations

import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cache.keys import content_key
from retrieval.sight import photos
from retrieval.sight.photos import Photo, PhotoProblem, decode_image, load_photo

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def half_and_half() -> Image.Image:
    """Left half red, right half blue, 40 x 20."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    return image


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def near(photo: Photo, position: tuple[int, int], colour: tuple[int, ...]) -> bool:
    got = photo.pixels.getpixel(position)
    assert isinstance(got, tuple)
    return all(abs(one - other) <= 12 for one, other in zip(got, colour, strict=True))


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header is whole and whose pixels are not there at all."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


def reason_of(data: bytes) -> str:
    with pytest.raises(PhotoProblem) as caught:
        decode_image(data)
    assert str(caught.value).endswith(".")
    return caught.value.reason


def mode_or_reason(data: bytes) -> str:
    try:
        return decode_image(data).pixels.mode
    except PhotoProblem as problem:
        return problem.reason


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_photo_keeps_its_bytes_and_gives_its_pixels(tmp_path: Path, image_format: str) -> None:
    data = encoded(half_and_half(), image_format)
    path = tmp_path / "any.name"
    path.write_bytes(data)

    photo = load_photo(path)

    media = photo.media
    assert (media.data, media.key, media.format) == (data, content_key(data), image_format)
    assert (media.width, media.height) == photo.pixels.size == (40, 20)
    assert photo.pixels.mode == "RGB"
    assert near(photo, (4, 10), RED)
    assert near(photo, (36, 10), BLUE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_rotated_photo_is_turned_upright(orientation: int) -> None:
    upright = half_and_half()
    upright.paste(WHITE, (0, 0, 20, 10))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation

    photo = decode_image(encoded(stored, "PNG", exif=exif))

    assert (photo.media.width, photo.media.height) == (40, 20)
    assert np.array_equal(np.asarray(photo.pixels), np.asarray(upright))


def test_a_damaged_exif_block_does_not_cost_the_photo() -> None:
    data = encoded(
        half_and_half(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12"
    )

    assert near(decode_image(data), (4, 10), RED)


def test_cmyk_becomes_rgb() -> None:
    photo = decode_image(encoded(half_and_half().convert("CMYK"), "JPEG"))

    assert photo.pixels.mode == "RGB"
    assert near(photo, (4, 10), RED)


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(image_format: str) -> None:
    second = Image.new("RGB", (40, 20), WHITE)
    data = encoded(
        half_and_half(), image_format, save_all=True, append_images=[second], duration=100
    )

    assert near(decode_image(data), (4, 10), RED)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    image = Image.new("RGBA", (10, 10), (0, 0, 0, 0)).convert(mode)
    image_format = "PNG" if mode != "PA" else "GIF"
    if mode == "PA":
        image = Image.new("P", (10, 10), 0)
        image.putpalette([255, 0, 0, 0, 0, 255])
        data = encoded(image, image_format, transparency=0)
    else:
        data = encoded(image, image_format)

    assert near(decode_image(data), (5, 5), WHITE)


def test_a_palette_with_an_alpha_for_each_colour_is_laid_on_white() -> None:
    image = Image.new("P", (10, 10), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 5, 10))

    photo = decode_image(encoded(image, "PNG", transparency=b"\x00\xff"))

    assert near(photo, (2, 5), WHITE)
    assert near(photo, (8, 5), BLUE)


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    grey = Image.fromarray(np.full((10, 10), 128 * 256, dtype=np.uint16))

    assert near(decode_image(encoded(grey, "PNG")), (5, 5), (128, 128, 128))


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_bilevel_become_rgb(mode: str) -> None:
    photo = decode_image(encoded(Image.new(mode, (10, 10), 255), "PNG"))

    assert photo.pixels.mode == "RGB"
    assert near(photo, (5, 5), WHITE)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_truncated_photo_is_damaged_at_every_length(image_format: str) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), image_format)

    for length in {12, 20, 30, len(data) // 3, len(data) // 2}:
        assert reason_of(data[:length]) == "damaged"


def test_flipped_bytes_give_a_photo_or_a_reason_and_nothing_else() -> None:
    random = np.random.default_rng(3)
    for image_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        data = encoded(half_and_half(), image_format)
        for _ in range(60):
            broken = bytearray(data)
            broken[random.integers(4, len(data))] = random.integers(256)
            outcome = mode_or_reason(bytes(broken))
            assert outcome in {"RGB", "damaged", "too many pixels", "not an image"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>404 not found</html>", "not an image"),
        (b"%PDF-1.4", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"II*\x00", "not an image"),
        (b"RIFF\x00\x00\x00\x00WAVE", "not an image"),
        (b"\xff\xd8\xff", "damaged"),
    ],
)
def test_what_is_no_image_says_so(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_the_pixel_limit_is_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(half_and_half(), "PNG")
    monkeypatch.setattr(photos, "MAX_PIXELS", 800)
    assert decode_image(data).media.width == 40

    monkeypatch.setattr(photos, "MAX_PIXELS", 799)
    assert reason_of(data) == "too many pixels"


def webp_of_size(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


@pytest.mark.parametrize(
    "data",
    [
        png_of_size(20_000, 20_000),
        png_of_size(50_001, 1_000),
        b"GIF89a" + struct.pack("<HH", 20_000, 20_000) + b"\x00\x00\x00"
        b"," + struct.pack("<HHHH", 0, 0, 20_000, 20_000) + b"\x00\x08\x00;",
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 20_000, 20_000, 1, 24, *(0,) * 6),
        b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 20_000, 20_000, 3)
        + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xda\x00\x0c" + b"\x00" * 10,
        webp_of_size(b"VP8X", b"\x00" * 4 + (16_382).to_bytes(3, "little") * 2),
        webp_of_size(b"VP8L", b"\x2f" + (16_382 | 16_382 << 14).to_bytes(4, "little")),
        webp_of_size(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383)),
    ],
    ids=["png", "png-just-above", "gif", "bmp", "jpeg", "webp-x", "webp-lossless", "webp-lossy"],
)  # fmt: skip
def test_twenty_thousand_pixels_squared_are_refused_by_the_header_alone(data: bytes) -> None:
    # The pixels are not there, so a decoder that was started would say "damaged".
    assert reason_of(data) == "too many pixels"


def test_a_webp_is_refused_before_pillow_makes_its_decoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # That alone allocates the canvas, a gigabyte for the largest one.
    def too_late(file: BytesIO) -> None:
        raise AssertionError(f"the decoder was made for {file}")

    monkeypatch.setattr(photos, "WebPImageFile", too_late)
    body = b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383)

    assert reason_of(webp_of_size(b"VP8 ", body)) == "too many pixels"


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\x00\x00II*\x00"}])
def test_the_size_in_a_webp_header_is_read_as_pillow_reads_it(options: dict[str, object]) -> None:
    data = encoded(half_and_half(), "WEBP", **options)

    assert photos.webp_canvas(data) == (40, 20)


def test_a_file_that_is_not_there_or_no_file_says_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "text.jpg").write_text("I am a text file")
    (tmp_path / "empty.jpg").touch()

    for path, reason in [
        ("nowhere.jpg", "missing"),
        ("pipe.jpg", "not a file"),
        (".", "not a file"),
        ("text.jpg", "not an image"),
        ("empty.jpg", "empty"),
        ("a\0b.jpg", "unreadable"),
    ]:
        with pytest.raises(PhotoProblem) as caught:
            load_photo(tmp_path / path)
        assert caught.value.reason == reason


def test_a_file_past_the_byte_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(encoded(half_and_half(), "BMP"))
    monkeypatch.setattr(photos, "MAX_BYTES", path.stat().st_size)
    assert load_photo(path).media.width == 40

    monkeypatch.setattr(photos, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(PhotoProblem, match="larger than"):
        load_photo(path)


def test_a_replaced_image_open_is_never_called() -> None:
    # ultralytics replaces it by one that installs a package when it meets unknown bytes.
    program = (
        "import sys\nfrom PIL import Image\n"
        "def spy(*args, **kwargs):\n    sys.exit('Image.open was called')\n"
        "Image.open = spy\n"
        "from retrieval.sight.photos import PhotoProblem, decode_image\n"
        "for data in (b'\\xff\\xd8\\xff1', b'\\x89PNG\\r\\n\\x1a\\n', b'text', b'GIF89a'):\n"
        "    try:\n        decode_image(data)\n    except PhotoProblem:\n        pass\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


def test_pillows_warnings_are_silent_from_many_threads_and_come_back_afterwards() -> None:
    data = encoded(
        half_and_half(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12"
    )
    before = list(warnings.filters)

    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(decode_image, [data] * 64))

    assert {photo.media.width for photo in decoded} == {40}
    assert list(warnings.filters) == before
