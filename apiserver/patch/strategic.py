"""Kubernetes' strategic merge patch.

Mappings merge and null removes, as in RFC 7386. Lists of a field with a merge key merge element by element; lists of
scalars marked so merge as sets; all others are replaced. Directives, as Kubernetes writes them:

    $patch: replace | delete | merge        in a mapping, or in an element of a list that merges
    $retainKeys: [names]                    drop the fields that are not named
    $deleteFromPrimitiveList/<field>: [...] take values out of a set
    $setElementOrder/<field>: [...]         order of the result
"""

from __future__ import annotations

from typing import Any

from steersman.manifests import codec
from steersman.meta.v1 import annotations_pb2

from apiserver import errors

_PATCH, _RETAIN = "$patch", "$retainKeys"
_DELETE_FROM, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def merge_strategically(before: dict[str, Any], patch: dict[str, Any], descriptor: Any) -> dict[str, Any]:
    """The mapping that a patch makes of another; `descriptor` is the message that both are forms of.

    Raises:
        BadRequest: a directive or the form of a list makes no sense.
    """
    directive = patch.get(_PATCH, "merge")
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _PATCH}
    if directive == "delete":
        return {}
    if directive != "merge":
        raise errors.BadRequest("patch", f"{_PATCH}: {directive!r} is not one of merge, replace, delete")
    after = dict(before)
    retained = patch.get(_RETAIN)
    if retained is not None:
        retained = _as_list(_RETAIN, retained)
        after = {name: value for name, value in after.items() if name in retained}
    orders: dict[str, list[Any]] = {}
    for name, value in patch.items():
        if name in (_PATCH, _RETAIN):
            continue
        if name.startswith(_DELETE_FROM):
            field = name.removeprefix(_DELETE_FROM)
            after[field] = [item for item in after.get(field, []) if item not in _as_list(name, value)]
        elif name.startswith(_ORDER):
            orders[name.removeprefix(_ORDER)] = _as_list(name, value)
        elif value is None:
            after.pop(name, None)
        else:
            after[name] = _merge_value(name, after.get(name), value, descriptor)
    for name, order in orders.items():
        if isinstance(after.get(name), list):
            after[name] = _ordered(after[name], order, _merge_key(descriptor, name))
    return after


def _as_list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise errors.BadRequest("patch", f"{name}: expected a list, got {codec.describe(value)}")
    return value


def _merge_key(descriptor: Any, name: str) -> str:
    found = codec.field_named(descriptor, name) if descriptor is not None else None
    return str(codec.option(found[1], annotations_pb2.merge_key)) if found is not None else ""


def _merge_value(name: str, before: Any, value: Any, descriptor: Any) -> Any:
    found = codec.field_named(descriptor, name) if descriptor is not None else None
    field = found[1] if found is not None else None
    inner = field.message_type if field is not None and not codec.is_map(field) else None
    if isinstance(value, dict) and field is not None and codec.option(field, annotations_pb2.replace):
        return merge_strategically({}, value, inner)
    if isinstance(value, dict):
        return merge_strategically(before if isinstance(before, dict) else {}, value, inner)
    if isinstance(value, list) and field is not None:
        if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in value):
            return [item for item in value if item != {_PATCH: "replace"}]
        key = codec.option(field, annotations_pb2.merge_key)
        if key:
            return _merge_elements(name, before if isinstance(before, list) else [], value, key, inner)
        if codec.option(field, annotations_pb2.merge_list):
            known = before if isinstance(before, list) else []
            return [*known, *(item for item in value if item not in known)]
    return value


def _merge_elements(name: str, before: list[Any], patch: list[Any], key: str, inner: Any) -> list[Any]:
    after = list(before)
    for element in patch:
        if not isinstance(element, dict) or key not in element:
            raise errors.BadRequest("patch", f"{name}: every element needs the merge key {key!r}")
        positions = [i for i, known in enumerate(after) if isinstance(known, dict) and known.get(key) == element[key]]
        directive = element.get(_PATCH)
        if directive == "delete":
            after = [item for i, item in enumerate(after) if i not in positions]
        elif positions:
            after[positions[0]] = merge_strategically(after[positions[0]], element, inner)
        else:
            after.append(merge_strategically({}, element, inner))
    return after


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    wanted = [item.get(key) if isinstance(item, dict) else item for item in order]

    def position(item: Any) -> int:
        identity = item.get(key) if isinstance(item, dict) else item
        return wanted.index(identity) if identity in wanted else len(wanted)

    return sorted(items, key=position)
