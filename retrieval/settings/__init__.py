"""What decides the content of a store; each group has its own fingerprint.

Machine facts (paths, device, workers, keys) live here only where a recipe must name them, are
``exclude``d from the fingerprint, and are identified by content instead.
"""

from __future__ import annotations

from pydantic import Field

from retrieval.settings.asking import AskSettings
from retrieval.settings.base import Settings
from retrieval.settings.curating import CurateSettings, LeakSettings, NoiseSettings
from retrieval.settings.looking import DatasetSettings, Letterbox, ObserveSettings
from retrieval.settings.outside import FetchSettings, PoliteSettings
from retrieval.settings.providers import (
    LOCAL_PROVIDERS,
    ImportSettings,
    QdrantSettings,
    SearxngSettings,
    VisionSettings,
    WebSettings,
    WikipediaSettings,
)

__all__ = [
    "LOCAL_PROVIDERS",
    "AskSettings",
    "BuildSettings",
    "CurateSettings",
    "DatasetSettings",
    "FetchSettings",
    "ImportSettings",
    "LeakSettings",
    "Letterbox",
    "NoiseSettings",
    "ObserveSettings",
    "PoliteSettings",
    "QdrantSettings",
    "SearxngSettings",
    "Settings",
    "VisionSettings",
    "WebSettings",
    "WikipediaSettings",
]


class BuildSettings(Settings):
    """All of it.

    Attributes:
        shard_size: posts in one shard, which is written as a whole; an interruption loses what was
            seen in those that were open (`retrieval.building.line`).
    """

    dataset: DatasetSettings
    observe: ObserveSettings = ObserveSettings()
    ask: AskSettings = AskSettings()
    curate: CurateSettings = CurateSettings()
    shard_size: int = Field(default=256, ge=1)
