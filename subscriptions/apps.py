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
        from subscriptions import (
            acts,
            billing_record,
            export_parts,
            figures,
            inventory,
            leaving,
            panels,
            paying_back,
            payments,
            refund_acts,
            refunding,
            reminders,
            settling,
        )
        from subscriptions.standing import entitlements

        register_answer(entitlements)
        register_labels(
            {
                "subscription.started": _("Subscription started"),
                "subscription.changed": _("Subscription changed"),
                "subscription.ended": _("Subscription ended"),
                "subscription.renewed": _("Subscription renewed without a gap"),
                "subscription.called_off": _("Subscription called off before it began"),
                "cancellation.requested": _("Subscription cancelled"),
                "cancellation.withdrawn": _("Subscription kept after all"),
                "contract.entered": _("Contract entered"),
                "contract.extended": _("Contract extended"),
                "contract.renewed": _("New contract entered, to begin when the present one ends"),
                "refund.approved": _("Refund approved"),
                "refund.paid": _("Refund paid"),
                "billing.removed": _("Billing records removed: their ten years are over"),
            }
        )
        register_labels(
            {
                "refund.proposed": _("Refund proposed"),
                "refund.declined": _("Refund declined"),
                "refund.finished": _("Refund finished: paid, and the end of the subscription arranged"),
            },
            internal=True,
        )
        payments.register(payments.RecordedPayments())
        register_obstacle(leaving.billed_elsewhere)
        register_before(leaving.end_before_deletion)
        settling.register()
        refunding.register()
        paying_back.register()
        reminders.register()
        billing_record.register()
        inventory.register()
        export_parts.register()
        panels.register()
        acts.register()
        refund_acts.register()
        figures.register()
