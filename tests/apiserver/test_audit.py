"""What is written down of calls: by level, for the right calls, in files that do not grow for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from steersman import errors, reviews
from steersman.authentication.v1 import TokenReview
from steersman.pki import Authority
from steersman.service.tls import TLSFiles

from apiserver.audit import policy
from apiserver.audit.log import RotatedFile
from apiserver.audit.policy import Level
from apiserver.authn import User
from apiserver.authz.attributes import Attributes
from apiserver.bootstrap import Apiserver, AuditSettings, Settings, node_channels
from apiserver.storage.memory import MemoryStorage
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, namespace, pod
from tests.apiserver.test_encryption import secret
from tests.waiting import eventually

RULES: list[dict[str, Any]] = [
    {"level": "None", "users": ["system:apiserver"]},
    {"level": "None", "resources": [{"group": "", "resources": ["pods/status"]}]},
    {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
    {"level": "RequestResponse", "namespaces": ["default"], "verbs": ["create", "update"], "omitManagedFields": True},
    {"level": "Request", "userGroups": ["people"], "omitStages": ["ResponseStarted"]},
    {"level": "Metadata"},
]


@pytest.fixture
async def audited(identities: tuple[Path, Authority], tmp_path: Path) -> AsyncIterator[tuple[Served, Path]]:
    folder, authority = identities
    rules, log = tmp_path / "policy.yaml", tmp_path / "log" / "audit.log"
    rules.write_text(yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": RULES}))
    tls = TLSFiles(folder / "apiserver.crt", folder / "apiserver.key", folder / "ca.crt")
    settings = Settings(addresses=["localhost:0"], tls=tls, audit=AuditSettings(rules, log))
    storage = MemoryStorage()
    apiserver = Apiserver(settings, storage, node_channel=node_channels(tls))
    await apiserver.start()
    await apiserver.ready()
    served = Served(apiserver, storage, folder, authority)
    try:
        yield served, log
    finally:
        for api in served.opened:
            await api.close()
        await apiserver.stop(grace_s=0)


async def written(log: Path, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first event that fits, once it is there."""

    def find() -> dict[str, Any] | None:
        events: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
        return next((event for event in events if wanted(event)), None)

    found: dict[str, Any] = await eventually(find)
    return found


async def test_each_call_is_written_down_as_its_level_says(audited: tuple[Served, Path]) -> None:
    served, log = audited
    api = served.as_user("admin", "system:masters")
    await api.configmaps.create(config_map(a="1"))
    event = await written(log, lambda e: e["objectRef"].get("resource") == "configmaps")
    assert (event["level"], event["verb"], event["stage"]) == ("RequestResponse", "create", "ResponseComplete")
    assert event["requestURI"] == "/steersman.core.v1.ConfigMaps/Create"
    assert event["user"]["username"] == "admin"
    assert event["requestObject"]["object"]["data"] == {"a": "1"}
    assert event["responseObject"]["metadata"]["uid"]
    assert event["responseStatus"]["code"] == "OK"
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"
    await api.secrets.create(secret())
    event = await written(log, lambda e: e["objectRef"].get("resource") == "secrets")
    assert (event["level"], "requestObject" in event) == ("Metadata", False)
    assert "swordfish" not in log.read_text()
    made = await api.pods.create(pod())
    made.status.message = "unseen"
    await api.pods.update_status(made)
    await api.configmaps.list(namespace="default")
    await written(log, lambda e: e["verb"] == "list")
    assert "unseen" not in log.read_text()


async def test_refusals_and_strangers_are_written_down_too(audited: tuple[Served, Path]) -> None:
    served, log = audited
    with pytest.raises(errors.Forbidden):
        await served.as_user("mallory", "people").nodes.list()
    event = await written(log, lambda e: e["user"].get("username") == "mallory")
    assert (event["level"], event["responseStatus"]["code"]) == ("Request", "PERMISSION_DENIED")
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    with pytest.raises(errors.Unauthenticated):
        await served.without_certificate("forged").pods.list()
    event = await written(log, lambda e: e["responseStatus"]["code"] == "UNAUTHENTICATED")
    assert event["user"] == {"groups": ["system:unauthenticated"]}
    assert "forged" not in log.read_text()
    acting = served.as_user("admin", "system:masters")
    acting.metadata = (("impersonate-user", "ann"),)
    with pytest.raises(errors.Forbidden):
        await acting.nodes.list()
    event = await written(log, lambda e: "impersonatedUser" in e)
    assert (event["user"]["username"], event["impersonatedUser"]["username"]) == ("admin", "ann")


