"""Backends beside torch: what they compute is torch's within the bound that is declared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from tiny_vision import picture, tiny_settings, write_clip, write_yolo
from torch import Tensor, nn

from cache.errors import InputError
from cache.keys import fingerprint
from cache.records import Region
from retrieval.settings import ObserveSettings
from retrieval.sight import detect_yolo, embed
from retrieval.sight.backends import num_streams
from retrieval.sight.bounds import BOUNDS, bound_of
from retrieval.sight.clip_model import for_short_texts, load_clip, load_tokenizer, num_tokens
from retrieval.sight.detect import Detector, detector_identity, load_detector
from retrieval.sight.deviation import (
    box_deviation,
    check_boxes,
    check_vectors,
    vector_deviation,
)
from retrieval.sight.embed import ClipEncoder
from retrieval.sight.encoder_source import encoder_fingerprint, find_encoder
from retrieval.sight.forward import cpu_has_bfloat16, pick_device, rows_that_fit
from retrieval.sight.letterbox import Canvas
from retrieval.sight.observe import Observer

REPOSITORY = Path(__file__).parent.parent
SIZES = [(64, 64), (200, 90), (30, 150), (64, 64), (3, 500), (1, 1), (65, 63)]
PICTURES = [picture(seed, *size) for seed, size in enumerate(SIZES)]
TEXTS = ["a dog", "two red buses in London!", "", "東京 タワー", "word " * 200, "a dog", "a " * 40]
OTHERS = [("openvino", "float32"), ("openvino", "bfloat16"), ("onnxruntime", "float32")]


class Models:
    """The tiny models with one backend."""

    def __init__(self, clip: Path, yolo: Path, backend: str, dtype: str) -> None:
        self.settings = with_backend(tiny_settings(clip, yolo), backend, dtype)
        self.encoder = ClipEncoder(self.settings, "cpu")
        self.detector = load_detector(self.settings, "cpu")


def with_backend(settings: ObserveSettings, backend: str, dtype: str) -> ObserveSettings:
    changed = {**settings.model_dump(), "backend": backend, "dtype": dtype}
    return ObserveSettings.model_validate(changed)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return write_clip(folder / "clip"), write_yolo(folder / "yolo.pt")


@pytest.fixture(scope="module")
def reference(weights: tuple[Path, Path]) -> Models:
    return Models(*weights, "torch", "float32")


@pytest.fixture(scope="module", params=OTHERS, ids="-".join)
def other(weights: tuple[Path, Path], request: pytest.FixtureRequest) -> Models:
    backend, dtype = request.param
    pytest.importorskip(backend)
    if dtype == "bfloat16" and not cpu_has_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    return Models(*weights, backend, dtype)


def plain(regions: Sequence[Region]) -> list[tuple[tuple[float, ...], str, float]]:
    return [(region.box, region.label, region.confidence) for region in regions]


def test_vectors_are_those_of_torch_within_the_bound(other: Models, reference: Models) -> None:
    bound = bound_of(other.settings)
    rounding = 2e-3  # vectors are rounded to float16
    for ours, theirs in [
        (other.encoder.embed_images(PICTURES), reference.encoder.embed_images(PICTURES)),
        (other.encoder.embed_texts(TEXTS), reference.encoder.embed_texts(TEXTS)),
    ]:
        number, cosine = vector_deviation(torch.from_numpy(ours), torch.from_numpy(theirs))
        assert number <= bound.number + rounding
        assert cosine >= bound.cosine - rounding


def test_boxes_are_those_of_torch_within_the_bound(other: Models, reference: Models) -> None:
    ours, theirs = (models.detector for models in (other, reference))
    assert isinstance(ours, detect_yolo.YoloDetector)
    assert isinstance(theirs, detect_yolo.YoloDetector)
    square = Canvas(ours.side, ours.side)
    batch = ours._prepare([(one, one.size) for one in PICTURES[:4]], square)
    bound = bound_of(other.settings)
    found, reference_found = (
        one._forward(one._model_for(square), batch) for one in (ours, theirs)
    )
    box, score = box_deviation(found, reference_found)
    assert box <= bound.box_px
    assert score <= bound.score


def test_in_float32_the_regions_are_the_same(other: Models, reference: Models) -> None:
    if other.settings.dtype != "float32":
        pytest.skip("of equally likely regions, bfloat16 may choose others")
    found, expected = (models.detector.detect(PICTURES) for models in (other, reference))
    for ours, theirs in zip(found, expected, strict=True):
        assert [one.label for one in ours] == [one.label for one in theirs]
        for one, two in zip(ours, theirs, strict=True):
            assert one.box == pytest.approx(two.box, abs=1)
            assert one.confidence == pytest.approx(two.confidence, abs=1e-3)


def test_tight_inputs_are_translated_each_and_give_the_same_regions(
    weights: tuple[Path, Path], other: Models
) -> None:
    if other.settings.dtype != "float32":
        pytest.skip("of equally likely regions, bfloat16 may choose others")
    found = []
    for settings in (tiny_settings(*weights), other.settings):
        wanted = settings.model_copy(update={"letterbox": "tight"})
        detector = load_detector(wanted, "cpu")
        assert isinstance(detector, detect_yolo.YoloDetector)
        detector.side = 128
        found.append(detector.detect([one.resize((128, 72)) for one in PICTURES[:3]]))
    for ours, theirs in zip(*found, strict=True):
        assert [one.label for one in ours] == [one.label for one in theirs]
        assert [one.box for one in ours] == [pytest.approx(one.box, abs=1) for one in theirs]


def test_batches_side_by_side_give_what_they_give_one_after_the_other(
    weights: tuple[Path, Path], other: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever number of threads there is: each batch is computed by one."""
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        settings = other.settings.model_copy(update={"batch_size": 1})
        assert num_streams(settings) == threads
        encoder, detector = ClipEncoder(settings, "cpu"), load_detector(settings, "cpu")
        vectors = [encoder.embed_images(PICTURES), encoder.embed_texts(TEXTS)]
        regions = list(map(plain, detector.detect(PICTURES)))
        found.append((np.concatenate(vectors).tolist(), regions))
        assert detector.forward_seconds > 0
    assert found[0] == found[1]


