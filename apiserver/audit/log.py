"""Writes audit events: a line of JSON each, in files that are turned over when they are large."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from apiserver.audit.policy import NAMES, Level, Policy, Rule
from apiserver.authn import User
from apiserver.authz.attributes import Attributes

API_VERSION = "audit.k8s.io/v1"
# What these carry opens doors: it is written down by nobody's wish.
TOKENS = frozenset({("authentication.k8s.io", "tokenreviews"), ("", "serviceaccounts/token")})


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: str) -> None:
        """Writes a line."""
        ...


class RotatedFile:
    """A file that is renamed to `.1`, the one of that name to `.2` and so on, when it reaches a size."""

    def __init__(self, path: Path, *, bytes_max: int, kept: int) -> None:
        """Opens the file, to go on where it ends.

        Args:
            path: the file.
            bytes_max: its size at most, unless one line is larger.
            kept: how many older files are kept.

        Raises:
            OSError: it cannot be written.
        """
        self._path = path
        self._bytes_max = bytes_max
        self._kept = kept
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        path.chmod(0o600)
        self._size = path.stat().st_size

    def write(self, line: str) -> None:
        """See `Sink.write`."""
        data = line.encode() + b"\n"
        if self._size and self._size + len(data) > self._bytes_max:
            self._turn_over()
        self._file.write(data)
        self._size += len(data)

    def _turn_over(self) -> None:
        self._file.close()
        for number in range(self._kept, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1) if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        if not self._kept:
            self._path.unlink(missing_ok=True)
        self._file = self._path.open("ab", buffering=0)
        self._path.chmod(0o600)
        self._size = 0

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@dataclass
class Call:
    """What is known of a call when it is written down."""

    rule: Rule
    uri: str
    wanted: Attributes
    received: datetime
    caller: User | None
    acting: User | None
    peer: str
    agent: str
    request: Any = None
    notes: dict[str, str] = field(default_factory=dict)


class AuditLog:
    """Writes down what the policy wants."""

    def __init__(self, policy: Policy, sink: Sink, new_id: Callable[[], str], now: Callable[[], datetime]) -> None:
        self.policy = policy
        self._sink = sink
        self._new_id = new_id
        self._now = now

    def write(self, call: Call, stage: str, code: str, message: str, answer: Any = None) -> None:
        """Writes down one stage of a call.

        Args:
            call: the call.
            stage: how far it is.
            code: name of the gRPC status.
            message: what the caller is told with it.
            answer: the response, a message; None where it is not wanted or there is none.
        """
        rule, wanted = call.rule, call.wanted
        if rule.level is Level.NONE or stage in rule.omit_stages:
            return
        event: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": API_VERSION,
            "level": NAMES[rule.level],
            "auditID": self._new_id(),
            "stage": stage,
            "requestURI": call.uri,
            "verb": wanted.verb,
            "user": _user(call.caller),
            "sourceIPs": [call.peer],
            "userAgent": call.agent,
            "objectRef": _reference(wanted),
            "responseStatus": {"code": code, "message": message},
            "requestReceivedTimestamp": _stamp(call.received),
            "stageTimestamp": _stamp(self._now()),
        }
        if call.acting is not None and call.acting != call.caller:
            event["impersonatedUser"] = _user(call.acting)
        if call.notes:
            event["annotations"] = dict(call.notes)
        level = rule.level
        if (wanted.group, wanted.full_resource) in TOKENS:
            level = min(level, Level.METADATA)
        event["level"] = NAMES[level]
        if level >= Level.REQUEST and isinstance(call.request, Message):
            event["requestObject"] = _shown(call.request, rule)
        if level >= Level.REQUEST_RESPONSE and isinstance(answer, Message):
            event["responseObject"] = _shown(answer, rule)
        self._sink.write(json.dumps(event, separators=(",", ":"), ensure_ascii=False, default=str))


def _user(user: User | None) -> dict[str, Any]:
    if user is None:
        return {"groups": ["system:unauthenticated"]}
    shown: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        shown["uid"] = user.uid
    if user.extra:
        shown["extra"] = {name: list(values) for name, values in user.extra}
    return shown


def _reference(wanted: Attributes) -> dict[str, str]:
    given = {
        "resource": wanted.resource,
        "namespace": wanted.namespace,
        "name": wanted.name,
        "apiGroup": wanted.group,
        "subresource": wanted.subresource,
    }
    return {name: value for name, value in given.items() if value}


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _shown(message: Message, rule: Rule) -> Mapping[str, Any]:
    shown: dict[str, Any] = MessageToDict(message)
    if rule.omit_managed_fields:
        for holder in (shown, shown.get("object", {}), *shown.get("items", ())):
            if isinstance(holder, dict):
                holder.get("metadata", {}).pop("managedFields", None)
    return shown
