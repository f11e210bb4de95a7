"""Lists of rows at the support desk: to be looked at. Nothing here edits a row: state changes by acts.

With a million rows a list must cost what its page costs. So it is ordered by an index, it counts no further than a
person would turn pages, and what staff look for they find by searching.
"""

from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.desk import bulk_start, roles

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
    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50
    sortable_by = ()
    list_max_show_all = 50

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """What can be done to many rows at once; the admin's own "delete selected" is not among it."""
        return dict(bulk_start.entries(self.model, request))


class ReadOnlyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # not subscriptable at run time
    """Rows that belong to the one shown."""

    extra = 0