def test_torch_has_one_stream_of_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert num_streams(ObserveSettings()) == 1
    assert num_streams(ObserveSettings(backend="openvino")) == 4


def test_what_comes_out_does_not_depend_on_what_came_with_it(other: Models) -> None:
    images, texts = other.encoder.embed_images(PICTURES), other.encoder.embed_texts(TEXTS)
    regions = other.detector.detect(PICTURES)
    assert np.array_equal(other.encoder.embed_images(PICTURES[::-1])[::-1], images)
    assert np.array_equal(other.encoder.embed_texts(TEXTS[::-1])[::-1], texts)
    for index in (0, 4, 6):
        one, text = PICTURES[index], TEXTS[index]
        assert np.array_equal(other.encoder.embed_images([one])[0], images[index])
        assert np.array_equal(other.encoder.embed_texts([text])[0], texts[index])
        assert plain(other.detector.detect([one])[0]) == plain(regions[index])


def test_nothing_gives_nothing_and_forward_passes_are_timed(other: Models) -> None:
    before = other.encoder.forward_seconds
    assert len(other.encoder.embed_texts([])) == len(other.encoder.embed_images([])) == 0
    assert other.detector.detect([]) == []
    other.encoder.embed_texts(["a"])
    assert other.encoder.forward_seconds > before


def test_stages_of_the_tower_are_those_of_torch(other: Models, reference: Models) -> None:
    ours, theirs = (models.encoder.look(PICTURES[:2]) for models in (other, reference))
    apart = 0.0 if other.settings.dtype == "float32" else 0.1
    for one, two in zip(ours, theirs, strict=True):
        assert one.last == pytest.approx(two.last, abs=apart)


def test_torch_in_bfloat16_keeps_to_its_bound(
    weights: tuple[Path, Path], reference: Models
) -> None:
    half, bound = Models(*weights, "torch", "bfloat16"), BOUNDS["torch", "bfloat16"]
    number, cosine = vector_deviation(
        torch.from_numpy(half.encoder.embed_images(PICTURES)),
        torch.from_numpy(reference.encoder.embed_images(PICTURES)),
    )
    assert number <= bound.number
    assert cosine >= bound.cosine


