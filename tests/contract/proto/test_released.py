"""What was released stays: programs that were generated from it go on working."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import api_listing
from tools.api_listing import Listing

SOURCE = """
syntax = "proto3";
package steersman.x.v1;
message A {
  string name = 1;
  optional int32 count = 2;
  map<string, B> parts = 3;
  repeated string words = 4 [json_name = "WORDS"];
  oneof choice { bool yes = 5; bool no = 6; }
  message Inner { bytes raw = 1; }
}
message B {}
enum E { UNKNOWN = 0; KNOWN = 1; }
service S {
  rpc Get(A) returns (B);
  rpc Watch(A) returns (stream B);
}
"""


def listed(folder: Path, source: str) -> Listing:
    path = folder / "steersman" / "x" / "v1" / "x.proto"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return api_listing.listing(api_listing.compiled(folder))


def test_nothing_that_was_released_is_gone() -> None:
    promised = api_listing.read(api_listing.RELEASED.read_text())
    gone = api_listing.broken(promised, api_listing.listing(api_listing.compiled()))
    assert promised, "nothing was ever released"
    assert not gone, "promised and gone (see tools/api_listing.py):\n" + "\n".join(gone)


def test_a_listing_is_read_as_it_is_written(tmp_path: Path) -> None:
    listing = listed(tmp_path, SOURCE)
    assert api_listing.read(api_listing.show(listing)) == listing
    assert listing["message steersman.x.v1.A"] == [
        "1 name string",
        "2 count optional int32",
        "3 parts map<string,steersman.x.v1.B>",
        "4 words repeated string WORDS",
        "5 yes oneof bool",
        "6 no oneof bool",
    ]
    assert listing["service steersman.x.v1.S"][1] == "Watch (steersman.x.v1.A) returns (stream steersman.x.v1.B)"


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("string name = 1;", "", "message steersman.x.v1.A: 1 name"),
        ("string name = 1;", "string name = 9;", "message steersman.x.v1.A: 1 name"),
        ("string name = 1;", "string title = 1;", "message steersman.x.v1.A: 1 name"),
        ("string name = 1;", "bytes name = 1;", "message steersman.x.v1.A: 1 name"),
        ("optional int32 count", "int32 count", "message steersman.x.v1.A: 2 count"),
        ("map<string, B> parts", "map<string, string> parts", "message steersman.x.v1.A: 3 parts"),
        ('[json_name = "WORDS"]', "", "message steersman.x.v1.A: 4 words"),
        ("message Inner { bytes raw = 1; }", "", "message steersman.x.v1.A.Inner"),
        ("KNOWN = 1;", "KNOWN = 2;", "enum steersman.x.v1.E: 1 KNOWN"),
        ("rpc Get(A) returns (B);", "", "service steersman.x.v1.S: Get"),
        ("returns (stream B)", "returns (B)", "service steersman.x.v1.S: Watch"),
    ],
)
def test_what_is_taken_back_is_seen(tmp_path: Path, old: str, new: str, where: str) -> None:
    before = listed(tmp_path, SOURCE)
    [gone] = api_listing.broken(before, listed(tmp_path, SOURCE.replace(old, new)))
    assert gone.startswith(where)


def test_what_is_new_breaks_nothing(tmp_path: Path) -> None:
    before = listed(tmp_path, SOURCE)
    more = SOURCE.replace("message B {}", "message B { string more = 1; }\nmessage C {}")
    assert api_listing.broken(before, listed(tmp_path, more)) == []
