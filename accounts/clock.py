"""The clock. Only the edges (views, tasks, commands) read it; everything below takes `at` (design, idea 3)."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)
