"""A small knowledge base folder, written on the fly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tiny_vision import encoded

Line = dict[str, object] | str | bytes

LINES: tuple[dict[str, object], ...] = (
    {"id": "paris-city", "title": "Paris", "text": "Paris is a city in France.", "image": "1.png"},
    {"id": "paris-hilton", "title": "Paris Hilton", "text": "An heiress.", "image": "2.png"},
    {"id": "dog", "title": "Dogs", "text": "Dogs bark at night.", "url": "http://x.test/dog"},
    {"id": "tower", "title": "東京タワー", "text": "Tōkyō tower — café 🗼", "image": "3.png"},
    {"id": "wordless", "image": "4.png"},
)


def write_folder(folder: Path, lines: Sequence[Line] = LINES, num_images: int = 4) -> Path:
    """Write ``documents.jsonl`` and the images ``1.png``, ``2.png`` ..."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "documents.jsonl").open("wb") as file:
        for line in lines:
            text = json.dumps(line, ensure_ascii=False) if isinstance(line, dict) else line
            file.write((text.encode() if isinstance(text, str) else text) + b"\n")
    for seed in range(1, num_images + 1):
        (folder / f"{seed}.png").write_bytes(encoded(seed))
    return folder