def test_a_text_is_the_same_in_the_tower_for_short_ones(weights: tuple[Path, Path]) -> None:
    source = find_encoder(tiny_settings(weights[0]))
    model, _ = load_clip(source, torch.float32, torch.device("cpu"))
    tokenize = load_tokenizer(source)
    found = for_short_texts(model, tokenize)
    assert found is not None
    context, short = found
    texts = ["a dog", "", "! ! !", "two red buses pass the Houses of Parliament " * 3, "w " * 30]
    rows = tokenize(texts)
    fits = num_tokens(rows) <= context
    assert fits.tolist() == [True, True, True, True, True]
    with torch.inference_mode():
        ours, theirs = short.encode_text(rows[:, :context]), model.encode_text(rows)
    assert vector_deviation(ours, theirs)[1] > 0.999999
    assert num_tokens(tokenize(["w " * 31])).item() == context + 1


Translation = Callable[[ObserveSettings, nn.Module, Tensor, int], Callable[[Tensor], Tensor]]


def shaken(amount: float) -> Translation:
    """Return a translation that is wrong by about ``amount``."""

    def translate(
        settings: ObserveSettings, model: nn.Module, example: Tensor, streams: int
    ) -> Callable[[Tensor], Tensor]:
        def forward(batch: Tensor) -> Tensor:
            with torch.inference_mode():
                right: Tensor = model(batch)
            noise = torch.randn(right.shape, generator=torch.manual_seed(0))
            return right + amount * noise

        return forward

    return translate


