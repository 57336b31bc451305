"""ServiceAccount: every pod runs as an account of its namespace, and has a token of it, unless it says otherwise."""

from __future__ import annotations

from typing import Any

from steersman.core.v1.service_account_pb2 import ServiceAccount
from steersman.meta.v1.requests_pb2 import WriteOptions

from apiserver import errors
from apiserver.admission.port import CREATE, Admission
from apiserver.authn import MASTERS, User
from apiserver.authz.graph import SECRET, facts_of
from apiserver.authz.nodes import MIRROR
from apiserver.registry import Registry

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
ROOT_CA = "kube-root-ca.crt"
ENFORCE = "kubernetes.io/enforce-mountable-secrets"
# As in Kubernetes: an hour, and a little that tells these tokens from those that somebody asked for.
TOKEN_SECONDS = 3607
_USER = User("system:apiserver", (MASTERS,))


class ServiceAccounts:
    """Gives pods their account, its pull secrets, and a volume with a token."""

    def __init__(self, accounts: Registry, *, mount_tokens: bool) -> None:
        """Makes it.

        Args:
            accounts: the registry of service accounts.
            mount_tokens: whether tokens are issued at all; without them no volume is added.
        """
        self._accounts = accounts
        self._mount_tokens = mount_tokens

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if write.kind.kind != "Pod" or write.operation != CREATE:
            return
        pod = write.obj
        if MIRROR in pod.metadata.annotations:
            return
        spec = pod.spec
        if not spec.service_account_name:
            spec.service_account_name = spec.service_account or DEFAULT
        spec.service_account = spec.service_account_name
        account = await self._account(pod.metadata.namespace, spec.service_account_name, pod.metadata.name)
        if account.metadata.annotations.get(ENFORCE) == "true":
            self._check_secrets(write, account)
        if not spec.image_pull_secrets:
            spec.image_pull_secrets.MergeFrom(account.image_pull_secrets)
        if self._mount_tokens and _automounts(spec, account):
            _mount(spec, pod.metadata.uid)

    async def _account(self, namespace: str, name: str, pod_name: str) -> Any:
        entry = self._accounts.cache.get(self._accounts.key(namespace, name))
        if entry is not None:
            return ServiceAccount.FromString(entry.data)
        try:
            account, _ = await self._accounts.get_object(namespace, name)
            return account
        except errors.ObjectNotFound as error:
            if name != DEFAULT:
                why = f"its service account {name!r} does not exist in namespace {namespace!r}"
                raise errors.Refused("ServiceAccount", "pods", pod_name, why) from error
        # The namespace is new and the controller has not been here yet: whoever comes first makes it.
        made = ServiceAccount()
        made.metadata.name, made.metadata.namespace = DEFAULT, namespace
        try:
            return (await self._accounts.create(_USER, made, WriteOptions(field_manager="apiserver"))).obj
        except errors.ObjectExists:
            return (await self._accounts.get_object(namespace, DEFAULT))[0]

    @staticmethod
    def _check_secrets(write: Admission, account: Any) -> None:
        """The account may use only the Secrets that it lists."""
        listed = {each.name for each in account.secrets}
        pull = {each.name for each in account.image_pull_secrets}
        needed = {name for kind, name in facts_of_spec(write.obj) if kind == SECRET}
        for name in sorted(needed - listed - pull):
            why = f"its service account {account.metadata.name!r} may not use Secret {name!r}"
            raise errors.Refused("ServiceAccount", "pods", write.obj.metadata.name, why)


def facts_of_spec(pod: Any) -> frozenset[tuple[str, str]]:
    """What a pod refers to, wherever it will run."""
    copy = type(pod)()
    copy.CopyFrom(pod)
    copy.spec.node_name = copy.spec.node_name or "anywhere"
    return facts_of(copy).needs


def _automounts(spec: Any, account: Any) -> bool:
    for said in (spec, account):
        if said.HasField("automount_service_account_token"):
            return bool(said.automount_service_account_token)
    return True


def _mount(spec: Any, uid: str) -> None:
    """Adds the volume, and mounts it in every container that has nothing there."""
    containers = [*spec.init_containers, *spec.containers]
    wanting = [each for each in containers if all(mount.mount_path != MOUNT_PATH for mount in each.volume_mounts)]
    if not wanting:
        return
    name = VOLUME_PREFIX + uid.replace("-", "")[:5]
    volume = spec.volumes.add(name=name)
    projected = volume.volume_source.projected
    projected.default_mode = 0o644
    token = projected.sources.add().service_account_token
    token.expiration_seconds, token.path = TOKEN_SECONDS, "token"
    roots = projected.sources.add().config_map
    roots.local_object_reference.name = ROOT_CA
    roots.items.add(key="ca.crt", path="ca.crt")
    place = projected.sources.add().downward_api.items.add(path="namespace")
    place.field_ref.api_version, place.field_ref.field_path = "v1", "metadata.namespace"
    for container in wanting:
        container.volume_mounts.add(name=name, mount_path=MOUNT_PATH, read_only=True)
