"""Every namespace has a service account named default."""
