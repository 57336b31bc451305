"""What was probably meant by a word that means nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`; None when none is like it."""
    from difflib import get_close_matches

    by_lower = {one.lower(): one for one in known}
    lower = word.lower()
    if lower in by_lower:
        return by_lower[lower]
    close = get_close_matches(lower, by_lower, n=1, cutoff=0.6)
    if close:
        return by_lower[close[0]]
    begins = [one for one in by_lower if len(lower) > 1 and one.startswith(lower)]
    return by_lower[begins[0]] if len(begins) == 1 else None


def meant(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that complains of `word`: "; did you mean 'pods'?", or nothing."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""
