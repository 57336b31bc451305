"""The apiserver: the only door to the store.

A call goes down one path, one file per step:

    rpc/guard.py        who is it (authn.py), may they (authz/), errors to gRPC (rpc/errors.py)
    rpc/resources.py    the verbs of every kind, from bytes to messages
    registry.py         default -> admit (admission/) -> validate -> store with a revision guard
    storage/            etcd v3, or memory
    watchcache/         one store watch per kind, fanned out to all watchers

A kind is its proto and its file in `strategies/`; nothing else knows any kind by name.
"""
