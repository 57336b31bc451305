"""What programs write, for the eyes of a person: text and colours come through, what else a terminal obeys does not."""

from __future__ import annotations

import codecs
import re

# What selects colours is welcome; other escape sequences and control characters are shown and not obeyed.
_OBEYED = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Harmless:
    """Turns bytes that come in pieces into text that does nothing to a terminal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._rest = ""

    def text(self, data: bytes, *, final: bool = False) -> str:
        """The text of a piece; what may go on in the next one is kept until then."""
        text = self._rest + self._decoder.decode(data, final)
        self._rest = ""
        start = text.rfind("\x1b")
        if not final and start >= 0 and len(text) - start < 16 and re.fullmatch(r"\x1b(\[[0-9;]*)?", text[start:]):
            text, self._rest = text[:start], text[start:]
        return _OBEYED.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    found = match[0]
    return found if len(found) > 1 else f"\\x{ord(found):02x}"
