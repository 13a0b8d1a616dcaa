"""Imports of published evidence, as recipes write them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cache.records import Level
from retrieval.settings import ImportSettings


def captions(path: Path) -> ImportSettings:
    return ImportSettings(path=path, format="captions", level="image", modality="text")


def contexts(path: Path, level: Level = "sentence") -> ImportSettings:
    return ImportSettings(path=path, format="conll-context", level=level, modality="text")


def mnre_lists(
    path: Path, field: Literal["caption", "entity"], level: Level = "image"
) -> ImportSettings:
    return ImportSettings(
        path=path, format="mnre-lists", level=level, modality="text", field=field
    )
