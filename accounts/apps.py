from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Customers and what they own: people, blueprints, connections, history, mail, requests to support."""

    name = "accounts"
    verbose_name = _("Customers")

    def ready(self) -> None:
        from accounts import personal_data
        from accounts.customers import session
        from accounts.customers.history import register_labels
        from accounts.desk.account_page import search, timeline
        from accounts.desk.actions import denied
        from accounts.desk.bulk import worker as bulk_worker
        from accounts.desk.dashboard import page as dashboard
        from accounts.desk.own import account_actions, figures, panels, request_actions
        from accounts.erasure import holds, runner
        from accounts.exports import builder, parts
        from accounts.mail import sending
        from accounts.support import deletion, requests

        register_labels(
            {
                "request.made": _("Request made to support"),
                "request.added_to": _("Message added to a request"),
                "request.answered": _("Request answered"),
                "request.extended": _("Time for the answer to a request extended"),
                "request.case_recorded": _("Case at the marketplace recorded"),
                "request.closed": _("Request closed"),
                "blueprint.converted": _("Blueprint converted to the standard grid"),
                "deletion.approved": _("Deletion of the account approved"),
                "deletion.called_off": _("Deletion of the account called off"),
                "export.asked": _("Data export asked for"),
                "export.ready": _("Data export ready"),
                "export.fetched": _("Data export fetched"),
                "export.removed": _("Data export deleted: it had expired"),
                "purge.scheduled": _("Erasing of all data scheduled"),
                "purge.called_off": _("Erasing called off: the data stays"),
                "purge.postponed": _("One reason to erase the data is off; another one stands"),
                "purge.started": _("Erasing begun"),
                "purge.replayed": _("Erasing repeated after a restore"),
                "purge.verified": _("All data erased, and counted again: nothing is left"),
                "hold.set": _("Data held back from erasing"),
                "hold.confirmed": _("Hold confirmed by a second person"),
                "hold.released": _("Hold released"),
                "ownership.handed_over": _("Ownership handed over"),
                denied.DENIED: _("Turned away at the support desk"),
            }
        )
        register_labels(
            {
                "request.assigned": _("Request assigned"),
                "request.noted": _("Internal note about a request"),
                "deletion.proposed": _("Deletion of the account proposed"),
                "deletion.sent_back": _("Proposal to delete the account taken back"),
            },
            internal=True,
        )
        sending.register()
        requests.register()
        deletion.register()
        parts.register()
        builder.register()
        personal_data.register()
        session.register()
        holds.register()
        bulk_worker.register()
        runner.register()
        search.register()
        timeline.register()
        panels.register()
        account_actions.register()
        request_actions.register()
        dashboard.register()
        figures.register()
