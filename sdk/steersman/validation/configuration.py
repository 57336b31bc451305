"""Rules of ConfigMaps and Secrets."""

from __future__ import annotations

import json
import re
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation.names import show, violation

BYTES_MAX = 1024 * 1024
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")

# What the kinds of Secret must hold, by type.
SECRET_KEYS: dict[str, tuple[str, ...]] = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def key(field: str, name: str) -> list[FieldViolation]:
    """A key of a ConfigMap or Secret."""
    if not _KEY.fullmatch(name) or name in (".", "..") or name.startswith(".."):
        return violation(f"{field}[{name}]", f"{show(name)} is not a key: letters, digits, '-', '_' and '.'")
    return []


def config_map(obj: Any) -> list[FieldViolation]:
    """What is wrong with a ConfigMap."""
    found: list[FieldViolation] = []
    size = 0
    for name, text in obj.data.items():
        found += key("data", name)
        size += len(text.encode())
        if name in obj.binary_data:
            found += violation(f"binaryData[{name}]", "the key is in data already")
    for name, value in obj.binary_data.items():
        found += key("binaryData", name)
        size += len(value)
    if size > BYTES_MAX:
        found += violation("", f"{size} bytes of data, at most {BYTES_MAX}")
    return found


def secret(obj: Any) -> list[FieldViolation]:
    """What is wrong with a Secret."""
    found: list[FieldViolation] = []
    size = 0
    for name, value in obj.data.items():
        found += key("data", name)
        size += len(value)
    if size > BYTES_MAX:
        found += violation("data", f"{size} bytes, at most {BYTES_MAX}")
    for required in SECRET_KEYS.get(obj.type, ()):
        if required not in obj.data:
            found += violation(f"data[{required}]", f"required in a Secret of type {obj.type}")
    if obj.type == "kubernetes.io/basic-auth" and not {"username", "password"} & set(obj.data):
        found += violation("data", "a Secret of type kubernetes.io/basic-auth needs username or password")
    for name in (".dockerconfigjson", ".dockercfg"):
        if name in SECRET_KEYS.get(obj.type, ()) and name in obj.data:
            try:
                json.loads(obj.data[name])
            except ValueError:
                found += violation(f"data[{name}]", "not JSON")
    return found


def immutable(new: Any, old: Any, *fields: str) -> list[FieldViolation]:
    """What of an object marked immutable was changed."""
    if not old.immutable:
        return []
    found: list[FieldViolation] = []
    if not new.immutable:
        found += violation("immutable", "may not be taken back")
    for name in fields:
        if getattr(new, name) != getattr(old, name):
            shown = old.DESCRIPTOR.fields_by_name[name].json_name
            found += violation(shown, "may not change: the object is immutable")
    return found
