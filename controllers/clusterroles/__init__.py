"""ClusterRoles that are sums of others show what they come to."""
