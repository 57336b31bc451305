"""Certificates for nodes: requests that a rule allows are approved, and approved ones are signed."""
