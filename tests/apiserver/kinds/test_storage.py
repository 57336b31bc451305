"""Rules of volumes, claims, and what makes and attaches them."""

from __future__ import annotations

from typing import Any

import pytest
from steersman.core.v1 import PersistentVolume
from steersman.manifests import codec

from tests.apiserver.kinds.table import GONE, Changes, created, edited, refused, refused_update

LOCAL = "spec/nodeAffinity/required/nodeSelectorTerms"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/accessModes": []}, ["spec.accessModes"]),
        ({"spec/accessModes": ["ReadWriteSometimes"]}, ["spec.accessModes[0]"]),
        ({"spec/accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]}, ["spec.accessModes"]),
        ({"spec/resources": GONE}, ["spec.resources.requests[storage]"]),
        ({"spec/resources/requests/storage": "0"}, ["spec.resources.requests[storage]"]),
        ({"spec/resources/requests/storage": "lots"}, ["spec.resources.requests[storage]"]),
        ({"spec/storageClassName": "Fast One"}, ["spec.storageClassName"]),
        ({"spec/storageClassName": ""}, []),
        ({"spec/volumeMode": "Object"}, ["spec.volumeMode"]),
        ({"spec/selector/matchLabels": {"a b": "c"}}, ["spec.selector.matchLabels"]),
        ({"spec/dataSource": {"kind": "Bucket", "name": "b"}}, ["spec.dataSource.kind", "spec.dataSourceRef.kind"]),
        ({"spec/dataSource": {"apiGroup": "example.org", "kind": "Bucket", "name": "b"}}, []),
        ({"spec/dataSource/name": ""}, ["spec.dataSource.name", "spec.dataSourceRef.name"]),
        ({"spec/dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "other"}}, ["spec.dataSource"]),
        (
            {"spec/dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "template", "namespace": "other"}},
            ["spec.dataSource"],
        ),
    ],
)
def test_claims(changes: Changes, fields: list[str]) -> None:
    assert refused(created("v1", "PersistentVolumeClaim", changes)) == fields


def test_what_a_claim_says_nothing_about() -> None:
    made = created("v1", "PersistentVolumeClaim", {"spec/volumeMode": GONE})
    assert (made.spec.volume_mode, made.status.phase) == ("Filesystem", "Pending")
    assert made.spec.data_source_ref.name == "template"
    other = created(
        "v1",
        "PersistentVolumeClaim",
        {"spec/dataSource": GONE, "spec/dataSourceRef": {"apiGroup": "example.org", "kind": "Bucket", "name": "b"}},
    )
    assert (other.spec.data_source.api_group, other.spec.data_source.name) == ("example.org", "b")


def test_of_a_claim_only_what_is_missing_may_be_filled_in() -> None:
    waiting = created("v1", "PersistentVolumeClaim", {"spec/storageClassName": GONE})
    assert refused_update(waiting, {"spec/volumeName": "disk-2", "spec/storageClassName": "fast"}) == []
    assert refused_update(waiting, {"spec/resources/requests/storage": "6Gi"}) == ["spec.resources"]
    assert refused_update(waiting, {"spec/volumeMode": "Filesystem"}) == ["spec.volumeMode"]
    chosen = created("v1", "PersistentVolumeClaim", {"spec/volumeName": "disk-2"})
    assert refused_update(chosen, {"spec/volumeName": "disk-3"}) == ["spec.volumeName"]
    assert refused_update(chosen, {"spec/storageClassName": "slow"}) == ["spec.storageClassName"]


def test_a_bound_claim_may_grow() -> None:
    bound = created("v1", "PersistentVolumeClaim")
    bound.status.phase = "Bound"
    bound.status.capacity["storage"].value = "5Gi"
    assert refused_update(bound, {"spec/resources/requests/storage": "6Gi"}) == []
    assert refused_update(bound, {"spec/volumeAttributesClassName": "gold"}) == []
    assert refused_update(bound, {"spec/resources/requests/storage": "4Gi"}) == ["spec.resources.requests[storage]"]
    assert refused_update(bound, {"spec/resources/requests/cpu": "1"}) == ["spec.resources.requests[cpu]"]
    assert refused_update(bound, {"spec/resources/limits/storage": "9Gi"}) == ["spec.resources.limits"]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/capacity": GONE}, ["spec.capacity[storage]"]),
        ({"spec/capacity/storage": "-1Gi"}, ["spec.capacity[storage]"]),
        ({"spec/capacity/iops": "5"}, ["spec.capacity[iops]"]),
        ({"spec/accessModes": []}, ["spec.accessModes"]),
        ({"spec/local": GONE}, ["spec"]),
        ({"spec/hostPath": {"path": "/x"}}, ["spec"]),
        ({"spec/local/path": ""}, ["spec.local.path"]),
        ({"spec/local/path": "/mnt/../etc"}, ["spec.local.path"]),
        ({"spec/nodeAffinity": GONE}, ["spec.nodeAffinity"]),
        ({"spec/nodeAffinity": {}}, ["spec.nodeAffinity.required"]),
        ({LOCAL: []}, ["spec.nodeAffinity.required.nodeSelectorTerms"]),
        (
            {f"{LOCAL}/0/matchExpressions/0/operator": "Like"},
            ["spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0]"],
        ),
        ({"spec/persistentVolumeReclaimPolicy": "Burn"}, ["spec.persistentVolumeReclaimPolicy"]),
        ({"spec/volumeMode": "Object"}, ["spec.volumeMode"]),
        ({"spec/storageClassName": "A B"}, ["spec.storageClassName"]),
    ],
)
def test_volumes(changes: Changes, fields: list[str]) -> None:
    assert refused(created("v1", "PersistentVolume", changes)) == fields


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ({"hostPath": {"path": "/data"}}, []),
        ({"hostPath": {"path": "../data"}}, ["spec.hostPath.path"]),
        ({"nfs": {"server": "nfs.example.org", "path": "/export"}}, []),
        ({"nfs": {"server": "", "path": "export"}}, ["spec.nfs.server", "spec.nfs.path"]),
        ({"iscsi": {"targetPortal": "192.0.2.1", "iqn": "iqn.2026-01.org.example:a", "lun": 3}}, []),
        (
            {"iscsi": {"targetPortal": "", "iqn": "", "lun": 256}},
            ["spec.iscsi.targetPortal", "spec.iscsi.iqn", "spec.iscsi.lun"],
        ),
        ({"rbd": {"monitors": [], "image": ""}}, ["spec.rbd.monitors", "spec.rbd.image"]),
        ({"cephfs": {"monitors": ["192.0.2.1"]}}, []),
        ({"glusterfs": {"endpoints": "g", "path": ""}}, ["spec.glusterfs.path"]),
        ({"azureDisk": {"diskName": "d", "diskURI": ""}}, ["spec.azureDisk.diskURI"]),
        ({"scaleIO": {"gateway": "g", "system": "s"}}, ["spec.scaleIO.volumeName"]),
        ({"csi": {"driver": "", "volumeHandle": ""}}, ["spec.csi.driver", "spec.csi.volumeHandle"]),
        ({"csi": {"driver": "x" * 64, "volumeHandle": "v"}}, ["spec.csi.driver"]),
        (
            {"csi": {"driver": "d", "volumeHandle": "v", "nodeStageSecretRef": {"name": "s"}}},
            ["spec.csi.nodeStageSecretRef.namespace"],
        ),
    ],
)
def test_where_a_volume_is(source: dict[str, Any], fields: list[str]) -> None:
    changes: Changes = {"spec/local": GONE, **{f"spec/{name}": value for name, value in source.items()}}
    assert refused(created("v1", "PersistentVolume", changes)) == fields


