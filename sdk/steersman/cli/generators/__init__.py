"""Objects made of a few words: what `steer create KIND`, `run`, `expose` and `autoscale` write. Pure.

Each function returns an object as plain data, as a manifest would say it; `message` turns that into the typed object.
"""

from __future__ import annotations

from typing import Any

from steersman.cli.failures import USAGE, CommandError

Data = dict[str, Any]


def message(data: Data) -> Any:
    """The typed object that plain data stands for.

    Raises:
        CommandError: a value does not fit where it was put.
    """
    from steersman.manifests import codec

    try:
        return codec.decode_object(data)
    except codec.DecodeError as error:
        raise CommandError("; ".join(map(str, error.problems)), USAGE) from error


def base(api_version: str, kind: str, name: str, **metadata: Any) -> Data:
    """The head of an object."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}}


def pair(word: str, what: str) -> tuple[str, str]:
    """`KEY=VALUE` in two.

    Raises:
        CommandError: it is none.
    """
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise CommandError(f"{what} {word!r} is not KEY=VALUE", USAGE)
    return key, value


def pairs(words: Any, what: str) -> dict[str, str]:
    """Several `KEY=VALUE`, each of which may hold several with commas between.

    Raises:
        CommandError: one is none.
    """
    return dict(pair(part, what) for word in words for part in word.split(",") if part)


def commas(words: Any) -> list[str]:
    """Words with commas between, one by one and without repeats."""
    return list(dict.fromkeys(part.strip() for word in words for part in word.split(",") if part.strip()))


def number_or_text(text: str) -> int | str:
    """A number as such, anything else ("30%", "http") as text."""
    return int(text) if text.isdecimal() else text
