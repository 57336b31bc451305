"""Merging what is applied into what is there, with a record of who owns what."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from steersman.manifests import codec
from steersman.meta.v1.object_meta_pb2 import ManagedFieldsEntry

from apiserver.apply import fieldset
from apiserver.apply.fieldset import FieldSet

APPLY, UPDATE = "Apply", "Update"
BEFORE_FIRST_APPLY = "before-first-apply"

# Identity and bookkeeping: in every object, owned by nobody.
_NOT_OWNED = frozenset(
    {
        "f:name",
        "f:namespace",
        "f:generateName",
        "f:uid",
        "f:resourceVersion",
        "f:generation",
        "f:selfLink",
        "f:creationTimestamp",
        "f:deletionTimestamp",
        "f:deletionGracePeriodSeconds",
        "f:managedFields",
    }
)

Leaf = tuple[str, ...]


class FieldsConflict(Exception):
    """Applied fields have another value by other managers; `owners` maps each to its fields."""

    def __init__(self, owners: dict[str, list[str]]) -> None:
        super().__init__(str(owners))
        self.owners = owners


def owned_fields(obj: Any) -> FieldSet:
    """The fields of an object that can be owned."""
    fields = fieldset.of_message(obj)
    metadata = fields.get("f:metadata")
    if metadata is not None:
        kept = {key: inner for key, inner in metadata.items() if key not in _NOT_OWNED}
        if kept:
            fields["f:metadata"] = kept
        else:
            del fields["f:metadata"]
    return fields


def _read(entry: ManagedFieldsEntry) -> set[Leaf]:
    return set(fieldset.leaves(json.loads(entry.fields_v1.raw or b"{}")))


def _write(entry: ManagedFieldsEntry, leaves: set[Leaf]) -> None:
    entry.fields_type = "FieldsV1"
    entry.fields_v1.raw = json.dumps(fieldset.of_leaves(leaves), separators=(",", ":")).encode()


def apply_fields(live: Any, applied: Any, manager: str, *, api_version: str, force: bool, now: Timestamp) -> Any:
    """The live object with the applied fields made so; fields that the manager no longer applies are taken out.

    Args:
        live: the object as it is; not changed.
        applied: the fields that shall be so.
        manager: who applies.
        api_version: version in which the fields are named.
        force: take fields over from other managers.
        now: time for the record.

    Raises:
        FieldsConflict: another manager owns an applied field and it has another value, and `force` is not set.
    """
    wanted = set(fieldset.leaves(owned_fields(applied)))
    merged = type(live)()
    merged.CopyFrom(live)
    entries = [entry for entry in live.metadata.managed_fields if entry.operation in (APPLY, UPDATE)]
    own = next((e for e in entries if e.operation == APPLY and e.manager == manager and not e.subresource), None)
    before = _read(own) if own is not None else set()
    others = [(entry, _read(entry)) for entry in entries if entry is not own]
    if not entries and live.metadata.uid:
        # Nobody kept a record until now: what is there belongs to whoever wrote it before.
        unknown = ManagedFieldsEntry(manager=BEFORE_FIRST_APPLY, operation=UPDATE, api_version=api_version, time=now)
        others = [(unknown, set(fieldset.leaves(owned_fields(live))))]

    differing = {leaf for leaf in wanted if _value(live, leaf) != _value(applied, leaf)}
    conflicts: dict[str, list[str]] = {}
    for entry, leaves in others:
        contested = sorted(leaves & differing)
        # Values from before anybody applied are taken over silently, as kubectl does for its own earlier writes.
        if contested and entry.manager not in (BEFORE_FIRST_APPLY, manager):
            conflicts.setdefault(entry.manager, []).extend(fieldset.show(leaf) for leaf in contested)
    if conflicts and not force:
        raise FieldsConflict(conflicts)

    elsewhere = set().union(*(leaves for _, leaves in others)) if others else set()
    # Whole elements first: without its key's fields an element could not be found any more.
    for leaf in sorted(before - wanted - elsewhere, key=lambda leaf: (leaf[-1] != fieldset.SELF, -len(leaf))):
        _remove(merged, leaf)
    _merge(merged, applied)

    merged.metadata.ClearField("managed_fields")
    for entry, leaves in others:
        kept = leaves - differing
        if kept:
            copy = merged.metadata.managed_fields.add()
            copy.CopyFrom(entry)
            _write(copy, kept)
    record = merged.metadata.managed_fields.add(manager=manager, operation=APPLY, api_version=api_version, time=now)
    if own is not None and before == wanted and not differing:
        record.time.CopyFrom(own.time)
    _write(record, wanted)
    return merged


def record_update(new: Any, old: Any, manager: str, *, api_version: str, subresource: str, now: Timestamp) -> None:
    """Notes in `new` that a manager changed it by other means than apply: what changed is now that manager's."""
    before = set(fieldset.leaves(owned_fields(old)))
    after = set(fieldset.leaves(owned_fields(new)))
    changed = {leaf for leaf in after if leaf not in before or _value(old, leaf) != _value(new, leaf)}
    if not changed and before <= after:
        return
    kept: list[tuple[ManagedFieldsEntry, set[Leaf]]] = []
    own: tuple[ManagedFieldsEntry, set[Leaf]] | None = None
    for entry in old.metadata.managed_fields:
        leaves = (_read(entry) - changed) & after
        if entry.operation == UPDATE and entry.manager == manager and entry.subresource == subresource:
            own = (entry, leaves)
        elif leaves:
            kept.append((entry, leaves))
    fresh = ManagedFieldsEntry(
        manager=manager, operation=UPDATE, api_version=api_version, subresource=subresource, time=now
    )
    leaves = (own[1] if own is not None else set()) | changed
    if leaves:
        kept.append((fresh, leaves))
    new.metadata.ClearField("managed_fields")
    for entry, remaining in kept:
        copy = new.metadata.managed_fields.add()
        copy.CopyFrom(entry)
        _write(copy, remaining)


