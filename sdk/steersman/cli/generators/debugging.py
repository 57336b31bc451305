"""What `steer debug` adds: a container in a running pod, a pod on a node, a changed copy of a pod. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, base

MANAGED_BY = "app.kubernetes.io/managed-by"
# What the container may do, by the name of a profile.
PROFILES: Mapping[str, Data] = {
    "general": {"capabilities": {"add": ["SYS_PTRACE"]}},
    "baseline": {},
    "restricted": {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "netadmin": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
    "sysadmin": {"privileged": True},
}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


@dataclass(frozen=True)
class Tools:
    """The container that is added.

    Attributes:
        name: its name.
        image: its image.
        words: its program, or with `arguments_only` the arguments of the image's own.
        arguments_only: what `words` are.
        environment: its variables.
        stdin: whether it can be typed to.
        tty: whether it has a terminal.
        profile: what it may do.
    """

    name: str
    image: str
    words: Sequence[str] = ()
    arguments_only: bool = False
    environment: Mapping[str, str] | None = None
    stdin: bool = False
    tty: bool = False
    profile: str = "general"

    def container(self) -> Data:
        """It as plain data."""
        made: Data = {"name": self.name, "image": self.image}
        if self.words:
            made["args" if self.arguments_only else "command"] = list(self.words)
        if self.environment:
            made["env"] = [{"name": key, "value": value} for key, value in self.environment.items()]
        if self.stdin:
            # Once: who looks goes, and then the shell is to end too.
            made |= {"stdin": True, "stdinOnce": True}
        if self.tty:
            made["tty"] = True
        if PROFILES[self.profile]:
            made["securityContext"] = copy.deepcopy(PROFILES[self.profile])
        return made


def ephemeral(tools: Tools, target: str) -> Data:
    """An ephemeral container; with a target it sees that container's processes."""
    made = tools.container()
    return {**made, "targetContainerName": target} if target else made


def node_pod(name: str, node: str, tools: Tools) -> Data:
    """A pod on a node that sees the node's processes, network and files (at /host)."""
    container = {**tools.container(), "volumeMounts": [{"name": "host-root", "mountPath": "/host"}]}
    made = base("v1", "Pod", name, labels={MANAGED_BY: "steer-debug"})
    made["spec"] = {
        "nodeName": node,
        "hostNetwork": True,
        "hostPID": True,
        "hostIPC": True,
        "restartPolicy": "Never",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "host-root", "hostPath": {"path": "/"}}],
    }
    return made


@dataclass(frozen=True)
class Copying:
    """How a copy of a pod differs from it.

    Attributes:
        name: its name.
        same_node: whether it runs on the same node.
        share_processes: whether its containers see one another's processes.
        keep_labels: whether it has the labels, and so the traffic and the owner's attention.
        keep_probes: whether its containers are probed.
        images: other images, by container; "*" for all others.
    """

    name: str
    same_node: bool = False
    share_processes: bool = True
    keep_labels: bool = False
    keep_probes: bool = False
    images: Mapping[str, str] | None = None


def copied(pod: Data, how: Copying, tools: Tools | None, change: str) -> Data:
    """A copy of a pod, with a container added or changed.

    Args:
        pod: the pod.
        how: what is different.
        tools: the container to add, or what to put in place of one's program; None: neither.
        change: the container whose image or program is replaced; empty: `tools` is added.

    Raises:
        CommandError: a container that is to be changed is not there.
    """
    made = base("v1", "Pod", how.name)
    if pod["metadata"].get("annotations"):
        made["metadata"]["annotations"] = pod["metadata"]["annotations"]
    if how.keep_labels and pod["metadata"].get("labels"):
        made["metadata"]["labels"] = pod["metadata"]["labels"]
    spec: Data = {key: value for key, value in pod["spec"].items() if key not in ("ephemeralContainers", "nodeName")}
    containers = [dict(each) for each in spec["containers"]]
    names = {each["name"] for each in containers}
    unknown = [name for name in [*(how.images or {}), *([change] if change else [])] if name not in {*names, "*"}]
    if unknown:
        raise CommandError(f"there is no container {unknown[0]!r}; there are {', '.join(sorted(names))}", USAGE)
    for each in containers:
        if not how.keep_probes:
            for probe in _PROBES:
                each.pop(probe, None)
        image = (how.images or {}).get(each["name"], (how.images or {}).get("*"))
        if image:
            each["image"] = image
        if tools is not None and each["name"] == change:
            replaced = tools.container()
            if not replaced["image"]:
                del replaced["image"]
            if "command" in replaced:
                each.pop("args", None)
            each |= replaced
    if tools is not None and not change:
        containers.append(tools.container())
    spec["containers"] = containers
    spec["shareProcessNamespace"] = how.share_processes
    if how.same_node and pod["spec"].get("nodeName"):
        spec["nodeName"] = pod["spec"]["nodeName"]
    made["spec"] = spec
    return made
