"""The edge: etcd v3 as gRPC services, one file each, and the table of what clients read when something is refused."""
