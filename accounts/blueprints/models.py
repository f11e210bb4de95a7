"""The tables of the product, each defined in the module named for it."""

from accounts.blueprints.blueprint import Blueprint, Grid
from accounts.blueprints.connection import CloudConnection, Provider

__all__ = ["Blueprint", "CloudConnection", "Grid", "Provider"]
