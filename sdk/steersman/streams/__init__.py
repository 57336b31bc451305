"""Streams to and from containers: commands, connections to ports, copies; and bindings by the many."""
