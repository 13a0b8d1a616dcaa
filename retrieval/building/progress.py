"""What a person sees of a build while it runs: posts done, and questions asked and to be asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Never, Self

from tqdm import tqdm

# Between two changes of the figures behind the bar.
_SECONDS_BETWEEN: Final = 0.5


class BuildProgress:
    """A bar over posts, where the output is a terminal; a context manager.

    Attributes:
        counts: of the `Asker` whose questions are shown.
    """

    def __init__(
        self, name: str, total: int, done: int, to_ask: int | None, *, show: bool
    ) -> None:
        """Begin with ``done`` of ``total`` posts.

        Args:
            name: of what is built.
            total: posts.
            done: posts that are done already.
            to_ask: questions that no recording answers, at most; None shows none.
            show: False shows no bar.
        """
        self.counts: Mapping[str, int] = {}
        self._to_ask = to_ask
        self._bar: tqdm[Never] = tqdm(
            total=total,
            initial=done,
            desc=f"build {name}",
            unit="post",
            disable=None if show else True,
        )
        self._shown_at = float("-inf")

    def posts(self, number: int) -> None:
        """Count so many further posts."""
        self._bar.update(number)
        self.questions()

    def again(self, number: int) -> None:
        """Take back so many posts that have to be done again."""
        self._bar.update(-number)

    def questions(self) -> None:
        """Show what was asked so far, now and then."""
        now = time.monotonic()
        if not self._bar.disable and now >= self._shown_at + _SECONDS_BETWEEN:
            self._shown_at = now
            self._show()

    def _show(self) -> None:
        if not self.counts:
            return
        shown = {name: self.counts[name] for name in ("asked", "recorded")}
        if self._to_ask is not None:
            left = self._to_ask - self.counts["asked"] - self.counts["unavailable"]
            shown |= {"blocked": self.counts["blocked"], "left": max(left, 0)}
        self._bar.set_postfix(shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._bar.disable:
            self._show()
        self._bar.close()
