"""Settings of intake's floor: the product's own, pool included, but no middleware and one view."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as PRODUCT_APPS

MIDDLEWARE = []
ROOT_URLCONF = "bench.floor_door"
#: allauth refuses to start without its middleware.
INSTALLED_APPS = [name for name in PRODUCT_APPS if not name.startswith("allauth")]
