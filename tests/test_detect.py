from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_vision import picture, tiny_settings, write_yolo
from torch import Tensor

from cache.errors import InputError
from cache.records import Region
from retrieval.settings import ObserveSettings
from retrieval.sight.detect import Detector, detector_identity, load_detector, tidy_regions
from retrieval.sight.detect_yolo import YoloDetector, quiet_ultralytics
from retrieval.sight.letterbox import canvas_of

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def yolo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_yolo(tmp_path_factory.mktemp("yolo") / "tiny.pt")


@pytest.fixture(scope="module")
def detector(yolo: Path) -> Detector:
    return load_detector(tiny_settings(None, yolo), "cpu")


@pytest.fixture(scope="module")
def tight(yolo: Path) -> YoloDetector:
    """Return a detector with inputs of three shapes; the tiny one's own size has but one."""
    settings = tiny_settings(None, yolo).model_copy(update={"letterbox": "tight"})
    detector = load_detector(settings, "cpu")
    assert isinstance(detector, YoloDetector)
    detector.side = 128
    return detector


def plain(regions: Sequence[Region]) -> list[tuple[tuple[float, ...], str, float]]:
    return [(region.box, region.label, region.confidence) for region in regions]


def some_pictures() -> list[Image.Image]:
    sizes = [(64, 64), (200, 90), (30, 150), (64, 64), (3, 500), (1, 1), (65, 63), (64, 20)]
    return [picture(seed, *size) for seed, size in enumerate(sizes)]


def test_boxes_grow_to_whole_pixels_inside_the_photo() -> None:
    found = [((0.6, -3.0, 10.2, 99.0), "dog", 0.5), ((5.0, 5.0, 5.0, 9.0), "cup", 0.9)]
    assert plain(tidy_regions(found, (20, 30), 3)) == [((0.0, 0.0, 11.0, 30.0), "dog", 0.5)]


def test_of_equal_boxes_the_most_confident_stays_and_nan_goes() -> None:
    box = (1.0, 1.0, 5.0, 5.0)
    found = [(box, "dog", 0.5), (box, "cat", 0.7), ((float("nan"), 0.0, 5.0, 5.0), "cup", 0.9)]
    assert plain(tidy_regions(found, (20, 30), 3)) == [(box, "cat", 0.7)]


_SIDES = st.floats(-5, 40)
_FOUND = st.tuples(
    st.tuples(_SIDES, _SIDES, _SIDES, _SIDES),
    st.sampled_from(["a", "b"]),
    st.sampled_from([0.3, 0.5, 0.50001]),
)


