"""Reading a patch and making the new object of the old one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonpatch
import jsonpointer
from steersman.errors import FieldViolation
from steersman.manifests import codec
from steersman.meta.v1.requests_pb2 import JSON_PATCH, MERGE_PATCH, PatchType

from apiserver import errors
from apiserver.patch.strategic import merge_strategically

PATCH_BYTES_MAX = 3 * 1024 * 1024
OPERATIONS_MAX = 10_000
DEPTH_MAX = 128


def parse(patch: bytes) -> Any:
    """The patch as plain data.

    Raises:
        BadRequest: it is too long, or not JSON.
    """
    if len(patch) > PATCH_BYTES_MAX:
        raise errors.BadRequest("patch", f"{len(patch)} bytes, at most {PATCH_BYTES_MAX}")
    try:
        document = json.loads(patch)
    except (ValueError, RecursionError) as error:
        raise errors.BadRequest("patch", f"not JSON: {error}") from error
    _check_depth(document)
    return document


def _check_depth(document: Any) -> None:
    """No kind goes nearly as deep; what looks into a document does so by recursion."""
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise errors.BadRequest("patch", f"more than {DEPTH_MAX} levels deep")
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]


def expected_version(document: Any) -> str:
    """The resource version that a patch wants the object to have; empty when it does not say."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


def patched(old: Any, document: Any, patch_type: PatchType, *, strict: bool, warn: Callable[[str], None]) -> Any:
    """The object that a patch makes of another.

    Args:
        old: the object as it is.
        document: the patch as plain data.
        patch_type: its language; strategic merge when unspecified.
        strict: refuse fields that the kind does not have; otherwise warn of them.
        warn: told of fields that are dropped.

    Raises:
        BadRequest: the patch is not one, or cannot be applied to this object.
        InvalidObject: what comes out is not an object of the kind.
    """
    before = codec.encode(old)
    if patch_type == JSON_PATCH:
        after = _json_patch(before, document)
    else:
        if not isinstance(document, dict):
            raise errors.BadRequest("patch", f"expected a mapping, got {codec.describe(document)}")
        if patch_type == MERGE_PATCH:
            after = _merge_patch(before, document)
        else:
            after = merge_strategically(before, document, old.DESCRIPTOR)

    def unknown(problem: codec.Problem) -> None:
        warn(str(problem))

    try:
        return codec.decode(type(old), after, on_unknown=None if strict else unknown)
    except codec.DecodeError as error:
        violations = [FieldViolation(codec.show_path(p.path), p.text) for p in error.problems]
        raise errors.InvalidObject(old.DESCRIPTOR.name, old.metadata.name, violations) from error


def _json_patch(before: Any, document: Any) -> Any:
    if not isinstance(document, list):
        raise errors.BadRequest("patch", f"a JSON patch is a list of operations, got {codec.describe(document)}")
    if len(document) > OPERATIONS_MAX:
        raise errors.BadRequest("patch", f"{len(document)} operations, at most {OPERATIONS_MAX}")
    after, copied = copy.deepcopy(before), 0
    try:
        for operation in document:
            if isinstance(operation, dict) and operation.get("op") == "copy":
                # Copies of copies double; Kubernetes bounds them too.
                copied += len(json.dumps(jsonpointer.resolve_pointer(after, operation.get("from", ""))))
                if copied > PATCH_BYTES_MAX:
                    raise errors.BadRequest("patch", f"copies more than {PATCH_BYTES_MAX} bytes")
            after = jsonpatch.apply_patch(after, [operation], in_place=True)
        return after
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, ValueError) as error:
        raise errors.BadRequest("patch", f"cannot be applied: {error}") from error


def _merge_patch(before: Any, document: Any) -> Any:
    """RFC 7386: null removes, mappings merge, everything else replaces."""
    if not isinstance(document, dict):
        return document
    after = dict(before) if isinstance(before, dict) else {}
    for name, value in document.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = _merge_patch(after.get(name), value)
    return after
