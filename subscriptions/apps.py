from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SubscriptionsConfig(AppConfig):
    """Plans, subscriptions, cancellations, settling. Says here what `accounts` may ask of it."""

    name = "subscriptions"
    verbose_name = _("Subscriptions")

    def ready(self) -> None:
        from accounts.customers.entitlements import register_answer
        from accounts.customers.history import register_labels
        from accounts.support.deletion import register_before, register_obstacle
        from subscriptions import account_deletion, billing_record, export, personal_data, reminders, settling
        from subscriptions.current_plan import entitlements
        from subscriptions.desk import actions, figures, panels, refund_actions
        from subscriptions.refunds import decisions, paying, payments

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
        register_obstacle(account_deletion.billed_elsewhere)
        register_before(account_deletion.end_before_deletion)
        settling.register()
        decisions.register()
        paying.register()
        reminders.register()
        billing_record.register()
        personal_data.register()
        export.register()
        panels.register()
        actions.register()
        refund_actions.register()
        figures.register()
