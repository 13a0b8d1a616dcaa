"""Train the tiny CLIP of the sample world: photos, crops and sentences into one space."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm, trange

from pipelines.sample.cast import Entity
from pipelines.sample.pages import looks
from pipelines.sample.photos import Scene, draw_scene, random_thing
from pipelines.sample.train_text import Library

IMAGE_SIZE: Final = 96
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_STD: Final = (0.26862954, 0.26130258, 0.27577711)
_VIEWS: Final = 2
_SECOND_BADGE: Final = 0.3
_SCALE: Final = 30.0

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Look:
    """An entity drawn several times: whole photos, crops of its badge there, and close-ups."""

    entity: Entity
    photos: tuple[Pixels, ...]
    crops: tuple[Pixels, ...]
    close_ups: tuple[Pixels, ...]


def model_config(vocabulary: int, context: int) -> dict[str, Any]:
    """Return the ``open_clip_config.json`` of the model; photos are squashed, never cropped."""
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {
                "layers": [1, 1, 1, 1], "width": 16, "head_width": 64, "image_size": IMAGE_SIZE,
            },
            "text_cfg": {
                "context_length": context, "vocab_size": vocabulary, "width": 96, "heads": 4,
                "layers": 2, "hf_tokenizer_name": "local", "tokenizer_kwargs": {},
                "pool_type": "eos", "eos_id": 3,
            },
        },
        "preprocess_cfg": {
            "size": IMAGE_SIZE, "mode": "RGB", "mean": list(_MEAN), "std": list(_STD),
            "interpolation": "bicubic", "resize_mode": "squash", "fill_color": 0,
        },
    }  # fmt: skip


def train_encoder(
    library: Library, tokenizer_from: Path, out: Path, seed: int, steps: int = 500, batch: int = 48
) -> None:
    """Write a model that open_clip loads by ``local-dir:OUT``, tokenizer included.

    Five things are learned together: a photo is like another photo of the same entity, like a
    close-up of its badge, and like a sentence that describes it; a crop of the badge is like a
    close-up; a post is like a page that names the same entity. Names are new in every world, so
    none is worth memorising.
    """
    rng = random.Random(f"{seed}/encoder")
    torch.manual_seed(seed)
    model, tokenize = _new_model(tokenizer_from, out)
    pictures = [_draw_look(e, library, rng) for e in tqdm(library.entities, desc="draw")]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, total_steps=steps, pct_start=0.15
    )
    model.train()
    progress = trange(steps, desc="train the encoder", mininterval=5)
    for _ in progress:
        losses = _losses(model, tokenize, library, _choose(pictures, batch, rng), rng)
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix({name: f"{loss.detach():.2f}" for name, loss in losses.items()})
    _save(model, out)


def _new_model(tokenizer_from: Path, out: Path) -> tuple[Any, Any]:
    import open_clip

    out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer_from / name, out / name)
    vocabulary = len(json.loads((out / "tokenizer.json").read_text())["model"]["vocab"])
    config = model_config(vocabulary, context=56)
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    cfg = config["model_cfg"]
    model = open_clip.CLIP(cfg["embed_dim"], cfg["vision_cfg"], cfg["text_cfg"])
    model = model.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    return model, open_clip.get_tokenizer(f"local-dir:{out}")


def _draw_look(entity: Entity, library: Library, rng: random.Random) -> Look:
    """Draw an entity several times; other entities stand beside it in some photos."""
    photos, crops, close_ups = [], [], []
    for _ in range(_VIEWS):
        shown = [entity.badge]
        things = [entity.companion]
        if rng.random() < _SECOND_BADGE:
            other = rng.choice(library.entities)
            shown.append(other.badge)
            things.append(other.companion)
        things += [random_thing(rng) for _ in range(rng.randint(0, 1))]
        scene = draw_scene(shown, things, rng)
        photos.append(_pixels(scene.picture))
        crops.append(_crop(scene, 0, rng))
        close_ups.append(_pixels(draw_scene([entity.badge], [], rng).picture))
    return Look(entity, tuple(photos), tuple(crops), tuple(close_ups))


def _crop(scene: Scene, index: int, rng: random.Random) -> Pixels:
    """Return one object's box, as inexact as a detector gives it."""
    box = scene.boxes[index]
    left, top, right, bottom = (round(side + rng.uniform(-4, 4)) for side in box[1:])
    return _pixels(scene.picture.crop((left, top, right, bottom)))


