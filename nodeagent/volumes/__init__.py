"""Volumes of pods on the file system of the node."""
