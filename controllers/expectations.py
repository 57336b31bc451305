"""What a controller has done and not yet seen come back.

An informer lags behind the controller's own writes by a moment. Without this a controller that runs again in that
moment would create what it has created already.
"""

from __future__ import annotations

from typing import Any

from steersman.informer import Key


class Expectations:
    """Pods created and deleted for an owner, until the informer shows it or too much time has passed."""

    def __init__(self, *, timeout_s: float = 30.0) -> None:
        """Makes an empty record; what is not seen within `timeout_s` seconds is forgotten."""
        self._timeout_s = timeout_s
        self._created: dict[str, dict[Key, tuple[Any, float]]] = {}
        self._deleted: dict[str, dict[str, float]] = {}

    def created(self, owner_uid: str, key: Key, obj: Any, now_s: float) -> None:
        """An object was created for an owner."""
        self._created.setdefault(owner_uid, {})[key] = (obj, now_s)

    def deleted(self, owner_uid: str, uid: str, now_s: float) -> None:
        """An object of an owner was asked to go."""
        self._deleted.setdefault(owner_uid, {})[uid] = now_s

    def seen(self, owner_uid: str, key: Key) -> None:
        """The informer shows the object."""
        created = self._created.get(owner_uid)
        if created is not None:
            created.pop(key, None)
            if not created:
                del self._created[owner_uid]

    def gone(self, owner_uid: str, uid: str) -> None:
        """The informer shows that the object is gone or going."""
        deleted = self._deleted.get(owner_uid)
        if deleted is not None:
            deleted.pop(uid, None)
            if not deleted:
                del self._deleted[owner_uid]

    def pending(self, owner_uid: str, now_s: float) -> list[Any]:
        """Objects created for an owner that the informer does not show yet."""
        created = self._created.get(owner_uid, {})
        for key in [key for key, (_, at_s) in created.items() if now_s - at_s > self._timeout_s]:
            del created[key]
        return [obj for obj, _ in created.values()]

    def going(self, owner_uid: str, now_s: float) -> set[str]:
        """Uids of objects asked to go that the informer still shows as if nothing had happened."""
        deleted = self._deleted.get(owner_uid, {})
        for uid in [uid for uid, at_s in deleted.items() if now_s - at_s > self._timeout_s]:
            del deleted[uid]
        return set(deleted)

    def forget(self, owner_uid: str) -> None:
        """The owner is gone."""
        self._created.pop(owner_uid, None)
        self._deleted.pop(owner_uid, None)
