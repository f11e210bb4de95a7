"""Benchmarks: how fast the product is, on a durable PostgreSQL of its own. `make bench`; see README.md."""
