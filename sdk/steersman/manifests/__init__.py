"""Manifests: YAML and JSON text to typed messages and back.

`codec` turns plain data (dicts and lists, as JSON has them) into messages and back; `text` reads YAML and JSON with
the line of every value; `files` finds and reads whole manifests.
"""