# --- values by path -------------------------------------------------------------------------------------------------

_MISSING = object()


def _named(message: Message, key: str) -> tuple[Any, FieldDescriptor] | None:
    """The message that holds the field of a set's key `f:<json name>`, and the field."""
    found = codec.field_named(message.DESCRIPTOR, key[2:])
    if found is None:
        return None
    way, field = found
    holder: Any = message
    for step in way:
        holder = getattr(holder, step.name)
    return holder, field


def _value(message: Message, leaf: Leaf) -> Any:
    """The value at a leaf as something comparable; `_MISSING` when there is none."""
    found = _named(message, leaf[0])
    if found is None:
        return _MISSING
    holder, field = found
    value = getattr(holder, field.name)
    rest = leaf[1:]
    if not rest:
        if field.is_repeated:
            return dict(value) if codec.is_map(field) else list(value) or _MISSING
        if field.has_presence and not holder.HasField(field.name):
            return _MISSING
        return value
    if codec.is_map(field):
        name = rest[0][2:]
        return value.get(name, _MISSING)
    if field.is_repeated:
        for item in value:
            if fieldset.is_set(field):
                if fieldset.value_key(item) == rest[0]:
                    return item
            elif fieldset.element_key(field, item) == rest[0]:
                return True if rest[1] == fieldset.SELF else _value(item, rest[1:])
        return _MISSING
    return _value(value, rest)


def _remove(message: Message, leaf: Leaf) -> None:
    """Takes the value at a leaf out; what is not there stays so."""
    found = _named(message, leaf[0])
    if found is None:
        return
    holder, field = found
    rest = leaf[1:]
    if not rest:
        holder.ClearField(field.name)
        return
    value = getattr(holder, field.name)
    if codec.is_map(field):
        value.pop(rest[0][2:], None)
    elif field.is_repeated:
        for index, item in enumerate(value):
            if fieldset.is_set(field):
                if fieldset.value_key(item) == rest[0]:
                    del value[index]
                    return
            elif fieldset.element_key(field, item) == rest[0]:
                if rest[1] == fieldset.SELF:
                    del value[index]
                else:
                    _remove(item, rest[1:])
                return
    elif holder.HasField(field.name):
        _remove(value, rest)
        if not value.ListFields():
            holder.ClearField(field.name)


def _merge(into: Any, applied: Any) -> None:
    """Makes the set fields of `applied` so in `into`."""
    for field, value in applied.ListFields():
        if field.json_name == "managedFields" and field.containing_type.name == "ObjectMeta":
            continue
        if codec.is_inline(field):
            target = getattr(into, field.name)
            target.SetInParent()
            _merge(target, value)
        elif fieldset.is_leaf(field):
            into.ClearField(field.name)
            _set(into, field, value)
        elif codec.is_map(field):
            container = getattr(into, field.name)
            for key in value:
                if codec.value_of_map(field).message_type is not None:
                    container[key].CopyFrom(value[key])
                else:
                    container[key] = value[key]
        elif fieldset.is_set(field):
            container = getattr(into, field.name)
            container.extend(item for item in value if item not in list(container))
        elif field.is_repeated:
            container = getattr(into, field.name)
            known = {fieldset.element_key(field, item): item for item in container}
            for item in value:
                match = known.get(fieldset.element_key(field, item))
                if match is None:
                    container.add().CopyFrom(item)
                else:
                    _merge(match, item)
        else:
            target = getattr(into, field.name)
            target.SetInParent()
            _merge(target, value)


def _set(into: Any, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated or field.message_type is not None:
        if codec.is_map(field):
            getattr(into, field.name).MergeFrom(value)
        elif field.is_repeated:
            getattr(into, field.name).extend(value)
        else:
            getattr(into, field.name).CopyFrom(value)
    else:
        setattr(into, field.name, value)
