"""GitHub Marketplace: its webhook, its REST API, and what a purchase there means here."""
