"""Nodes: pod ranges for them, and what happens to the pods of one that is not heard of any more."""
