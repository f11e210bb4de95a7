"""The tables of this app, each defined in the module named for it."""

from accounts.account import Account, Membership, Role
from accounts.blueprint import Blueprint, Grid
from accounts.certificates import Certificate, System
from accounts.connection import CloudConnection, Provider
from accounts.desk.bulk import BulkItem, BulkRun
from accounts.desk.deed import Deed
from accounts.doomed_files import DoomedFile
from accounts.export import Export
from accounts.history import ActorKind, Event
from accounts.holds import Hold
from accounts.leavers import Leaver
from accounts.notices import Notice
from accounts.purge import Purge
from accounts.support import RequestKind, SupportRequest
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
    "DoomedFile",
    "Event",
    "Export",
    "Grid",
    "Hold",
    "Leaver",
    "Membership",
    "Notice",
    "Provider",
    "Purge",
    "RequestKind",
    "Role",
    "SupportRequest",
    "SweepRun",
    "System",
    "User",
]
