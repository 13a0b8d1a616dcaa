"""What a row says of an image is compared with the image's header; no pixel is decoded for it."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cache_helpers import IDENTITY, build
from PIL import Image

from cache import Media, StoreWriter, content_key
from pipelines.cli import main
from retrieval.sight.headers import wrong_claim
from retrieval.sight.photos import decode_image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def encoded(image_format: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, "red").save(file, image_format, **options)
    return file.getvalue()


def media(data: bytes, image_format: str, width: int, height: int) -> Media:
    return Media(content_key(data), data, image_format, width, height)


@pytest.mark.parametrize("image_format", FORMATS)
def test_what_the_gate_found_is_right_and_anything_else_is_named(image_format: str) -> None:
    data = encoded(image_format)
    right = decode_image(data).media
    assert wrong_claim(right) is None
    found = f"is a {image_format} of 40 x 30 pixels"
    assert found in (wrong_claim(replace(right, width=41)) or "")
    assert found in (wrong_claim(replace(right, width=30, height=40)) or "")
    other = "PNG" if image_format == "JPEG" else "JPEG"
    assert f"its row says {other}" in (wrong_claim(replace(right, format=other)) or "")


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_a_photo_that_lies_on_its_side_is_claimed_upright(image_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    right = decode_image(encoded(image_format, exif=exif)).media
    assert (right.width, right.height) == (30, 40)
    assert wrong_claim(right) is None


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 30}, {"comment": b"a" * 9}]
)
def test_jpegs_of_all_codings_are_read(options: dict[str, Any]) -> None:
    assert wrong_claim(decode_image(encoded("JPEG", **options)).media) is None


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_cut_header_is_named_and_never_an_exception(image_format: str) -> None:
    data = encoded(image_format)
    for length in range(len(data)):
        wrong_claim(media(data[:length], image_format, 40, 30))
    assert wrong_claim(media(data[:12], image_format, 40, 30)) is not None


def bomb() -> Media:
    data = bytearray(encoded("PNG"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    return media(bytes(data), "PNG", 60_000, 60_000)


def test_a_bomb_is_named_without_decoding_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StoreWriter(tmp_path, identity=IDENTITY, num_shards=1) as writer:
        writer.write_shard(0, [], {}, [bomb(), media(b"text", "PNG", 1, 1)])
        writer.close({})
    assert main(["verify", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "media/part-00000" in said
    assert "60000 x 60000 pixels" in said
    assert "starts with b'text'" in said


def test_without_pillow_verifying_goes_on_and_says_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "retrieval.sight.headers", None)
    assert main(["verify", str(tmp_path)]) == 0
    assert "Pillow is missing" in capsys.readouterr().out
