"""Text encoders of full size with random weights: speed does not depend on what they learned."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import torch
import transformers
from tokenizers import Tokenizer

from model.encoders import quiet_transformers

Size = Literal["base", "small", "tiny"]
_TOKENIZER: Final = Path(__file__).parents[2] / "sample" / "weights" / "text_encoder"
# BERT-base (Devlin et al. 2019), all-MiniLM-L6-v2, and one for tests; the sample's tokenizer uses
# the first 2,000 rows of their vocabularies.
_SIZES: Final[dict[Size, dict[str, int]]] = {
    "base": {},
    "small": {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536},
    "tiny": {
        "vocab_size": 2000,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
    },
}


def write_encoder(folder: Path, size: Size, seed: int, dropout: float = 0.1) -> str:
    """Write an encoder of that size into ``folder``, and return its path."""
    quiet_transformers()
    config = transformers.BertConfig(**_SIZES[size], hidden_dropout_prob=dropout)
    torch.manual_seed(seed)
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(_TOKENIZER / name, folder)
    return str(folder)


def whole_words() -> Sequence[str]:
    """Return words that the sample's tokenizer does not split."""
    vocabulary = Tokenizer.from_file(str(_TOKENIZER / "tokenizer.json")).get_vocab()
    return sorted(word for word in vocabulary if re.fullmatch("[a-z]{2,}", word))
