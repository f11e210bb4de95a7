"""The support desk: what the Django admin shows to staff, and what they can do there."""
