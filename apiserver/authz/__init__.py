"""May they: roles (`roles`, `rules`), what a node may ask for (`node_rules`) and write (`nodes`)."""
