"""What may be wrong with what a caller proves itself by. Pure, but for the files that a context names."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from steersman.cli.cells import duration
from steersman.config import Context


def doubt(context: Context, now: datetime) -> str:
    """Why the apiserver may not accept the caller of a context, as far as can be seen from here; "" if nothing is."""
    certificate = _read(context.certificate)
    if certificate:
        words = _validity("certificate", *certificate_times(certificate), now)
        if words:
            return words
    token = context.token or _text(_read(context.token_file))
    if token:
        words = _validity("token", None, token_end(token), now)
        if words:
            return words
    if not certificate and not token:
        return f"context {context.name!r} has neither a certificate nor a token"
    return ""


def certificate_times(pem: bytes) -> tuple[datetime | None, datetime | None]:
    """From when until when a certificate is valid; nothing when it is none."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return None, None
    return found.not_valid_before_utc, found.not_valid_after_utc


def token_end(token: str) -> datetime | None:
    """Until when a token is good, as it says itself; None when it does not."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _validity(what: str, start: datetime | None, end: datetime | None, now: datetime) -> str:
    if end is not None and end < now:
        return f"your {what} expired {duration(int((now - end).total_seconds()))} ago, at {end:%Y-%m-%d %H:%M:%S} UTC"
    if start is not None and start > now:
        return f"your {what} is not valid before {start:%Y-%m-%d %H:%M:%S} UTC: is the clock of this machine right?"
    return ""


def _read(source: Path | bytes | None) -> bytes:
    if isinstance(source, Path):
        try:
            return source.read_bytes()
        except OSError:
            return b""
    return source or b""


def _text(data: bytes) -> str:
    return data.decode(errors="replace").strip()
