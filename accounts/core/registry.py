"""A registry: what the apps have declared of one kind, in the order in which they did.

Each kind of declaration has one, beside the code that reads it: sweeps, invariants, panels of the desk, parts of an
export. Apps do not fill registries themselves: `accounts.extension.Extension.install` does, once a process.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class AlreadyRegistered(Exception):
    """Two declarations bear one name: one of them would silently take the other's place."""


class Registry(Generic[T]):
    """Entries by name. `key` says what an entry is called; without it, its attribute `name`."""

    def __init__(self, key: Callable[[T], Hashable] = attrgetter("name")) -> None:
        self._key = key
        self._entries: dict[Hashable, T] = {}

    def add(self, *entries: T) -> None:
        """Add entries; the same ones again are harmless (Django may start an app twice).

        Raises `AlreadyRegistered` for a name that another entry has; then none of them is added.
        """
        added: dict[Hashable, T] = {}
        for entry in entries:
            name = self._key(entry)
            if {**self._entries, **added}.get(name, entry) != entry:
                raise AlreadyRegistered(name)
            added[name] = entry
        self._entries.update(added)

    def all(self) -> list[T]:
        """Every entry, in the order in which they were added."""
        return list(self._entries.values())

    def named(self, name: Hashable) -> T:
        """The entry of this name. Raises `KeyError` if there is none."""
        return self._entries[name]

    def __contains__(self, name: Hashable) -> bool:
        return name in self._entries

    @contextmanager
    def replaced(self, *entries: T) -> Iterator[None]:
        """For tests: until the block ends, each entry stands in the place of the one of its name, or is added."""
        with self._restored():
            self._entries.update({self._key(entry): entry for entry in entries})
            yield

    @contextmanager
    def without(self, *names: Hashable) -> Iterator[None]:
        """For tests: until the block ends, there are no entries of these names."""
        with self._restored():
            for name in names:
                del self._entries[name]
            yield

    @contextmanager
    def _restored(self) -> Iterator[None]:
        before = dict(self._entries)
        try:
            yield
        finally:
            self._entries = before


def function_name(function: Callable[..., Any]) -> str:
    """The key of functions, which have no `name`: where they are defined."""
    return f"{function.__module__}.{function.__qualname__}"
