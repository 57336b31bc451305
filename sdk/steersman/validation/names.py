"""Names, labels, annotations: what may be written where."""

from __future__ import annotations

import re
from collections.abc import Mapping

from steersman.errors import FieldViolation
from steersman.selectors import LABEL_KEY, LABEL_VALUE

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
_FINALIZER_PLAIN = frozenset({"orphan", "foregroundDeletion", "kubernetes"})

SUBDOMAIN_CHARACTERS_MAX = 253
ANNOTATIONS_BYTES_MAX = 256 * 1024


def violation(field: str, text: str) -> list[FieldViolation]:
    """One violation, as a list, to be added to others."""
    return [FieldViolation(field, text)]


def show(value: str) -> str:
    """A value as messages show it: quoted, and shortened when it is long."""
    return repr(value if len(value) <= 80 else value[:77] + "...")


def subdomain(field: str, value: str) -> list[FieldViolation]:
    """A DNS subdomain (RFC 1123), the form of most names."""
    if len(value) <= SUBDOMAIN_CHARACTERS_MAX and _SUBDOMAIN.fullmatch(value):
        return []
    rule = "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit, at most 253"
    return violation(field, f"{show(value)} is not a DNS subdomain ({rule})")


def label_1123(field: str, value: str) -> list[FieldViolation]:
    """A DNS label (RFC 1123): names of containers, volumes, namespaces."""
    if _LABEL.fullmatch(value):
        return []
    rule = "lower-case letters, digits and '-', beginning and ending with a letter or digit, at most 63"
    return violation(field, f"{show(value)} is not a DNS label ({rule})")


def label_1035(field: str, value: str) -> list[FieldViolation]:
    """A DNS label that begins with a letter (RFC 1035): names of Services."""
    if _LABEL_1035.fullmatch(value):
        return []
    rule = "lower-case letters, digits and '-', beginning with a letter, ending with a letter or digit, at most 63"
    return violation(field, f"{show(value)} is not a DNS label that begins with a letter ({rule})")


def port_name(field: str, value: str) -> list[FieldViolation]:
    """A service name (RFC 6335): names of ports."""
    if _PORT_NAME.fullmatch(value):
        return []
    rule = "at most 15 lower-case letters, digits and single '-', with at least one letter"
    return violation(field, f"{show(value)} is not a port name ({rule})")


def port_number(field: str, value: int, *, lowest: int = 1) -> list[FieldViolation]:
    """A port number."""
    return [] if lowest <= value <= 65535 else violation(field, f"{value} is not a port: {lowest} to 65535")


def label_key(field: str, key: str) -> list[FieldViolation]:
    """A qualified name: `[prefix/]name`."""
    if LABEL_KEY.fullmatch(key):
        return []
    rule = "an optional DNS prefix and '/', then letters, digits, '-', '_' and '.', at most 63"
    return violation(field, f"{show(key)} is not a qualified name ({rule})")


def label_value(field: str, value: str) -> list[FieldViolation]:
    """A label's value."""
    if LABEL_VALUE.fullmatch(value):
        return []
    rule = "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, at most 63"
    return violation(field, f"{show(value)} is not a label value ({rule})")


def labels(field: str, values: Mapping[str, str]) -> list[FieldViolation]:
    """A map of labels."""
    found: list[FieldViolation] = []
    for key, value in values.items():
        found += label_key(field, key)
        found += label_value(f"{field}[{key}]", value)
    return found


def annotation_map(field: str, values: Mapping[str, str]) -> list[FieldViolation]:
    """A map of annotations: keys as labels', values free, bounded in all."""
    found: list[FieldViolation] = []
    size = 0
    for key, value in values.items():
        found += label_key(field, key.lower())
        size += len(key) + len(value.encode())
    if size > ANNOTATIONS_BYTES_MAX:
        found += violation(field, f"{size} bytes in all, at most {ANNOTATIONS_BYTES_MAX}")
    return found


def finalizer(field: str, value: str) -> list[FieldViolation]:
    """A finalizer: a qualified name with a prefix, or one of Kubernetes' own."""
    if "/" not in value and value not in _FINALIZER_PLAIN:
        return violation(field, f"{show(value)} is neither one of Kubernetes' finalizers nor PREFIX/NAME")
    return label_key(field, value)
