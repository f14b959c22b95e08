"""How a process's memory grows: samples over time, and the slope through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil


@dataclass
class Curve:
    """Samples of one process: seconds since the start, resident bytes, and bytes of them that its tables explain."""

    name: str
    pid: int
    samples: list[tuple[float, float, float]] = field(default_factory=list)

    def sample(self, at: float, explained: float = 0.0) -> None:
        """Raises psutil.NoSuchProcess where the process has ended."""
        self.samples.append((at, float(psutil.Process(self.pid).memory_info().rss), explained))

    @property
    def rss(self) -> float:
        return self.samples[-1][1] if self.samples else 0.0

    @property
    def peak(self) -> float:
        return max((rss for _, rss, _ in self.samples), default=0.0)

    @property
    def has_explained(self) -> bool:
        return any(known for _, _, known in self.samples)

    def growth(self, after: float) -> float:
        """Resident bytes per minute, of the samples later than `after` seconds."""
        return 60 * slope([(at, rss) for at, rss, _ in self.samples if at >= after])

    def explained(self, after: float) -> float:
        """Bytes per minute by which what is explained has grown."""
        return 60 * slope([(at, known) for at, _, known in self.samples if at >= after])


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line of least squares, per unit of x; 0 of fewer than two points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    square = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / square if square else 0.0
