"""The keys with their history. Pure: no clock, no randomness, no input or output."""
