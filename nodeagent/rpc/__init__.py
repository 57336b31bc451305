"""What the apiserver may ask of a node."""
