from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MarketplaceConfig(AppConfig):
    """What GitHub and AWS Marketplace tell us, and what follows from it."""

    name = "marketplace"
    verbose_name = _("Marketplaces")

    def ready(self) -> None:
        from accounts.customers.history import register_labels
        from accounts.support.deletion import register_obstacle
        from accounts.support.routing import register_route
        from marketplace import export, hygiene, inbox, refusal
        from marketplace.aws import checks as aws_truth
        from marketplace.aws import messages as aws_applying
        from marketplace.aws import origin as aws_origin
        from marketplace.aws import reconciliation as aws_reconciliation
        from marketplace.aws import settings_note as aws_notes
        from marketplace.aws import sns_topics as aws_topics
        from marketplace.delivery import Source
        from marketplace.desk import actions, figures, panels
        from marketplace.github import checks, messages, reconciliation, settings_note
        from marketplace.offboarding import offboarding, runner
        from marketplace.personal_data import register_inventory
        from subscriptions.returning import register_departure
        from subscriptions.settings_notes import register_note
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
                "github.left": _("Gone from GitHub Marketplace; another subscription holds the account"),
                "github.linked": _("Member linked through GitHub"),
                "aws.registered": _("Purchase at AWS Marketplace linked"),
                "aws.leaving": _("Cancelled at AWS: it ends when AWS says so"),
                "aws.stays": _("Subscribed at AWS again before the end"),
                "aws.renewed": _("Renewed or replaced at AWS: it goes on"),
                "aws.renewal_off": _("Renewal at AWS switched off"),
                "aws.renewal_on": _("Renewal at AWS switched on"),
                "aws.noted": _("Notification of AWS Marketplace"),
            }
        )
        inbox.register_handler(Source.GITHUB, messages.handle)
        inbox.register_handler(Source.AWS_SNS, aws_applying.handle_sns)
        inbox.register_handler(Source.AWS_EVENTS, aws_applying.handle_event)
        inbox.register()
        refusal.register()
        aws_topics.register()
        checks.register()
        aws_truth.register()
        aws_origin.register()
        runner.register()
        reconciliation.register()
        aws_reconciliation.register()
        hygiene.register()
        register_inventory()
        export.register()
        actions.register()
        panels.register()
        figures.register()
        register_departure(offboarding.come_back)
        register_note(Channel.GITHUB_MARKETPLACE, settings_note.note_for)
        register_note(Channel.AWS_MARKETPLACE, aws_notes.note_for)
        register_obstacle(aws_notes.obstacle_to_deletion)
        register_route(aws_notes.refund_route, aws_notes.REFUND)
