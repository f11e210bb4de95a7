"""Blueprints: the diagrams that customers draw."""

import uuid
from datetime import datetime
from typing import Any, Self

from django.core.files.base import ContentFile
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.blueprints.event_kinds import BlueprintEvent
from accounts.blueprints.feature_codes import INFINITE_GRID
from accounts.blueprints.svg import draw
from accounts.core import clock
from accounts.core.write_guard import refuse_if_purging, refused_while_erasing
from accounts.customers import entitlements, history
from accounts.customers.account import Account
from accounts.customers.history import Actor
from accounts.customers.promises import OutOfDate


class Grid(models.TextChoices):
    STANDARD = "standard", _("Standard grid")
    INFINITE = "infinite", _("Infinite grid")


class ChangedMeanwhile(OutOfDate):
    text = _(
        "Nothing was saved: somebody has changed this blueprint since you opened it. What you typed is still in the "
        "form; saving it now replaces their changes."
    )


class BlueprintQuerySet(models.QuerySet["Blueprint"]):
    def infinite(self) -> Self:
        """Those that become read-only without `infinite_grid`."""
        return self.filter(grid=Grid.INFINITE)


def thumbnail_path(blueprint: "Blueprint", filename: str) -> str:
    return f"thumbnails/{blueprint.account_id}/{blueprint.pk}.svg"


class Blueprint(models.Model):
    """A diagram. Reading it is always possible; editing one on the infinite grid takes `infinite_grid`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_index=False, related_name="blueprints", verbose_name=_("account")
    )
    name = models.CharField(_("name"), max_length=200)
    grid = models.CharField(_("grid"), max_length=10, choices=Grid.choices, default=Grid.STANDARD)
    #: A list of objects: `id`, `type`, `label`, `x`, `y`, and `links` to other ids. See
    #: `accounts.blueprints.components`.
    components: "models.JSONField[Any, Any]" = models.JSONField(_("components"), default=list, blank=True)
    thumbnail = models.FileField(_("thumbnail"), upload_to=thumbnail_path, blank=True)
    created_at = models.DateTimeField(_("created"), default=clock.now, editable=False)
    changed_at = models.DateTimeField(_("changed"), default=clock.now, editable=False)

    objects = BlueprintQuerySet.as_manager()

    class Meta:
        app_label = "blueprints"
        # As it was called before the product was an app of its own.
        db_table = "accounts_blueprint"
        verbose_name = _("blueprint")
        verbose_name_plural = _("blueprints")
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(grid__in=Grid.values), name="blueprint_grid_is_known"),
        ]
        indexes = [
            # Serves the list of an account, and the count on the cancellation page.
            models.Index(fields=["account", "grid", "name"], name="blueprint_of_account"),
            # Serves the data export, which reads an account's blueprints by their key.
            models.Index(fields=["account", "id"], name="blueprint_by_key"),
        ]
        triggers = [refused_while_erasing()]

    def __str__(self) -> str:
        return self.name

    @property
    def is_infinite(self) -> bool:
        return self.grid == Grid.INFINITE

    def require_editable(self, at: datetime) -> None:
        """Raise `NotEntitled` if this blueprint is read-only at `at` (facts/cancelling, 2: infinite grids become
        read-only).
        """
        if self.is_infinite:
            entitlements.require(INFINITE_GRID, self.account, at)

    def edit(self, *, name: str, components: list[dict[str, Any]], at: datetime) -> None:
        """Replace name and components. Raises `NotEntitled` if read-only, `BeingErased`; then nothing has changed.

        Raises `ChangedMeanwhile` if somebody has changed it since it was read: nobody's work is overwritten unseen.
        """
        self.require_editable(at)
        with transaction.atomic():
            # Holds up a purge that starts just now: no picture is stored that nobody would delete.
            refuse_if_purging(self.account_id)
            if not Blueprint.objects.select_for_update(no_key=True).filter(pk=self.pk, changed_at=self.changed_at):
                raise ChangedMeanwhile
            self.name, self.components, self.changed_at = name, components, at
            self.save(update_fields=["name", "components", "changed_at"])
            self.redraw_thumbnail()

    def convert_to_standard_grid(self, *, by: Actor, at: datetime) -> bool:
        """Make it editable on every plan; there is no way back without the feature. Says whether anything changed."""
        with transaction.atomic():
            changed = Blueprint.objects.infinite().filter(pk=self.pk).update(grid=Grid.STANDARD, changed_at=at)
            if changed:
                history.record(
                    self.account_id, BlueprintEvent.BLUEPRINT_CONVERTED, at=at, by=by, blueprint=str(self.pk)
                )
        if changed:
            self.grid, self.changed_at = Grid.STANDARD, at
        return bool(changed)

    def redraw_thumbnail(self) -> None:
        """Store a fresh small picture in place of the old one."""
        if self.thumbnail:
            self.thumbnail.delete(save=False)
        self.thumbnail.save("thumbnail.svg", ContentFile(draw(self.components).encode()), save=False)
        self.save(update_fields=["thumbnail"])