def test_an_encoder_beyond_its_bound_is_refused_with_the_values_and_the_way_out(
    weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_backend(tiny_settings(weights[0]), "openvino", "float32")
    monkeypatch.setattr(embed, "translate", shaken(0.2))
    with pytest.raises(InputError, match=r"vectors of images deviate by 0\.\d+.*backend=torch"):
        ClipEncoder(settings, "cpu")
    monkeypatch.setattr(embed, "translate", shaken(0))
    ClipEncoder(settings, "cpu")


def test_a_detector_beyond_its_bound_is_refused_with_the_values_and_the_way_out(
    weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_backend(tiny_settings(*weights), "openvino", "float32")
    monkeypatch.setattr(detect_yolo, "translate", shaken(0.5))
    with pytest.raises(InputError, match=r"boxes deviate by up to 1\.\d+ px.*backend=torch"):
        load_detector(settings, "cpu")
    monkeypatch.setattr(detect_yolo, "translate", shaken(0))
    load_detector(settings, "cpu")


def test_what_is_no_number_is_beyond_every_bound() -> None:
    settings = ObserveSettings(backend="openvino", dtype="bfloat16")
    vectors, boxes = torch.ones(2, 3), torch.ones(2, 6, 50)
    broken = vectors.clone()
    broken[1, 2] = float("nan")
    with pytest.raises(InputError, match="nan"):
        check_vectors(settings, "texts", broken, vectors)
    broken = boxes.clone()
    broken[1, 2, 3] = float("nan")
    with pytest.raises(InputError, match="nan"):
        check_boxes(settings, broken, boxes)
    check_vectors(settings, "texts", vectors, vectors)
    check_boxes(settings, boxes, boxes)


def test_a_backend_is_in_both_fingerprints_and_torch_is_not(weights: tuple[Path, Path]) -> None:
    base = tiny_settings(*weights)
    # As it was before there were backends, so that stores and knowledge bases are still known.
    source = {"source": find_encoder(base).digest, "dtype": "float32"}
    assert encoder_fingerprint(base) == fingerprint(source)
    assert set(detector_identity(base)) == {
        *("detector", "weights", "confidence", "max_regions", "dtype", "batch_size", "library")
    }
    ways = [("torch", "float32"), ("torch", "bfloat16"), *OTHERS]
    every = [with_backend(base, *way) for way in ways]
    assert len({encoder_fingerprint(one) for one in every}) == len(every)
    # What the detector reads is no matter of the encoder's.
    every.append(base.model_copy(update={"letterbox": "tight"}))
    assert encoder_fingerprint(every[-1]) == encoder_fingerprint(base)
    assert len({Observer(one).fingerprint for one in every}) == len(every)


def test_settings_at_their_default_leave_no_trace_in_a_manifest() -> None:
    told = ObserveSettings().model_dump(mode="json")
    assert not {"backend", "decode", "letterbox"} & set(told)
    changed = ObserveSettings(backend="openvino", decode="scaled", letterbox="tight")
    assert changed.model_dump()["backend"] == "openvino"
    assert ObserveSettings.model_validate(changed.model_dump()) == changed


@pytest.mark.parametrize(
    ("backend", "dtype"), [("onnxruntime", "bfloat16"), ("openvino", "float16")]
)
def test_a_dtype_that_a_backend_has_not_is_refused(backend: str, dtype: str) -> None:
    with pytest.raises(ValidationError, match=f"backend {backend} computes in float32"):
        ObserveSettings.model_validate({"backend": backend, "dtype": dtype})


def test_float16_and_gpus_are_refused_where_they_cannot_be(weights: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="float16 is for CUDA"):
        ClipEncoder(tiny_settings(weights[0], dtype="float16"), "cpu")
    with pytest.raises(InputError, match="runs on the CPU, not on cuda"):
        pick_device("cuda", "openvino")
    assert pick_device(None, "openvino").type == "cpu"


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_backend_that_is_not_installed_is_named_with_the_command(
    backend: str, weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("backend_openvino", "backend_onnx"):
        monkeypatch.delitem(sys.modules, f"retrieval.sight.{name}", raising=False)
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(InputError, match=rf"needs {backend}.*pip install '\.\[{backend}\]'"):
        ClipEncoder(with_backend(tiny_settings(weights[0]), backend, "float32"), "cpu")


def test_a_batch_of_zero_rows_is_chosen(weights: tuple[Path, Path], reference: Models) -> None:
    chosen = ClipEncoder(tiny_settings(weights[0], batch_size=0), "cpu")
    of_eight = ClipEncoder(tiny_settings(weights[0], batch_size=8), "cpu")
    assert np.array_equal(chosen.embed_images(PICTURES), of_eight.embed_images(PICTURES))


@given(st.floats(1, 1e9), st.floats(0, 1e12))
def test_rows_fill_the_room_and_no_more(bytes_per_row: float, room: float) -> None:
    rows = rows_that_fit(bytes_per_row, room)
    assert rows in (8, 16, 32, 64, 128, 256)
    assert rows == 8 or rows * bytes_per_row <= room
    assert rows == 256 or 2 * rows * bytes_per_row > room


_ALONE = """
import socket, sys
def refuse(*args, **kwargs): raise SystemExit("network: " + repr(args))
socket.getaddrinfo = socket.socket.connect = refuse
from retrieval.sight.embed import ClipEncoder
from retrieval.settings import ObserveSettings
settings = ObserveSettings(encoder="local-dir:" + sys.argv[1], backend="openvino", batch_size=2)
ClipEncoder(settings, "cpu").embed_texts(["a dog"])
"""


def test_translating_touches_neither_network_nor_home(
    weights: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    (home := tmp_path / "home").mkdir()
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("XDG_", "HF_"))}
    environment = {**kept, "HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", _ALONE, str(weights[0])]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [*home.rglob("*")] == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_half_precision_and_chosen_batches_keep_to_the_bound(
    weights: tuple[Path, Path], reference: Models
) -> None:
    settings = tiny_settings(*weights, dtype="float16", batch_size=0)
    bound = bound_of(settings)
    found = ClipEncoder(settings, "cuda").embed_images(PICTURES)
    number, cosine = vector_deviation(
        torch.from_numpy(found), torch.from_numpy(reference.encoder.embed_images(PICTURES))
    )
    assert number <= bound.number
    assert cosine >= bound.cosine
    detector: Detector = load_detector(settings, "cuda")
    assert all(detector.detect([Image.new("RGB", (64, 64)), *PICTURES])[1:])
