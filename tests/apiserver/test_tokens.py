"""Tokens: of service accounts, bound to what they are for, and those that machines join with."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from steersman import errors, reviews
from steersman.authentication.v1 import SelfSubjectReview, TokenReview
from steersman.client import Api
from steersman.core.v1 import Pod, Secret
from steersman.pki import key_pem, new_key

from tests.apiserver import access
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, namespace, pod
from tests.waiting import eventually

ISSUER = "https://kubernetes.default.svc.cluster.local"


async def whoami(api: Api) -> tuple[str, list[str]]:
    info = (await reviews.ask(api, SelfSubjectReview())).status.user_info
    return info.username, list(info.groups)


def forged(served: Served, key: Any = None, **changes: Any) -> str:
    """A token of the default account, signed with the server's key unless another is given."""
    from apiserver.tokens.signing import key_id

    own = serialization.load_pem_private_key((served.folder / "sa.key").read_bytes(), None)
    now = int(datetime.now(UTC).timestamp())
    content: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "system:serviceaccount:default:robot",
        "aud": [ISSUER],
        "exp": now + 600,
        "iat": now,
        "nbf": now,
        "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "robot", "uid": "u"}},
        **changes,
    }
    assert hasattr(own, "public_key")
    headers = {"kid": key_id(own.public_key())}
    return jwt.encode(content, key or own, algorithm="ES256", headers=headers)  # type: ignore[arg-type]


