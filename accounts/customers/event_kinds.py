"""What can happen to an account, as far as this app knows: the kinds of its events, and their words.

Append-only like the history itself: a value that has been written is never given another meaning.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AccountEvent(models.TextChoices):
    ACCOUNT_IMPORTED = "account.imported", _("Taken over from another system")
    ACCOUNT_OPENED = "account.opened", _("Account opened")
    ACCOUNT_CHANGED = "account.changed", _("Name or external id of the account changed")
    MEMBER_ADDED = "member.added", _("Member added")
    REQUEST_MADE = "request.made", _("Request made to support")
    REQUEST_ADDED_TO = "request.added_to", _("Message added to a request")
    REQUEST_ANSWERED = "request.answered", _("Request answered")
    REQUEST_EXTENDED = "request.extended", _("Time for the answer to a request extended")
    REQUEST_CASE_RECORDED = "request.case_recorded", _("Case at the marketplace recorded")
    REQUEST_CLOSED = "request.closed", _("Request closed")
    REQUEST_REOPENED = "request.reopened", _("Request opened again")
    DELETION_APPROVED = "deletion.approved", _("Deletion of the account approved")
    DELETION_CALLED_OFF = "deletion.called_off", _("Deletion of the account called off")
    EXPORT_ASKED = "export.asked", _("Data export asked for")
    EXPORT_READY = "export.ready", _("Data export ready")
    EXPORT_FETCHED = "export.fetched", _("Data export fetched")
    EXPORT_REMOVED = "export.removed", _("Data export deleted: it had expired")
    PURGE_SCHEDULED = "purge.scheduled", _("Erasing of all data scheduled")
    PURGE_CALLED_OFF = "purge.called_off", _("Erasing called off: the data stays")
    PURGE_POSTPONED = "purge.postponed", _("One reason to erase the data is off; another one stands")
    PURGE_STARTED = "purge.started", _("Erasing begun")
    PURGE_REPLAYED = "purge.replayed", _("Erasing repeated after a restore")
    PURGE_VERIFIED = "purge.verified", _("All data erased, and counted again: nothing is left")
    CERTIFICATE_SENT = "certificate.sent", _("Certificate emailed to the owner, whose address is gone now")
    CERTIFICATE_UNSENT = "certificate.unsent", _("Owner’s address removed; the certificate could not be emailed")
    ELSEWHERE_DONE = "elsewhere.done", _("A store elsewhere has erased its part")
    ELSEWHERE_REFUSED = "elsewhere.refused", _("A store elsewhere refuses to erase its part")
    ELSEWHERE_ASKED_AGAIN = "elsewhere.asked_again", _("A store elsewhere is asked again")
    ELSEWHERE_RECALLED = "elsewhere.recalled", _("A store elsewhere was asked to wait, and does")
    ELSEWHERE_NOT_RECALLED = "elsewhere.not_recalled", _("A store elsewhere could not be asked to wait")
    ELSEWHERE_STATED = "elsewhere.stated", _("Erasing elsewhere stated by hand, to be approved")
    ELSEWHERE_TAKEN_BACK = "elsewhere.taken_back", _("Statement about an erasing elsewhere taken back")
    ELSEWHERE_APPROVED = "elsewhere.approved", _("Erasing elsewhere stated by hand and approved")
    DELIVERY_ACKNOWLEDGED = "delivery.acknowledged", _("Alert of a delivery acknowledged")
    HOLD_SET = "hold.set", _("Data held back from erasing")
    HOLD_CONFIRMED = "hold.confirmed", _("Hold confirmed by a second person")
    HOLD_RELEASED = "hold.released", _("Hold released")
    PERSON_INVITED = "person.invited", _("Somebody invited")
    INVITATION_SENT_AGAIN = "invitation.sent_again", _("Invitation sent again")
    INVITATION_REVOKED = "invitation.revoked", _("Invitation taken back")
    PERSON_JOINED = "person.joined", _("Somebody joined by an invitation")
    PERSON_REMOVED = "person.removed", _("Member removed")
    PERSON_LEFT = "person.left", _("Member left")
    ROLE_CHANGED = "person.role_changed", _("Role of a member changed")
    ACCOUNT_SIGNED_UP = "account.signed_up", _("Account created by signing up")
    OWNERSHIP_OFFERED = "ownership.offered", _("Ownership offered to a member")
    OWNERSHIP_DECLINED = "ownership.declined", _("Offered ownership declined")
    OWNERSHIP_TAKEN_BACK = "ownership.taken_back", _("Offer of ownership taken back")
    OWNERSHIP_HANDED_OVER = "ownership.handed_over", _("Ownership handed over")
    #: Begins as all lines of the desk do (`accounts.customers.history.DESK`).
    DESK_DENIED = "desk.denied", _("Turned away at the support desk")
    DESK_STAFF_CHANGED = "desk.staff_changed", _("Who is staff, or in which role, changed")
    DESK_SECOND_FACTOR_RESET = "desk.second_factor_reset", _("Second factor of a member of staff reset")
    ATTEMPT_REFUSED = "attempt.refused", _("An attempt was refused")
    REQUEST_ASSIGNED = "request.assigned", _("Request assigned")
    REQUEST_NOTED = "request.noted", _("Internal note about a request")
    DELETION_PROPOSED = "deletion.proposed", _("Deletion of the account proposed")
    DELETION_SENT_BACK = "deletion.sent_back", _("Proposal to delete the account taken back")
    #: Of no account: who may call the API (`accounts.api.tokens`).
    TOKEN_MADE = "token.made", _("API token made")
    TOKEN_REVOKED = "token.revoked", _("API token revoked")
    #: Of no account: who hears what happens here (`accounts.events.managing`).
    ENDPOINT_MADE = "endpoint.made", _("Endpoint made")
    ENDPOINT_CHANGED = "endpoint.changed", _("Endpoint changed")
    ENDPOINT_SECRET_CHANGED = "endpoint.secret_changed", _("Endpoint given a new secret")
    ENDPOINT_TESTED = "endpoint.tested", _("Endpoint tested")
    ENDPOINT_OFF = "endpoint.off", _("Endpoint switched off")
    ENDPOINT_ON = "endpoint.on", _("Endpoint switched on")
    ENDPOINT_REMOVED = "endpoint.removed", _("Endpoint removed")
    MESSAGES_REPLAYED = "messages.replayed", _("Messages sent to an endpoint again")


#: Shown to staff alone.
INTERNAL = frozenset(
    {
        AccountEvent.ATTEMPT_REFUSED,
        AccountEvent.REQUEST_ASSIGNED,
        AccountEvent.REQUEST_NOTED,
        AccountEvent.DELETION_PROPOSED,
        AccountEvent.DELETION_SENT_BACK,
    }
)
