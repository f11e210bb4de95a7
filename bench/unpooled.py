"""The product's settings, but a new connection to the database for every request, as Django does when left alone."""

from config.settings import *  # noqa: F403
from config.settings import DATABASES

DATABASES["default"]["OPTIONS"].pop("pool")
