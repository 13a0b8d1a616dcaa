"""What decides a trained model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSettings(Settings):
    """The network.

    Attributes:
        fusion: name of a system under ``model/fusion/``.
        text_encoder: transformers name or local folder.
        max_pieces: word pieces in one window of a sentence; longer sentences are split in windows.
        max_evidence_pieces: word pieces kept of each evidence text.
        max_evidence: evidence items of each stream that are read, in rank order.
        heads: attention heads of the fusion.
        dropout: in fusion and head.
        evidence_reading: ``joint`` shows the encoder each evidence text together with the post;
            ``separate`` encodes it alone, and words see it through the fusion only.
        match_bonus: what is added to the attention of a word on its own name in a passage, at the
            start of training; higher for encoders that were not pretrained on much text.
    """

    fusion: str = "synthesis"
    text_encoder: str = "bert-base-uncased"
    max_pieces: int = Field(default=128, ge=8)
    max_evidence_pieces: int = Field(default=64, ge=4)
    max_evidence: int = Field(default=5, ge=0)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    evidence_reading: Literal["separate", "joint"] = "joint"
    match_bonus: float = 2.0


class TrainSettings(Settings):
    """The training.

    Attributes:
        epochs: passes over the training split.
        batch_size: posts in one step.
        learning_rate: of the text encoder.
        head_learning_rate: of everything that starts from random weights.
        warmup: share of the steps in which the rates rise from zero.
        weight_decay: AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        mismatch: share of training posts that are shown another post's evidence, to learn
            consistency.
        consistency_weight: of the consistency loss beside the task's own.
        evidence: whose evidence is shown in training and in dev selection: ``own``, that of
            ``others`` (the control of an experiment), or ``none``.
        precision: ``auto`` is bf16 autocast where the device has it.
        seed: of initialisation, order, dropout and mismatch.
    """

    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=3e-5, gt=0)
    head_learning_rate: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.06, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    mismatch: float = Field(default=0.15, ge=0, lt=1)
    consistency_weight: float = Field(default=0.2, ge=0)
    evidence: Literal["own", "others", "none"] = "own"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 1
