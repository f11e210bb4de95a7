"""Settings of intake's floor: the product's own, pool and apps included, but no middleware and one view."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as PRODUCT_APPS

MIDDLEWARE = []
ROOT_URLCONF = "bench.door.floor_door"
#: allauth refuses to start without its middleware, and the product's models import its models.
INSTALLED_APPS = [
    "bench.door.floor_apps.AccountsWithoutMiddleware" if name == "allauth.account" else name for name in PRODUCT_APPS
]
