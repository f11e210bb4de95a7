from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SubscriptionsConfig(AppConfig):
    """Plans, subscriptions, cancellations, settling. Says here what `accounts` may ask of it."""

    name = "subscriptions"
    verbose_name = _("Subscriptions")

    def ready(self) -> None:
        from accounts.deletion import register_before, register_obstacle
        from accounts.entitlements import register_answer
        from accounts.history import register_labels
        from subscriptions import export_parts, inventory, leaving, reminders, settling
        from subscriptions.standing import entitlements

        register_answer(entitlements)
        register_labels(
            {
                "subscription.started": _("Subscription started"),
                "subscription.changed": _("Subscription changed"),
                "subscription.ended": _("Subscription ended"),
                "subscription.called_off": _("Subscription called off before it began"),
                "cancellation.requested": _("Subscription cancelled"),
                "cancellation.withdrawn": _("Subscription kept after all"),
            }
        )
        register_obstacle(leaving.billed_elsewhere)
        register_before(leaving.end_before_deletion)
        settling.register()
        reminders.register()
        inventory.register()
        export_parts.register()
