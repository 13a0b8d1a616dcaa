"""Which copies of a photo deduplication finds, and which other pictures it takes for copies.

The measures were chosen by looking at one half of the news photos and at the portraits; found is
measured at the other half.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image, ImageEnhance, ImageOps

from cache.records import Hit, Vector
from pipelines.bench.figures import Figure
from pipelines.bench.real_data import real_data
from retrieval.curation.dedup_images import Seen, drop_near_images, image_hash, near_images
from retrieval.settings import CurateSettings, ObserveSettings
from retrieval.sight.embed import ClipEncoder
from retrieval.sight.photos import load_photo

_SETTINGS: Final = CurateSettings()
_EDITED: Final = 150
_STREAM: Final = 60
# News documents that show one photo, by their ids: each pair that any measure called alike was
# looked at, and showed the same photo.
_ONE_PHOTO: Final = (
    (2, 3151, 3330, 3412, 3453, 5237), (45, 501), (176, 1760), (325, 3836),
    (442, 2228, 5113, 6324), (463, 784), (476, 656, 2379, 7587), (658, 1963), (1150, 2611),
    (1372, 3583), (1630, 3763), (2090, 3198, 4490), (2133, 4100), (2414, 3230), (2544, 5607),
    (2740, 7191), (2931, 3435), (3306, 6659), (3521, 5219), (4026, 7139), (4217, 5168),
    (4551, 5299), (4671, 6241), (4935, 5149, 5161), (5114, 5145), (5379, 6585), (6114, 6455),
    (6939, 7747), (7756, 8107),
)  # fmt: skip
_BOUNDS: Final = {
    "recompressed": 0.99,
    "resized": 0.99,
    "brightened": 0.99,
    "5 % cropped off": 0.95,
    "15 % cropped off": 0.80,
    "mirrored": 0.80,
    "15 % cropped off, mirrored, recompressed": None,
}


class _File(NamedTuple):
    document_id: str
    path: Path


def bench_image_duplicates(seeds: Sequence[int], real: Path | None = None) -> list[Figure]:
    """Return what is found of edited news photos, and what is lost of different pictures.

    Found is what is found by looks alone, without embeddings. Lost is counted by picture, not by
    pair: the share of different pictures that a stream of 60 of them loses, by looks and by
    embeddings.

    Args:
        seeds: of the choice of photos, of the edits and of the streams.
        real: folder with photos and weights; None looks for one.
    """
    real = real or real_data()
    if not (real / "data" / "news_kb").is_dir():
        return []
    news = _files(real / "data" / "news_kb")
    people = _files(real / "data" / "people_kb")
    random.Random(0).shuffle(news)
    unseen = news[len(news) // 2 :]
    settings = ObserveSettings(
        encoder=f"local-dir:{real / 'models' / 'miniclip'}", encoder_weights="", batch_size=32
    )
    encoder = ClipEncoder(settings)
    lost = {
        "news photos": _lost(_one_of_each(unseen), seeds, encoder),
        "portraits": _lost(people, seeds, encoder),
    }
    return [
        *(
            Figure(f"photos {name}: found", share, _BOUNDS[name])
            for name, share in _found(unseen, seeds).items()
        ),
        *(
            Figure(f"other {name} in a stream of 60: lost", share, 0.001, "below")
            for name, share in lost.items()
        ),
    ]


def edits_of(photo: Image.Image, rng: random.Random) -> dict[str, Image.Image]:
    """Return edited copies of a photo by the name of the edit."""
    small = (max(1, photo.width // 2), max(1, photo.height // 2))
    cropped = _cropped(photo, 0.15, rng)
    return {
        "recompressed": _as_jpeg(photo, 30),
        "resized": photo.resize(small),
        "brightened": ImageEnhance.Brightness(photo).enhance(1.3),
        "5 % cropped off": _cropped(photo, 0.05, rng),
        "15 % cropped off": cropped,
        "mirrored": ImageOps.mirror(photo),
        "15 % cropped off, mirrored, recompressed": _as_jpeg(ImageOps.mirror(cropped), 50),
    }


def _cropped(photo: Image.Image, share: float, rng: random.Random) -> Image.Image:
    """Return a part of a photo: twice ``share`` less wide and less high, anywhere in it."""
    cut_x, cut_y = round(2 * share * photo.width), round(2 * share * photo.height)
    left, top = rng.randint(0, cut_x), rng.randint(0, cut_y)
    return photo.crop((left, top, left + photo.width - cut_x, top + photo.height - cut_y))


def _as_jpeg(photo: Image.Image, quality: int) -> Image.Image:
    data = BytesIO()
    photo.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("RGB")


def _files(folder: Path) -> list[_File]:
    with (folder / "documents.jsonl").open(encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return [_File(one["id"], folder / one["image"]) for one in documents]


def _one_of_each(files: Sequence[_File]) -> list[_File]:
    """Return the files without those that show a photo which another one shows."""
    again = {str(name) for names in _ONE_PHOTO for name in names[1:]}
    return [file for file in files if file.document_id not in again]


def _found(files: Sequence[_File], seeds: Sequence[int]) -> dict[str, float]:
    """Return the share of edited photos that count as the original, by edit."""
    found = dict.fromkeys(_BOUNDS, 0)
    for seed in seeds:
        rng = random.Random(f"{seed}/edits")
        for file in rng.sample(files, _EDITED):
            photo = load_photo(file.path).pixels
            edits = edits_of(photo, rng)
            copies: list[Seen] = [(image_hash(copy), None) for copy in edits.values()]
            why = near_images((image_hash(photo), None), copies, *_thresholds())
            for name, reason in zip(edits, why, strict=True):
                found[name] += bool(reason)
    return {name: count / (_EDITED * len(seeds)) for name, count in found.items()}


def _lost(files: Sequence[_File], seeds: Sequence[int], encoder: ClipEncoder) -> float:
    """Return the share of ``files`` that streams of some of them lose."""
    photos = [load_photo(file.path).pixels for file in files]
    vectors = encoder.embed_images(photos)
    hashes = {file.document_id: image_hash(one) for file, one in zip(files, photos, strict=True)}
    hits = [_hit(file.document_id, place, vectors[place]) for place, file in enumerate(files)]
    scores = {hit: -float(hit.rank) for hit in hits}
    lost = total = 0
    for stream in _streams(hits, seeds):
        kept, _ = drop_near_images(stream, scores, hashes.get, *_thresholds())
        lost += len(stream) - len(kept)
        total += len(stream)
    return lost / total


def _streams(hits: Sequence[Hit], seeds: Sequence[int]) -> Iterator[list[Hit]]:
    """Yield streams that each hold every hit about three times over all seeds."""
    for seed in seeds:
        rng = random.Random(f"{seed}/streams")
        for _ in range(max(1, len(hits) // _STREAM)):
            yield rng.sample(hits, _STREAM)


def _thresholds() -> tuple[int, float]:
    return _SETTINGS.near_duplicate_image_bits, _SETTINGS.near_duplicate_image_cosine


def _hit(name: str, rank: int, embedding: Vector) -> Hit:
    return Hit("image", "image", -1, "bench", name, rank, 0.0, media_key=name, embedding=embedding)
