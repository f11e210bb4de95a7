"""Lists of rows at the support desk: to be looked at. Nothing here edits a row: state changes by acts.

With a million rows a list must cost what its page costs. So it is ordered by an index, it counts no further than a
person would turn pages, and what staff look for they find by searching.

A list answers to its own filters and to nothing else. Django lets the address of a list carry any lookup into the
model's own columns, and by what a list shows or leaves out a hidden column could be read letter by letter.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property, reduce
from operator import or_
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter, FieldListFilter, ListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.core import roles
from accounts.desk.account_page.search import Way, as_typed
from accounts.desk.bulk import start as bulk_start

#: Counted no further than this: nobody turns a hundred pages.
COUNTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # not subscriptable at run time
    """Counts up to `COUNTED` rows. Older ones are found by searching or filtering."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any, Any] = self.object_list  # type: ignore[assignment]  # the admin passes nothing else
        return rows[:COUNTED].count()


class ReadOnly:
    """Rows are shown to whoever works at the desk; never added, changed or deleted by hand."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(roles.USE)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(roles.USE)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """A list and its rows. Sorting by just any column would sort the whole table: `ordering` follows an index."""

    change_form_template = "admin/desk/row.html"
    change_list_template = "admin/desk/list.html"
    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50
    sortable_by = ()
    list_max_show_all = 50
    #: Which rows a search may mean: each over an index. The admin's own searches would read the whole table.
    found_by: ClassVar[Sequence[Way]] = ()

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Whether the list has a field to search in."""
        return ["pk"] if self.found_by else []

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """The rows that the text may mean, by any of the list's ways."""
        text = as_typed(search_term)
        if not text:
            return queryset, False
        ways = [way for found_by in self.found_by if (way := found_by(text)) is not None]
        return (queryset.filter(reduce(or_, ways)) if ways else queryset.none()), False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row; by its key where an address names no field to find it by. Django looks for a field named nothing."""
        return super().get_object(request, object_id, from_field or None)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether the list may be narrowed down by this: by the choices that its own filters offer, and by no other.

        Anything else is answered by 400. Django's own rule allows every lookup into the model's columns, shown or not.
        """
        return lookup in self._offered(request)

    def _offered(self, request: HttpRequest) -> frozenset[str]:
        """The lookups that the list's own filters put into addresses."""
        return frozenset(name for chosen in self.get_list_filter(request) for name in self._lookups_of(chosen))

    def _lookups_of(self, chosen: Any) -> Iterator[str]:
        if isinstance(chosen, type) and issubclass(chosen, ListFilter):
            yield str(getattr(chosen, "parameter_name", ""))
            return
        path, kind = chosen if isinstance(chosen, tuple | list) else (chosen, FieldListFilter)
        if issubclass(kind, EmptyFieldListFilter):
            yield f"{path}__isempty"
            return
        field: Any = get_fields_from_path(self.model, path)[-1]
        yield f"{path}__isnull"
        # What is chosen from is a row of another table, or a value.
        yield f"{path}__{field.target_field.name}__exact" if field.is_relation else f"{path}__exact"

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """What can be done to many rows at once; the admin's own "delete selected" is not among it."""
        return dict(bulk_start.entries(self.model, request))


class ReadOnlyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # not subscriptable at run time
    """Rows that belong to the one shown."""

    extra = 0
