"""ReplicaSets: as many pods as asked for."""
