"""A measured figure, beside the figure that was to be reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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

    @property
    def row(self) -> str:
        """The figure as a line of a table."""
        bound = ""
        if self.bound is not None:
            sign = ">=" if self.better == "above" else "<="
            bound = f"  ({sign} {self.bound:g}: {'met' if self.met else 'MISSED'})"
        return f"  {self.what:<78} {self.value:>10.4g}{bound}"

    def as_json(self) -> dict[str, object]:
        """Return the figure as JSON."""
        return {"what": self.what, "value": self.value, "bound": self.bound, "met": self.met}


def peak_bytes() -> int:
    """Return the most memory that this process ever had (Linux)."""
    # Not from getrusage, which counts what the parent had when this process began.
    with Path("/proc/self/status").open(encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    return 1024 * int(status["VmHWM"].split()[0])
