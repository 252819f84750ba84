"""Benchmarks: the tables of docs/benchmarks.md, from the product's own functions."""
