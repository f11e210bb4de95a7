"""AWS Marketplace: its messages, its APIs, and what a purchase there means here."""
