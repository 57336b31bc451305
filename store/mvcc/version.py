"""One version of one key."""

from __future__ import annotations

from etcd.kv_pb2 import KeyValue

# What Python spends on a version beside its bytes: the object, its numbers, its places in the indexes.
OVERHEAD_BYTES = 240


class Version:
    """What a key was from `mod` on. Never changed after it was made.

    `encoded` is the version as a serialised `mvccpb.KeyValue`, made once and sent as it is to everyone who asks.
    A deletion is a version too: a tombstone, whose `version` is 0 and which has no value.
    """

    __slots__ = ("create", "encoded", "key", "lease", "mod", "sub", "version")

    def __init__(self, key: bytes, create: int, mod: int, sub: int, version: int, lease: int, encoded: bytes) -> None:
        self.key = key
        self.create = create
        self.mod = mod
        self.sub = sub
        self.version = version
        self.lease = lease
        self.encoded = encoded

    @classmethod
    def put(cls, key: bytes, value: bytes, lease: int, mod: int, sub: int, previous: Version | None) -> Version:
        """The version that a put makes; `previous` is the live one before it, if any."""
        create, version = (previous.create, previous.version + 1) if previous is not None else (mod, 1)
        encoded = KeyValue(
            key=key, create_revision=create, mod_revision=mod, version=version, value=value, lease=lease
        ).SerializeToString()
        return cls(key, create, mod, sub, version, lease, encoded)

    @classmethod
    def tombstone(cls, key: bytes, mod: int, sub: int) -> Version:
        """The version that a deletion makes."""
        return cls(key, 0, mod, sub, 0, 0, KeyValue(key=key, mod_revision=mod).SerializeToString())

    @classmethod
    def decode(cls, encoded: bytes, sub: int) -> Version:
        """A version read back from `encoded`.

        Raises:
            google.protobuf.message.DecodeError: the bytes are no KeyValue.
        """
        kv = KeyValue.FromString(encoded)
        return cls(kv.key, kv.create_revision, kv.mod_revision, sub, kv.version, kv.lease, encoded)

    @property
    def is_tombstone(self) -> bool:
        """Whether this is a deletion."""
        return self.version == 0

    @property
    def value(self) -> bytes:
        """The value, decoded anew at each call."""
        return KeyValue.FromString(self.encoded).value

    def message(self) -> KeyValue:
        """A fresh message of it."""
        return KeyValue.FromString(self.encoded)

    def size(self) -> int:
        """Bytes of memory it takes, roughly."""
        return len(self.encoded) + OVERHEAD_BYTES


class Change:
    """One event: a key became `after`, having been `before` (None when it was not there)."""

    __slots__ = ("_plain", "_with_before", "after", "before")

    def __init__(self, after: Version, before: Version | None) -> None:
        self.after = after
        self.before = before
        self._plain: bytes | None = None
        self._with_before: bytes | None = None

    def framed(self, with_before: bool) -> bytes:
        """The change as an element of `WatchResponse.events`, encoded once however many ask."""
        if with_before and self.before is not None:
            if self._with_before is None:
                self._with_before = field(11, self._event() + field(3, self.before.encoded))
            return self._with_before
        if self._plain is None:
            self._plain = field(11, self._event())
        return self._plain

    def _event(self) -> bytes:
        kind = b"\x08\x01" if self.after.version == 0 else b""
        return kind + field(2, self.after.encoded)


def varint(number: int) -> bytes:
    """`number`, not negative, as protobuf writes it."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    """`content` as a length-delimited field of a message, for `number` below 16."""
    return bytes((number << 3 | 2,)) + varint(len(content)) + content
