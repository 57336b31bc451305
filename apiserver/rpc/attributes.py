"""From an rpc and its request to what authorization asks about."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from steersman import kinds

from apiserver import errors
from apiserver.authz.attributes import Attributes

# Rpcs that are not called as RBAC calls them: verb, and the part of the object that they are about.
_CALLED: dict[str, tuple[str, str]] = {
    "apply": ("patch", ""),
    "attach": ("create", "attach"),
    "bind": ("create", "binding"),
    "bindmany": ("create", "binding"),
    "createtoken": ("create", "token"),
    "evict": ("create", "eviction"),
    "exec": ("create", "exec"),
    "getscale": ("get", "scale"),
    "logs": ("get", "log"),
    "patchscale": ("patch", "scale"),
    "portforward": ("create", "portforward"),
    "resize": ("update", "resize"),
    "scale": ("update", "scale"),
    "updateapproval": ("update", "approval"),
    "updateephemeralcontainers": ("update", "ephemeralcontainers"),
    "updatescale": ("update", "scale"),
    "updatestatus": ("update", "status"),
}
_SELECTING = frozenset({"list", "watch", "deletecollection"})


@dataclass(frozen=True)
class _Rpc:
    path: str
    request: type[Message]
    answer: type[Message]
    takes_stream: bool


@cache
def _rpcs() -> dict[tuple[str, str], _Rpc]:
    """Each rpc of each kind, by qualified plural and name in lower case."""
    found: dict[tuple[str, str], _Rpc] = {}
    for kind in kinds.every():
        module: Any = importlib.import_module(kind.module)
        service = module.DESCRIPTOR.pool.FindServiceByName(kind.service)
        for method in service.methods:
            found[(kind.qualified_plural, method.name.lower())] = _Rpc(
                f"/{kind.service}/{method.name}",
                GetMessageClass(method.input_type),
                GetMessageClass(method.output_type),
                bool(method.client_streaming),
            )
    return found


def takes_stream(resource: str, verb: str) -> bool:
    """Whether the caller of an rpc sends a stream of requests."""
    rpc = _rpcs().get((resource, verb))
    return rpc is not None and rpc.takes_stream


def path(resource: str, verb: str) -> str:
    """The path of an rpc, as it is called."""
    rpc = _rpcs().get(_place(resource, verb))
    return rpc.path if rpc is not None else f"/{resource}/{verb}"


def answer(resource: str, verb: str, data: Any) -> Any:
    """The answer of an rpc as a message, where the handler gives it as bytes; None when it is none."""
    rpc = _rpcs().get(_place(resource, verb))
    if not isinstance(data, bytes) or rpc is None:
        return data
    try:
        return rpc.answer.FromString(data)
    except DecodeError:
        return None


def _place(resource: str, verb: str) -> tuple[str, str]:
    whole, _, part = resource.partition("/")
    return (whole, "updatestatus" if part == "status" and verb == "update" else verb)


def read(resource: str, verb: str, request: Any) -> Any:
    """The request as a message, where the handler takes it as bytes.

    Raises:
        BadRequest: the bytes are no such message.
    """
    known = _rpcs().get((resource, verb))
    if not isinstance(request, bytes) or known is None:
        return request
    try:
        return known.request.FromString(request)
    except DecodeError as error:
        raise errors.BadRequest("", f"the request is no {known.request.DESCRIPTOR.name}") from error


def of(resource: str, verb: str, request: Any) -> Attributes:
    """What a call is about.

    Args:
        resource: qualified plural of the kind, with a part as "pods/status" when the rpc is about one.
        verb: name of the rpc in lower case.
        request: its message; of a stream the first, whose `start` says what the stream is about. A stream without
            such a beginning may be about anything: it needs rights in the whole cluster.
    """
    whole, _, part = resource.partition("/")
    plural, _, group = whole.partition(".")
    asked, called_part = _CALLED.get(verb, (verb, ""))
    fields = request.DESCRIPTOR.fields_by_name if isinstance(request, Message) else {}
    place: Any = request
    if "start" in fields:
        place = request.start
    elif takes_stream(whole, verb):
        return Attributes(asked, plural, group, part or called_part)
    elif "object" in fields:
        place = request.object.metadata
    elif "metadata" in fields:
        place = request.metadata
    if "subresource" in fields:
        part = request.subresource
    namespace, name = getattr(place, "namespace", ""), getattr(place, "name", "")
    node = ""
    if asked in _SELECTING and "field_selector" in fields:
        name = name or _exact(request.field_selector, "metadata.name")
        if whole == "pods":
            node = _exact(request.field_selector, "spec.nodeName")
    if asked == "create" and not part and not called_part:
        # As in Kubernetes, where a new object's name is not in the address: rules cannot be about it.
        name = ""
    if whole == "namespaces":
        namespace = name
    return Attributes(asked, plural, group, part or called_part, namespace, name, node)


def _exact(selector: str, field: str) -> str:
    """The one value that a field selector wants of a field; empty when it does not say."""
    for part in selector.split(","):
        name, equals, value = part.partition("=")
        if equals and name.strip() == field:
            return value.removeprefix("=").strip()
    return ""
