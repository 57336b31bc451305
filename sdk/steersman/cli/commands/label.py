"""`steer label`."""

from __future__ import annotations

from steersman.cli.metadata_command import Map, build

EPILOG = """\b
Examples:
  steer label pod web-6n-x2x tier=front             add a label
  steer label pod web-6n-x2x tier=back --overwrite  change it
  steer label pod web-6n-x2x tier-                  remove it
  steer label pods -l app=web canary=true           on all that match
  steer label node n1 --list                        show them
"""

command = build(
    Map(
        verb="label",
        field="labels",
        one="label",
        done="labeled",
        help="Add, change and remove labels of objects; selectors find objects by them.",
        examples=EPILOG,
    )
)