def test_the_whole_node_is_not_recycled() -> None:
    changes: Changes = {
        "spec/local": GONE,
        "spec/hostPath": {"path": "//"},
        "spec/persistentVolumeReclaimPolicy": "Recycle",
    }
    assert refused(created("v1", "PersistentVolume", changes)) == ["spec.persistentVolumeReclaimPolicy"]


def test_a_volume_stays_where_it_is() -> None:
    made = created("v1", "PersistentVolume")
    assert (made.status.phase, made.spec.persistent_volume_reclaim_policy) == ("Pending", "Retain")
    assert refused_update(made, {"spec/capacity/storage": "200Gi", "spec/claimRef": {"name": "c"}}) == []
    assert refused_update(made, {"spec/local/path": "/mnt/other"}) == ["spec"]
    assert refused_update(made, {"spec/volumeMode": "Block"}) == ["spec.volumeMode"]
    assert refused_update(made, {f"{LOCAL}/0/matchExpressions/0/values": ["n2"]}) == ["spec.nodeAffinity"]


def test_secrets_for_growing_may_change() -> None:
    csi = {"driver": "d.example", "volumeHandle": "v"}
    made = created("v1", "PersistentVolume", {"spec/local": GONE, "spec/csi": csi})
    secret = {"name": "s", "namespace": "default"}
    assert refused_update(made, {"spec/csi/nodeExpandSecretRef": secret}) == []
    assert refused_update(made, {"spec/csi/nodeStageSecretRef": secret}) == ["spec"]


