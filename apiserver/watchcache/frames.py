"""Bytes of objects and watch messages, made by joining bytes: an object is encoded once, when it is written.

Stored objects carry no resource version, as it is the store's revision of the write. It is added by appending a second
`metadata` field that holds nothing but the version: by protobuf's rules a message field that occurs twice is merged,
so every decoder sees one metadata with everything in it.
"""

from __future__ import annotations

from steersman.meta.v1.requests_pb2 import BOOKMARK

# Field numbers of ObjectMeta in every object, resource_version in ObjectMeta, and those of the watch messages.
_METADATA_TAG = b"\x0a"
_RESOURCE_VERSION_TAG = b"\x32"
_TYPE_TAG = b"\x08"
_OBJECT_TAG = b"\x12"
_REVISION_TAG = b"\x1a"
_INITIAL_STATE_END = b"\x20\x01"


def varint(number: int) -> bytes:
    """A number in protobuf's variable-length form."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def versioned(stored: bytes, revision: int) -> bytes:
    """An object's bytes with its resource version."""
    text = str(revision).encode()
    return b"%b%b%b%b%b%b" % (
        stored,
        _METADATA_TAG,
        varint(len(text) + 2),
        _RESOURCE_VERSION_TAG,
        varint(len(text)),
        text,
    )


def event(event_type: int, obj: bytes, revision: int) -> bytes:
    """A watch message about an object."""
    text = str(revision).encode()
    return b"%b%b%b%b%b%b%b%b" % (
        _TYPE_TAG,
        varint(event_type),
        _OBJECT_TAG,
        varint(len(obj)),
        obj,
        _REVISION_TAG,
        varint(len(text)),
        text,
    )


def bookmark(revision: int, *, initial_state_end: bool = False) -> bytes:
    """A watch message that says only how far the watcher is."""
    text = str(revision).encode()
    return b"%b%b%b%b%b%b" % (
        _TYPE_TAG,
        varint(BOOKMARK),
        _REVISION_TAG,
        varint(len(text)),
        text,
        _INITIAL_STATE_END if initial_state_end else b"",
    )
