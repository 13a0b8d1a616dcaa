"""The live providers over which the contract suites run; a further one is a line here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

from replay_helpers import LiveCase, replay_case
from web_case import web_case

LIVE_CASES: Final[dict[str, Callable[[Path], AbstractContextManager[LiveCase]]]] = {
    "wikipedia": partial(replay_case, "wikipedia"),
    "searxng": partial(replay_case, "searxng"),
    "vision": partial(replay_case, "vision"),
    "qdrant": partial(replay_case, "qdrant"),
    "web": web_case,
}
