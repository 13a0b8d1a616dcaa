"""What decides the content of a store; each group has its own fingerprint.

Machine facts (paths, device, workers, keys) live here only where a recipe must name them, are
marked ``MachinePath`` or ``exclude``d from the fingerprint, and are identified by content instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetSettings(Settings):
    """Which posts to read.

    Attributes:
        reader: the raw format.
        task: ``mner`` finds entities, ``mre`` the relation between two given mentions.
        root: folder of the data set (a machine fact: the posts' content is what is fingerprinted).
        photos: folder of the photos; None means the reader's usual place under ``root``.
        limit: at most this many posts of each split, in file order; None reads all.
    """

    reader: Literal["twitter", "mnre", "jsonl"]
    task: Literal["mner", "mre"]
    root: Path
    photos: Path | None = None
    limit: int | None = Field(default=None, ge=1)


class ObserveSettings(Settings):
    """What is seen in a post.

    Attributes:
        detector: ``yolo`` (ultralytics) or ``none``.
        detector_weights: published name or local path.
        detector_confidence: boxes below it are not regions.
        max_regions: at most this many regions of a photo, best first.
        encoder: open_clip model name, ``local-dir:PATH``, or ``none`` (no embeddings).
        encoder_weights: open_clip ``pretrained`` tag or file; empty for ``local-dir:``.
        dtype: of weights and arithmetic in detector and encoder.
        batch_size: posts, crops or texts in one forward pass.
    """

    detector: Literal["yolo", "none"] = "yolo"
    detector_weights: str = "yolov8n.pt"
    detector_confidence: float = Field(default=0.25, gt=0, lt=1)
    max_regions: int = Field(default=3, ge=0)
    encoder: str = "ViT-B-32"
    encoder_weights: str = "laion2b_s34b_b79k"
    dtype: Literal["float32", "bfloat16"] = "float32"
    batch_size: int = Field(default=8, ge=1)


class AskSettings(Settings):
    """Who is asked, and for how much.

    Attributes:
        providers: names of providers, asked in this order; none makes a text-only store.
        hits_per_query: answers asked of each provider per query.
        kb: folder of a built knowledge base, for provider ``kb``.
        captions: caption file (``id.jpg :text``), for provider ``recorded``.
        context: folder, zip or file of CoNLL-with-context, for provider ``recorded``.
    """

    providers: tuple[Literal["kb", "recorded"], ...] = ("kb",)
    hits_per_query: int = Field(default=20, ge=1)
    kb: Path | None = None
    captions: Path | None = None
    context: Path | None = None


class CurateSettings(Settings):
    """What is kept.

    Attributes:
        near_duplicate_text: Jaccard of word trigrams, in (0, 1], from which texts count as copies.
        near_duplicate_image_bits: Hamming distance of 64-bit perceptual hashes up to which images
            count as copies.
        near_duplicate_image_cosine: cosine from which embedded images count as copies.
        post_overlap: Jaccard of word trigrams from which a hit counts as a copy of the post.
        min_relevance: hits with a known relevance (cosine) below it are dropped.
        rrf_k: the constant of reciprocal-rank fusion (Cormack et al. 2009 use 60).
        keep_per_stream: at most this much evidence in each of the six streams.
    """

    near_duplicate_text: float = Field(default=0.8, gt=0, le=1)
    near_duplicate_image_bits: int = Field(default=8, ge=0, le=64)
    near_duplicate_image_cosine: float = Field(default=0.98, gt=0, le=1)
    post_overlap: float = Field(default=0.8, gt=0, le=1)
    min_relevance: float = Field(default=0.0, ge=-1, le=1)
    rrf_k: int = Field(default=60, ge=1)
    keep_per_stream: int = Field(default=5, ge=1)


class BuildSettings(Settings):
    """All of it.

    Attributes:
        shard_size: posts in one shard; an interruption loses at most one open shard.
    """

    dataset: DatasetSettings
    observe: ObserveSettings = ObserveSettings()
    ask: AskSettings = AskSettings()
    curate: CurateSettings = CurateSettings()
    shard_size: int = Field(default=256, ge=1)
