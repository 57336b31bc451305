"""Values and decisions about one pod: no input, no output, no clock."""
