"""Continue tokens: where a list goes on, and as of which revision."""

from __future__ import annotations

import base64
import binascii
import json
from typing import NamedTuple

from apiserver import errors

# Longer than the longest key.
CHARACTERS_MAX = 2048


class Continuation(NamedTuple):
    """The last key that was sent, and the revision of the first page."""

    after: str
    revision: int


def encode(continuation: Continuation, prefix: str) -> str:
    """The token; it holds the key without the kind's prefix."""
    content = json.dumps([continuation.after.removeprefix(prefix), continuation.revision], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode()


def decode(token: str, prefix: str, place: str) -> Continuation:
    """What a token says.

    Args:
        token: the token.
        prefix: the kind's prefix.
        place: prefix of the keys that the list is about: a token of another namespace leads nowhere.

    Raises:
        BadRequest: it is none of ours, or of another list.
    """
    refused = errors.BadRequest("continue_token", "not a token that this list returned")
    if len(token) > CHARACTERS_MAX:
        raise refused
    try:
        after, revision = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise refused from error
    if not isinstance(after, str) or type(revision) is not int or not 0 < revision < 1 << 63 or "\0" in after:
        raise refused
    try:
        (prefix + after).encode()
    except UnicodeEncodeError as error:
        raise refused from error
    if not (prefix + after).startswith(place) or prefix + after == place:
        raise refused
    return Continuation(prefix + after, revision)
