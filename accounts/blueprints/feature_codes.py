"""The codes of the features, which plans grant and every door asks for."""

INFINITE_GRID = "infinite_grid"
LIVE = "live"
#: New inventories of cloud connections.
CLOUD_UPDATES = "cloud_updates"
BITS_MENU = "bits_menu"
