"""Streams to and from containers: a command's input and output, and connections to a pod's ports."""
