"""The Node object: registration, status and heartbeat."""
