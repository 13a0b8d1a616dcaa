"""A tiny random encoder, posts with every kind of evidence, and a store in memory."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from cache.reader import Features, features_of
from cache.records import (
    Evidence,
    Example,
    FeatureSet,
    Hit,
    Level,
    Modality,
    Observation,
    Post,
    Region,
    Span,
    StoredExample,
    Vector,
)
from model.build import Parts, new_parts
from model.fusion import needs_of
from model.run import FeatureShape, Run, SecondTask
from model.settings import ModelSettings, TrainSettings

VISUAL_DIM = 6
WORDS = (
    "velora",
    "quill",
    "tamber",
    "sings",
    "river",
    "club",
    "a",
    "in",
    "the",
    "person",
    "place",
)


@functools.cache
def tiny_encoder() -> str:
    """Return the folder of a random BERT of two layers whose vocabulary is letters."""
    folder = Path(tempfile.mkdtemp(prefix="ramie-tiny-bert-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,#@:-'[]/"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *WORDS]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {"unk": "[UNK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{key}_token": value for key, value in names.items()}
    ).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocab),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=128,
    )
    state = torch.get_rng_state()
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    torch.set_rng_state(state)
    return str(folder)


def vector(seed: int) -> Vector:
    """Return a unit vector."""
    drawn = np.random.default_rng(seed).normal(size=VISUAL_DIM).astype(np.float32)
    unit: Vector = drawn / np.linalg.norm(drawn)
    return unit


def evidence(
    level: Level,
    modality: Modality,
    rank: int,
    text: str = "",
    seed: int = 0,
    consistency: float | None = 0.5,
) -> Evidence:
    """Return kept evidence with an embedding."""
    hit = Hit(
        level,
        modality,
        0 if level == "object" else -1,
        "test",
        f"{level}-{modality}-{rank}-{seed}",
        rank,
        1.0,
        text=text,
        relevance=0.5 - 0.1 * rank,
        consistency=None if consistency is None else consistency / (1 + seed),
        embedding=vector(seed),
    )
    return Evidence(hit, rank, 1.0)


SHAPES: dict[FeatureSet, FeatureShape] = {
    "grid": FeatureShape(dims=(5,)),
    "pyramid": FeatureShape(dims=(4, 14), stages=(2, 3, 4, 5)),
    "parse": FeatureShape(),
    "region_graph": FeatureShape(),
}
ALL_STREAMS = (
    evidence("image", "text", 0, "velora is a river", 1),
    evidence("image", "image", 0, seed=2),
    evidence("object", "text", 0, "the club in the place of the river sings", 3),
    evidence("object", "image", 0, seed=4),
    evidence("sentence", "text", 0, "tamber", 5),
    evidence("sentence", "text", 1, "quill is a person", 6),
    evidence("sentence", "image", 0, seed=7),
)


def stored(
    example_id: str,
    words: str | Sequence[str],
    *,
    kept: Sequence[Evidence] = (),
    photo: bool = False,
    entities: tuple[Span, ...] | None = (),
    relation: str | None = None,
    mentions: tuple[Span, Span] | None = None,
    split: str = "train",
) -> StoredExample:
    """Return a stored example; with ``photo`` also a photo, two regions and a sentence vector."""
    tokens = tuple(words.split()) if isinstance(words, str) else tuple(words)
    head, tail = mentions or (None, None)
    post = Post(example_id, tokens, head=head, tail=tail)
    seed = sum(example_id.encode())
    seen = Observation(post)
    if photo:
        regions = tuple(Region((0.0, 0.0, 9.0, 9.0), "dog", 0.9, vector(seed + i)) for i in (1, 2))
        seen = Observation(post, "0" * 64, "ok", vector(seed), vector(seed + 9), regions)
    return StoredExample(Example(post, split, entities, relation), seen, tuple(kept))


class MemoryStore:
    """The part of a store reader that the trainer uses."""

    def __init__(self, examples: Sequence[StoredExample], visual_dim: int = VISUAL_DIM) -> None:
        self.posts = {e.example.post.example_id: features_of(e) for e in examples}
        self.arrays = {e.example.post.example_id: arrays_of(e) for e in examples}
        sets = {name: SimpleNamespace(**dict(shape)) for name, shape in SHAPES.items()}
        self.manifest = SimpleNamespace(
            embedding_dim=visual_dim, fingerprint="f" * 64, feature_sets=sets
        )

    def example_ids(self, split: str | None = None) -> tuple[str, ...]:
        return tuple(
            sorted(
                name for name, post in self.posts.items() if split in (None, post.example.split)
            )
        )

    def features(self, example_id: str) -> Features:
        return self.posts[example_id]

    def array(self, name: FeatureSet, example_id: str) -> NDArray[Any] | None:
        return self.arrays[example_id].get(name)


def arrays_of(example: StoredExample) -> dict[FeatureSet, NDArray[Any]]:
    """Return what every feature set holds of a post: of its photo only where it has one."""
    seen = example.observation
    chance = np.random.default_rng(sum(seen.post.example_id.encode()))
    tokens, regions = len(seen.post.tokens), len(seen.regions)
    arrays: dict[FeatureSet, NDArray[Any]] = {
        "parse": np.array([token // 2 if token else -1 for token in range(tokens)], np.int16)
    }
    if seen.photo_key is not None:
        arrays["grid"] = chance.normal(size=(9, 5)).astype(np.float16)
        arrays["pyramid"] = chance.normal(size=(1 + regions, 4, 14)).astype(np.float16)
        arrays["region_graph"] = chance.integers(0, 64, (regions, regions)).astype(np.uint8)
    return arrays


def whole_features(example: StoredExample) -> Features:
    """Return the features of a post with what every feature set holds of it."""
    return features_of(example)._replace(arrays=arrays_of(example))


def model_settings(**changes: object) -> ModelSettings:
    """Return settings of a tiny network."""
    values = {
        "text_encoder": tiny_encoder(),
        "max_pieces": 24,
        "max_evidence_pieces": 16,
        "heads": 2,
    }
    return ModelSettings.model_validate({**values, **changes})


def train_settings(**changes: object) -> TrainSettings:
    """Return settings of a short training in float32."""
    values = {"precision": "float32", "batch_size": 4, "epochs": 2, "learning_rate": 1e-3}
    return TrainSettings.model_validate({**values, **changes})


def make_parts(
    folder: Path,
    *,
    task: str = "entities",
    labels: Sequence[str] = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"),
    visual_dim: int = VISUAL_DIM,
    seed: int = 1,
    second: SecondTask | None = None,
    **changes: object,
) -> Parts:
    """Return an untrained network in evaluation mode, every part of it alive.

    Weights that start at zero are filled with noise, or a test could not tell what they do.
    """
    settings = model_settings(**changes)
    run = Run(
        task=task,
        labels=tuple(labels),
        visual_dim=visual_dim,
        shapes={name: SHAPES[name] for name in needs_of(settings.fusion)},
        store="",
        second=second,
        model=settings,
        train=train_settings(seed=seed),
        code_version="test",
        libraries={},
    )
    parts = new_parts(run, folder)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in parts.network.named_parameters():
            if parameter.requires_grad and not name.startswith("encoder."):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))
    parts.network.eval()
    return parts
