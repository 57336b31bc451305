"""Input that is meant to hurt: each piece of it gets a clear error, quickly, and nobody else notices."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from steersman import errors
from steersman.client import Api, connect_to
from steersman.config import Context
from steersman.core.v1 import ConfigMap, ConfigMapWriteRequest, Secret
from steersman.meta.v1 import JSON_PATCH, MERGE_PATCH, ListRequest, PatchRequest
from steersman.pki import Authority

from apiserver import errors as domain
from apiserver.storage.etcd import EtcdStorage, open_channels
from tests.apiserver import access
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, deployment, namespace, pod
from tests.apiserver.test_encryption import secret, serving
from tests.apiserver.test_rbac import becomes_allowed
from tests.store.running import StoreProcess

# Long enough that anything that looks at it more than once in each place would not come to an end.
LONG = 300_000


async def raw(api: Api, method: str, request: bytes) -> tuple[grpc.StatusCode, str]:
    """What a call with these very bytes comes to."""
    call: Any = api.channel.unary_unary(method)
    try:
        await call(request, metadata=api.metadata, timeout=30)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


# --- who ------------------------------------------------------------------------------------------------------------


async def test_a_certificate_of_another_authority_opens_no_door(served: Served) -> None:
    now = datetime.now(UTC)
    certificate, key = Authority.create("another", now=now).issue("admin", groups=["system:masters"], now=now)
    for port in served.apiserver.ports:
        context = Context("x", f"localhost:{port}", authority=served.ca, certificate=certificate, key=key)
        async with connect_to(context) as api:
            api.patient = False
            with pytest.raises(errors.ApiError) as caught:
                await api.pods.list()
            assert isinstance(caught.value, errors.Unavailable | errors.Unauthenticated)


async def test_an_expired_certificate_opens_no_door(served: Served) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    certificate, key = served.authority.issue("admin", groups=["system:masters"], now=long_ago)
    context = Context("x", f"localhost:{served.apiserver.ports[0]}", "", served.ca, certificate, key)
    async with connect_to(context) as api:
        api.patient = False
        with pytest.raises(errors.ApiError) as caught:
            await api.pods.list()
        assert isinstance(caught.value, errors.Unavailable | errors.Unauthenticated)


# --- tokens of lists ------------------------------------------------------------------------------------------------


def token(after: object, revision: object) -> str:
    return base64.urlsafe_b64encode(json.dumps([after, revision]).encode()).decode()


async def listed(api: Api, continue_token: str, *, namespace: str = "", limit: int = 1) -> Any:
    request = ListRequest(namespace=namespace, limit=limit, continue_token=continue_token)
    method = api.configmaps._method("List", ListRequest, api.configmaps.kind.list_message)
    return await api.unary(method, request)


async def test_a_replayed_token_shows_the_same_page_again(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.configmaps.create(config_map(name))
    first = await listed(api, "", namespace="default")
    await api.configmaps.delete("b")
    for _ in range(2):
        page = await listed(api, first.metadata.continue_token, namespace="default")
        assert [item.metadata.name for item in page.items] == ["b"]
    # Another kind has other objects, and a token tells nothing of which kind it was.
    request = ListRequest(namespace="default", limit=1, continue_token=first.metadata.continue_token)
    method = api.secrets._method("List", ListRequest, api.secrets.kind.list_message)
    answer: Any = await api.unary(method, request)
    assert not answer.items


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense",
        "\u00fc",
        token("a", "b"),
        token(7, 8),
        token("default/a", -1),
        token("default/a", True),
        token("default/a\0b", 5),
        token(["default/a"], 5),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        "A" * LONG,
    ],
    ids=range(10),
)
async def test_a_token_that_no_list_gave_is_refused(api: Api, wrong: str) -> None:
    with pytest.raises(errors.Invalid, match="continue_token"):
        await listed(api, wrong, namespace="default")


async def test_a_token_reaches_into_no_other_namespace(
    identities: tuple[Path, Authority], tmp_path: Path, served: Served, api: Api
) -> None:
    """On the store in memory, and on a real one, where keys are compared elsewhere."""

    async def try_it(api: Api) -> None:
        for name in ("aaa", "mmm", "zzz"):
            await api.namespaces.create(namespace(name))
            made = config_map("secretive", name)
            await api.configmaps.create(made)
        for after in ("aaa/secretive", "", "mmm", "aaa/zzz", "zzz/secretive", "default/../mmm/x"):
            with pytest.raises(errors.Invalid, match="continue_token"):
                await listed(api, token(after, 1 << 62), namespace="zzz/"[:3] if after.startswith("a") else "nnn")

    await try_it(api)
    folder, authority = identities
    process = StoreProcess(tmp_path / "data").start()
    try:
        channels = open_channels([f"http://{process.target}"], authority=None, certificate=None, key=None)
        async with serving(EtcdStorage(channels), folder, authority, None) as real:
            await try_it(real)
            with pytest.raises(errors.Invalid, match="revision"):
                await listed(real, token("zzz/a", 1 << 40), namespace="zzz")
        for channel in channels:
            await channel.close()
    finally:
        process.kill()


# --- selectors and amounts ------------------------------------------------------------------------------------------

PATTERNS = [
    "1" * LONG + "!",
    "a." * (LONG // 2) + "!",
    "a" * LONG + "!",
    "a-" * (LONG // 2) + "_",
    " " * LONG + "!",
    "(" * LONG,
    "!" * LONG,
    "a in (" + "b," * (LONG // 2),
    "\\," * (LONG // 2),
    "(a+)+$" * 1000,
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=range(len(PATTERNS)))
async def test_long_texts_are_looked_at_once(api: Api, pattern: str) -> None:
    for selector in ("label_selector", "field_selector"):
        with pytest.raises(errors.Invalid):
            await api.pods.list(**{selector: pattern})
    wrong = access.asking(pod(), requests={"cpu": pattern})
    wrong.metadata.labels["a"] = pattern
    wrong.spec.hostname = pattern
    with pytest.raises(errors.Invalid) as caught:
        await api.pods.create(wrong)
    assert {"metadata.labels[a]", "spec.containers[0].resources.requests[cpu]"} <= {
        violation.field for violation in caught.value.violations
    }
    # What is told is short, however long it was.
    assert len(caught.value.message) < 4000
    await api.configmaps.list(namespace="default")


# --- size and form --------------------------------------------------------------------------------------------------


async def test_ten_thousand_labels_are_stored_or_refused_by_their_size(api: Api) -> None:
    many = config_map()
    many.metadata.labels.update({f"label-{index}": "value" for index in range(10_000)})
    made = await api.configmaps.create(many)
    assert len(made.metadata.labels) == 10_000
    assert await api.configmaps.list(namespace="default", label_selector="label-9999=value")
    many.metadata.name = "annotated"
    many.metadata.annotations.update({f"example.org/a{index}": "x" * 40 for index in range(10_000)})
    with pytest.raises(errors.Invalid, match=r"metadata\.annotations"):
        await api.configmaps.create(many)


async def test_objects_and_messages_that_are_too_large(api: Api) -> None:
    with pytest.raises(errors.Invalid, match="at most 1048576"):
        await api.configmaps.create(config_map(a="x" * 1_500_000))
    huge = deployment()
    huge.spec.template.metadata.annotations["example.org/a"] = "x" * 200_000
    for index in range(10):
        huge.spec.template.spec.containers[0].env.add(name=f"E{index}", value="x" * 200_000)
    with pytest.raises(errors.Invalid, match="at most 1500000 are stored"):
        await api.deployments.create(huge)
    method, request = "/steersman.core.v1.ConfigMaps/Create", b"\x0a" + b"\xff" * 20_000_000
    code, _ = await raw(api, method, request)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await api.configmaps.list(namespace="default") == []


async def test_bytes_that_are_no_message_are_told_so(api: Api) -> None:
    made = ConfigMap(data={"key": "value"})
    made.metadata.name, made.metadata.namespace = "c", "default"
    good = ConfigMapWriteRequest(object=made).SerializeToString()
    for wrong in (
        good.replace(b"value", b"v\xffl\xfee"),
        good[:-3],
        b"\xff" * 40,
        b"\x0a\xff\xff\xff\xff\x7f",
        # A message within a message within a message, far deeper than any kind goes.
        b"\x0b" * 5000,
    ):
        code, details = await raw(api, "/steersman.core.v1.ConfigMaps/Create", wrong)
        assert code is grpc.StatusCode.INVALID_ARGUMENT, (wrong[:10], code, details)
    code, _ = await raw(api, "/steersman.core.v1.Pods/Logs", b"\xff" * 10)
    assert code is not grpc.StatusCode.OK
    assert await api.configmaps.list(namespace="default") == []


@pytest.mark.parametrize("type_", [JSON_PATCH, MERGE_PATCH, 0])
async def test_patches_of_any_depth_and_form_are_refused(api: Api, type_: Any) -> None:
    await api.configmaps.create(config_map(a="1"))
    for wrong in (
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"data":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
        b'[{"op":"add","path":"' + b"/a" * 100_000 + b'","value":1}]',
        b'{"data":{"a":1e999}}',
        b'{"metadata":{"labels":[1,2]}}',
        b'{"data":"\xff\xfe"}',
        b'{"data":{"a":"\\ud800"}}',
        b"NaN",
        b"1" * LONG,
    ):
        request = PatchRequest(namespace="default", name="c", type=type_, patch=wrong)
        code, details = await raw(api, "/steersman.core.v1.ConfigMaps/Patch", request.SerializeToString())
        assert code is grpc.StatusCode.INVALID_ARGUMENT, (wrong[:30], code, details)
    assert (await api.configmaps.get("c")).data["a"] == "1"


# --- owners ---------------------------------------------------------------------------------------------------------


async def test_owners_in_circles_and_in_long_chains(api: Api) -> None:
    """They are only names to the apiserver; what they lead to is the collector's to find out."""
    chain: list[ConfigMap] = []
    for index in range(200):
        made = config_map(f"c{index}")
        if chain:
            owner = chain[-1].metadata
            made.metadata.owner_references.add(api_version="v1", kind="ConfigMap", name=owner.name, uid=owner.uid)
        chain.append(await api.configmaps.create(made))
    first, last = chain[0], chain[-1].metadata
    first.metadata.owner_references.add(api_version="v1", kind="ConfigMap", name=last.name, uid=last.uid)
    own = first.metadata
    own.owner_references.add(api_version="v1", kind="ConfigMap", name=own.name, uid=own.uid)
    assert len((await api.configmaps.update(first)).metadata.owner_references) == 2
    wrong = config_map("w")
    wrong.metadata.owner_references.add(kind="ConfigMap", name="c0")
    for _ in range(2):
        wrong.metadata.owner_references.add(api_version="v1", kind="X", name="x", uid="u", controller=True)
    with pytest.raises(errors.Invalid) as caught:
        await api.configmaps.create(wrong)
    assert {violation.field for violation in caught.value.violations} == {
        "metadata.ownerReferences",
        "metadata.ownerReferences[0].apiVersion",
        "metadata.ownerReferences[0].uid",
    }


