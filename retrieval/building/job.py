"""What one run of the builder works on, and with what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from retrieval.asking.manner import AskingOptions
from retrieval.building.stopwatch import Stopwatch
from retrieval.datasets import Dataset
from retrieval.http.base import Client
from retrieval.providers.base import Provider
from retrieval.settings import BuildSettings
from retrieval.sight.look import Eyes, LocalEyes, PostObserver


class Engine(Protocol):
    """Where posts are looked at; a machine fact, for every engine sees the same."""

    def eyes(
        self, observer: PostObserver, photos: Mapping[str, Path], watch: Stopwatch
    ) -> AbstractContextManager[Eyes]:
        """Return what looks, for as long as its context lasts.

        Args:
            observer: says what is seen.
            photos: path by example id, of the posts that have one.
            watch: is told where the time goes.
        """
        ...


class LocalEngine:
    """Looks with the models of this process."""

    def eyes(
        self, observer: PostObserver, photos: Mapping[str, Path], watch: Stopwatch
    ) -> AbstractContextManager[Eyes]:
        """Return `LocalEyes`; see `Engine`."""
        return nullcontext(LocalEyes(observer, photos, watch))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of the builder; see `retrieval.building.builder.build_store`."""

    settings: BuildSettings
    store: Path
    dataset: Dataset
    observer: PostObserver
    providers: Sequence[Provider]
    fetch_client: Client | None
    asking: AskingOptions
    rights: Mapping[str, str] | None
    engine: Engine
    progress: bool
    say: Callable[[str], None]
