"""Tokens to join with are thrown away when they have expired."""
