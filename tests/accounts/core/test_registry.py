"""What the apps declare: each name once, in the order in which it came."""

from dataclasses import dataclass

import pytest

from accounts.core.registry import AlreadyRegistered, Registry, function_name


@dataclass(frozen=True)
class Entry:
    name: str
    value: int = 0


def filled() -> Registry[Entry]:
    registry: Registry[Entry] = Registry()
    registry.add(Entry("b"), Entry("a"))
    return registry


def test_entries_come_in_the_order_in_which_they_were_added() -> None:
    assert [entry.name for entry in filled().all()] == ["b", "a"]
    assert filled().named("a") == Entry("a")
    assert "a" in filled()
    with pytest.raises(KeyError):
        filled().named("c")


@pytest.mark.parametrize("entries", [[Entry("c"), Entry("a", 1)], [Entry("c"), Entry("c", 1)]])
def test_a_name_that_is_taken_is_refused_and_nothing_is_added(entries: list[Entry]) -> None:
    registry = filled()
    with pytest.raises(AlreadyRegistered):
        registry.add(*entries)
    assert registry.all() == [Entry("b"), Entry("a")]


def test_the_same_entry_again_is_harmless() -> None:
    registry = filled()
    registry.add(Entry("a"))
    assert registry.all() == [Entry("b"), Entry("a")]


def test_a_test_puts_an_entry_in_anothers_place_until_its_block_ends() -> None:
    registry = filled()
    with registry.replaced(Entry("a", 1), Entry("c")):
        assert registry.all() == [Entry("b"), Entry("a", 1), Entry("c")]
        with registry.without("b"):
            assert "b" not in registry
    assert registry.all() == [Entry("b"), Entry("a")]


def test_functions_are_called_by_where_they_are_defined() -> None:
    assert function_name(filled) == "tests.accounts.core.test_registry.filled"
