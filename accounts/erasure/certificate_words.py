"""How a certificate calls what it lists: groups that people know, instead of tables.

Each app declares its own (`certificate_words.py`, `Extension.certificate_groups`). What an app doesn't group stands
under the app's own name, by the words that its models have for themselves; what no app here knows any more, such as a
table of years ago, keeps the name that the certificate gives it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.apps import apps
from django.db.models import Model
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from accounts.core.registry import Registry

#: Groups of apps that declare none come between those that do and `UNKNOWN`.
UNGROUPED, UNKNOWN = 900, 999


@dataclass(frozen=True)
class Group:
    """What people would name in one breath. `names` are models or other stores; `words` where their own are poor."""

    name: str
    title: str | Promise
    #: The order of the groups.
    place: int
    names: tuple[str, ...]
    words: Mapping[str, str | Promise] = field(default_factory=dict)


GROUPS: Registry[Group] = Registry()


def group_of(name: str) -> Group:
    """The group of a store of this name, without its part."""
    if found := next((group for group in GROUPS.all() if name in group.names), None):
        return found
    if model := _model(name):
        config = model._meta.app_config
        return Group(model._meta.app_label, capfirst(config.verbose_name) if config else name, UNGROUPED, (name,))
    return Group("unknown", _("Other"), UNKNOWN, (name,))


def words_of(name: str) -> str:
    """What people call what lies there, as it stands at the beginning of a line."""
    group = group_of(name)
    if name in group.words:
        return capfirst(str(group.words[name]))
    model = _model(name)
    return capfirst(str(model._meta.verbose_name_plural)) if model else _spaced(name)


def without_part(name: str) -> str:
    """`accounts.Notice` of `accounts.Notice (to people who go)`."""
    return name.partition(" (")[0]


def _model(name: str) -> type[Model] | None:
    try:
        return apps.get_model(name)
    except (LookupError, ValueError):
        return None


def _spaced(name: str) -> str:
    """The name of what is not here any more: `Cloud connection` of `accounts.CloudConnection`."""
    return capfirst(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.rpartition(".")[2]).replace("_", " ").lower())
