"""What the node and its containers use: measured every so often, and when somebody asks."""
