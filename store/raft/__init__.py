"""Agreement: the Proposer port, its twin for one process, and PySyncObj behind it with a log of our own."""
