"""The tables of this app, each defined in the module named for it."""
