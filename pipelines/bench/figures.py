"""A measured figure, beside the figure that was to be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of a benchmark's table.

    Attributes:
        what: was measured.
        value: came out.
        bound: was to be reached; None where the value is only told.
        better: whether values above or below ``bound`` are good.
    """

    what: str
    value: float
    bound: float | None = None
    better: Literal["above", "below"] = "above"

    @property
    def met(self) -> bool | None:
        """Return whether ``bound`` was reached; None without one."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.better == "above" else self.value <= self.bound
