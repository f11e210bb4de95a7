"""The ids that the vendor's own systems have for what is kept here: accounts, people, subscriptions.

By them a row that is told again is known again: by an import that is repeated, by a call to the API that got no answer.
Each kind has ids of its own, so a customer and a subscription may be called the same.
"""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input
from accounts.core.search_fields import no_controls

if TYPE_CHECKING:
    # Not subscriptable at run time; and the plugin can't see that this field takes None.
    _Text = models.CharField[str | None, str | None]
else:
    _Text = models.CharField


class ExternalId(_Text):
    """The vendor's id, canonical (`foreign_input.external_id`) whenever it is kept or looked for; NULL for none.

    Whoever gives one that can't be kept gets a `ValidationError`; one that another row has, an `IntegrityError` of the
    constraint in `rules`.
    """

    def __init__(self, **options: Any) -> None:
        fixed = {"max_length": foreign_input.MAX_EXTERNAL_ID, "null": True, "blank": True, "editable": False}
        super().__init__(_("external id"), **{**options, **fixed})

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        # A longer one is a change of the table, the rest is the same everywhere.
        return name, path, args, {"max_length": kwargs["max_length"]}

    def get_prep_value(self, value: Any) -> Any:
        return foreign_input.external_id(str(value)) or "" if value is not None else None

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        return super().get_db_prep_save(value, connection) or None

    def pre_save(self, row: models.Model, add: bool) -> Any:
        """The row says from now on what is kept of it."""
        canonical = self.get_prep_value(getattr(row, self.attname)) or None
        setattr(row, self.attname, canonical)
        return canonical

    @staticmethod
    def rules(kind: str) -> list[models.BaseConstraint]:
        """What the database itself keeps to, for the model of this kind."""
        return [
            models.UniqueConstraint(fields=["external_id"], name=f"{kind}_external_id_is_unique"),
            models.CheckConstraint(
                condition=models.Q(external_id=None) | models.Q(external_id__gt=""),
                name=f"{kind}_external_id_is_not_empty",
            ),
            no_controls("external_id", name=f"{kind}_external_id_is_one_line"),
        ]
