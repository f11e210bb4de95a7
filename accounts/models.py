"""The tables of this app, each defined in the module named for it."""

from accounts.api.idempotency import ApiCall
from accounts.api.tokens import ApiToken
from accounts.core.limits import HourlyCount
from accounts.customers.account import Account, Membership, Role
from accounts.customers.history import ActorKind, Event
from accounts.customers.usage import UsageCount
from accounts.customers.user import User
from accounts.desk.actions.log import StaffAction
from accounts.desk.bulk.run import BulkItem, BulkRun
from accounts.elsewhere.gate import StoreGate
from accounts.elsewhere.remote_erasure import RemoteErasure
from accounts.elsewhere.remote_export import RemoteExport
from accounts.erasure.certificates import Certificate, System
from accounts.erasure.file_deletions import FileDeletion
from accounts.erasure.holds import Hold
from accounts.erasure.last_mail import LastMail
from accounts.erasure.obligation import PurgeObligation
from accounts.erasure.people import DepartingPerson
from accounts.erasure.purge import Purge
from accounts.events.dispatch import Dispatch, Lane
from accounts.events.endpoint import Endpoint
from accounts.events.message import EventMessage, EventStream
from accounts.exports.export import Export
from accounts.inbox.delivery import Delivery, DeliveryOutcome
from accounts.inbox.refused_messages import RefusedMessage
from accounts.jobs.opening import Opening
from accounts.jobs.sweeps import SweepRun
from accounts.mail.notices import Notice
from accounts.people.invitation import Invitation
from accounts.signing_in.session import Session
from accounts.support.deletion_proposal import DeletionProposal
from accounts.support.identity import IdentityFact
from accounts.support.internal_notes import InternalNote
from accounts.support.messages import Message, Side
from accounts.support.ownership_proposal import OwnershipProposal
from accounts.support.requests import RequestKind, RequestOutcome, SupportRequest

__all__ = [
    "Account",
    "ActorKind",
    "ApiCall",
    "ApiToken",
    "BulkItem",
    "BulkRun",
    "Certificate",
    "DeletionProposal",
    "Delivery",
    "DeliveryOutcome",
    "DepartingPerson",
    "Dispatch",
    "Endpoint",
    "Event",
    "EventMessage",
    "EventStream",
    "Export",
    "FileDeletion",
    "Hold",
    "HourlyCount",
    "IdentityFact",
    "InternalNote",
    "Invitation",
    "Lane",
    "LastMail",
    "Membership",
    "Message",
    "Notice",
    "Opening",
    "OwnershipProposal",
    "Purge",
    "PurgeObligation",
    "RefusedMessage",
    "RemoteErasure",
    "RemoteExport",
    "RequestKind",
    "RequestOutcome",
    "Role",
    "Session",
    "Side",
    "StaffAction",
    "StoreGate",
    "SupportRequest",
    "SweepRun",
    "System",
    "UsageCount",
    "User",
]
