"""What decides a trained model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from cache.records import LEVELS, MODALITIES, Level, Modality


class Settings(BaseModel):
    """Frozen; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
        evidence_budget: word pieces of evidence text that are read of one post, over all its
            passages; 0 sets none, and each is cut at ``max_evidence_pieces``. With a budget,
            passages are read whole, in parts of ``max_evidence_pieces``, the best first, until
            it is used up: the version for long evidence.
        levels: evidence of these levels is read.
        modalities: evidence of these modalities is read.
        consistency: weight evidence by its consistency with the post (systems that do).
        cross_stream: items of all streams, photo and regions read each other before words select
            among them (``synthesis`` and ``joint``).
        match_bonus: what is added to the attention of a word on its own name in a passage, at the
            start of training; higher for encoders that were not pretrained on much text; 0 takes
            it away for good.
    """

    fusion: str = "synthesis"
    text_encoder: str = "bert-base-uncased"
    max_pieces: int = Field(default=128, ge=8)
    max_evidence_pieces: int = Field(default=64, ge=4)
    max_evidence: int = Field(default=5, ge=0)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    evidence_reading: Literal["separate", "joint"] = "joint"
    evidence_budget: int = Field(default=0, ge=0)
    levels: tuple[Level, ...] = LEVELS
    modalities: tuple[Modality, ...] = MODALITIES
    consistency: bool = True
    cross_stream: bool = False
    match_bonus: float = 2.0


class TrainSettings(Settings):
    """The training.

    Attributes:
        epochs: passes over the training split.
        batch_size: posts in one step.
        accumulate: parts that a step is computed in, one after the other, to save memory; the step
            is the same.
        share: of the training posts that are used, in (0, 1]: a random subset that looks at no
            label, fixed by ``seed``; a smaller share is contained in a larger one.
        learning_rate: of the text encoder, and of other pretrained parts of a fusion system.
        layer_decay: each layer of a pretrained part learns this much slower than the one above it;
            1 is the same rate for all.
        head_learning_rate: of everything that starts from random weights.
        rates: learning rate by the beginning of a parameter's name, as ``head.crf``; goes before
            the other rates.
        warmup: share of the steps in which the rates rise from zero.
        weight_decay: AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        evaluate_every: epochs from one evaluation on dev to the next; after the last epoch in any
            case. More than 1 spares time where dev is large beside the training split.
        patience: epochs without a better dev F1 after which training ends; 0 trains them all.
        mismatch: share of training posts that a step shows a second time, with another post's
            evidence, to learn consistency.
        consistency_weight: of the consistency loss beside the task's own.
        evidence: whose evidence is shown in training and in dev selection: ``own``, that of
            ``others`` (the control of an experiment), or ``none``.
        precision: ``auto`` is bf16 autocast where the device has it.
        checkpointing: compute the encoder's inner states again in the backward pass instead of
            keeping them: less memory, more time, the same step.
        compile: translate the encoder with ``torch.compile``; needs a compiler, and pays on a GPU.
        seed: of initialisation, order, dropout, mismatch and subset.
    """

    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=16, ge=1)
    accumulate: int = Field(default=1, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)
    learning_rate: float = Field(default=3e-5, gt=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    head_learning_rate: float = Field(default=1e-3, gt=0)
    rates: dict[str, PositiveFloat] = {}
    warmup: float = Field(default=0.06, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    evaluate_every: int = Field(default=1, ge=1)
    patience: int = Field(default=0, ge=0)
    mismatch: float = Field(default=0.15, ge=0, lt=1)
    consistency_weight: float = Field(default=0.2, ge=0)
    evidence: Literal["own", "others", "none"] = "own"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpointing: bool = False
    compile: bool = False
    seed: int = Field(default=1, ge=0)
