"""The tables of the product, each defined in the module named for it."""

from accounts.blueprints.blueprint import Blueprint, Grid
from accounts.blueprints.connection import CloudConnection, CloudProvider

__all__ = ["Blueprint", "CloudConnection", "CloudProvider", "Grid"]
