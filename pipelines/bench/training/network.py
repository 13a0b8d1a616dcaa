"""The network that is timed: the paper's system, reading each evidence text on its own."""

from __future__ import annotations

from model.build import Parts, new_parts
from model.run import Run, code_version, library_versions
from model.settings import ModelSettings, TrainSettings
from pipelines.bench.training.posts import MAX_TEXT_PIECES, SPECIAL, TEXTS_PER_POST


def network_on(text_encoder: str, seed: int) -> Parts:
    """Return the network on that encoder, with dropout off: what is compared must be equal."""
    model = ModelSettings(
        text_encoder=text_encoder,
        max_evidence=TEXTS_PER_POST,
        max_evidence_pieces=MAX_TEXT_PIECES - SPECIAL,
        evidence_reading="separate",
    )
    run = Run(
        task="entities",
        labels=("O", "B-PER", "I-PER"),
        visual_dim=0,
        store="",
        model=model,
        train=TrainSettings(seed=seed),
        code_version=code_version(),
        libraries=library_versions(),
    )
    parts = new_parts(run, None)
    parts.network.eval()
    return parts
