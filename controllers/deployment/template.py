"""The identity of a pod template."""

from __future__ import annotations

import hashlib
from typing import Any

HASH_LABEL = "pod-template-hash"
_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"
HASH_CHARACTERS = 10


def bare(template: Any) -> Any:
    """A copy of a template without the label that names it."""
    copy = type(template)()
    copy.CopyFrom(template)
    copy.metadata.labels.pop(HASH_LABEL, None)
    return copy


def hash_of(template: Any, collisions: int) -> str:
    """A short name for a template; `collisions` makes another one when it is taken by a different template."""
    content = bare(template).SerializeToString(deterministic=True) + collisions.to_bytes(4, "little")
    number = int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
    text = ""
    for _ in range(HASH_CHARACTERS):
        number, digit = divmod(number, len(_CHARACTERS))
        text += _CHARACTERS[digit]
    return text


def same(one: Any, other: Any) -> bool:
    """Whether two templates make the same pods."""
    return bool(bare(one) == bare(other))
