"""A gRPC server in Python: HTTP/2 (RFC 9113) as far as gRPC needs it, on asyncio.

Why there is one: docs/design/0005-own-grpc-server.md. `frames` and `fields` are values, `windows` counts what may be
sent, `connection` is one client's connection, `call` one call on it and what its handler sees, `methods` runs handlers,
`listener` owns ports and certificates.
"""
