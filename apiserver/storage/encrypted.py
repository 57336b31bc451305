"""Values of some keys encrypted in the store, with AES-GCM: what the store writes, copies and keeps shows nothing.

A value is `k8s:enc:aesgcm:v1:<name of the key>:`, twelve random bytes, and what is sealed with them; the key in the
store is authenticated with it, so that a value cannot be moved to another place. As Kubernetes writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apiserver import errors
from apiserver.storage.port import Claim, Guarded, KeyChanged, Page, Storage, StorageEvent, Stored
from apiserver.storage.wrapped import WrappedStorage

log = structlog.get_logger(__name__)

PREFIX = b"k8s:enc:aesgcm:v1:"
ANY = b"k8s:enc:"
NONCE_BYTES = 12
PAGE = 200

Random = Callable[[int], bytes]


def is_sealed(value: bytes) -> bool:
    """Whether a value is still as the store has it: no object begins like this."""
    return value.startswith(ANY)


class Keyring:
    """Keys by name: the first seals, all open; values may also be there, or be written, without being sealed."""

    def __init__(self, keys: Sequence[tuple[str, bytes]], *, plain: bool, plain_first: bool = False) -> None:
        """Makes it.

        Args:
            keys: names and keys of 16, 24 or 32 bytes.
            plain: whether values that are not sealed are read as they are.
            plain_first: whether values are written as they are.
        """
        self._keys = {name: AESGCM(key) for name, key in keys}
        self._first = "" if plain_first or not keys else keys[0][0]
        self._plain = plain

    def seal(self, place: str, value: bytes, random: Random) -> bytes:
        """A value as it is stored."""
        if not self._first:
            return value
        nonce = random(NONCE_BYTES)
        sealed = self._keys[self._first].encrypt(nonce, value, place.encode())
        return b"%b%b:%b%b" % (PREFIX, self._first.encode(), nonce, sealed)

    def open(self, place: str, value: bytes) -> bytes:
        """A stored value as it was.

        Raises:
            Undecipherable: no key opens it.
        """
        if not value.startswith(ANY):
            if self._plain:
                return value
            raise errors.Undecipherable(place, "it is not encrypted, and such values are not accepted")
        if not value.startswith(PREFIX):
            raise errors.Undecipherable(place, "it is encrypted in another way")
        name, _, sealed = value[len(PREFIX) :].partition(b":")
        key = self._keys.get(name.decode(errors="replace"))
        if key is None:
            raise errors.Undecipherable(place, f"there is no key {name.decode(errors='replace')!r}")
        try:
            return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as error:
            raise errors.Undecipherable(place, "it is damaged, or was moved from another place") from error

    def is_current(self, value: bytes) -> bool:
        """Whether a stored value is as it would be written now."""
        if not self._first:
            return not value.startswith(ANY)
        return value.startswith(b"%b%b:" % (PREFIX, self._first.encode()))


class EncryptedStorage(WrappedStorage):
    """A `Storage` on another one; values below some prefixes are sealed there and open here."""

    def __init__(self, storage: Storage, rings: Mapping[str, Keyring], random: Random) -> None:
        """Makes it.

        Args:
            storage: where values are kept.
            rings: keys by prefix.
            random: so many random bytes.
        """
        super().__init__(storage)
        self._rings = dict(rings)
        self._random = random

    def replace_rings(self, rings: Mapping[str, Keyring]) -> None:
        """Goes on with other keys. The old ones must be among them until everything was sealed anew."""
        # A prefix that is encrypted no more may still hold what was.
        self._rings = dict(rings)

    def _ring(self, key: str) -> Keyring | None:
        return next((ring for prefix, ring in self._rings.items() if key.startswith(prefix)), None)

    def _seal(self, key: str, value: bytes) -> bytes:
        ring = self._ring(key)
        return value if ring is None else ring.seal(key, value, self._random)

    def _open(self, key: str, value: bytes) -> bytes:
        ring = self._ring(key)
        return value if ring is None else ring.open(key, value)

    def _opened(self, stored: Stored) -> Stored:
        return stored._replace(value=self._open(stored.key, stored.value))

    def _opened_if_possible(self, stored: Stored) -> Stored:
        """One value that cannot be read must not keep the others from being read."""
        try:
            return self._opened(stored)
        except errors.Undecipherable as error:
            log.error("a value cannot be decrypted", key=stored.key, error=str(error))
            return stored

    def _changed(self, error: KeyChanged) -> KeyChanged:
        return KeyChanged(error.key, self._opened(error.current) if error.current is not None else None)

    def _claims(self, claims: Sequence[Claim]) -> list[Claim]:
        return [claim._replace(value=self._seal(claim.key, claim.value)) for claim in claims]

    def _guards(self, guards: Sequence[Guarded]) -> list[Guarded]:
        return [guard._replace(value=self._seal(guard.key, guard.value)) for guard in guards]

    async def get(self, key: str) -> Stored | None:
        """See `Storage.get`."""
        stored = await self._storage.get(key)
        return self._opened(stored) if stored is not None else None

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See `Storage.list`; a value that nothing opens is passed on as it is (`is_sealed`)."""
        page = await self._storage.list(prefix, after=after, limit=limit, revision=revision)
        return page._replace(items=[self._opened_if_possible(item) for item in page.items])

    async def create(
        self, key: str, value: bytes, *, claims: Sequence[Claim] = (), guards: Sequence[Guarded] = ()
    ) -> int:
        """See `Storage.create`."""
        try:
            return await self._storage.create(
                key, self._seal(key, value), claims=self._claims(claims), guards=self._guards(guards)
            )
        except KeyChanged as error:
            raise self._changed(error) from error

    async def update(
        self,
        key: str,
        value: bytes,
        *,
        revision: int,
        claims: Sequence[Claim] = (),
        releases: Sequence[str] = (),
        guards: Sequence[Guarded] = (),
    ) -> int:
        """See `Storage.update`."""
        try:
            return await self._storage.update(
                key,
                self._seal(key, value),
                revision=revision,
                claims=self._claims(claims),
                releases=releases,
                guards=self._guards(guards),
            )
        except KeyChanged as error:
            raise self._changed(error) from error

    async def delete(self, key: str, *, revision: int, releases: Sequence[str] = ()) -> int:
        """See `Storage.delete`."""
        try:
            return await self._storage.delete(key, revision=revision, releases=releases)
        except KeyChanged as error:
            raise self._changed(error) from error

    def _event(self, event: StorageEvent) -> StorageEvent:
        # A value that nothing opens is passed on as it is, and costs the others nothing.
        def opened(value: bytes | None) -> bytes | None:
            return self._opened_if_possible(Stored(event.key, value, 0)).value if value is not None else None

        return event._replace(value=opened(event.value), previous=opened(event.previous))

    async def seal_anew(self) -> int:
        """Seals every value that is not as it would be written now; returns how many were.

        Objects stay what they are; their resource versions change. Safe beside writers and other apiservers.
        """
        written = 0
        for prefix, ring in list(self._rings.items()):
            after = ""
            while True:
                page = await self._storage.list(prefix, after=after, limit=PAGE)
                for stored in page.items:
                    after = stored.key
                    if ring.is_current(stored.value):
                        continue
                    try:
                        value = ring.seal(stored.key, ring.open(stored.key, stored.value), self._random)
                        await self._storage.update(stored.key, value, revision=stored.revision)
                        written += 1
                    except KeyChanged:
                        # Whoever wrote it meanwhile sealed it.
                        continue
                    except errors.Undecipherable as error:
                        log.error("a value cannot be decrypted", key=stored.key, error=str(error))
                if not page.more:
                    break
        return written
