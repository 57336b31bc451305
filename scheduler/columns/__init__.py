"""The cluster as columns: one row per node, one NumPy array per property, changed in place by every event.

`cluster.Cluster` holds them all and is what plugins read. Nothing in here knows of time, tasks or the network.
"""
