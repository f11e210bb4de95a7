"""The cache, and what stands in for it: counters of attempts, and codes that were used.

Redis counts for all processes together. While it is away each process counts for itself: limits are wider then by as
many processes as there are, a used code is refused by the process that saw it, and everybody signs in as ever.
"""

import logging
import time
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django_redis.cache import RedisCache  # type: ignore[import-untyped]  # it has no types
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

#: Redis is asked again after so many seconds: a silent one would hold up every question for a second.
ASKED_AGAIN_AFTER = 5.0


class Cache(RedisCache):  # type: ignore[misc]  # it has no types
    """Redis, or the process's own memory while Redis does not answer. What was counted here is not carried over."""

    #: Of the process: its threads have a cache each, and one memory.
    _away_until = 0.0

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._here = LocMemCache("while Redis is away", {})

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("add", *args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("get", *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("set", *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("delete", *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("touch", *args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("incr", *args, **kwargs)

    def _ask(self, what: str, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= Cache._away_until:
            try:
                return getattr(super(), what)(*args, **kwargs)
            except (RedisError, OSError) as error:
                Cache._away_until = time.monotonic() + ASKED_AGAIN_AFTER
                log.warning("Redis is away, this process counts for itself: %s", type(error).__name__)
        return getattr(self._here, what)(*args, **kwargs)