async def test_a_watch_is_written_down_when_it_begins_and_when_it_ends(audited: tuple[Served, Path]) -> None:
    served, log = audited
    api = served.as_user("admin", "system:masters")
    watch = api.nodes.watch()
    await anext(watch)
    await written(log, lambda e: (e["verb"], e["stage"]) == ("watch", "ResponseStarted"))
    await watch.aclose()
    await written(log, lambda e: (e["verb"], e["stage"]) == ("watch", "ResponseComplete"))


async def test_what_pod_security_notes_is_written_down(audited: tuple[Served, Path]) -> None:
    served, log = audited
    api = served.as_user("admin", "system:masters")
    made = namespace("watched")
    made.metadata.labels["pod-security.kubernetes.io/audit"] = "baseline"
    await api.namespaces.create(made)
    cache = served.apiserver.registries["steersman.core.v1.Namespaces"].cache
    await eventually(lambda: len(cache) >= 5)
    wrong = pod(namespace="watched")
    wrong.spec.host_network = True
    await api.pods.create(wrong)
    name = "pod-security.kubernetes.io/audit-violations"
    event = await written(log, lambda e: name in e.get("annotations", {}))
    assert "hostNetwork" in event["annotations"][name]


def test_files_are_turned_over(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    file = RotatedFile(path, bytes_max=100, kept=2)
    for number in range(20):
        file.write(f"{number:02}" + "x" * 28)
    file.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["audit.log", "audit.log.1", "audit.log.2"]
    lines = [
        line[:2]
        for name in ("audit.log.2", "audit.log.1", "audit.log")
        for line in (tmp_path / name).read_text().splitlines()
    ]
    assert lines == [f"{number:02}" for number in range(20 - len(lines), 20)]
    assert all(each.stat().st_size <= 100 for each in tmp_path.iterdir())
    again = RotatedFile(path, bytes_max=100, kept=2)
    again.write("more")
    again.close()
    assert path.read_text().endswith("more\n")


@pytest.mark.parametrize(
    ("user", "wanted", "level"),
    [
        (User("system:apiserver", ()), Attributes("get", "pods"), Level.NONE),
        (User("a", ()), Attributes("update", "pods", subresource="status", namespace="default"), Level.NONE),
        (User("a", ()), Attributes("get", "secrets", namespace="x"), Level.METADATA),
        (User("a", ()), Attributes("create", "pods", namespace="default"), Level.REQUEST_RESPONSE),
        (User("a", ("people",)), Attributes("create", "pods", namespace="x"), Level.REQUEST),
        (None, Attributes("create", "pods", namespace="x"), Level.METADATA),
    ],
)
def test_the_first_rule_that_matches_decides(tmp_path: Path, user: Any, wanted: Attributes, level: Level) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({"kind": "Policy", "rules": RULES}))
    assert policy.read(path).rule_for(user, wanted).level is level


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "kind"),
        ("{kind: Policy}", "rules"),
        ("{kind: Policy, rules: [{level: Everything}]}", "level must be one of"),
        ("{kind: Policy, rules: [{level: None, colour: red}]}", "colour is not known"),
        ("{kind: Policy, rules: [{level: None, omitStages: [Never]}]}", "is no stage"),
    ],
)
def test_a_policy_that_makes_no_sense(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(policy.PolicyFileError, match=why):
        policy.read(path)


async def test_tokens_are_never_written_down(audited: tuple[Served, Path]) -> None:
    served, log = audited
    api = served.as_user("admin", "system:masters")
    review = TokenReview()
    review.spec.token = "eyJ-something-that-opens-doors"
    review.metadata.namespace = "default"
    await reviews.ask(api, review)
    event = await written(log, lambda e: e["objectRef"].get("resource") == "tokenreviews")
    assert event["level"] == "Metadata"
    assert "opens-doors" not in log.read_text()
