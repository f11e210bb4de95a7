from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MarketplaceConfig(AppConfig):
    """What GitHub and AWS Marketplace tell us, and what follows from it."""

    name = "marketplace"
    verbose_name = _("Marketplaces")

    def ready(self) -> None:
        from accounts.history import register_labels
        from marketplace import acts, figures, hygiene, inbox, panels, steps
        from marketplace.delivery import Source
        from marketplace.github import applying, notes, reconciliation, truth
        from marketplace.inventory import register_inventory
        from subscriptions.notes import register_note
        from subscriptions.subscription import Channel

        register_labels(
            {
                "offboarding.begun": _("The marketplace says that the customer has left"),
                "offboarding.called_off": _("The customer is back: nothing is deleted"),
                "offboarding.confirm": _("Departure confirmed with the marketplace"),
                "offboarding.hooks": _("Repository hooks deleted"),
                "offboarding.tokens": _("Tokens revoked"),
                "offboarding.purge": _("All data erased"),
                "delivery.acknowledged": _("Alert of a delivery acknowledged"),
                "github.linked": _("Member linked through GitHub"),
            }
        )
        inbox.register_handler(Source.GITHUB, applying.handle)
        inbox.register()
        truth.register()
        steps.register()
        reconciliation.register()
        hygiene.register()
        register_inventory()
        acts.register()
        panels.register()
        figures.register()
        register_note(Channel.GITHUB_MARKETPLACE, notes.note_for)
