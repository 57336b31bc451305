"""Lists the messages that Kubernetes publishes: names, numbers and types of their fields, and nothing else.

    python tools/kubernetes_schema.py FOLDER...     checkouts of kubernetes/api and kubernetes/apimachinery

writes `tests/contract/proto/kubernetes.txt`, which the tests hold our own messages against. Run it for a newer release
of Kubernetes; what the tests then say is what has come.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTING = ROOT / "tests" / "contract" / "proto" / "kubernetes.txt"
HEADER = (
    "# Messages that Kubernetes publishes (generated.proto of kubernetes/api and kubernetes/apimachinery).\n"
    "# Written by tools/kubernetes_schema.py. Under each message: number, name and type of its fields.\n"
)
_PACKAGE = re.compile(r"package ([\w.]+);")
_MESSAGE = re.compile(r"message (\w+) \{")
_FIELD = re.compile(r"(?:(optional|repeated) )?(map<.*>|[\w.]+) (\w+) = (\d+);")
_ROOTS = (
    "k8s.io.api.",
    "k8s.io.apimachinery.pkg.apis.",
    "k8s.io.apimachinery.pkg.api.",
    "k8s.io.apimachinery.pkg.util.",
)
_ROOTS += ("k8s.io.apimachinery.pkg.",)
_SCALARS = frozenset({"bool", "bytes", "double", "int32", "int64", "string", "uint32", "uint64"})


def short(name: str) -> str:
    """A package's name without what they all have in front."""
    name = name.lstrip(".")
    return next((name.removeprefix(root) for root in _ROOTS if name.startswith(root)), name)


def full_type(text: str, package: str) -> str:
    """A field's type as the listing has it: a scalar, a message with its package, or a map."""
    if text.startswith("map<"):
        key, _, value = text[4:-1].partition(",")
        return f"map<{key.strip()},{full_type(value.strip(), package)}>"
    if text in _SCALARS:
        return text
    return short(text) if "." in text else f"{package}.{text}"


def messages(source: str) -> Iterator[tuple[str, list[tuple[int, str, str]]]]:
    """The messages of a source: full name, and (number, name, type) of the fields in order."""
    package = ""
    name, fields = "", list[tuple[int, str, str]]()
    for line in map(str.strip, source.splitlines()):
        if match := _PACKAGE.match(line):
            package = short(match[1])
        elif match := _MESSAGE.match(line):
            name, fields = f"{package}.{match[1]}", []
        elif line == "}" and name:
            yield name, sorted(fields)
            name = ""
        elif name and (match := _FIELD.match(line)):
            label = "repeated " if match[1] == "repeated" else ""
            fields.append((int(match[4]), match[3], label + full_type(match[2], package)))


def main() -> None:
    """Writes the listing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    found: dict[str, list[tuple[int, str, str]]] = {}
    for folder in parser.parse_args().folders:
        for path in folder.rglob("generated.proto"):
            if "testapigroup" in path.parts:
                continue
            found.update(messages(path.read_text()))
    lines = [HEADER]
    for name in sorted(found):
        # Versions that are still tried out are left out, but for what stable ones hold.
        if re.search(r"\.v\d+(?:alpha|beta)\d+\.", name) and not name.startswith("scheduling.v1alpha3."):
            continue
        lines.append(f"{name}\n" + "".join(f"  {number} {field} {kind}\n" for number, field, kind in found[name]))
    LISTING.write_text("".join(lines))
    print(f"{len(lines) - 1} messages listed in {LISTING.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
