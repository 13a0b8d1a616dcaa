"""Where the real posts, photos and weights lie that some measurements use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

VARIABLE: Final = "RAMIE_REAL_DATA"


def real_data() -> Path:
    """Return the folder that `VARIABLE` names, else ``shared`` beside this checkout.

    It may not exist: whoever measures says what is left out without it.
    """
    beside = Path(__file__).resolve().parents[3] / "shared"
    return Path(os.environ.get(VARIABLE, str(beside)))


def real_photos() -> list[Path]:
    """Return the real photos at hand, those of posts before those of news; none where none are."""
    data = real_data() / "data"
    posts, news = data / "mnre_photos" / "img_org", data / "news_kb" / "images"
    kinds = (".jpg", ".jpeg", ".png")
    return [
        path
        for folder in (posts, news)
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in kinds
    ]
