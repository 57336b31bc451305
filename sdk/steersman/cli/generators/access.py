"""Roles, their bindings and service accounts out of a few words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from steersman import kinds
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, base, commas, pairs

RBAC = "rbac.authorization.k8s.io"
API = f"{RBAC}/v1"


def service_account(name: str) -> Data:
    """A ServiceAccount."""
    return base("v1", "ServiceAccount", name)


def resource(word: str) -> tuple[str, str]:
    """(group, resource[/subresource]) of `pods`, `deploy/scale`, `deployments.apps` or `widgets.example.com`.

    Raises:
        UnknownKindError: the word names no kind, and no group either.
    """
    name, slash, part = word.partition("/")
    if name == "*":
        return "*", name + slash + part
    try:
        kind = kinds.by_name(name)
    except kinds.UnknownKindError:
        plural, dot, group = name.partition(".")
        if not dot:
            raise
        return group, plural + slash + part
    return kind.group, kind.plural + slash + part


def rules(verbs: Sequence[str], resources: Sequence[str], names: Sequence[str], urls: Sequence[str] = ()) -> list[Data]:
    """What a role allows: a rule for each group of the resources, and one for paths that are no resources.

    Raises:
        CommandError: something is missing.
    """
    verbs, urls, names = commas(verbs), commas(urls), commas(names)
    if not verbs:
        raise CommandError("which verbs? --verb get,list", USAGE)
    if "*" in verbs:
        verbs = ["*"]
    found = [resource(word) for word in commas(resources)]
    if not found and not urls:
        raise CommandError("which resources? --resource pods,deployments.apps", USAGE)
    if names and not found:
        raise CommandError("--resource-name goes with --resource", USAGE)
    groups: dict[str, list[str]] = {}
    for group, word in found:
        groups.setdefault(group, []).append(word)
    named = {"resourceNames": names} if names else {}
    made = [{"verbs": verbs, "apiGroups": [group], "resources": words, **named} for group, words in groups.items()]
    if urls:
        made.append({"verbs": verbs, "nonResourceURLs": urls})
    return made


def role(name: str, allowed: list[Data]) -> Data:
    """A Role."""
    return base(API, "Role", name) | {"rules": allowed}


def cluster_role(name: str, allowed: list[Data], aggregation: Sequence[str] = ()) -> Data:
    """A ClusterRole: with rules of its own, or one that is put together of others by their labels."""
    made = base(API, "ClusterRole", name)
    if aggregation:
        return made | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": pairs(aggregation, "label")}]}}
    return made | {"rules": allowed}


def binding(
    kind: str,
    name: str,
    *,
    role: str = "",
    cluster_role: str = "",
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    accounts: Sequence[str] = (),
) -> Data:
    """A RoleBinding or a ClusterRoleBinding.

    Raises:
        CommandError: it names no role, or two, or an account without its namespace.
    """
    if bool(role) == bool(cluster_role):
        one = "--clusterrole NAME" if kind == "ClusterRoleBinding" else "either --role NAME or --clusterrole NAME"
        raise CommandError(f"which role? {one}", USAGE)
    subjects: list[Data] = [{"kind": "User", "apiGroup": RBAC, "name": user} for user in commas(users)]
    subjects += [{"kind": "Group", "apiGroup": RBAC, "name": group} for group in commas(groups)]
    for account in commas(accounts):
        namespace, colon, account_name = account.partition(":")
        if not colon or not namespace or not account_name:
            raise CommandError(f"--serviceaccount {account!r} is not NAMESPACE:NAME", USAGE)
        subjects.append({"kind": "ServiceAccount", "namespace": namespace, "name": account_name})
    bound = {"apiGroup": RBAC, "kind": "Role" if role else "ClusterRole", "name": role or cluster_role}
    return base(API, kind, name) | {"subjects": subjects, "roleRef": bound}
