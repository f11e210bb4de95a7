"""The tables of this app, each defined in the module named for it."""

from accounts.account import Account, Membership, Role
from accounts.blueprint import Blueprint, Grid
from accounts.certificates import Certificate, System
from accounts.connection import CloudConnection, Provider
from accounts.conversation import Message, Side
from accounts.deletion_proposal import DeletionProposal
from accounts.desk.bulk import BulkItem, BulkRun
from accounts.desk.deed import Deed
from accounts.doomed_files import DoomedFile
from accounts.export import Export
from accounts.history import ActorKind, Event
from accounts.holds import Hold
from accounts.identity import IdentityFact
from accounts.internal_note import InternalNote
from accounts.leavers import Leaver
from accounts.notices import Notice
from accounts.purge import Purge
from accounts.purge_obligation import PurgeObligation
from accounts.support import Outcome, RequestKind, SupportRequest
from accounts.sweeps import SweepRun
from accounts.user import User

__all__ = [
    "Account",
    "ActorKind",
    "Blueprint",
    "BulkItem",
    "BulkRun",
    "Certificate",
    "CloudConnection",
    "Deed",
    "DeletionProposal",
    "DoomedFile",
    "Event",
    "Export",
    "Grid",
    "Hold",
    "IdentityFact",
    "InternalNote",
    "Leaver",
    "Membership",
    "Message",
    "Notice",
    "Outcome",
    "Provider",
    "Purge",
    "PurgeObligation",
    "RequestKind",
    "Role",
    "Side",
    "SupportRequest",
    "SweepRun",
    "System",
    "User",
]
