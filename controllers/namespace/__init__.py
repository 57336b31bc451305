"""Namespaces: emptied before they go."""
