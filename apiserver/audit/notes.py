"""What is noted about the call that is being served, by whoever comes across it, for the audit log."""

from __future__ import annotations

from contextvars import ContextVar

_NOTES: ContextVar[dict[str, str] | None] = ContextVar("audit_notes", default=None)


def begin() -> dict[str, str]:
    """Begins to note about a call; what is noted comes into the answer."""
    notes: dict[str, str] = {}
    _NOTES.set(notes)
    return notes


def note(name: str, text: str) -> None:
    """Notes something about the call that is being served."""
    notes = _NOTES.get()
    if notes is not None:
        notes[name] = text
