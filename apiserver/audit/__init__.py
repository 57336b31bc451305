"""Who did what: a policy says what is written of which call (`policy`), as lines of JSON in a file (`log`)."""
