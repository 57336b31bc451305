"""What a container is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cri
from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.security_pb2 import SecurityContext

from nodeagent.pod import env, labels, resources
from nodeagent.pod.errors import PodConfigError
from nodeagent.pod.plan import grace_of
from nodeagent.pod.sandbox_config import app_armor, namespaces, seccomp, selinux

TERMINATION_MESSAGE_PATH = "/dev/termination-log"

# Parts of /proc and /sys that a container must not see or change unless it is privileged or unmasks them.
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True)
class ContainerPlace:
    """What a container meets on this node.

    Attributes:
        attempt: its restart count.
        image_id: the image's id in the runtime.
        environment: all variables, in order.
        mounts: files and folders of the node that it sees.
        memory_bytes: of the node, for the OOM score.
        target_id: container whose processes it sees; "" those of the pod's setting.
    """

    attempt: int
    image_id: str
    environment: Mapping[str, str]
    mounts: Sequence[cri.Mount]
    memory_bytes: int
    target_id: str = ""


def log_path(name: str, attempt: int) -> str:
    """Where the container's log is, relative to the pod's folder of logs."""
    return f"{name}/{attempt}.log"


def build(pod: Pod, container: Container, place: ContainerPlace) -> cri.ContainerConfig:
    """The runtime's configuration of a container."""
    values = place.environment
    config = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=container.name, attempt=place.attempt),
        image=cri.ImageSpec(image=place.image_id, user_specified_image=container.image),
        command=[env.expand(each, values) for each in container.command],
        args=[env.expand(each, values) for each in container.args],
        working_dir=container.working_dir,
        envs=[cri.KeyValue(key=key, value=value.encode(errors="surrogateescape")) for key, value in values.items()],
        mounts=place.mounts,
        labels={
            labels.POD_NAME: pod.metadata.name,
            labels.POD_NAMESPACE: pod.metadata.namespace,
            labels.POD_UID: pod.metadata.uid,
            labels.CONTAINER_NAME: container.name,
        },
        annotations={
            labels.CONTAINER_HASH: labels.container_hash(container),
            labels.RESTART_COUNT: str(place.attempt),
            labels.TERMINATION_MESSAGE_PATH: container.termination_message_path or TERMINATION_MESSAGE_PATH,
            labels.TERMINATION_MESSAGE_POLICY: container.termination_message_policy or "File",
            labels.POD_TERMINATION_GRACE: str(grace_of(pod)),
        },
        log_path=log_path(container.name, place.attempt),
        stdin=container.stdin,
        stdin_once=container.stdin_once,
        tty=container.tty,
    )
    limits = resources.container_limits(container)
    allotted = config.linux.resources
    allotted.cpu_shares = limits.cpu_shares
    allotted.cpu_period = resources.CPU_PERIOD_US
    allotted.cpu_quota = limits.cpu_quota_us
    allotted.memory_limit_in_bytes = limits.memory_bytes
    allotted.oom_score_adj = resources.oom_score_adj(pod, container, place.memory_bytes)
    _secure(config, pod, container.security_context)
    if place.target_id:
        options = config.linux.security_context.namespace_options
        options.pid, options.target_id = cri.TARGET, place.target_id
    return config


def _secure(config: cri.ContainerConfig, pod: Pod, context: SecurityContext) -> None:
    """Rights: the container's own where it names them, else the pod's."""
    security = config.linux.security_context
    around = pod.spec.security_context
    security.privileged = context.privileged
    security.capabilities.add_capabilities.extend(context.capabilities.add)
    security.capabilities.drop_capabilities.extend(context.capabilities.drop)
    security.namespace_options.CopyFrom(namespaces(pod))
    user = user_of(pod, context)
    if user is not None:
        security.run_as_user.value = user
    if context.HasField("run_as_group"):
        security.run_as_group.value = context.run_as_group
    elif around.HasField("run_as_group"):
        security.run_as_group.value = around.run_as_group
    security.readonly_rootfs = context.read_only_root_filesystem
    security.no_new_privs = context.HasField("allow_privilege_escalation") and not context.allow_privilege_escalation
    security.supplemental_groups.extend(around.supplemental_groups)
    if around.HasField("fs_group"):
        security.supplemental_groups.append(around.fs_group)
    if around.supplemental_groups_policy == "Strict":
        security.supplemental_groups_policy = cri.Strict
    profile = None
    if context.HasField("seccomp_profile"):
        profile = context.seccomp_profile
    elif around.HasField("seccomp_profile"):
        profile = around.seccomp_profile
    security.seccomp.CopyFrom(seccomp(profile))
    for owner in (around, context):
        # The container's own come last, and win.
        if owner.HasField("app_armor_profile"):
            security.apparmor.CopyFrom(app_armor(owner.app_armor_profile))
        if owner.HasField("se_linux_options"):
            security.selinux_options.CopyFrom(selinux(owner.se_linux_options))
    if not context.privileged and context.proc_mount != "Unmasked":
        security.masked_paths.extend(MASKED_PATHS)
        security.readonly_paths.extend(READONLY_PATHS)


def user_of(pod: Pod, context: SecurityContext) -> int | None:
    """The user id that the pod asks for; None leaves it to the image."""
    if context.HasField("run_as_user"):
        return context.run_as_user
    if pod.spec.security_context.HasField("run_as_user"):
        return pod.spec.security_context.run_as_user
    return None


def check_user(pod: Pod, container: Container, image_uid: int | None, image_user: str) -> None:
    """Refuses a container that must not run as root but would, or of which that cannot be known.

    Raises:
        PodConfigError: it may run as root although runAsNonRoot is set.
    """
    context = container.security_context
    if context.HasField("run_as_non_root"):
        required = context.run_as_non_root
    else:
        required = pod.spec.security_context.run_as_non_root
    if not required:
        return
    user = user_of(pod, context)
    if user is not None:
        if user == 0:
            raise PodConfigError("container's runAsUser breaks non-root policy")
        return
    if image_user and image_uid is None:
        raise PodConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({image_user}), cannot verify user is non-root"
        )
    if not image_uid:
        raise PodConfigError("container has runAsNonRoot and image will run as root")
