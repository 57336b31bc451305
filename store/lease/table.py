"""The leases that everyone agrees on: their length and the keys that hang on them. No time passes here."""

from __future__ import annotations

from store.errors import LeaseExists, LeaseNotFound, LeaseTTLTooLarge

TTL_MAX_S = 9_000_000_000
# Shorter leases could end while the cluster elects a leader.
TTL_MIN_S = 2


class Lease:
    """One lease: `ttl` seconds long; `remaining` seconds at the last checkpoint, 0 for all of them."""

    __slots__ = ("identifier", "keys", "remaining", "ttl")

    def __init__(self, identifier: int, ttl: int, remaining: int = 0) -> None:
        self.identifier = identifier
        self.ttl = ttl
        self.remaining = remaining
        self.keys: set[bytes] = set()


class LeaseTable:
    """All leases by number."""

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def get(self, identifier: int) -> Lease:
        """Raises LeaseNotFound."""
        lease = self._leases.get(identifier)
        if lease is None:
            raise LeaseNotFound
        return lease

    def all(self) -> list[Lease]:
        """Every lease, in the order of their numbers."""
        return [self._leases[identifier] for identifier in sorted(self._leases)]

    def grant(self, identifier: int, ttl: int) -> Lease:
        """Makes a lease; too short a `ttl` becomes the shortest allowed.

        Raises:
            LeaseNotFound: number 0 means "no lease" and cannot be granted.
            LeaseExists, LeaseTTLTooLarge: see there.
        """
        if identifier == 0:
            raise LeaseNotFound
        if ttl > TTL_MAX_S:
            raise LeaseTTLTooLarge
        if identifier in self._leases:
            raise LeaseExists
        lease = Lease(identifier, max(ttl, TTL_MIN_S))
        self._leases[identifier] = lease
        return lease

    def restore(self, lease: Lease) -> None:
        """Puts back a lease from a snapshot."""
        self._leases[lease.identifier] = lease

    def remove(self, identifier: int) -> list[bytes]:
        """Ends a lease and returns the keys that hung on it, in order. Raises LeaseNotFound."""
        lease = self.get(identifier)
        del self._leases[identifier]
        return sorted(lease.keys)

    def checkpoint(self, identifier: int, remaining: int) -> None:
        """Notes what a lease had left; one that is gone is left gone."""
        lease = self._leases.get(identifier)
        if lease is not None:
            lease.remaining = remaining

    def move(self, key: bytes, old: int, new: int) -> None:
        """Hangs `key` on lease `new` instead of `old`; 0 is none."""
        if old == new:
            return
        if old and old in self._leases:
            self._leases[old].keys.discard(key)
        if new and new in self._leases:
            self._leases[new].keys.add(key)
