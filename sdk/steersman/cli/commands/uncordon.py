"""`steer uncordon`."""

from __future__ import annotations

from steersman.cli.cordoning import build

EPILOG = """\b
Examples:
  steer uncordon n1
  steer uncordon -l rack=r2
"""

command = build("uncordon", "Open nodes for new pods again.", EPILOG, closed=False)
