"""Remake the tiny weights of the sample recipes.

    OMP_NUM_THREADS=1 python -m pipelines.sample.train_weights --out pipelines/sample/weights

Everything is learned from a world of another seed than the samples': other names, other badges,
other photos. Takes some minutes on a CPU; the same seed, machine and libraries give the same
weights.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

# Never a seed of `ramie sample`.
SEED: Final = 1000
PARTS: Final = ("detector", "text_encoder", "encoder")
WEIGHTS: Final = Path(__file__).resolve().parent / "weights"


def main() -> None:
    """Train the named parts, or all."""
    parser = argparse.ArgumentParser(description="Remake the tiny weights of the sample recipes.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write")
    parser.add_argument("--only", choices=PARTS, action="append", help="train this part only")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    for part in options.only or PARTS:
        train_part(part, options.out)


def train_part(part: str, out: Path) -> None:
    """Train one of `PARTS` into its place under ``out``; ``encoder`` needs ``text_encoder``."""
    import torch

    from pipelines.sample.train_detector import train_detector
    from pipelines.sample.train_encoder import train_encoder
    from pipelines.sample.train_text import train_text_encoder, train_tokenizer, write_library

    torch.use_deterministic_algorithms(True, warn_only=True)
    if part == "detector":
        train_detector(out / "detector.pt", SEED)
        return
    library = write_library(SEED)
    if part == "text_encoder":
        tokenizer = train_tokenizer(library, out / "text_encoder", SEED)
        train_text_encoder(library, tokenizer, out / "text_encoder", SEED)
    else:
        train_encoder(library, out / "text_encoder", out / "encoder", SEED)


if __name__ == "__main__":
    main()
