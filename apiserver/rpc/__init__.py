"""The edge: gRPC in, domain calls out. Nothing below this package knows gRPC."""
