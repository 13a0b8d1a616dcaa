"""How fast posts are observed: backends side by side, and against the loop a user would write.

Models have the published sizes (YOLOv8n, CLIP ViT-B-32) and random weights. All ways of a
comparison take turns within one run, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from cache.errors import InputError
from cache.records import Post
from pipelines.bench.figures import Figure
from pipelines.bench.full_size import grainy_photo, random_detector, random_encoder
from pipelines.bench.plain_loop import PlainLoop
from retrieval.building.stopwatch import Stopwatch
from retrieval.settings import ObserveSettings
from retrieval.sight.detect import Detector, load_detector
from retrieval.sight.embed import ClipEncoder
from retrieval.sight.look import LocalEyes
from retrieval.sight.observe import Observer
from retrieval.sight.photos import Needs, decode_image

PARTS: Final = ("backends", "loop", "decoding")
_WAYS: Final = (
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("onnxruntime", "float32"),
)
# Against the loop: as it is by default, and as fast as a CPU can have it.
_BUILDS: Final = (
    ("torch", "float32", "full", "square"),
    ("openvino", "float32", "scaled", "tight"),
    ("openvino", "bfloat16", "scaled", "tight"),
)
_ROWS: Final = 8
_SENTENCE: Final = (
    "Two",
    "red",
    "buses",
    "and",
    "Obama",
    "in",
    "London",
    "tonight",
    "http://t.co/x",
)
# Boxes of a photo that pass the detector's threshold: as many as a real one lets pass.
_BOXES: Final = 30


@dataclass(frozen=True, slots=True)
class _Bench:
    """What is measured with: weights, photos in files, and their posts."""

    settings: ObserveSettings
    photos: dict[str, Path]
    posts: list[Post]

    def of(
        self, backend: str, dtype: str, decode: str = "full", letterbox: str = "square"
    ) -> ObserveSettings:
        changed = {"backend": backend, "dtype": dtype, "decode": decode, "letterbox": letterbox}
        return ObserveSettings.model_validate({**self.settings.model_dump(), **changed})


def bench_observing(
    posts: int = 48, seed: int = 0, only: Sequence[str] = (), rounds: int = 3
) -> list[Figure]:
    """Return how fast models, the observer and the plain loop are, and ratios of them.

    Args:
        posts: that are observed in each round, all with a photo.
        seed: of weights, photos and sentences.
        only: of `PARTS`; none means all.
        rounds: in each, every way takes its turn.
    """
    with tempfile.TemporaryDirectory() as made:
        bench = _prepare(Path(made), posts, seed)
        measures = {"backends": _backends, "loop": _loop, "decoding": _decoding}
        figures: list[Figure] = []
        for part in only or PARTS:
            figures += measures[part](bench, rounds)
    return figures


def _prepare(folder: Path, num_posts: int, seed: int) -> _Bench:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    random_detector(folder / "detector.pt")
    random_encoder(folder / "encoder")
    photos: dict[str, Path] = {}
    made_up: list[Post] = []
    for number in range(num_posts):
        name = f"post{number}"
        photos[name] = folder / f"{name}.jpg"
        grainy_photo(rng).save(photos[name], quality=85)
        made_up.append(
            Post(name, (*rng.permutation(_SENTENCE).tolist(), str(number)), f"{name}.jpg")
        )
    base = ObserveSettings(
        detector_weights=str(folder / "detector.pt"),
        encoder=f"local-dir:{folder / 'encoder'}",
        encoder_weights="",
    )
    return _Bench(_with_some_boxes(base, photos["post0"]), photos, made_up)


def _with_some_boxes(settings: ObserveSettings, photo: Path) -> ObserveSettings:
    """Return ``settings`` with a threshold that some boxes of a photo pass.

    Random weights are sure of nothing, and of everything alike.
    """
    sensitive = settings.model_copy(update={"detector_confidence": 1e-9, "max_regions": _BOXES})
    regions = load_detector(sensitive, "cpu").detect([decode_image(photo.read_bytes()).pixels])[0]
    # Confidences are told with four digits, too few for random weights' ones.
    least = max(min(region.confidence for region in regions), 1e-6)
    return settings.model_copy(update={"detector_confidence": least})


def _backends(bench: _Bench, rounds: int) -> list[Figure]:
    """Return how many images, texts and photos a second each backend takes, and ratios."""
    encoders: dict[str, ClipEncoder] = {}
    detectors: dict[str, Detector] = {}
    for backend, dtype in tqdm(_WAYS, "load backends", disable=None):
        name, settings = f"{backend} {dtype}", bench.of(backend, dtype)
        try:
            encoders[name], detectors[name] = (
                ClipEncoder(settings, "cpu"),
                load_detector(settings, "cpu"),
            )
        except InputError as problem:  # not installed, or not on this CPU
            tqdm.write(f"{name} is left out: {problem}")
    images = [decode_image(path.read_bytes()).pixels for path in bench.photos.values()][:_ROWS]
    texts = [" ".join(post.tokens) for post in bench.posts][:_ROWS]
    turns: dict[str, tuple[Mapping[str, Any], Callable[[Any], object]]] = {
        "images": (encoders, lambda one: one.embed_images(images)),
        "texts": (encoders, lambda one: one.embed_texts(texts)),
        "photos detected in": (detectors, lambda one: one.detect(images)),
    }
    measured = {
        what: _forward_rates(models, run, rounds, len(images))
        for what, (models, run) in turns.items()
    }
    figures = [
        Figure(f"{name}: {what} a second, or {rate / rates['torch float32']:.2f} x torch's", rate)
        for what, rates in measured.items()
        for name, rate in rates.items()
    ]
    return [*figures, *_channels_last(bench, images, rounds)]


def _forward_rates(
    models: Mapping[str, Any], run: Callable[[Any], object], rounds: int, rows: int
) -> dict[str, float]:
    """Return rows per second inside forward passes, by the name of the model.

    Args:
        models: have a clock, ``forward_seconds``.
        run: takes ``rows`` rows through a model.
        rounds: in each, every model takes its turn; one more before them warms up.
        rows: in one turn.
    """
    seconds = dict.fromkeys(models, 0.0)
    for model in models.values():
        run(model)
    for _ in range(rounds):
        for name, model in models.items():
            before = model.forward_seconds
            run(model)
            seconds[name] += model.forward_seconds - before
    return {name: rounds * rows / total for name, total in seconds.items()}


def _channels_last(bench: _Bench, images: Sequence[Image.Image], rounds: int) -> list[Figure]:
    """Return what the order of numbers is worth to the image tower of torch."""
    import open_clip

    batch = torch.rand(len(images), 3, 224, 224)
    orders = {"as ever": torch.contiguous_format, "channels last": torch.channels_last}
    models = {
        name: open_clip.create_model(bench.settings.encoder).eval().to(memory_format=order)
        for name, order in orders.items()
    }
    seconds = dict.fromkeys(orders, 0.0)
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, model in models.items():
                rows = batch.contiguous(memory_format=orders[name])
                start = time.perf_counter()
                model.encode_image(rows)
                seconds[name] += (time.perf_counter() - start) * bool(turn)
    gain = seconds["as ever"] / seconds["channels last"]
    return [Figure("torch float32: images, channels last against as ever", gain)]


def _loop(bench: _Bench, rounds: int) -> list[Figure]:
    """Return posts per second of the observer and of the plain loop, and wall over forward."""
    threads = torch.get_num_threads()
    plain = PlainLoop(bench.settings, bench.photos)
    plain.observe(bench.posts[:1])
    # `YOLO.predict` takes all cores but one, for the whole process and for good.
    as_written = torch.get_num_threads()
    torch.set_num_threads(threads)
    observers: dict[str, Observer] = {}
    for way in tqdm(_BUILDS, "load observers", disable=None):
        try:
            observer = Observer(bench.of(*way), device="cpu")
            _look(observer, bench, 1)
            observers[", ".join(way)] = observer
        except InputError as problem:
            tqdm.write(f"{way} is left out: {problem}")
    few = max(len(bench.posts) // 6, 1)
    written, loop = _Spent(), _Spent()
    ours = {name: _Spent() for name in observers}
    for _ in tqdm(range(rounds), "observe", disable=None):
        for spent, own_threads in ((written, as_written), (loop, threads)):
            torch.set_num_threads(own_threads)
            with spent.on(few):
                plain.observe(bench.posts[:few])
        for name, observer in observers.items():
            before = observer.forward_seconds
            with ours[name].on(len(bench.posts)):
                _look(observer, bench, len(bench.posts))
            ours[name].forward_s += observer.forward_seconds - before
    faster = {name: spent.per_s / loop.per_s for name, spent in ours.items()}
    fastest = max(faster, key=faster.__getitem__)
    return [
        Figure(f"the plain loop as written ({as_written} threads): posts a second", written.per_s),
        Figure(f"the plain loop with {threads} threads: posts a second", loop.per_s),
        *(Figure(f"{name}: posts a second", spent.per_s) for name, spent in ours.items()),
        *(
            Figure(
                f"{name}: wall over forward passes", spent.wall_s / spent.forward_s, 1.15, "below"
            )
            for name, spent in ours.items()
        ),
        *(Figure(f"{name}: against the plain loop", times) for name, times in faster.items()),
        *(
            Figure(
                f"{name}: against the plain loop, by processor time",
                loop.processor_s / loop.posts / (spent.processor_s / spent.posts),
            )
            for name, spent in ours.items()
        ),
        Figure(f"the fastest ({fastest}): against the plain loop", faster[fastest], 3.0),
        Figure("  against the plain loop as written", ours[fastest].per_s / written.per_s, 3.0),
    ]


def _look(observer: Observer, bench: _Bench, posts: int) -> None:
    """Observe the first ``posts`` posts as a build does: photos are decoded meanwhile."""
    list(LocalEyes(observer, bench.photos, Stopwatch()).look([bench.posts[:posts]]))


@dataclass(slots=True)
class _Spent:
    """What observing posts took."""

    posts: int = 0
    wall_s: float = 0.0
    processor_s: float = 0.0
    forward_s: float = 0.0

    @contextmanager
    def on(self, posts: int) -> Iterator[None]:
        """Count what is spent inside the block on ``posts`` posts."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.posts += posts
        self.wall_s += time.perf_counter() - wall
        self.processor_s += time.process_time() - processor

    @property
    def per_s(self) -> float:
        """Posts per second."""
        return self.posts / self.wall_s


def _decoding(bench: _Bench, rounds: int) -> list[Figure]:
    """Return what decoding at scale saves for large photos."""
    rng = np.random.default_rng(0)
    figures = []
    for size in ((1600, 1200), (4000, 3000)):
        path = next(iter(bench.photos.values())).with_name("large.jpg")
        grainy_photo(rng, size).save(path, quality=85)
        data = path.read_bytes()
        ways = {"full": None, "scaled": Needs(640, 448)}
        seconds = dict.fromkeys(ways, 0.0)
        for _ in range(3 * rounds):
            for name, needs in ways.items():
                start = time.perf_counter()
                _make_ready(data, needs)
                seconds[name] += time.perf_counter() - start
        gain = seconds["full"] / seconds["scaled"]
        what = f"{size[0]} x {size[1]}: decoding and scaling for the models, full over scaled"
        figures.append(Figure(what, gain))
    return figures


def _make_ready(data: bytes, needs: Needs | None) -> None:
    pixels = decode_image(data, needs).pixels
    pixels.resize((640, 480), Image.Resampling.BILINEAR)
    pixels.resize((299, 224), Image.Resampling.BICUBIC)