def test_every_source_of_a_volume_has_its_rules() -> None:
    """A source that is empty is refused, whatever it is, but where nothing is required of it."""
    free = {"fc", "flocker", "storageos"}
    fields = PersistentVolume.DESCRIPTOR.fields_by_name["spec"].message_type.fields_by_name
    sources = fields["persistent_volume_source"].message_type.fields
    base = edited(codec.encode_object(created("v1", "PersistentVolume")), {"spec/local": GONE, "status": GONE})
    accepted = set()
    for source in sources:
        obj: Any = codec.decode_object(edited(base, {f"spec/{source.json_name}": {}}))
        if refused(obj) == []:
            accepted.add(source.name)
    assert accepted == free


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"provisioner": ""}, ["provisioner"]),
        ({"provisioner": "a b"}, ["provisioner"]),
        ({"reclaimPolicy": "Recycle"}, ["reclaimPolicy"]),
        ({"volumeBindingMode": "Later"}, ["volumeBindingMode"]),
        ({"parameters": {f"k{number}": "v" for number in range(513)}}, ["parameters"]),
        ({"parameters": {"k": "v" * 262144}}, ["parameters"]),
        ({"parameters": {"": "v"}}, ["parameters"]),
        (
            {
                "allowedTopologies/1": {
                    "matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["z1", "z2"]}]
                }
            },
            ["allowedTopologies[1]"],
        ),
        (
            {"allowedTopologies/0/matchLabelExpressions/0/values": []},
            ["allowedTopologies[0].matchLabelExpressions[0].values"],
        ),
        (
            {"allowedTopologies/0/matchLabelExpressions/0/values": ["a", "a"]},
            ["allowedTopologies[0].matchLabelExpressions[0].values"],
        ),
        (
            {"allowedTopologies/0/matchLabelExpressions/1": {"key": "topology.kubernetes.io/zone", "values": ["a"]}},
            ["allowedTopologies[0].matchLabelExpressions[1].key"],
        ),
    ],
)
def test_storage_classes(changes: Changes, fields: list[str]) -> None:
    assert refused(created("storage.k8s.io/v1", "StorageClass", changes)) == fields


def test_what_of_a_storage_class_may_change() -> None:
    made = created("storage.k8s.io/v1", "StorageClass", {"reclaimPolicy": GONE, "volumeBindingMode": GONE})
    assert (made.reclaim_policy, made.volume_binding_mode) == ("Delete", "Immediate")
    assert (
        refused_update(made, {"allowVolumeExpansion": False, "mountOptions": [], "metadata/labels": {"a": "b"}}) == []
    )
    for path in ("provisioner", "reclaimPolicy", "volumeBindingMode", "parameters/tier"):
        value = {"reclaimPolicy": "Retain", "volumeBindingMode": "WaitForFirstConsumer"}.get(path, "other")
        assert refused_update(made, {path: value}) == [path.partition("/")[0]]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/attacher": ""}, ["spec.attacher"]),
        ({"spec/nodeName": ""}, ["spec.nodeName"]),
        ({"spec/source": {}}, ["spec.source"]),
        ({"spec/source/persistentVolumeName": ""}, ["spec.source.persistentVolumeName"]),
        (
            {"spec/source": {"inlineVolumeSpec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}},
            ["spec.source.inlineVolumeSpec", "spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy"],
        ),
    ],
)
def test_attachments(changes: Changes, fields: list[str]) -> None:
    assert refused(created("storage.k8s.io/v1", "VolumeAttachment", changes)) == fields


