"""Clusters of several machines on one machine, for trying things out and for tests.

A lab is one network namespace that is the fabric and holds the control plane, and one per node, joined to it by a
cable; none of them has a way out, and the machine's own network is never touched. Each machine also has processes,
mounts and a host name of its own, so that ending its first process takes everything of it away.

    layout.py       names, paths and addresses of a lab (pure)
    network.py      namespaces and cables
    machines.py     starting and ending machines
    supervision.py  which programs run on them
    certificates.py who they are to each other
    up.py, down.py, status.py, commands.py
"""
