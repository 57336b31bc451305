"""The store: remembers everything, in order, and speaks etcd v3."""
