from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_vision import picture, tiny_settings, write_clip

from cache.errors import InputError
from retrieval.settings import ObserveSettings
from retrieval.sight.embed import ClipEncoder
from retrieval.sight.encoder_source import encoder_fingerprint
from retrieval.sight.forward import forwarded, padded_batches

TEXTS = ["a dog", "two red buses in London", "", "東京 タワー", "word " * 200, "a dog"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="module")
def encoder(clip: Path) -> ClipEncoder:
    return ClipEncoder(tiny_settings(clip), "cpu")


def some_pictures() -> list[Image.Image]:
    sizes = [(64, 64), (200, 90), (30, 150), (32, 32), (3, 500), (1, 1), (65, 63)]
    return [picture(seed, *size) for seed, size in enumerate(sizes)]


def test_vectors_are_unit_float32_in_half_precision(encoder: ClipEncoder) -> None:
    for vectors in (encoder.embed_texts(TEXTS), encoder.embed_images(some_pictures())):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == 24
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
        assert np.array_equal(vectors, vectors.astype(np.float16).astype(np.float32))


def test_a_vector_does_not_depend_on_what_came_with_it(encoder: ClipEncoder) -> None:
    pictures = some_pictures()
    images, texts = encoder.embed_images(pictures), encoder.embed_texts(TEXTS)
    assert len(np.unique(images, axis=0)) == len(pictures)
    for index, one in enumerate(pictures):
        assert np.array_equal(encoder.embed_images([one])[0], images[index])
    for index, text in enumerate(TEXTS):
        assert np.array_equal(encoder.embed_texts([text])[0], texts[index])
    assert np.array_equal(encoder.embed_images(pictures[::-1])[::-1], images)
    assert np.array_equal(encoder.embed_texts(TEXTS[::-1])[::-1], texts)


def test_vectors_are_those_of_open_clip(clip: Path, encoder: ClipEncoder) -> None:
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{clip}")
    with torch.inference_mode():
        image = model.encode_image(preprocess(picture(1))[None], normalize=True)
        text = model.encode_text(tokenizer(["a dog"]), normalize=True)
    assert encoder.embed_images([picture(1)])[0] == pytest.approx(image[0].numpy(), abs=1e-3)
    assert encoder.embed_texts(["a dog"])[0] == pytest.approx(text[0].numpy(), abs=1e-3)


def test_bfloat16_vectors_are_close_and_have_another_fingerprint(
    clip: Path, encoder: ClipEncoder
) -> None:
    settings = tiny_settings(clip, dtype="bfloat16")
    half = ClipEncoder(settings, "cpu")
    cosines = (half.embed_images(some_pictures()) * encoder.embed_images(some_pictures())).sum(1)
    assert cosines.min() > 0.99
    assert encoder_fingerprint(settings) != encoder_fingerprint(tiny_settings(clip))


def test_every_forward_pass_has_the_same_size() -> None:
    batches = list(padded_batches(range(1, 6), lambda some: torch.tensor([*some]), 4))
    assert [(batch.tolist(), num_real) for batch, num_real in batches] == [
        ([1, 2, 3, 4], 4),
        ([5, 0, 0, 0], 1),
    ]


def test_batches_prepared_side_by_side_come_in_order() -> None:
    def prepare(some: Sequence[int]) -> torch.Tensor:
        # The first ones take longest.
        time.sleep(0.02 / (1 + some[0]))
        return torch.tensor([*some])

    # Any device but the CPU has several batches prepared at a time.
    batches = padded_batches(range(20), prepare, 2, torch.device("meta"))
    assert [batch.tolist() for batch, _ in batches] == [[n, n + 1] for n in range(0, 20, 2)]


def test_batches_computed_side_by_side_come_in_order_and_few_ahead_of_who_asks() -> None:
    begun, inside, most = [], 0, 0
    lock, two = threading.Lock(), threading.Event()

    def prepare(some: Sequence[int]) -> torch.Tensor:
        begun.append(some[0])
        return torch.tensor([*some])

    def forward(batch: torch.Tensor) -> torch.Tensor:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside == 2:
                two.set()
        two.wait(60)
        time.sleep(0.02 / (1 + batch[0].item()))
        with lock:
            inside -= 1
        return -batch

    found = forwarded(range(19), prepare, forward, 2, streams=2)
    assert next(found).tolist() == [0, -1]
    assert len(begun) <= 4
    assert [rows.tolist() for rows in found] == [
        *([-n, -n - 1] for n in range(2, 18, 2)),
        [-18],
    ]
    assert most == 2


