"""Patches: JSON patch, merge patch, strategic merge patch, on the JSON form of an object."""
