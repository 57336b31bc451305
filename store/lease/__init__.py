"""Leases: what is agreed about them (`table`) and whose time is up on the leader's clock (`deadlines`)."""
