"""Every kind: a manifest becomes a message, the message bytes, and all of it comes back."""

from __future__ import annotations

from typing import Any

import pytest
from steersman import kinds
from steersman.apps.v1 import ControllerRevision, StatefulSet
from steersman.manifests import codec, files

from tests import manifests
from tests.manifests.loss import lost, way_and_back

EVERY = manifests.documents()


@pytest.mark.parametrize("document", EVERY, ids=manifests.label)
def test_nothing_is_lost(document: dict[str, Any]) -> None:
    obj, again = way_and_back(document)
    assert lost(document, again) == []
    [read] = files.parse(files.to_yaml([obj]), "again")
    assert read.obj == obj


def test_there_is_a_manifest_of_every_kind() -> None:
    shown = {(each["apiVersion"], each["kind"]) for each in EVERY}
    assert {(kind.api_version, kind.kind) for kind in kinds.every()} - shown == set()


def test_a_loss_would_be_seen() -> None:
    assert lost({"spec": {"a": 1, "b": [{"c": True}]}}, {"spec": {"a": 2, "b": [{}]}}) == [
        ".spec.a: 1 became 2",
        ".spec.b[0].c: True became None",
    ]
    assert lost({"a": 1, "t": "2026-01-01T00:00:00+01:00", "n": None}, {"a": "1", "t": "2025-12-31T23:00:00Z"}) == []


def test_a_value_of_any_form_is_kept_as_it_is() -> None:
    value = {"a": [1, 2.5, None, True, {"b": "\u03c0"}], "c": ""}
    revision = codec.decode(ControllerRevision, {"data": value})
    assert codec.encode(revision)["data"] == value
    with pytest.raises(codec.DecodeError, match="data: expected a value that JSON can hold"):
        codec.decode(ControllerRevision, {"data": {"a": float("nan")}})


def test_an_object_inside_another_may_say_its_kind() -> None:
    template = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    [claim] = codec.decode(StatefulSet, {"spec": {"volumeClaimTemplates": [template]}}).spec.volume_claim_templates
    assert claim.metadata.name == "data"
    with pytest.raises(codec.DecodeError, match=r"volumeClaimTemplates\[0\].kind: expected 'PersistentVolumeClaim'"):
        codec.decode(StatefulSet, {"spec": {"volumeClaimTemplates": [{**template, "kind": "Pod"}]}})