def test_nothing_to_embed_gives_no_vectors(encoder: ClipEncoder) -> None:
    assert len(encoder.embed_texts([])) == len(encoder.embed_images([])) == 0


def test_time_in_forward_passes_is_counted(clip: Path) -> None:
    encoder = ClipEncoder(tiny_settings(clip), "cpu")
    assert encoder.forward_seconds == 0
    encoder.embed_texts(["a"])
    assert encoder.forward_seconds > 0


def test_hostile_texts_cost_no_time(encoder: ClipEncoder) -> None:
    start = time.thread_time()
    letters = "".join(chr(97 + n) for n in np.random.default_rng(0).integers(0, 26, 20_000))
    encoder.embed_texts([letters, "\ud800 half", "\0", "b c " * 200_000])
    assert time.thread_time() - start < 2


def test_a_very_long_photo_is_not_scaled_up(encoder: ClipEncoder) -> None:
    start = time.thread_time()
    encoder.embed_images([Image.new("RGB", (3, 400_000)), Image.new("RGB", (400_000, 3))])
    assert time.thread_time() - start < 2


def test_the_fingerprint_follows_content_not_the_path(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    base = encoder_fingerprint(tiny_settings(clip))
    assert encoder_fingerprint(tiny_settings(copy)) == base
    config = json.loads((copy / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["interpolation"] = "bilinear"
    (copy / "open_clip_config.json").write_text(json.dumps(config))
    assert encoder_fingerprint(tiny_settings(copy)) != base
    assert encoder_fingerprint(tiny_settings(write_clip(tmp_path / "b", seed=1))) != base
    assert encoder_fingerprint(tiny_settings(None)) == ""


def test_weights_may_be_a_file_for_a_named_model(tmp_path: Path) -> None:
    settings = ObserveSettings(encoder="ViT-B-32", encoder_weights=str(tmp_path / "w.pt"))
    (tmp_path / "w.pt").write_bytes(b"one")
    first = encoder_fingerprint(settings)
    (tmp_path / "w.pt").write_bytes(b"another")
    assert encoder_fingerprint(settings) != first
    with pytest.raises(InputError, match="cannot load encoder ViT-B-32"):
        ClipEncoder(settings, "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "ViT-B-32", "encoder_weights": "nope"}, "'nope' are neither a file nor"),
        ({"encoder": "ViT-B-23"}, "no model called 'ViT-B-23'"),
        ({"encoder": "hf-hub:some/where"}, "neither a model name of open_clip"),
        ({"encoder": "local-dir:/nowhere"}, r"needs /nowhere/open_clip_config\.json"),
        ({}, "neither local nor downloadable.*observe.encoder=none"),
    ],
)
def test_an_encoder_that_is_not_to_be_had_is_named_with_the_way_out(
    changes: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=message):
        encoder_fingerprint(ObserveSettings.model_validate(changes))


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(InputError, match="holds no weights"):
        encoder_fingerprint(tiny_settings(tmp_path))


def test_damaged_weights_are_named(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    (copy / "open_clip_model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match="cannot load encoder"):
        ClipEncoder(tiny_settings(copy), "cpu")


def test_weights_that_give_nan_are_refused(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    weights = load_file(copy / "open_clip_model.safetensors")
    weights["text_projection"] *= float("nan")
    save_file(weights, copy / "open_clip_model.safetensors")
    with pytest.raises(InputError, match="without a direction"):
        ClipEncoder(tiny_settings(copy), "cpu").embed_texts(["a dog"])


@pytest.mark.real
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_real_encoder_is_invariant_to_its_batches(real_data: Path, dtype: str) -> None:
    settings = tiny_settings(real_data / "models" / "miniclip", dtype=dtype, batch_size=8)
    encoder = ClipEncoder(settings, "cpu")
    paths = sorted((real_data / "data" / "people_kb" / "images").glob("*.jpg"))[:19]
    images = [Image.open(path).convert("RGB") for path in paths]
    vectors = encoder.embed_images(images)
    order = np.random.default_rng(0).permutation(len(images))
    assert np.array_equal(encoder.embed_images([images[i] for i in order]), vectors[order])
    assert np.array_equal(encoder.embed_images(images[3:4]), vectors[3:4])
