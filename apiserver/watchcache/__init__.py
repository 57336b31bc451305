"""The watch cache: one store watch per kind, however many watchers there are.

`frames` makes the bytes of watch messages, `cache` follows the store and keeps recent history, `watcher` is one
subscriber with its bounded queue.
"""