def _pixels(picture: Image.Image) -> Pixels:
    small = picture.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
    return np.asarray(small, np.uint8)


def _tensor(pictures: Sequence[Pixels]) -> Tensor:
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return (batch - torch.tensor(_MEAN).view(3, 1, 1)) / torch.tensor(_STD).view(3, 1, 1)


def _losses(
    model: Any, tokenize: Any, library: Library, chosen: Sequence[Look], rng: random.Random
) -> dict[str, Tensor]:
    views = [rng.sample(range(_VIEWS), 2) for _ in chosen]
    first = [look.photos[view[0]] for look, view in zip(chosen, views, strict=True)]
    second = [look.photos[view[1]] for look, view in zip(chosen, views, strict=True)]
    crops = [rng.choice(look.crops) for look in chosen]
    close = [rng.choice(look.close_ups) for look in chosen]
    images = model.encode_image(_tensor([*first, *second, *crops, *close]), normalize=True)
    one, other, crop, close_up = images.chunk(4)
    looked = [looks(look.entity, rng) for look in chosen]
    posts, pages = zip(*(_said(look.entity, library, rng) for look in chosen), strict=True)
    told = [f"{page} {look}" for page, look in zip(pages, looked, strict=True)]
    described = [rng.choice(pair) for pair in zip(looked, told, strict=True)]
    pages = tuple(rng.choice(pair) for pair in zip(pages, told, strict=True))
    texts = model.encode_text(tokenize([*described, *posts, *pages]), normalize=True)
    look, post, page = texts.chunk(3)
    return {
        "photo": _contrast(one, other),
        "crop": _contrast(crop, close_up),
        "close": 0.5 * _contrast(other, close_up),
        "look": 0.5 * (_contrast(one, look) + _contrast(close_up, look)),
        "name": _contrast(post, page),
    }


def _choose(pictures: Sequence[Look], count: int, rng: random.Random) -> Sequence[Look]:
    """Return entities to tell apart; half of the time they are alike in one trait."""
    trait = rng.choice(("shape", "field", None, None))
    if trait is None:
        return rng.sample(pictures, count)
    value = getattr(rng.choice(pictures).entity.badge, trait)
    alike = [look for look in pictures if getattr(look.entity.badge, trait) == value]
    return rng.sample(alike, min(count, len(alike)))


def _said(entity: Entity, library: Library, rng: random.Random) -> tuple[str, str]:
    """Return a post and a page that name the entity."""
    pages = library.pages[entity.entity_id]
    return rng.choice(library.posts.get(entity.entity_id) or pages), rng.choice(pages)


def _contrast(left: Tensor, right: Tensor) -> Tensor:
    """Return the symmetric InfoNCE loss; row i of one side belongs to row i of the other."""
    scores = _SCALE * left @ right.T
    target = torch.arange(len(left))
    across = functional.cross_entropy(scores, target)
    return (across + functional.cross_entropy(scores.T, target)) / 2


def _save(model: Any, out: Path) -> None:
    from safetensors.torch import save_file

    with torch.no_grad():
        model.logit_scale.fill_(float(np.log(_SCALE)))
    weights = {name: _half(value) for name, value in model.state_dict().items()}
    # Buffers such as the causal mask are made anew by open_clip.
    weights = {name: value for name, value in weights.items() if name != "attn_mask"}
    save_file(weights, out / "open_clip_model.safetensors")


def _half(value: Tensor) -> Tensor:
    value = value.detach().contiguous()
    return value.half() if value.is_floating_point() else value
