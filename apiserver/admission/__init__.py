"""Checks and changes that need to see more than the object: one file each, run in the order of `CHAIN` in bootstrap."""
