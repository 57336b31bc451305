"""Bytes of objects and watch messages, made by joining bytes: an object is encoded once, when it is written.

Stored objects carry no resource version, as it is the store's revision of the write. It is put at the end of the bytes
of their `metadata`, which is their first field. (A second metadata field at the end of the object would be merged by
protobuf's rules, but protobuf.js keeps the last of them only.)
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
    version = b"%b%b%b" % (_RESOURCE_VERSION_TAG, varint(len(text)), text)
    if not stored.startswith(_METADATA_TAG):
        return b"%b%b%b%b" % (_METADATA_TAG, varint(len(version)), version, stored)
    start, length = _length(stored, 1)
    end = start + length
    return b"%b%b%b%b%b" % (_METADATA_TAG, varint(length + len(version)), stored[start:end], version, stored[end:])


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The number in variable-length form that begins at an index: where it ends, and the number."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return at, number
        shift += 7


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
