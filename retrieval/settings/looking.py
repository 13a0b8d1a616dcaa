"""Which posts, and how they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from cache.records import FeatureSet
from retrieval.settings.base import Settings


class DatasetSettings(Settings):
    """Which posts to read.

    Attributes:
        reader: the raw format.
        task: ``mner`` finds entities, ``mre`` the relation between two given mentions.
        root: folder of the data set (a machine fact: the posts' content is what is fingerprinted).
        photos: folder of the photos; None means the reader's usual place under ``root``.
        limit: at most this many posts of each split, in file order; None reads all.
        protocol: which version of the data set, where several are about: ``original`` or
            ``refined`` labels of Twitter-2015, ``clean`` (regions of one's own) or
            ``legacy-objects`` (contaminated) for MNRE. It is checked against the posts where they
            tell; None leaves it to them.
        legacy_objects: the published objects, for that protocol (a machine fact).
    """

    reader: Literal["twitter", "mnre", "jsonl"]
    task: Literal["mner", "mre"]
    root: Path
    photos: Path | None = None
    limit: int | None = Field(default=None, ge=1)
    protocol: Literal["original", "refined", "clean", "legacy-objects"] | None = None
    legacy_objects: Path | None = None


_DTYPES_OF: Final = {
    "torch": ("float32", "bfloat16", "float16"),
    "openvino": ("float32", "bfloat16"),
    "onnxruntime": ("float32",),
}
Letterbox = Literal["square", "tight"]
# Settings that came later: as long as they are at their default, a manifest stays as it was.
_LATER: Final = ("backend", "decode", "letterbox")


class ObserveSettings(Settings):
    """What is seen in a post.

    Attributes:
        detector: ``yolo`` (ultralytics) or ``none``.
        detector_weights: published name or local path.
        detector_confidence: boxes below it are not regions.
        max_regions: at most this many regions of a photo, best first.
        encoder: open_clip model name, ``local-dir:PATH``, or ``none`` (no embeddings).
        encoder_weights: open_clip ``pretrained`` tag or file; empty for ``local-dir:``.
        dtype: of weights and arithmetic in detector and encoder; ``float16`` is for CUDA.
        batch_size: posts, crops or texts in one forward pass; 0 takes 8 on a CPU, and on CUDA
            as many as half of the free memory holds.
        backend: what computes the forward passes of detector and encoder. All but ``torch`` run on
            the CPU, and their results deviate from it within a bound that is checked.
        decode: ``scaled`` scales large photos, as they are decoded, to what the models read of
            them; regions are in pixels of the photo itself all the same.
        letterbox: what the detector reads of a photo: ``square`` with grey above and below (or
            beside) it, or ``tight``, with less of it, as ``YOLO.predict`` does; for CPUs, where
            photos then go through the detector one by one.
        features: feature sets that the store gets beside what is always seen, for the systems
            that read them; a store may be given more of them later.
        parser: of ``parse``: ``chain`` (the head of each token is the one before it) or
            ``spacy:NAME``, a pipeline that is installed.
    """

    detector: Literal["yolo", "none"] = "yolo"
    detector_weights: str = "yolov8n.pt"
    detector_confidence: float = Field(default=0.25, gt=0, lt=1)
    max_regions: int = Field(default=3, ge=0)
    encoder: str = "ViT-B-32"
    encoder_weights: str = "laion2b_s34b_b79k"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = Field(default=8, ge=0)
    backend: Literal["torch", "openvino", "onnxruntime"] = "torch"
    decode: Literal["full", "scaled"] = "full"
    letterbox: Letterbox = "square"
    features: tuple[FeatureSet, ...] = ()
    # By name alone: a path would run what a stranger's folder registers.
    parser: str = Field(default="chain", pattern=r"^(chain|spacy:[A-Za-z][A-Za-z0-9_]*)$")

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        able = _DTYPES_OF[self.backend]
        if self.dtype not in able:
            raise ValueError(
                f"backend {self.backend} computes in {' or '.join(able)}, not in {self.dtype}; "
                "choose another dtype, or backend = 'torch'"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what older stores do not know, where it is as it was for them."""
        told: dict[str, Any] = whole(self)
        return {
            name: value
            for name, value in told.items()
            if name not in _LATER or value != type(self).model_fields[name].default
        }
