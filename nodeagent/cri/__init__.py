"""The container runtime, spoken to over its unix socket."""