def by_hand(header: dict[str, str], content: dict[str, str], secret: bytes) -> str:
    """A token that no decent library would make."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    text = f"{part(json.dumps(header).encode())}.{part(json.dumps(content).encode())}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256'))}"


async def test_a_token_says_who_its_bearer_is(served: Served, api: Api) -> None:
    await api.serviceaccounts.create(access.service_account("robot"))
    made = await reviews.create_token(api, "robot", namespace="default", expiration_s=1200)
    left_s = made.status.expiration_timestamp.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(seconds=1190) < left_s <= timedelta(seconds=1200)
    robot = served.without_certificate(made.status.token)
    assert await whoami(robot) == (
        "system:serviceaccount:default:robot",
        ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
    )
    with pytest.raises(errors.Forbidden, match="system:serviceaccount:default:robot"):
        await robot.configmaps.list(namespace="default")
    await api.configmaps.create(config_map(a="1"))
    await api.roles.create(access.role("r", "list watch", "configmaps"))
    bound = access.binding("b", "r", "")
    del bound.subjects[:]
    bound.subjects.add(kind="ServiceAccount", name="robot", namespace="default")
    await api.rolebindings.create(bound)

    async def listed() -> bool:
        try:
            return len(await robot.configmaps.list(namespace="default")) == 1
        except errors.Forbidden:
            return False

    await eventually(listed)
    event = await anext(robot.configmaps.watch(namespace="default"))
    assert event.object is not None


async def test_a_token_ends_with_its_account_and_with_its_pod(served: Served, api: Api) -> None:
    await api.serviceaccounts.create(access.service_account("robot"))
    made = pod("p")
    made.spec.service_account_name = "robot"
    made = await api.pods.create(made)
    of_pod = await reviews.create_token(api, "robot", namespace="default", pod=made)
    of_account = await reviews.create_token(api, "robot", namespace="default")
    for token in (of_pod, of_account):
        assert (await whoami(served.without_certificate(token.status.token)))[0].endswith(":robot")
    await api.pods.delete("p", grace_period_s=0)
    bearer = served.without_certificate(of_pod.status.token)

    async def refused(api: Api, why: str) -> bool:
        try:
            await whoami(api)
        except errors.Unauthenticated as error:
            return why in error.message
        return False

    await eventually(lambda: refused(bearer, "pod 'p' is gone"))
    bearer = served.without_certificate(of_account.status.token)
    assert await whoami(bearer)
    old = await api.serviceaccounts.delete("robot")
    await eventually(lambda: refused(bearer, "service account 'robot' is gone"))
    again = await api.serviceaccounts.create(access.service_account("robot"))
    assert again.metadata.uid != old.metadata.uid
    await eventually(lambda: refused(bearer, "an earlier service account"))


async def test_what_a_token_may_be_asked_for(served: Served, api: Api) -> None:
    await api.serviceaccounts.create(access.service_account("robot"))
    other = await api.pods.create(pod("other"))
    with pytest.raises(errors.Invalid, match="runs as 'default', not as 'robot'"):
        await reviews.create_token(api, "robot", namespace="default", pod=other)
    gone = Pod()
    gone.CopyFrom(other)
    gone.metadata.uid = "another"
    with pytest.raises(errors.Conflict, match="its uid is"):
        await reviews.create_token(api, "default", namespace="default", pod=gone)
    with pytest.raises(errors.Invalid, match="expirationSeconds"):
        await reviews.create_token(api, "robot", namespace="default", expiration_s=599)
    with pytest.raises(errors.NotFound):
        await reviews.create_token(api, "nobody", namespace="default")
    with pytest.raises(errors.Forbidden, match="create serviceaccounts/token"):
        await reviews.create_token(served.as_user("mallory"), "robot", namespace="default")


async def test_a_token_for_others_is_not_for_the_apiserver(served: Served, api: Api) -> None:
    await api.serviceaccounts.create(access.service_account("robot"))
    made = await reviews.create_token(api, "robot", namespace="default", audiences=["vault", "bank"])
    with pytest.raises(errors.Unauthenticated, match="another audience"):
        await whoami(served.without_certificate(made.status.token))
    review = TokenReview()
    review.spec.token = made.status.token
    assert "another audience" in (await reviews.ask(api, review)).status.error
    review.spec.audiences.extend(["bank", "shop"])
    answer = await reviews.ask(api, review)
    assert (answer.status.authenticated, list(answer.status.audiences)) == (True, ["bank"])
    assert answer.status.user.username == "system:serviceaccount:default:robot"
    assert not answer.spec.token
    review.spec.token = "nonsense"
    assert not (await reviews.ask(api, review)).status.authenticated


async def test_forged_and_expired_tokens_are_told_what_is_wrong(served: Served, api: Api) -> None:
    account = await api.serviceaccounts.create(access.service_account("robot"))
    private = {"namespace": "default", "serviceaccount": {"name": "robot", "uid": account.metadata.uid}}
    assert (await whoami(served.without_certificate(forged(served, **{"kubernetes.io": private}))))[0]
    now = int(datetime.now(UTC).timestamp())
    good = {"kubernetes.io": private}
    stranger = new_key()
    none = jwt.encode({"sub": "x"}, "", algorithm="none")  # type: ignore[arg-type]
    for token, why in (
        (forged(served, exp=now - 1, **good), "the token has expired"),
        (forged(served, nbf=now + 3600, **good), "not valid yet"),
        (forged(served, stranger, **good), "Signature verification failed"),
        (forged(served, iss="https://evil.example", **good), "another issuer"),
        (forged(served, sub="system:serviceaccount:kube-system:admin", **good), "does not say what"),
        (forged(served), "earlier service account"),
        (none, "key that is not known"),
        ("a.b.c", "not accepted"),
        ("abcdef.0123456789abcdef", "the bootstrap token is not valid"),
        (jwt.encode({"sub": "x"}, "secret" * 8, algorithm="HS256", headers={"kid": "x"}), "key that is not known"),
    ):
        with pytest.raises(errors.Unauthenticated, match=why):
            await whoami(served.without_certificate(token))
    # Confusing kinds of keys: the public key as the secret of an HMAC.
    from apiserver.tokens.signing import key_id, read_public

    public = read_public(served.folder / "sa.key")
    secret = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    confused = by_hand({"alg": "HS256", "kid": key_id(public)}, {"sub": "x"}, secret)
    with pytest.raises(errors.Unauthenticated, match="of another kind than its key"):
        await whoami(served.without_certificate(confused))


async def test_a_header_that_is_no_bearer_is_told_so(served: Served) -> None:
    api = served.without_certificate()
    for header in ("Basic YTpi", "Bearer", "Bearer  "):
        api.metadata = (("authorization", header),)
        with pytest.raises(errors.Unauthenticated):
            await whoami(api)


# --- pods -----------------------------------------------------------------------------------------------------------


async def test_every_pod_has_an_account_and_a_token(api: Api) -> None:
    made = await api.pods.create(pod())
    assert made.spec.service_account_name == made.spec.service_account == "default"
    (volume,) = made.spec.volumes
    assert volume.name.startswith("kube-api-access-")
    (mount,) = made.spec.containers[0].volume_mounts
    assert (mount.name, mount.read_only) == (volume.name, True)
    sources = volume.volume_source.projected.sources
    assert sources[0].service_account_token.path == "token"
    assert sources[1].config_map.local_object_reference.name == "kube-root-ca.crt"
    assert sources[2].downward_api.items[0].path == "namespace"


async def test_who_wants_no_token_gets_none(api: Api) -> None:
    shy = access.service_account("shy")
    shy.automount_service_account_token = False
    shy.image_pull_secrets.add(name="registry")
    await api.serviceaccounts.create(shy)
    wanted = pod("a")
    wanted.spec.service_account_name = "shy"
    made = await api.pods.create(wanted)
    assert not made.spec.volumes
    assert [each.name for each in made.spec.image_pull_secrets] == ["registry"]
    wanted = pod("b")
    wanted.spec.service_account_name = "shy"
    wanted.spec.automount_service_account_token = True
    assert (await api.pods.create(wanted)).spec.volumes
    wanted = pod("c")
    wanted.spec.automount_service_account_token = False
    assert not (await api.pods.create(wanted)).spec.volumes


async def test_an_account_must_exist_and_may_be_strict(api: Api) -> None:
    wanted = pod()
    wanted.spec.service_account_name = "nobody"
    with pytest.raises(errors.Forbidden, match="service account 'nobody' does not exist"):
        await api.pods.create(wanted)
    strict = access.service_account("strict")
    strict.metadata.annotations["kubernetes.io/enforce-mountable-secrets"] = "true"
    strict.secrets.add(name="allowed")
    await api.serviceaccounts.create(strict)
    for name, fine in (("allowed", True), ("other", False)):
        wanted = pod(f"p-{name}")
        wanted.spec.service_account_name = "strict"
        wanted.spec.volumes.add(name="s").volume_source.secret.secret_name = name
        if fine:
            await api.pods.create(wanted)
            continue
        with pytest.raises(errors.Forbidden, match="may not use Secret 'other'"):
            await api.pods.create(wanted)


async def test_the_first_pod_of_a_namespace_waits_for_nobody(api: Api) -> None:
    await api.namespaces.create(namespace("fresh"))
    made = await api.pods.create(pod(namespace="fresh"))
    assert made.spec.service_account_name == "default"
    assert (await api.serviceaccounts.get("default", namespace="fresh")).metadata.uid


async def test_a_node_gets_tokens_for_its_own_pods_only(served: Served, api: Api) -> None:
    n1 = served.as_user("system:node:n1", "system:nodes")
    mine, other = await api.pods.create(pod("a", node="n1")), await api.pods.create(pod("b", node="n2"))

    async def given() -> Any:
        try:
            return await reviews.create_token(n1, "default", namespace="default", pod=mine)
        except errors.Forbidden:
            return None

    token = (await eventually(given)).status.token
    assert (await whoami(served.without_certificate(token)))[0] == "system:serviceaccount:default:default"
    with pytest.raises(errors.Forbidden, match="not bound to this node"):
        await reviews.create_token(n1, "default", namespace="default", pod=other)
    with pytest.raises(errors.Forbidden, match="must be bound to a pod"):
        await reviews.create_token(n1, "default", namespace="default")
    await api.serviceaccounts.create(access.service_account("powerful"))
    with pytest.raises(errors.Forbidden):
        await reviews.create_token(n1, "powerful", namespace="default", pod=mine)


# --- joining --------------------------------------------------------------------------------------------------------


def bootstrap_token(**data: str) -> Secret:
    made = Secret(type="bootstrap.kubernetes.io/token")
    made.metadata.name, made.metadata.namespace = "bootstrap-token-abcdef", "kube-system"
    values = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}
    for key, value in (values | {key.replace("_", "-"): value for key, value in data.items()}).items():
        made.data[key] = value.encode()
    return made


async def test_a_machine_joins_with_a_bootstrap_token(served: Served, api: Api) -> None:
    await api.secrets.create(bootstrap_token(auth_extra_groups="system:bootstrappers:workers"))
    machine = served.without_certificate("abcdef.0123456789abcdef")
    assert await whoami(machine) == (
        "system:bootstrap:abcdef",
        ["system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"],
    )
    request = access.certificate_request(
        "join",
        user="system:node:n9",
        organizations=("system:nodes",),
        signer="kubernetes.io/kube-apiserver-client-kubelet",
    )
    assert (await machine.certificatesigningrequests.create(request)).spec.username == "system:bootstrap:abcdef"
    with pytest.raises(errors.Forbidden):
        await machine.nodes.list()
    with pytest.raises(errors.Unauthenticated):
        await whoami(served.without_certificate("abcdef.aaaaaaaaaaaaaaaa"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"expiration": "2020-01-01T00:00:00Z"}, "has expired"),
        ({"expiration": "soon"}, "not valid"),
        ({"usage_bootstrap_authentication": "false"}, "not valid"),
        ({"auth_extra_groups": "system:masters"}, "not valid"),
        ({"token_id": "fedcba"}, "not valid"),
    ],
)
async def test_a_bootstrap_token_that_is_not_right(served: Served, api: Api, data: dict[str, str], why: str) -> None:
    await api.secrets.create(bootstrap_token(**data))
    with pytest.raises(errors.Unauthenticated, match=why):
        await whoami(served.without_certificate("abcdef.0123456789abcdef"))


def test_keys_that_cannot_sign_are_told_so(tmp_path: Any) -> None:
    from apiserver.tokens.signing import KeyFileError, read_private, read_public

    file = tmp_path / "key"
    with pytest.raises(KeyFileError, match="No such file"):
        read_private(file)
    file.write_bytes(b"nothing")
    with pytest.raises(KeyFileError):
        read_public(file)
    file.write_bytes(key_pem(new_key()))
    assert read_public(file) == read_private(file).public_key()
