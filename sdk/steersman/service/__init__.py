"""The service kit: what every Steersman server shares, so that no service writes it twice.

Here: flags, logging, TLS credentials, the gRPC server with health and reflection, metrics, and the run loop that turns
SIGTERM into a graceful stop. Not here: anything that knows what a service does.
"""
