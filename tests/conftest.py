"""What every test may use. Nothing here reaches the network, and nothing needs a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Set before any test imports a library that would look at a hub or write to the user's home.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder with real posts, photos and weights, or skip with the reason."""
    folder = Path(os.environ.get("RAMIE_REAL_DATA", str(REPOSITORY.parent / "shared")))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder} (set RAMIE_REAL_DATA to a folder with data/)")
    return folder
