"""Embeddings of photos, crops and sentences by open_clip: the only file that imports it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cache.errors import InputError
from cache.feature_keys import PYRAMID_SIDE
from retrieval.settings import ObserveSettings
from retrieval.sight.encoder_source import EncoderSource, find_encoder
from retrieval.sight.forward import ForwardClock, padded_batches, pick_device

Vectors = NDArray[np.float32]
Half = NDArray[np.float16]
Item = TypeVar("Item")

# An encoder reads at most 77 tokens; more words than these only cost time (a byte-pair tokeniser
# needs quadratic time for one long word).
_MOST_WORDS: Final = 128
_LONGEST_WORD: Final = 100
# The preprocessing scales the short side up before it crops the long one, so a photo of
# 100 x 500,000 pixels would become one of 224 x 1,120,000.
_MOST_ELONGATED: Final = 8
# As many as a ResNet has; what a visual prefix is made of.
_MOST_STAGES: Final = 4


class _Tower(Protocol):
    """What the image towers of open_clip share: ResNets, transformers, and those of timm."""

    def forward_intermediates(
        self, x: Tensor, *, intermediates_only: bool
    ) -> dict[str, list[Tensor]]: ...


class _Clip(Protocol):
    """What all models of open_clip share."""

    visual: _Tower

    def encode_image(self, image: Tensor) -> Tensor: ...

    def encode_text(self, text: Tensor) -> Tensor: ...


class Look(NamedTuple):
    """What the stages of an image tower make of one image.

    Attributes:
        last: of the last stage, ``[positions, channels]``, row by row.
        pooled: of all stages side by side, averaged to 2 x 2 positions, ``[4, channels]``.
        channels: of each stage.
    """

    last: Half
    pooled: Half
    channels: tuple[int, ...]


class ClipEncoder:
    """Embeds images and texts into one space."""

    def __init__(self, settings: ObserveSettings, device: str | None = None) -> None:
        self._device = pick_device(device)
        self._clock = ForwardClock(self._device)
        self._batch_size = settings.batch_size
        self._source = find_encoder(settings)
        self._dtype = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
        self._model, self._preprocess = _load_model(self._source, self._dtype, self._device)
        self._tokenize = _load_tokenizer(self._source)

    @property
    def forward_seconds(self) -> float:
        """Wall time spent inside forward passes so far."""
        return self._clock.seconds

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return one unit vector per RGB image, ``[n, dim]``, rounded to float16 precision."""
        return self._embed(images, self._image_batch, self._model.encode_image)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector per text, ``[n, dim]``, rounded to float16 precision."""
        return self._embed(texts, self._text_batch, self._model.encode_text)

    def look(self, images: Sequence[Image.Image]) -> list[Look]:
        """Return what the stages of the image tower make of each RGB image.

        Raises:
            InputError: the tower does not show its stages, or gives numbers that are not finite.
        """
        found: list[Look] = []
        for batch, num_real in padded_batches(images, self._image_batch, self._batch_size):
            on_device = batch.to(self._device)
            with self._clock.forward():
                maps = stages_of(self._maps(on_device))
                last = maps[-1].flatten(2).transpose(1, 2).float().cpu().numpy()
                pooled = torch.cat([_pooled(one) for one in maps], dim=2).float().cpu().numpy()
            channels = tuple(one.shape[1] for one in maps)
            for row in range(num_real):
                found.append(Look(self._half(last[row]), self._half(pooled[row]), channels))
        return found

    def _maps(self, batch: Tensor) -> list[Tensor]:
        try:
            found = self._model.visual.forward_intermediates(batch, intermediates_only=True)
            return found["image_intermediates"]
        except (AttributeError, NotImplementedError, AssertionError) as error:
            raise InputError(
                f"the image tower of encoder {self._source.model} does not show its stages "
                f"({error}). Choose another observe.encoder, or leave grid and pyramid out of "
                "observe.features."
            ) from error

    def _half(self, values: Vectors) -> Half:
        if not np.isfinite(values).all():
            raise InputError(
                f"the image tower of encoder {self._source.model} gives numbers that are not "
                "finite. Check its weights, or set observe.dtype=float32."
            )
        largest = float(np.finfo(np.float16).max)
        return values.clip(-largest, largest).astype(np.float16)

    def _embed(
        self,
        items: Sequence[Item],
        prepare: Callable[[Sequence[Item]], Tensor],
        encode: Callable[[Tensor], Tensor],
    ) -> Vectors:
        found: list[Vectors] = []
        for batch, num_real in padded_batches(items, prepare, self._batch_size):
            on_device = batch.to(self._device)
            with self._clock.forward():
                vectors = encode(on_device).float().cpu()
            found.append(self._unit(vectors[:num_real].numpy()))
        return np.concatenate(found) if found else np.zeros((0, 0), dtype=np.float32)

    def _unit(self, vectors: Vectors) -> Vectors:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
            raise InputError(
                f"encoder {self._source.model} gives vectors without a direction (NaN, infinite "
                "or zero). Check its weights, or set observe.dtype=float32."
            )
        return round_to_half(vectors / lengths)

    def _image_batch(self, images: Sequence[Image.Image]) -> Tensor:
        rows = [self._preprocess(_less_elongated(image)) for image in images]
        return torch.stack(rows).to(self._dtype)

    def _text_batch(self, texts: Sequence[str]) -> Tensor:
        return self._tokenize([_bounded(text) for text in texts])


def stages_of(maps: Sequence[Tensor]) -> list[Tensor]:
    """Return up to four of the maps ``[batch, channels, height, width]`` of a tower, in order.

    Where maps shrink on their way, the last of each size, of the four smallest sizes: the stages
    of a ResNet. Where all are of one size, as in a transformer, four that are evenly spaced, the
    last one among them.
    """
    last_of_size = {tuple(one.shape[2:]): index for index, one in enumerate(maps)}
    if len(last_of_size) > 1:
        return [maps[index] for index in sorted(last_of_size.values())[-_MOST_STAGES:]]
    number = min(_MOST_STAGES, len(maps))
    return [maps[(place + 1) * len(maps) // number - 1] for place in range(number)]


def _pooled(one: Tensor) -> Tensor:
    """Return a map averaged to 2 x 2 positions, ``[batch, 4, channels]``, row by row."""
    square = torch.nn.functional.adaptive_avg_pool2d(one.float(), PYRAMID_SIDE)
    return square.flatten(2).transpose(1, 2)


def round_to_half(vectors: Vectors) -> Vectors:
    """Return ``vectors`` rounded to what float16 can hold, as float32."""
    return vectors.astype(np.float16).astype(np.float32)


def _bounded(text: str) -> str:
    """Return what an encoder can read of ``text``; lone surrogates become question marks."""
    words = [word[:_LONGEST_WORD] for word in text.split(maxsplit=_MOST_WORDS)[:_MOST_WORDS]]
    return " ".join(words).encode("utf-8", "replace").decode("utf-8")


def _less_elongated(image: Image.Image) -> Image.Image:
    """Return the middle of a very long photo; of it the encoder crops the middle square anyway."""
    width, height = image.size
    across = min(width, height * _MOST_ELONGATED)
    down = min(height, width * _MOST_ELONGATED)
    if (across, down) == (width, height):
        return image
    left, top = (width - across) // 2, (height - down) // 2
    return image.crop((left, top, left + across, top + down))


def _load_model(
    source: EncoderSource, dtype: torch.dtype, device: torch.device
) -> tuple[_Clip, Callable[[Image.Image], Tensor]]:
    with warnings.catch_warnings():
        # What open_clip and timm deprecate among themselves is nothing the user can act on.
        warnings.simplefilter("ignore")
        import open_clip

        try:
            model, _, preprocess = open_clip.create_model_and_transforms(
                source.model,
                pretrained=source.pretrained,
                precision="bf16" if dtype == torch.bfloat16 else "fp32",
                device=device,
                weights_only=True,
            )
        except Exception as error:  # open_clip, timm, safetensors and torch raise all kinds
            raise InputError(
                f"cannot load encoder {source.model} with weights {source.pretrained or 'inside'}"
                f": {error}. Check that weights and configuration belong together, or set "
                "observe.encoder=none."
            ) from error
    model.eval()
    return model, preprocess


def _load_tokenizer(source: EncoderSource) -> Callable[[list[str]], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import open_clip

        try:
            tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(source.model)
        except Exception as error:  # some tokenizers are fetched from a hub
            raise InputError(
                f"cannot load the tokenizer of encoder {source.model}: {error}. Use an encoder "
                "with open_clip's own tokenizer (such as ViT-B-32), or a local-dir: that holds it."
            ) from error
    return tokenizer
