"""Container images that are on nodes already."""

from __future__ import annotations

from collections.abc import Iterable


def full_name(image: str) -> str:
    """The image's name with its tag, as nodes report it; a digest stays as it is."""
    if image.rfind(":") <= image.rfind("/"):
        return image + ":latest"
    return image


class Images:
    """Which rows have an image, and how large it is there.

    Attributes:
        rows: size in bytes by row, by image name.
        version: grows whenever the spread of some image changes.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, int]] = {}
        self.version = 0
        self._of_row: dict[int, frozenset[tuple[str, int]]] = {}

    def set(self, row: int, images: Iterable[tuple[str, int]]) -> bool:
        """Sets a node's images (name, size in bytes); whether that changed them."""
        new, old = frozenset(images), self._of_row.get(row, frozenset())
        if new == old:
            return False
        for name, _ in old - new:
            holders = self.rows[name]
            holders.pop(row, None)
            if not holders:
                del self.rows[name]
        for name, size in new:
            self.rows.setdefault(name, {})[row] = size
        self._of_row[row] = new
        self.version += 1
        return True
