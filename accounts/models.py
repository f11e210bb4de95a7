"""The tables of this app, each defined in the module named for it."""

from accounts.account import Account, Membership, Role
from accounts.blueprint import Blueprint, Grid
from accounts.connection import CloudConnection, Provider
from accounts.history import ActorKind, Event
from accounts.notices import Notice
from accounts.support import RequestKind, SupportRequest
from accounts.sweeps import SweepRun
from accounts.user import User

__all__ = [
    "Account",
    "ActorKind",
    "Blueprint",
    "CloudConnection",
    "Event",
    "Grid",
    "Membership",
    "Notice",
    "Provider",
    "RequestKind",
    "Role",
    "SupportRequest",
    "SweepRun",
    "User",
]
