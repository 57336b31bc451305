"""The pod security standards, "privileged", "baseline" and "restricted", as pure checks of a pod's spec."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

PRIVILEGED, BASELINE, RESTRICTED = LEVELS = ("privileged", "baseline", "restricted")
PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")

CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
RESTRICTED_VOLUMES = frozenset(
    {
        "config_map",
        "csi",
        "downward_api",
        "empty_dir",
        "ephemeral",
        "image",
        "persistent_volume_claim",
        "projected",
        "secret",
    }
)
APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"


def wrong_labels(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """Labels of a namespace that name no level or version, each with what is wrong."""
    found: list[tuple[str, str]] = []
    for mode in MODES:
        level, version = labels.get(f"{PREFIX}{mode}"), labels.get(f"{PREFIX}{mode}-version")
        if level is not None and level not in LEVELS:
            found.append((f"{PREFIX}{mode}", f"{level!r} is not one of {', '.join(LEVELS)}"))
        if version is not None and version != "latest" and not _is_version(version):
            found.append((f"{PREFIX}{mode}-version", f"{version!r} is neither 'latest' nor v1.MINOR"))
    return found


def _is_version(text: str) -> bool:
    major, _, minor = text.partition(".")
    return major == "v1" and minor.isascii() and minor.isdigit()


def violations(level: str, metadata: Any, spec: Any) -> list[str]:
    """What of a pod a level does not allow; the newest version of the standards is what counts."""
    if level not in (BASELINE, RESTRICTED):
        return []
    found = [each for check in _BASELINE for each in check(metadata, spec)]
    if level == RESTRICTED:
        found += [each for check in _RESTRICTED for each in check(metadata, spec)]
    return found


def _containers(spec: Any) -> Iterator[Any]:
    yield from spec.init_containers
    yield from spec.containers
    for each in spec.ephemeral_containers:
        yield each.ephemeral_container_common


def _contexts(spec: Any) -> Iterator[tuple[str, Any]]:
    """The security contexts of the pod and of its containers, and whose they are."""
    yield "pod", spec.security_context
    for container in _containers(spec):
        yield f"container {container.name!r}", container.security_context


def _of_windows(spec: Any) -> bool:
    return bool(spec.os.name == "windows")


Check = Callable[[Any, Any], Iterator[str]]


def _host_process(_: Any, spec: Any) -> Iterator[str]:
    for whose, context in _contexts(spec):
        if context.windows_options.host_process:
            yield f"{whose} must not set hostProcess"


def _host_namespaces(_: Any, spec: Any) -> Iterator[str]:
    for name, shown in (("host_network", "hostNetwork"), ("host_pid", "hostPID"), ("host_ipc", "hostIPC")):
        if getattr(spec, name):
            yield f"pod must not set {shown}"


def _privileged(_: Any, spec: Any) -> Iterator[str]:
    for container in _containers(spec):
        if container.security_context.privileged:
            yield f"container {container.name!r} must not be privileged"


def _capabilities(_: Any, spec: Any) -> Iterator[str]:
    for container in _containers(spec):
        for name in container.security_context.capabilities.add:
            if name not in CAPABILITIES:
                yield f"container {container.name!r} must not add capability {name}"


def _host_path(_: Any, spec: Any) -> Iterator[str]:
    for volume in spec.volumes:
        if volume.volume_source.HasField("host_path"):
            yield f"volume {volume.name!r} must not be a hostPath"


def _host_ports(_: Any, spec: Any) -> Iterator[str]:
    for container in _containers(spec):
        for port in container.ports:
            if port.host_port:
                yield f"container {container.name!r} must not use hostPort {port.host_port}"


def _app_armor(metadata: Any, spec: Any) -> Iterator[str]:
    for whose, context in _contexts(spec):
        if context.app_armor_profile.type not in ("", "RuntimeDefault", "Localhost"):
            yield f"{whose} must not set appArmorProfile.type {context.app_armor_profile.type!r}"
    for key, value in metadata.annotations.items():
        fine = value in ("", "runtime/default") or value.startswith("localhost/")
        if key.startswith(APPARMOR_ANNOTATION) and not fine:
            yield f"annotation {key} must not be {value!r}"


def _selinux(_: Any, spec: Any) -> Iterator[str]:
    for whose, context in _contexts(spec):
        options = context.se_linux_options
        if options.type not in SELINUX_TYPES:
            yield f"{whose} must not set seLinuxOptions.type {options.type!r}"
        if options.user or options.role:
            yield f"{whose} must not set seLinuxOptions.user or role"


def _proc_mount(_: Any, spec: Any) -> Iterator[str]:
    for container in _containers(spec):
        if container.security_context.proc_mount not in ("", "Default"):
            yield f"container {container.name!r} must not set procMount {container.security_context.proc_mount!r}"


def _seccomp(_: Any, spec: Any) -> Iterator[str]:
    for whose, context in _contexts(spec):
        if context.seccomp_profile.type not in ("", "RuntimeDefault", "Localhost"):
            yield f"{whose} must not set seccompProfile.type {context.seccomp_profile.type!r}"


def _sysctls(_: Any, spec: Any) -> Iterator[str]:
    for each in spec.security_context.sysctls:
        if each.name not in SYSCTLS:
            yield f"pod must not set sysctl {each.name}"


def _probe_hosts(_: Any, spec: Any) -> Iterator[str]:
    for container in _containers(spec):
        actions = [
            getattr(container, name).probe_handler
            for name in ("liveness_probe", "readiness_probe", "startup_probe")
            if container.HasField(name)
        ]
        actions += [container.lifecycle.post_start, container.lifecycle.pre_stop]
        if any(action.http_get.host or action.tcp_socket.host for action in actions):
            yield f"container {container.name!r} must not name a host in probes or lifecycle hooks"


def _volume_types(_: Any, spec: Any) -> Iterator[str]:
    for volume in spec.volumes:
        for field, _value in volume.volume_source.ListFields():
            if field.name not in RESTRICTED_VOLUMES:
                yield f"volume {volume.name!r} must not be of type {field.json_name}"


def _escalation(_: Any, spec: Any) -> Iterator[str]:
    for container in _containers(spec):
        context = container.security_context
        denied = context.HasField("allow_privilege_escalation") and not context.allow_privilege_escalation
        if not denied and not _of_windows(spec):
            yield f"container {container.name!r} must set allowPrivilegeEscalation to false"


def _non_root(_: Any, spec: Any) -> Iterator[str]:
    whole = spec.security_context
    for container in _containers(spec):
        context = container.security_context
        said = context if context.HasField("run_as_non_root") else whole
        if not said.run_as_non_root:
            yield f"container {container.name!r} must set runAsNonRoot to true"


def _user(_: Any, spec: Any) -> Iterator[str]:
    for whose, context in _contexts(spec):
        if context.HasField("run_as_user") and context.run_as_user == 0:
            yield f"{whose} must not set runAsUser to 0"


def _seccomp_set(_: Any, spec: Any) -> Iterator[str]:
    if _of_windows(spec):
        return
    whole = spec.security_context.seccomp_profile.type
    for container in _containers(spec):
        if (container.security_context.seccomp_profile.type or whole) not in ("RuntimeDefault", "Localhost"):
            yield f"container {container.name!r} must set seccompProfile.type to RuntimeDefault or Localhost"


def _drop_all(_: Any, spec: Any) -> Iterator[str]:
    if _of_windows(spec):
        return
    for container in _containers(spec):
        capabilities = container.security_context.capabilities
        if "ALL" not in capabilities.drop:
            yield f"container {container.name!r} must drop capability ALL"
        for name in capabilities.add:
            if name != "NET_BIND_SERVICE":
                yield f"container {container.name!r} must not add capability {name}"


_BASELINE: tuple[Check, ...] = (
    _host_process,
    _host_namespaces,
    _privileged,
    _capabilities,
    _host_path,
    _host_ports,
    _app_armor,
    _selinux,
    _proc_mount,
    _seccomp,
    _sysctls,
    _probe_hosts,
)
_RESTRICTED: tuple[Check, ...] = (_volume_types, _escalation, _non_root, _user, _seccomp_set, _drop_all)


def template_of(kind: str, obj: Any) -> Any | None:
    """The pod (or template of pods) within an object: anything with `metadata` and `spec`; None without one."""
    if kind == "Pod":
        return obj
    if kind == "PodTemplate":
        return obj.template
    if kind == "CronJob":
        return obj.spec.job_template.spec.template
    spec = obj.DESCRIPTOR.fields_by_name.get("spec")
    if spec is None or spec.message_type is None or "template" not in spec.message_type.fields_by_name:
        return None
    template = obj.spec.template
    return template if template.DESCRIPTOR.name == "PodTemplateSpec" else None
