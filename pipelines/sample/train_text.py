"""Train the tokenizer and the tiny text encoder (BERT) of the sample world on its sentences."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import trange

from pipelines.sample.cast import ROLES, BadgeMint, Entity, cast_entities
from pipelines.sample.names import Namer
from pipelines.sample.pages import Page, entity_pages, pair_pages
from pipelines.sample.posts import Draft, entity_posts, relation_posts

VOCABULARY: Final = 2000
_NAMES_FOR_SYLLABLES: Final = 10_000
MAX_PIECES: Final = 128
_SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MASKED: Final = 0.1
_MASKED_ROLES: Final = 0.7


@dataclass(frozen=True, slots=True)
class Library:
    """Sentences of one world without photos, and who each is about.

    Attributes:
        entities: all entities.
        posts: by entity id, what is posted about it.
        pages: by entity id, pages about it.
    """

    entities: tuple[Entity, ...]
    posts: dict[str, list[str]]
    pages: dict[str, list[str]]

    def texts(self) -> list[str]:
        """Return every sentence once, in a fixed order."""
        every = [text for texts in (*self.posts.values(), *self.pages.values()) for text in texts]
        return sorted(set(every))


def write_library(seed: int, num_names: int = 400, num_posts: int = 1500) -> Library:
    """Return the sentences of a world of ``seed``; nothing is drawn."""
    rng = random.Random(f"{seed}/library")
    namer, mint = Namer(rng), BadgeMint(rng)
    entities = cast_entities("library", num_names, namer, mint, rng)
    pairs = list(relation_posts("library", num_posts, entities, rng))
    drafts = [*entity_posts("library", num_posts, entities, namer, rng), *pairs]
    pages = [*entity_pages(entities, namer, rng), *pair_pages(pairs, entities, rng)]
    pages += entity_pages(entities, namer, rng)
    return Library(tuple(entities), _posts_by_entity(drafts), _pages_by_entity(pages))


def _posts_by_entity(drafts: Sequence[Draft]) -> dict[str, list[str]]:
    posts: dict[str, list[str]] = {}
    for draft in drafts:
        for mention in draft.mentions:
            if mention.entity:
                text = " ".join(draft.tokens)
                posts.setdefault(mention.entity.entity_id, []).append(text)
    return posts


def _pages_by_entity(pages: Sequence[Page]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for page in pages:
        for entity_id in page.about:
            texts.setdefault(entity_id, []).append(f"{page.title} . {page.text}")
    return texts


def train_tokenizer(library: Library, out: Path, seed: int) -> Any:
    """Write an uncased WordPiece tokenizer to ``out`` and return it as transformers loads it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import WordPieceTrainer
    from transformers import AutoTokenizer

    rng = random.Random(f"{seed}/tokenizer")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=list(_SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(_words_and_syllables(library, rng), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, _SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_PIECES,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "mask_token": "[MASK]",
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return AutoTokenizer.from_pretrained(out)


def _words_and_syllables(library: Library, rng: random.Random) -> Iterator[str]:
    """Yield every known word often and no name twice: names of any world fall into syllables."""
    # Digits and letters are all there, so that no post has an unknown piece.
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    yield from (alphabet, " ".join(alphabet))
    names = {word for entity in library.entities for word in entity.name.lower().split()}
    for text in library.texts():
        yield " ".join(word for word in text.lower().split() if word.strip("#.") not in names)
    namer = Namer(rng)
    yield from (namer.word() for _ in range(_NAMES_FOR_SYLLABLES))


def train_text_encoder(
    library: Library, tokenizer: Any, out: Path, seed: int, steps: int = 900, batch: int = 32
) -> None:
    """Train by masked words, and by telling which two texts name the same entity.

    The masked words of one text are to be found in the other: a role is masked where the other
    text says it of the same name, and often something else of another name.
    """
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(seed)
    rng = random.Random(f"{seed}/text")
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=384, max_position_embeddings=MAX_PIECES, pad_token_id=0,
        hidden_dropout_prob=0.05, attention_probs_dropout_prob=0.05,
    )  # fmt: skip
    model = BertForMaskedLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    model.train()
    progress = trange(steps, desc="train the text encoder", mininterval=5)
    for _ in progress:
        roles, others = _masked_loss(model, tokenizer, _contexts(library, batch, rng))
        same = _same_entity_loss(model, tokenizer, _pairs(library, batch // 2, rng))
        optimizer.zero_grad()
        torch.autograd.backward(roles + 0.3 * others + 0.3 * same)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(roles=f"{roles:.2f}", others=f"{others:.2f}", same=f"{same:.2f}")
    model.bert.save_pretrained(out, safe_serialization=True)


def _pairs(library: Library, count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Return texts two by two about the same entity, every pair about another."""
    pairs = []
    for entity in rng.sample(library.entities, count):
        said = library.posts.get(entity.entity_id) or library.pages[entity.entity_id]
        pairs.append((rng.choice(said), rng.choice(library.pages[entity.entity_id])))
    return pairs


def _contexts(library: Library, count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Return texts two by two: the second says more of the same entity, and maybe of another."""
    contexts = []
    for entity in rng.sample(library.entities, count):
        first, second = rng.sample(_about_role(library, entity), 2)
        if rng.random() < 0.2:
            first = rng.choice(library.posts.get(entity.entity_id) or [first])
        passages = [second]
        if rng.random() < 0.5:
            passages.append(rng.choice(_about_role(library, rng.choice(library.entities))))
            rng.shuffle(passages)
        contexts.append((first, " ".join(passages)))
    return contexts


def _about_role(library: Library, entity: Entity) -> list[str]:
    return [text for text in library.pages[entity.entity_id] if entity.role in text.lower()]


def _encode(tokenizer: Any, *texts: Sequence[str]) -> dict[str, Tensor]:
    encoded = tokenizer(
        *(list(column) for column in texts),
        padding=True, truncation=True, max_length=MAX_PIECES, return_tensors="pt",
        return_token_type_ids=True,
    )  # fmt: skip
    return {name: encoded[name] for name in ("input_ids", "attention_mask", "token_type_ids")}


def _masked_loss(
    model: Any, tokenizer: Any, pairs: list[tuple[str, str]]
) -> tuple[Tensor, Tensor]:
    """Return the loss of masked roles, and of other masked pieces."""
    first, second = zip(*pairs, strict=True)
    inputs = _encode(tokenizer, first, second)
    ids = inputs["input_ids"]
    roles = torch.tensor(tokenizer.convert_tokens_to_ids([r for rs in ROLES.values() for r in rs]))
    asked = torch.isin(ids, roles) & (inputs["token_type_ids"] == 0)
    chance = torch.where(asked, _MASKED_ROLES, _MASKED)
    chosen = (torch.rand(ids.shape) < chance) & (ids >= len(_SPECIAL))
    inputs["input_ids"] = ids.masked_fill(chosen, tokenizer.mask_token_id)
    # Only what was masked is predicted: the vocabulary is most of the work.
    logits = model.cls(model.bert(**inputs).last_hidden_state[chosen])
    losses = functional.cross_entropy(logits, ids[chosen], reduction="none")
    role = asked[chosen]
    return losses[role].mean(), losses[~role].mean()


def _same_entity_loss(model: Any, tokenizer: Any, pairs: list[tuple[str, str]]) -> Tensor:
    vectors = []
    for texts in zip(*pairs, strict=True):
        inputs = _encode(tokenizer, texts)
        states = model.bert(**inputs).last_hidden_state
        weights = inputs["attention_mask"].unsqueeze(-1)
        mean = (states * weights).sum(1) / weights.sum(1)
        vectors.append(functional.normalize(mean, dim=-1))
    scores = 15 * vectors[0] @ vectors[1].T
    return functional.cross_entropy(scores, torch.arange(len(pairs)))
