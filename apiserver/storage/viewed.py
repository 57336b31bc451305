"""A store whose values are seen in another form: one kind's objects as another kind's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from apiserver.storage.port import Claim, Guarded, KeyChanged, Page, Storage, StorageEvent, Stored
from apiserver.storage.wrapped import WrappedStorage

Form = Callable[[bytes], bytes]


class ViewedStorage(WrappedStorage):
    """Another storage, with a form of its own for the values."""

    def __init__(self, storage: Storage, shown_of: Form, stored_of: Form) -> None:
        """Makes a view.

        Args:
            storage: what holds the values.
            shown_of: makes what is shown out of what is stored.
            stored_of: and back.
        """
        super().__init__(storage)
        self._shown_of = shown_of
        self._stored_of = stored_of

    def _shown(self, stored: Stored) -> Stored:
        return stored._replace(value=self._shown_of(stored.value))

    def _changed(self, key: str, error: KeyChanged) -> KeyChanged:
        """The same for who sees the other form; what is guarded beside the key has no other form."""
        if error.key != key or error.current is None:
            return error
        return KeyChanged(key, self._shown(error.current))

    async def get(self, key: str) -> Stored | None:
        """See `Storage.get`."""
        stored = await self._storage.get(key)
        return self._shown(stored) if stored is not None else None

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See `Storage.list`."""
        page = await self._storage.list(prefix, after=after, limit=limit, revision=revision)
        return page._replace(items=[self._shown(item) for item in page.items])

    async def create(
        self, key: str, value: bytes, *, claims: Sequence[Claim] = (), guards: Sequence[Guarded] = ()
    ) -> int:
        """See `Storage.create`."""
        return await self._storage.create(key, self._stored_of(value), claims=claims, guards=guards)

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
        stored = self._stored_of(value)
        try:
            return await self._storage.update(
                key, stored, revision=revision, claims=claims, releases=releases, guards=guards
            )
        except KeyChanged as error:
            raise self._changed(key, error) from error

    async def delete(self, key: str, *, revision: int, releases: Sequence[str] = ()) -> int:
        """See `Storage.delete`."""
        try:
            return await self._storage.delete(key, revision=revision, releases=releases)
        except KeyChanged as error:
            raise self._changed(key, error) from error

    def _event(self, event: StorageEvent) -> StorageEvent:
        return event._replace(
            value=self._shown_of(event.value) if event.value is not None else None,
            previous=self._shown_of(event.previous) if event.previous is not None else None,
        )
