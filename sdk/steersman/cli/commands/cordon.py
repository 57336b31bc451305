"""`steer cordon`."""

from __future__ import annotations

from steersman.cli.cordoning import build

EPILOG = """\b
Examples:
  steer cordon n1
  steer cordon -l rack=r2
"""

command = build("cordon", "Close nodes for new pods; those that are there stay.", EPILOG, closed=True)
