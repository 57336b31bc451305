"""`steer annotate`."""

from __future__ import annotations

from steersman.cli.metadata_command import Map, build

EPILOG = """\b
Examples:
  steer annotate deploy/web owner="the shop team"
  steer annotate deploy/web owner="the cart team" --overwrite
  steer annotate deploy/web owner-
  steer annotate pods --all checked=2026-11-20
"""

command = build(
    Map(
        verb="annotate",
        field="annotations",
        one="annotation",
        done="annotated",
        help="Add, change and remove annotations of objects: notes of any text for people and programs.",
        examples=EPILOG,
    )
)
