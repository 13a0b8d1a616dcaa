"""Which encoder: from the settings to files and their digest, without loading a model."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cache.errors import InputError
from cache.keys import fingerprint
from retrieval.settings import ObserveSettings
from retrieval.sight.bounds import backend_identity
from retrieval.sight.weights import file_digest

_LOCAL_DIR: Final = "local-dir:"
_TAGS_SHOWN: Final = 5
_WEIGHT_SUFFIXES: Final = (".safetensors", ".bin", ".pth", ".pt")


@dataclass(frozen=True)
class EncoderSource:
    """An encoder, resolved to files.

    Attributes:
        model: what open_clip calls it.
        pretrained: local weights file; None for ``local-dir:``, which brings its own.
        digest: over configuration (preprocessing included) and weights.
    """

    model: str
    pretrained: str | None
    digest: str


def encoder_fingerprint(settings: ObserveSettings) -> str:
    """Return what makes vectors comparable: model, preprocessing, weights, dtype, and backend.

    Empty without an encoder.

    Vectors of equal fingerprint may be compared with each other, whichever machine made them.
    """
    if settings.encoder == "none":
        return ""
    made_by = {"source": find_encoder(settings).digest, "dtype": settings.dtype}
    return fingerprint({**made_by, **backend_identity(settings)})


def find_encoder(settings: ObserveSettings) -> EncoderSource:
    """Return where the encoder lies; published weights are downloaded on first use.

    Raises:
        InputError: there is no such encoder, or its weights are not to be had.
    """
    if settings.encoder.startswith(_LOCAL_DIR):
        return _in_folder(settings.encoder)
    if ":" in settings.encoder:
        raise InputError(
            f"observe.encoder={settings.encoder!r} is neither a model name of open_clip, nor "
            "local-dir:PATH, nor none."
        )
    weights = Path(settings.encoder_weights).expanduser()
    if not weights.is_file():
        weights = _published(settings.encoder, settings.encoder_weights)
    # The configuration is open_clip's own, so its name stands for it; the tag chooses the
    # preprocessing, so the same file under a tag and under a path are two encoders.
    tag = (
        "" if weights == Path(settings.encoder_weights).expanduser() else settings.encoder_weights
    )
    digest = fingerprint({"model": settings.encoder, "tag": tag, "weights": file_digest(weights)})
    return EncoderSource(settings.encoder, tag or str(weights), digest)


def _in_folder(encoder: str) -> EncoderSource:
    folder = Path(encoder.removeprefix(_LOCAL_DIR)).expanduser()
    config_file = folder / "open_clip_config.json"
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"observe.encoder={encoder!r} needs {config_file}: {error}. Give a folder as "
            "open_clip writes it (open_clip_config.json and open_clip_model.safetensors)."
        ) from error
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
    if not files:
        raise InputError(
            f"{folder} holds no weights ({', '.join(_WEIGHT_SUFFIXES)}). Put "
            "open_clip_model.safetensors there."
        )
    if "trust_remote_code" in json.dumps(config):
        raise InputError(
            f"{config_file} asks to run code of its own (trust_remote_code): refused."
        )
    # The tokenizer decides the vectors of texts as the weights do.
    files += sorted(path for path in folder.glob("*.json") if path != config_file)
    digests = {path.name: file_digest(path) for path in files}
    digest = fingerprint({"config": config, "weights": digests})
    return EncoderSource(f"{_LOCAL_DIR}{folder}", None, digest)


def _published(model: str, tag: str) -> Path:
    """Return the file of published weights, from open_clip's own cache or downloaded into it."""
    way_out = (
        "Set observe.encoder_weights to a local file of these weights, or observe.encoder to "
        "local-dir:PATH with a folder as open_clip writes it, or observe.encoder=none to build "
        "without embeddings."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import open_clip
        from open_clip.pretrained import download_pretrained, get_pretrained_cfg

        if model not in open_clip.list_models():
            raise InputError(f"open_clip has no model called {model!r}. {way_out}")
        config = get_pretrained_cfg(model, tag)
        if not config:
            tags = open_clip.list_pretrained_tags_by_model(model)
            known = ", ".join(tags[:_TAGS_SHOWN]) + (" ..." if len(tags) > _TAGS_SHOWN else "")
            raise InputError(
                f"encoder weights {tag!r} are neither a file nor published for {model} "
                f"(published: {known or 'none'}). {way_out}"
            )
        try:
            return Path(download_pretrained(config))
        except Exception as error:  # hub and network fail in many ways, all with one way out
            raise InputError(
                f"encoder weights {tag!r} of {model} are neither local nor downloadable: "
                f"{type(error).__name__}: {error}. {way_out}"
            ) from error