# --- what is nobody's to read ---------------------------------------------------------------------------------------


async def test_an_error_tells_nobody_what_he_may_not_know(served: Served, api: Api) -> None:
    await api.secrets.create(secret("there"))
    mallory = served.as_user("mallory")
    answers = []
    for name in ("there", "nowhere"):
        for call in (mallory.secrets.get(name), mallory.secrets.delete(name), mallory.secrets.patch(name, b"{}")):
            with pytest.raises(errors.Forbidden) as caught:
                await call
            answers.append(caught.value.message)
    assert answers[:3] == answers[3:]


async def test_stored_secrets_are_not_in_errors(served: Served, api: Api) -> None:
    made = Secret(data={"word": b"swordfish"}, immutable=True)
    made.metadata.name = "s"
    made = await api.secrets.create(made)
    made.data["word"] = b"marlin"
    with pytest.raises(errors.Invalid) as caught:
        await api.secrets.update(made)
    assert "swordfish" not in caught.value.message
    assert "marlin" not in caught.value.message


async def test_one_caller_that_sends_nonsense_costs_the_others_nothing(served: Served, api: Api) -> None:
    await api.roles.create(access.role("r", "create get", "configmaps"))
    await api.rolebindings.create(access.binding("b", "r", "mallory"))
    mallory = served.as_user("mallory")
    await becomes_allowed(mallory, "create", "configmaps")
    nonsense = [raw(mallory, "/steersman.core.v1.ConfigMaps/Create", bytes([index]) * 1000) for index in range(200)]
    sense = [api.configmaps.create(config_map(f"c{index}")) for index in range(20)]
    results = await asyncio.gather(*nonsense, *sense)
    assert all(isinstance(each, ConfigMap) for each in results[200:])
    assert {code for code, _ in results[:200] if isinstance(code, grpc.StatusCode)} <= {  # type: ignore[misc]
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
    }


def test_the_domain_names_what_it_refuses() -> None:
    error = domain.BadRequest("continue_token", "x")
    assert (error.field, error.why) == ("continue_token", "x")
