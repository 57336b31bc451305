"""Pods, Deployments, Jobs and CronJobs out of an image and a command. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, base


def name_of_image(image: str) -> str:
    """What a container is called after its image: "registry:5000/shop/web-app:1.2@sha256:..." makes "web-app"."""
    last = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return re.sub(r"[^a-z0-9-]+", "-", last.lower()).strip("-")[:63] or "container"


def containers(images: Sequence[str], command: Sequence[str], port: int | None) -> list[Data]:
    """A container for each image; names that would be the same are numbered.

    Raises:
        CommandError: there is no image, or a command for several of them.
    """
    if not images or not all(images):
        raise CommandError("which image? --image NAME", USAGE)
    if command and len(images) > 1:
        raise CommandError("a command goes with one --image only", USAGE)
    made: list[Data] = []
    names: dict[str, int] = {}
    for image in images:
        name = name_of_image(image)
        names[name] = names.get(name, 0) + 1
        number = f"-{names[name]}" if names[name] > 1 else ""
        one: Data = {"name": name[: 63 - len(number)] + number, "image": image}
        if command:
            one["command"] = list(command)
        made.append(one)
    if port is not None:
        made[0]["ports"] = [{"containerPort": port}]
    return made


def deployment(name: str, images: Sequence[str], replicas: int, port: int | None, command: Sequence[str]) -> Data:
    """A Deployment whose pods have the label app=NAME."""
    labels = {"app": name}
    made = base("apps/v1", "Deployment", name, labels=labels)
    made["spec"] = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers(images, command, port)}},
    }
    return made


def job(name: str, image: str, command: Sequence[str], restart: str = "Never") -> Data:
    """A Job of one pod."""
    made = base("batch/v1", "Job", name)
    made["spec"] = _job_spec(name, image, command, restart)
    return made


def _job_spec(name: str, image: str, command: Sequence[str], restart: str) -> Data:
    one = {**containers([image], command, None)[0], "name": name[:63]}
    return {"template": {"spec": {"restartPolicy": restart, "containers": [one]}}}


def cron_job(name: str, image: str, schedule: str, command: Sequence[str], restart: str) -> Data:
    """A CronJob."""
    made = base("batch/v1", "CronJob", name)
    spec = _job_spec(name, image, command, restart)
    made["spec"] = {"schedule": schedule, "jobTemplate": {"metadata": {"name": name}, "spec": spec}}
    return made


def job_of(name: str, owner: Data, uid: str) -> Data:
    """The Job that a CronJob (as plain data, with this uid) would make now."""
    template = owner["spec"]["jobTemplate"]
    metadata = template.get("metadata", {})
    made = base("batch/v1", "Job", name)
    made["metadata"]["annotations"] = {**metadata.get("annotations", {}), "cronjob.kubernetes.io/instantiate": "manual"}
    if metadata.get("labels"):
        made["metadata"]["labels"] = metadata["labels"]
    made["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": owner["metadata"]["name"],
            "uid": uid,
            "controller": True,
        }
    ]
    made["spec"] = template["spec"]
    return made


def pod(
    name: str,
    image: str,
    *,
    words: Sequence[str] = (),
    as_command: bool = False,
    environment: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    port: int | None = None,
    restart: str = "Always",
    stdin: bool = False,
    tty: bool = False,
    stdin_once: bool = False,
    privileged: bool = False,
    pull_policy: str = "",
) -> Data:
    """A pod of one container, as `steer run` makes it.

    Args:
        name: of the pod and of its container.
        image: of the container.
        words: arguments of the image's program, or with `as_command` the program itself.
        as_command: what `words` are.
        environment: variables of the container.
        labels: of the pod; run=NAME when there are none.
        annotations: of the pod.
        port: a port that the container listens on.
        restart: when the container is started again.
        stdin: whether it can be typed to.
        tty: whether it has a terminal.
        stdin_once: whether its input ends when the first who types goes.
        privileged: whether it may do everything that its node may.
        pull_policy: when its image is pulled.
    """
    container: Data = {"name": name, "image": image}
    if words:
        container["command" if as_command else "args"] = list(words)
    if environment:
        container["env"] = [{"name": key, "value": value} for key, value in environment.items()]
    if port is not None:
        container["ports"] = [{"containerPort": port}]
    if pull_policy:
        container["imagePullPolicy"] = pull_policy
    if privileged:
        container["securityContext"] = {"privileged": True}
    container |= {key: True for key, on in (("stdin", stdin), ("stdinOnce", stdin_once), ("tty", tty)) if on}
    metadata: Data = {"labels": dict(labels or {"run": name})}
    if annotations:
        metadata["annotations"] = dict(annotations)
    made = base("v1", "Pod", name, **metadata)
    made["spec"] = {"containers": [container], "restartPolicy": restart}
    return made
