"""May they: rules as data (`policy`), and what a node may touch (`nodes`)."""