def test_an_attachment_stays() -> None:
    made = created("storage.k8s.io/v1", "VolumeAttachment")
    assert refused_update(made, {"metadata/labels": {"a": "b"}}) == []
    assert refused_update(made, {"spec/nodeName": "n2"}) == ["spec"]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"metadata/name": "Disks.Example.Org"}, []),
        ({"metadata/name": "x" * 64}, ["metadata.name"]),
        ({"spec/fsGroupPolicy": "Some"}, ["spec.fsGroupPolicy"]),
        ({"spec/volumeLifecycleModes/0": "Eternal"}, ["spec.volumeLifecycleModes[0]"]),
        ({"spec/tokenRequests/1/audience": ""}, ["spec.tokenRequests[1].audience"]),
        ({"spec/tokenRequests/0/expirationSeconds": 599}, ["spec.tokenRequests[0].expirationSeconds"]),
        ({"spec/nodeAllocatableUpdatePeriodSeconds": 9}, ["spec.nodeAllocatableUpdatePeriodSeconds"]),
        (
            {"spec/serviceAccountTokenInSecrets": True, "spec/tokenRequests": []},
            ["spec.serviceAccountTokenInSecrets"],
        ),
    ],
)
def test_csi_drivers(changes: Changes, fields: list[str]) -> None:
    assert refused(created("storage.k8s.io/v1", "CSIDriver", changes)) == fields


def test_what_of_a_csi_driver_may_change() -> None:
    plain = created("storage.k8s.io/v1", "CSIDriver", {"spec": {}})
    assert (plain.spec.attach_required, list(plain.spec.volume_lifecycle_modes)) == (True, ["Persistent"])
    assert plain.spec.fs_group_policy == "ReadWriteOnceWithFSType"
    assert refused_update(plain, {"spec/podInfoOnMount": True, "spec/tokenRequests": [{"audience": "a"}]}) == []
    assert refused_update(plain, {"spec/attachRequired": False}) == ["spec.attachRequired"]
    assert refused_update(plain, {"spec/volumeLifecycleModes": ["Ephemeral"]}) == ["spec.volumeLifecycleModes"]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/drivers/0/name": ""}, ["spec.drivers[0].name"]),
        ({"spec/drivers/0/nodeID": ""}, ["spec.drivers[0].nodeID"]),
        ({"spec/drivers/0/nodeID": "x" * 257}, ["spec.drivers[0].nodeID"]),
        ({"spec/drivers/0/topologyKeys": ["a", "a"]}, ["spec.drivers[0].topologyKeys"]),
        ({"spec/drivers/0/topologyKeys": ["a b"]}, ["spec.drivers[0].topologyKeys[0]"]),
        ({"spec/drivers/0/allocatable/count": -1}, ["spec.drivers[0].allocatable.count"]),
        ({"spec/drivers/1": {"name": "disks.example.org", "nodeID": "m"}}, ["spec.drivers[1].name"]),
    ],
)
def test_csi_nodes(changes: Changes, fields: list[str]) -> None:
    assert refused(created("storage.k8s.io/v1", "CSINode", changes)) == fields


def test_drivers_of_a_node_come_and_go_and_do_not_change() -> None:
    made = created("storage.k8s.io/v1", "CSINode")
    assert refused_update(made, {"spec/drivers": []}) == []
    assert refused_update(made, {"spec/drivers/1": {"name": "other.example", "nodeID": "m"}}) == []
    assert refused_update(made, {"spec/drivers/0/allocatable/count": 3}) == []
    assert refused_update(made, {"spec/drivers/0/nodeID": "m2"}) == ["spec.drivers[0].nodeID"]