@settings(max_examples=60)
@given(st.lists(_FOUND, max_size=6), st.randoms(use_true_random=False))
def test_regions_do_not_depend_on_the_order_in_which_they_were_found(found, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(found)
    random.shuffle(shuffled)
    regions = tidy_regions(found, (32, 24), 3)
    assert plain(regions) == plain(tidy_regions(shuffled, (32, 24), 3))
    assert len(regions) <= 3
    for left, top, right, bottom in (region.box for region in regions):
        assert 0 <= left < right <= 32
        assert 0 <= top < bottom <= 24


def test_no_detector_sees_nothing_and_needs_no_library() -> None:
    settings = ObserveSettings(detector="none")
    assert load_detector(settings).detect(some_pictures()) == [()] * 8
    assert detector_identity(settings) == {"detector": "none"}


def test_regions_of_a_photo_do_not_depend_on_the_photos_beside_it(detector: Detector) -> None:
    pictures = some_pictures()
    together = detector.detect(pictures)
    assert sum(map(len, together)) > 8
    alone = [detector.detect([one])[0] for one in pictures]
    backwards = detector.detect(pictures[::-1])[::-1]
    assert list(map(plain, alone)) == list(map(plain, together))
    assert list(map(plain, backwards)) == list(map(plain, together))


@pytest.mark.parametrize(
    ("size", "canvas"),
    [
        ((1600, 900), (640, 384)),
        ((1200, 900), (640, 480)),
        ((900, 1200), (480, 640)),
        ((640, 481), (640, 640)),
        ((5000, 3), (640, 384)),
        ((3, 5000), (384, 640)),
        ((700, 700), (640, 640)),
        ((1, 1), (640, 640)),
    ],
)
def test_a_tight_input_is_the_smallest_of_three_that_the_photo_fits_in(
    size: tuple[int, int], canvas: tuple[int, int]
) -> None:
    assert canvas_of(size, 640, 32, "tight") == canvas
    assert canvas_of(size, 640, 32, "square") == (640, 640)
    # Models of a larger stride have other sides.
    assert set(canvas_of(size, 640, 64, "tight")) <= {384, 512, 640}
    # Sides that are none of the detector's are never asked of it.
    assert canvas_of(size, 64, 32, "tight") == (64, 64)


def test_in_tight_inputs_nothing_depends_on_the_photos_beside_it(tight: YoloDetector) -> None:
    pictures = [picture(seed, *size) for seed, size in enumerate([(90, 50), (64, 64), (50, 80)])]
    together = tight.detect(pictures)
    assert all(together)
    assert [plain(tight.detect([one])[0]) for one in pictures] == list(map(plain, together))


@pytest.mark.parametrize(("letterbox", "size"), [("square", (64, 64)), ("tight", (128, 72))])
def test_boxes_and_scores_are_those_of_ultralytics_own_prediction(
    yolo: Path, letterbox: str, size: tuple[int, int]
) -> None:
    changed = {"max_regions": 10, "letterbox": letterbox}
    detector = load_detector(tiny_settings(None, yolo).model_copy(update=changed), "cpu")
    assert isinstance(detector, YoloDetector)
    detector.side = size[0]
    image = picture(5, *size)
    ours = detector.detect([image])[0]
    with quiet_ultralytics():
        from ultralytics import YOLO

        result = YOLO(str(yolo)).predict(
            image, imgsz=size[0], conf=0.25, iou=0.7, device="cpu", verbose=False
        )[0]
    theirs = tidy_regions(
        zip(
            map(tuple, result.boxes.xyxy.tolist()),
            [result.names[int(index)] for index in result.boxes.cls],
            result.boxes.conf.tolist(),
            strict=True,
        ),
        size,
        10,
    )
    assert len(ours) == 10
    assert [(box, label) for box, label, _ in plain(ours)] == [
        (box, label) for box, label, _ in plain(theirs)
    ]


@pytest.mark.parametrize("letterbox", ["square", "tight"])
def test_what_is_found_in_the_input_is_found_there_in_the_photo(
    yolo: Path, monkeypatch: pytest.MonkeyPatch, letterbox: str
) -> None:
    settings = tiny_settings(None, yolo).model_copy(update={"letterbox": letterbox})
    detector = load_detector(settings, "cpu")
    assert isinstance(detector, YoloDetector)
    detector.side = 128
    shapes = set()
    scores = [0.0, 0.9, 0.0]

    def everything_white(model: object, batch: Tensor) -> Tensor:
        """Return one box around the white pixels of each letterboxed photo."""
        rows = []
        shapes.add(tuple(batch.shape[2:]))
        for square in batch:
            down, across = torch.nonzero(square.mean(0) > 0.99, as_tuple=True)
            low, high = (
                torch.tensor([across.min(), down.min()]),
                torch.tensor([across.max() + 1, down.max() + 1]),
            )
            rows.append(torch.tensor([*((low + high) / 2), *(high - low), *scores])[:, None])
        return torch.stack(rows)

    monkeypatch.setattr(detector, "_forward", everything_white)
    for size in [(640, 200), (30, 64), (64, 64), (5, 7)]:
        canvas = Image.new("RGB", size, "white")
        found = detector.detect([canvas] * 4)[3]
        assert plain(found) == [((0.0, 0.0, float(size[0]), float(size[1])), "dog", 0.9)]
    lying, standing, square = (96, 128), (128, 96), (128, 128)
    assert shapes == ({square} if letterbox == "square" else {lying, standing, square})


def test_bfloat16_sees_about_the_same(yolo: Path, detector: Detector) -> None:
    half = load_detector(tiny_settings(None, yolo, dtype="bfloat16"), "cpu")
    for exact, rough in zip(
        detector.detect(some_pictures()), half.detect(some_pictures()), strict=True
    ):
        assert rough[0].confidence == pytest.approx(exact[0].confidence, abs=0.05)


def test_time_in_forward_passes_is_counted(yolo: Path) -> None:
    detector = load_detector(tiny_settings(None, yolo), "cpu")
    assert detector.forward_seconds == 0
    detector.detect([picture(1)])
    assert detector.forward_seconds > 0


def test_the_identity_follows_weights_and_settings_but_not_the_path(
    yolo: Path, tmp_path: Path
) -> None:
    base = tiny_settings(None, yolo)
    copy = tmp_path / "renamed.pt"
    copy.write_bytes(yolo.read_bytes())
    assert detector_identity(tiny_settings(None, copy)) == detector_identity(base)
    copy.write_bytes(yolo.read_bytes() + b"\0")
    changed = [
        tiny_settings(None, copy),
        base.model_copy(update={"detector_confidence": 0.5}),
        base.model_copy(update={"max_regions": 2}),
        base.model_copy(update={"dtype": "bfloat16"}),
        base.model_copy(update={"batch_size": 1}),
    ]
    assert all(detector_identity(other) != detector_identity(base) for other in changed)


def test_missing_weights_are_named_with_the_way_out(tmp_path: Path) -> None:
    settings = ObserveSettings(detector_weights=str(tmp_path / "nowhere.pt"))
    with pytest.raises(InputError, match=r"nowhere\.pt.*observe\.detector=none"):
        load_detector(settings)


def test_weights_that_cannot_be_downloaded_name_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="switched off") as caught:
        load_detector(ObserveSettings())
    assert str(tmp_path / "ramie" / "weights" / "yolov8n.pt") in str(caught.value)


