"""Measuring: the same work several times, candidates in turn, so that whatever else the machine does hits all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Samples:
    """One quantity, measured several times. The unit is the caller's."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def each(self, change: Callable[[float], float]) -> "Samples":
        """The same measurements in another unit."""
        return Samples(tuple(change(value) for value in self.values))


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, in which unit, and the measurements."""

    what: str
    unit: str
    samples: Samples


@dataclass(frozen=True)
class Goal:
    """A number that has to be at least, or at most, some limit."""

    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


@dataclass
class Result:
    """What a benchmark found. `facts` are numbers without spread: counts, sizes, chosen parameters."""

    rows: list[Row] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)


class WrongAnswerError(Exception):
    """What was measured did not do its work: a fast wrong answer is no result."""


def require(condition: bool, message: str) -> None:
    """Raise `WrongAnswerError` with this message unless the condition holds."""
    if not condition:
        raise WrongAnswerError(message)


def interleaved(rounds: int, candidates: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Measure every candidate once a round, each round beginning with another one. Returns the findings of each."""
    found: dict[str, list[T]] = {name: [] for name in candidates}
    names = list(candidates)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(candidates[name]())
    return found


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes once, in seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def median_seconds(work: Callable[[], object], *, calls: int, warm_up: int = 5) -> float:
    """The median of many calls of something short, in seconds, after a few that are not counted."""
    for _ in range(warm_up):
        work()
    return statistics.median(seconds(work) for _ in range(calls))
