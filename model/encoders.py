"""Text encoders: any transformers encoder by name or folder, or rebuilt from a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import torch
import transformers
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cache.errors import InputError
from model.attention import use_attention_beside
from model.claims import read_config
from model.pieces import MARKERS

# Byte-level tokenizers refuse words that were split beforehand unless they may add the blank.
_BYTE_LEVEL: Final = frozenset({"roberta", "longformer", "deberta", "bart"})


class KeysValues(NamedTuple):
    """What text attends to beside itself in one layer.

    Attributes:
        keys: [rows, heads, extra, dim of a head].
        values: the same shape.
        present: [rows, extra] True where there is something; a row may be all False.
    """

    keys: Tensor
    values: Tensor
    present: Tensor


@runtime_checkable
class Beside(Protocol):
    """Gives a text encoder keys and values beside its own, layer by layer, from the first on."""

    def __call__(self, layer: int, keys: Tensor, values: Tensor, mask: Tensor) -> KeysValues:
        """Return what stands beside the text in ``layer``.

        Args:
            layer: from 0.
            keys: [rows, heads, pieces, dim of a head] of the text.
            values: the same shape.
            mask: [rows, pieces] True where a piece of the text is real.
        """
        ...


class TextEncoder(nn.Module):
    """A transformers encoder that returns its last hidden states in float32."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        config: Any = backbone.config
        self.config = config
        self.dim = int(config.hidden_size)
        self.has_segments = int(getattr(config, "type_vocab_size", 0) or 0) > 1

    def forward(
        self,
        pieces: Int[Tensor, "rows pieces"],
        mask: Bool[Tensor, "rows pieces"],
        segments: Int[Tensor, "rows pieces"],
        beside: Beside | None = None,
    ) -> Float[Tensor, "rows pieces dim"]:
        """Return contextual states; those of padding (``mask`` False) mean nothing.

        Args:
            pieces: piece ids, special tokens included.
            mask: True where a piece is real.
            segments: 1 in the second text of a pair; ignored by encoders without segments.
            beside: further keys and values for the attention of each layer, see `attend_beside`.
        """
        extra: dict[str, Any] = {"token_type_ids": segments} if self.has_segments else {}
        if beside is not None:
            # Any other attention would take what stands beside for an option, and ignore it.
            use_attention_beside(self)
            extra |= {"beside": beside, "beside_mask": mask}
        out = self.backbone(input_ids=pieces, attention_mask=mask.long(), **extra)
        states: Tensor = out.last_hidden_state.float()
        return states


def suit_device(encoder: TextEncoder, device: torch.device, *, beside: bool = False) -> None:
    """Choose the attention kernel: on CPU, torch's fused one is slower (measured: 1.2-1.5x).

    Args:
        encoder: to be run.
        device: on which.
        beside: keys and values will be given beside those of the text.
    """
    backbone: Any = encoder.backbone
    if beside:
        use_attention_beside(encoder)
    elif hasattr(backbone, "set_attn_implementation"):
        backbone.set_attn_implementation("eager" if device.type == "cpu" else "sdpa")


def load_pretrained(name: str, seed: int) -> tuple[TextEncoder, Any]:
    """Return encoder and tokenizer by transformers name or local folder.

    Weights are read from safetensors only, and no code of a repository is ever run.

    Raises:
        InputError: no such folder, or neither local nor to be downloaded.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        tokenizer = _load_tokenizer(name, config)
        _turn_off_attention_dropout(config)
        backbone = transformers.AutoModel.from_pretrained(
            name,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise InputError(
            f"cannot load the text encoder {name!r}: {_first_line(error)} Set model.text_encoder "
            "to a folder that holds config.json, tokenizer.json and model.safetensors, or to a "
            "transformers name while the hub can be reached."
        ) from error
    _add_markers(backbone, tokenizer, seed)
    return TextEncoder(_without_pooler(backbone)), tokenizer


def load_saved(folder: Path) -> tuple[Any, Any]:
    """Return configuration, for `untrained`, and tokenizer of a run folder.

    Raises:
        InputError: the folder does not hold what `save_description` wrote.
    """
    try:
        config = transformers.AutoConfig.for_model(**read_config(folder / "config.json"))
        tokenizer = _load_tokenizer(str(folder), config)
    except Exception as error:  # transformers and tokenizers raise all kinds
        raise _no_encoder(folder, error) from error
    return config, tokenizer


def untrained(config: Any, folder: Path) -> TextEncoder:
    """Return the encoder of a configuration that `load_saved` read, weights not yet loaded.

    Raises:
        InputError: it describes none.
    """
    try:
        backbone = transformers.AutoModel.from_config(config, trust_remote_code=False)
        return TextEncoder(_without_pooler(backbone))
    except Exception as error:  # each encoder checks its own numbers
        raise _no_encoder(folder, error) from error


def _no_encoder(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"{folder} does not describe a text encoder: {_first_line(error)} "
        "Train the run again, or copy the whole run folder."
    )


def save_description(encoder: TextEncoder, tokenizer: Any, folder: Path) -> None:
    """Write configuration and tokenizer, so that a run loads without a hub."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def largest_window(encoder: TextEncoder) -> int:
    """Return how many pieces, special tokens included, the encoder has positions for."""
    positions = int(getattr(encoder.config, "max_position_embeddings", 512))
    # RoBERTa and its kin number positions from padding_idx + 1.
    padding = [
        module.padding_idx
        for name, module in encoder.backbone.named_modules()
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
    ]
    return positions - max((place + 1 for place in padding if place is not None), default=0)


def _load_tokenizer(name: str, config: Any) -> Any:
    options = {"add_prefix_space": True} if config.model_type in _BYTE_LEVEL else {}
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        name, trust_remote_code=False, use_fast=True, **options
    )
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError("its tokenizer has no fast version (tokenizer.json).")
    return tokenizer


def _turn_off_attention_dropout(config: Any) -> None:
    # With dropout inside attention, torch takes the slow path on CPU (measured: +20 to 40 %).
    for name in ("attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)


def _add_markers(backbone: Any, tokenizer: Any, seed: int) -> None:
    """Add the mention markers; their vectors start as small noise around the mean vector."""
    added = tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS)})
    table = backbone.get_input_embeddings()
    before = table.weight.shape[0]
    if len(tokenizer) > before:
        backbone.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        table = backbone.get_input_embeddings()
    if added:
        noise = torch.Generator().manual_seed(seed)
        rows = [tokenizer.convert_tokens_to_ids(marker) for marker in MARKERS]
        with torch.no_grad():
            mean = table.weight[: min(before, min(rows))].mean(dim=0)
            for row in rows:
                table.weight[row] = mean + 0.02 * torch.randn(mean.shape, generator=noise)


def _without_pooler(backbone: Any) -> nn.Module:
    # Nothing reads the pooler; left in, its weights would never get a gradient.
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None
    return backbone  # type: ignore[no-any-return]


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    line = text[0] if text else type(error).__name__
    return line if line.endswith(".") else line + "."


def quiet_transformers() -> None:
    """Keep transformers from drawing its own progress bars and notes over ours."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
