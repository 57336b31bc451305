"""Benchmarks: `./dev bench [NAME...]`; each module with a `run()` is one. What they measure: docs/benchmarks.md."""
