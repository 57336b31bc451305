"""Bearer tokens: signed ones of service accounts (`signing`, `accounts`), and those to join with (`bootstrap`)."""
