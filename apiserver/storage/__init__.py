"""Where objects are kept: a port, an adapter to etcd v3, and a twin in memory."""
