"""Continue tokens: where a list goes on, and as of which revision."""

from __future__ import annotations

import base64
import binascii
import json
from typing import NamedTuple

from apiserver import errors


class Continuation(NamedTuple):
    """The last key that was sent, and the revision of the first page."""

    after: str
    revision: int


def encode(continuation: Continuation, prefix: str) -> str:
    """The token; it holds the key without the kind's prefix."""
    content = json.dumps([continuation.after.removeprefix(prefix), continuation.revision], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode()


def decode(token: str, prefix: str) -> Continuation:
    """What a token says.

    Raises:
        BadRequest: it is none of ours.
    """
    try:
        after, revision = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise errors.BadRequest("continue_token", "not a token that a list returned") from error
    if not isinstance(after, str) or not isinstance(revision, int) or revision <= 0 or "\0" in after:
        raise errors.BadRequest("continue_token", "not a token that a list returned")
    return Continuation(prefix + after, revision)
