"""Requests that no honest client sends: `generator` makes them, `world` is what they are sent into."""
