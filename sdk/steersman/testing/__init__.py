"""A control plane inside the test's own process: the real apiserver on a store in memory, real controllers, real TLS.

    async with testing.control_plane() as plane:
        await plane.api.configmaps.create(...)

It starts in a fraction of a second. In `testing.run_virtual` the same runs on virtual time: whatever waits for a timer
is woken at once, in order, so an hour of backoffs and leases costs as long as the work in it. Nodes are hollow: real
objects with real leases, whose pods run nowhere.

The services are found by their entry points (group `steersman.testing`); a package that has none of them raises
`MissingServiceError`, which says what to install.
"""

from steersman.testing.hollow import HollowNode
from steersman.testing.place import MissingServiceError, Place
from steersman.testing.plane import ControlPlane, control_plane
from steersman.testing.virtual import VirtualClock, VirtualLoop, run_virtual

__all__ = [
    "ControlPlane",
    "HollowNode",
    "MissingServiceError",
    "Place",
    "VirtualClock",
    "VirtualLoop",
    "control_plane",
    "run_virtual",
]
