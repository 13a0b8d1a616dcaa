"""Embeddings of photos, crops and sentences by an encoder of open_clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cache.errors import InputError
from retrieval.settings import ObserveSettings
from retrieval.sight.backends import Calling, Forward, num_streams, translate
from retrieval.sight.clip_model import (
    Clip,
    for_short_texts,
    image_side,
    load_clip,
    load_tokenizer,
    num_tokens,
)
from retrieval.sight.deviation import SENTENCES, check_vectors, pictures
from retrieval.sight.encoder_source import find_encoder
from retrieval.sight.forward import (
    ForwardClock,
    forwarded,
    padded_batches,
    pick_device,
    pick_dtype,
    rows_of_batch,
)
from retrieval.sight.stages import Half, Look, pooled, stages_of

Vectors = NDArray[np.float32]
Item = TypeVar("Item")
_Prepare = Callable[[Any], Tensor]

# An encoder reads at most 77 tokens; more words than these only cost time (a byte-pair tokeniser
# needs quadratic time for one long word).
_MOST_WORDS: Final = 128
_LONGEST_WORD: Final = 100
# The preprocessing scales the short side up before it crops the long one, so a photo of
# 100 x 500,000 pixels would become one of 224 x 1,120,000.
_MOST_ELONGATED: Final = 8


class _Towers(NamedTuple):
    """Forward passes of an encoder.

    Attributes:
        image: of images.
        texts: of texts of at most so many tokens, by that number, the smallest one first. Where
            there is one, it takes all texts.
    """

    image: Forward
    texts: tuple[tuple[int, Forward], ...]


def _of_torch(model: Clip) -> _Towers:
    return _Towers(model.encode_image, ((0, model.encode_text),))


class ClipEncoder:
    """Embeds images and texts into one space.

    Attributes:
        image_side: pixels of the shorter side of an image that the encoder looks at.
    """

    def __init__(self, settings: ObserveSettings, device: str | None = None) -> None:
        self._settings = settings
        self._device = pick_device(device, settings.backend)
        self._streams = num_streams(settings)
        self._clock = ForwardClock(self._device, self._streams)
        self._torch_clock = ForwardClock(self._device)  # of the stages, which torch alone shows
        self._source = find_encoder(settings)
        self._tokenize = load_tokenizer(self._source)
        is_torch = settings.backend == "torch"
        self._torch_dtype = pick_dtype(settings, self._device)
        # What other backends take, and are translated from and compared with, is float32.
        self._dtype = self._torch_dtype if is_torch else torch.float32
        model, self._preprocess = load_clip(self._source, self._dtype, self._device)
        self.image_side = image_side(model)
        self._batch_size = rows_of_batch(
            settings, self._device, lambda rows: self._try(model, rows)
        )
        if is_torch:
            self._model = model
            self._towers = _of_torch(model)
        else:
            self._towers = self._translated(model)

    @property
    def forward_seconds(self) -> float:
        """Wall time spent inside forward passes so far."""
        return self._clock.seconds + self._torch_clock.seconds

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return one unit vector per RGB image, ``[n, dim]``, rounded to float16 precision."""
        return self._unit(self._run(images, self._image_batch, self._towers.image))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector per text, ``[n, dim]``, rounded to float16 precision."""
        return self._unit(self._texts(texts, self._towers))

    def look(self, images: Sequence[Image.Image]) -> list[Look]:
        """Return what the stages of the image tower make of each RGB image.

        Raises:
            InputError: the tower does not show its stages, or gives numbers that are not finite.
        """
        found: list[Look] = []
        for batch, num_real in padded_batches(
            images, self._image_batch, self._batch_size, self._device
        ):
            with self._torch_clock.forward():
                maps = stages_of(self._maps(batch))
                last = maps[-1].flatten(2).transpose(1, 2).float().cpu().numpy()
                side_by_side = (
                    torch.cat([pooled(one) for one in maps], dim=2).float().cpu().numpy()
                )
            channels = tuple(one.shape[1] for one in maps)
            for row in range(num_real):
                found.append(Look(self._half(last[row]), self._half(side_by_side[row]), channels))
        return found

    def _maps(self, batch: Tensor) -> list[Tensor]:
        try:
            found = self._model.visual.forward_intermediates(
                batch.to(self._torch_dtype), intermediates_only=True
            )
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

    @cached_property
    def _model(self) -> Clip:
        """The model of torch, which alone shows its stages; other backends need it for no more."""
        return load_clip(self._source, self._torch_dtype, self._device)[0]

    def _translated(self, model: Any) -> _Towers:
        """Return the towers of the settings' backend, compared with those of ``model``."""
        own = _of_torch(model)
        rows = self._batch_size
        images = self._image_batch(pictures(rows))
        image = translate(
            self._settings, Calling(model, model.encode_image), images, self._streams
        )
        tokens = self._text_batch((SENTENCES * rows)[:rows])
        short = for_short_texts(model, self._tokenize)
        texts: list[tuple[int, Forward]] = []
        for context, tower in [*([short] if short else []), (tokens.shape[1], model)]:
            batch = tokens[:, :context].contiguous()
            forward = translate(
                self._settings, Calling(tower, tower.encode_text), batch, self._streams
            )
            texts.append((context, forward))
        towers = _Towers(image, tuple(texts))
        with torch.inference_mode():
            check_vectors(self._settings, "images", image(images), own.image(images))
            found, reference = self._texts(SENTENCES, towers), self._texts(SENTENCES, own)
        check_vectors(self._settings, "texts", found, reference)
        return towers

    def _try(self, model: Clip, rows: int) -> None:
        batch = self._image_batch(pictures(1) * rows).to(self._device)
        with self._clock.forward():
            model.encode_image(batch)

    def _texts(self, texts: Sequence[str], towers: _Towers) -> Tensor:
        """Return what the towers make of texts, ``[n, dim]``; each goes to the shortest it can."""
        if len(towers.texts) == 1:
            return self._run(texts, self._text_batch, towers.texts[0][1])
        tokens = self._text_batch(texts) if texts else torch.zeros((0, 1), dtype=torch.int64)
        contexts = torch.tensor([context for context, _ in towers.texts])
        tower_of = torch.searchsorted(contexts, num_tokens(tokens))
        places = [torch.nonzero(tower_of == index).flatten() for index in range(len(contexts))]
        found = [
            self._run(tokens[rows, :context], Tensor.contiguous, forward)
            for rows, (context, forward) in zip(places, towers.texts, strict=True)
            if len(rows)
        ]
        order = torch.cat(places)
        return torch.cat(found)[torch.argsort(order)] if found else torch.zeros((0, 0))

    def _run(self, items: Any, prepare: _Prepare, forward: Forward) -> Tensor:
        """Return what ``forward`` makes of each of ``items``, ``[n, dim]`` in float32."""

        def run(batch: Tensor) -> Tensor:
            with self._clock.forward():
                return forward(batch).float().cpu()

        size, device = self._batch_size, self._device
        found = list(forwarded(items, prepare, run, size, device, self._streams))
        return torch.cat(found) if found else torch.zeros((0, 0))

    def _unit(self, raw: Tensor) -> Vectors:
        vectors: Vectors = raw.numpy()
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
