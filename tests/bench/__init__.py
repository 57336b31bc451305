"""Benchmarks: `./dev bench [NAME...]`. A module here with a `run()` is one; what they measure is in docs/benchmarks.md."""