def test_published_weights_are_found_where_the_message_says(
    yolo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    target = tmp_path / "ramie" / "weights" / "yolov8n.pt"
    target.parent.mkdir(parents=True)
    target.write_bytes(yolo.read_bytes())
    assert load_detector(ObserveSettings(), "cpu").detect([picture(1)])[0]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_checkpoint_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pt is not a YOLO checkpoint"):
        load_detector(tiny_settings(None, path), "cpu")


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["TRAP"],)


def test_a_hostile_checkpoint_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    torch.save({"model": _Trap()}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="not a YOLO checkpoint"):
        load_detector(tiny_settings(None, tmp_path / "weights.pt"), "cpu")
    assert not (tmp_path / "sprung").exists()


_ALONE = """
import socket, sys
def refuse(*args, **kwargs): raise SystemExit("network: " + repr(args))
socket.getaddrinfo = socket.socket.connect = refuse
from retrieval.sight.detect import load_detector
from retrieval.settings import ObserveSettings
import torch
from PIL import Image
settings = ObserveSettings(detector_weights=sys.argv[1], encoder="none")
load_detector(settings, "cpu").detect([Image.new("RGB", (50, 40))])
"""


@pytest.mark.slow
def test_detecting_touches_neither_network_nor_home_nor_working_folder(
    yolo: Path, tmp_path: Path
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("YOLO_", "XDG_", "HF_"))}
    environment = {**kept, "HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", _ALONE, str(yolo)]
    done = subprocess.run(command, env=environment, cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [*home.rglob("*"), *work.rglob("*")] == []


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("ultralytics", {"retrieval/sight/detect_yolo.py"}),
        ("tantivy", {"retrieval/kb/index.py"}),
        ("faiss", {"retrieval/kb/faiss_lists.py"}),
    ],
)
def test_a_library_behind_a_seam_is_imported_by_its_own_file_only(
    library: str, home: set[str]
) -> None:
    importers = set()
    for package in ("cache", "retrieval", "model"):
        for path in (REPOSITORY / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                found: list[str] = []
                if isinstance(node, ast.Import):
                    found = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    found = [node.module or ""]
                if any(name.split(".")[0] == library for name in found):
                    importers.add(str(path.relative_to(REPOSITORY)))
    assert importers
    assert importers <= home


@pytest.mark.real
def test_the_real_detector_finds_people_and_is_invariant(real_data: Path) -> None:
    weights = real_data / "models" / "yolov8n" / "yolov8n.pt"
    detector = load_detector(tiny_settings(None, weights, batch_size=8), "cpu")
    paths = sorted((real_data / "data" / "people_kb" / "images").glob("*.jpg"))[:11]
    images = [Image.open(path).convert("RGB") for path in paths]
    found = detector.detect(images)
    with_person = [any(r.label == "person" for r in regions) for regions in found]
    assert sum(with_person) >= 10
    for index in (0, 9):
        assert plain(detector.detect([images[index]])[0]) == plain(found[index])
