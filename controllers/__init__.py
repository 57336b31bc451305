"""The controllers: each makes one kind's world match its spec.

One folder per control loop. `plan.py` decides (pure: observed, desired, now -> actions), `controller.py` observes
through informers and carries the actions out through the apiserver. `expectations.py` bridges the moment between a
write and its echo in an informer. `bootstrap.py` wires all loops into one process.
"""
