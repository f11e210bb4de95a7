"""Columns to search by, filled from another column of the row by `accounts.core.foreign_input`, and the lookups over
them.

What is searched for goes through the same functions as what is stored, so neither accents nor hyphens nor capitals
stand between them, and no dictionary of the database has an opinion on where a word ends.
"""

from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, Value

from accounts.core import foreign_input


class _Derived(models.TextField):  # type: ignore[type-arg]  # not subscriptable at run time
    """Written anew from its source whenever the row is saved."""

    def __init__(self, *, source: str = "", **options: Any) -> None:
        self.source = source
        super().__init__(**{"editable": False, "blank": True, "default": "", **options})

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "source": self.source}

    def pre_save(self, row: models.Model, add: bool) -> Any:
        derived = self.derive(str(getattr(row, self.source) or ""))
        setattr(row, self.attname, derived)
        return derived

    def derive(self, value: str) -> str:
        """What is stored for this value of the source: each kind of field has its own, and there is no default."""
        raise NotImplementedError(type(self).__name__)


class SearchWords(_Derived):
    """The words of a name, plain, with a blank between them. `index` makes `__begin` fast."""

    def derive(self, value: str) -> str:
        return " ".join(foreign_input.words(value))

    @staticmethod
    def index(field: str, *, name: str) -> GinIndex:
        """Over the words' beginnings."""
        listed = Func(F(field), Value(" "), function="string_to_array")
        return GinIndex(Func(listed, function="array_to_tsvector"), name=name)


class SearchKey(_Derived):
    """The letters and digits of a number or reference, in capitals."""

    def derive(self, value: str) -> str:
        return foreign_input.key(value)


@SearchWords.register_lookup
class BeginWords(models.Lookup):
    """Rows in which every word of a text begins a word: `words__begin="jose h"` finds “Harbour José”."""

    lookup_name = "begin"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, parameters = self.process_lhs(compiler, connection)
        words = foreign_input.words(str(self.rhs)) or ["\N{REPLACEMENT CHARACTER}"]  # no words begin nothing
        query = " & ".join(f"{_quoted(word)}:*" for word in words)
        return f"array_to_tsvector(string_to_array({column}, ' ')) @@ %s::tsquery", [*parameters, query]


def no_controls(field: str, *, name: str) -> models.CheckConstraint:
    """One line alone: what steers a terminal, the head of a mail or a log is refused by the database, too."""
    controls = r"[\u0001-\u001f\u007f-\u009f\u2028\u2029]"
    return models.CheckConstraint(condition=~models.Q(**{f"{field}__regex": controls}), name=name)


def _quoted(word: str) -> str:
    doubled = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
