"""The network of the node's pods."""
