"""What pruning takes away, without any cluster."""

from __future__ import annotations

import pytest
from steersman.cli import pruning
from steersman.cli.failures import CommandError
from steersman.core.v1 import ConfigMap
from steersman.kinds import UnknownKindError


def made(uid: str, *managers: tuple[str, str]) -> ConfigMap:
    obj = ConfigMap()
    obj.metadata.uid = uid
    for manager, operation in managers:
        obj.metadata.managed_fields.add(manager=manager, operation=operation)
    return obj


def test_only_what_the_same_manager_applied_before_goes() -> None:
    going = made("going", ("steer", "Apply"), ("other", "Update"))
    deleted = made("deleted", ("steer", "Apply"))
    deleted.metadata.deletion_timestamp.seconds = 5
    found = [
        going,
        deleted,
        made("kept", ("steer", "Apply")),
        made("updated", ("steer", "Update")),
        made("others", ("other", "Apply")),
        made("nobodys"),
    ]
    assert pruning.surplus(found, {"kept"}, "steer") == [going]


def test_the_kinds_that_may_be_pruned() -> None:
    names = [kind.kind for kind in pruning.allowed([])]
    assert "Deployment" in names
    assert "Node" not in names
    assert [k.kind for k in pruning.allowed(["core/v1/ConfigMap", "apps/v1/Deployment", "ingress"])] == [
        "ConfigMap",
        "Deployment",
        "Ingress",
    ]
    with pytest.raises(CommandError, match="not GROUP/VERSION/KIND"):
        pruning.allowed(["apps/Deployment"])
    with pytest.raises(UnknownKindError):
        pruning.allowed(["core/v1/Unicorn"])


@pytest.mark.parametrize(
    ("wanted", "live", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, True),
        ({"a": [{"n": 1}]}, {"a": [{"n": 1, "d": 2}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": 1}, {}, False),
        ({"a": {}}, {"a": 3}, False),
    ],
)
def test_whether_a_manifest_says_anything_new(wanted: object, live: object, same: bool) -> None:
    assert pruning.says_nothing_new(wanted, live) is same
