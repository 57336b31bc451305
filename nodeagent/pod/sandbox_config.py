"""What a sandbox is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cri
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.security_pb2 import AppArmorProfile, PodSecurityContext, SeccompProfile, SELinuxOptions

from nodeagent.pod import labels
from nodeagent.pod.dns import Resolver

HOSTNAME_MAX = 63
_PROTOCOLS = {"": cri.TCP, "TCP": cri.TCP, "UDP": cri.UDP, "SCTP": cri.SCTP}


@dataclass(frozen=True)
class SandboxPlace:
    """Where on this node a sandbox belongs.

    Attributes:
        cgroup_parent: cgroup that the sandbox and its containers live in.
        log_directory: absolute path of the folder of the pod's logs.
        resolver: contents of resolv.conf; None: the node's own.
        node_name: name of this node, the host name of pods with the node's network.
        cluster_domain: DNS domain of the cluster.
    """

    cgroup_parent: str
    log_directory: str
    resolver: Resolver | None
    node_name: str
    cluster_domain: str


def host_names(pod: Pod, place: SandboxPlace) -> tuple[str, str]:
    """The pod's host name and its fully qualified name ("" without a subdomain)."""
    if pod.spec.host_network:
        return place.node_name, ""
    if pod.spec.HasField("hostname_override"):
        return pod.spec.hostname_override, ""
    short = (pod.spec.hostname or pod.metadata.name)[:HOSTNAME_MAX].rstrip("-.")
    if not pod.spec.subdomain:
        return short, ""
    domain = f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{place.cluster_domain}"
    return short, f"{short}.{domain}"


def build(pod: Pod, attempt: int, place: SandboxPlace) -> cri.PodSandboxConfig:
    """The runtime's configuration of the pod's sandbox."""
    config = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(
            name=pod.metadata.name, uid=pod.metadata.uid, namespace=pod.metadata.namespace, attempt=attempt
        ),
        log_directory=place.log_directory,
        labels=_labels(pod),
        annotations=dict(pod.metadata.annotations),
    )
    short, full = host_names(pod, place)
    if not pod.spec.host_network:
        config.hostname = full if full and pod.spec.set_hostname_as_fqdn else short
    if place.resolver is not None:
        config.dns_config.servers.extend(place.resolver.servers)
        config.dns_config.searches.extend(place.resolver.searches)
        config.dns_config.options.extend(place.resolver.options)
    if not pod.spec.host_network:
        config.port_mappings.extend(
            cri.PortMapping(
                protocol=_PROTOCOLS[port.protocol],
                container_port=port.container_port,
                host_port=port.host_port,
                host_ip=port.host_ip,
            )
            for container in (*pod.spec.init_containers, *pod.spec.containers)
            for port in container.ports
            if port.host_port
        )
    config.linux.cgroup_parent = place.cgroup_parent
    config.linux.sysctls.update({each.name: each.value for each in pod.spec.security_context.sysctls})
    security = config.linux.security_context
    security.namespace_options.CopyFrom(namespaces(pod))
    context = pod.spec.security_context
    if context.HasField("run_as_user"):
        security.run_as_user.value = context.run_as_user
    if context.HasField("run_as_group") and context.HasField("run_as_user"):
        security.run_as_group.value = context.run_as_group
    security.supplemental_groups.extend(context.supplemental_groups)
    if context.HasField("fs_group"):
        security.supplemental_groups.append(context.fs_group)
    security.privileged = any(
        each.security_context.privileged for each in (*pod.spec.init_containers, *pod.spec.containers)
    )
    security.seccomp.CopyFrom(_sandbox_seccomp(context))
    if context.HasField("se_linux_options"):
        security.selinux_options.CopyFrom(selinux(context.se_linux_options))
    return config


def _labels(pod: Pod) -> Mapping[str, str]:
    return {
        **pod.metadata.labels,
        labels.POD_NAME: pod.metadata.name,
        labels.POD_NAMESPACE: pod.metadata.namespace,
        labels.POD_UID: pod.metadata.uid,
    }


def _sandbox_seccomp(context: PodSecurityContext) -> cri.SecurityProfile:
    return seccomp(context.seccomp_profile) if context.HasField("seccomp_profile") else seccomp(None)


def seccomp(profile: SeccompProfile | None) -> cri.SecurityProfile:
    """The runtime's form of a seccomp profile; Kubernetes' default is Unconfined."""
    if profile is None or profile.type in ("", "Unconfined"):
        return cri.SecurityProfile(profile_type=cri.SecurityProfile.Unconfined)
    if profile.type == "Localhost":
        return cri.SecurityProfile(profile_type=cri.SecurityProfile.Localhost, localhost_ref=profile.localhost_profile)
    return cri.SecurityProfile(profile_type=cri.SecurityProfile.RuntimeDefault)


def app_armor(profile: AppArmorProfile) -> cri.SecurityProfile:
    """The runtime's form of an AppArmor profile."""
    if profile.type == "Localhost":
        return cri.SecurityProfile(profile_type=cri.SecurityProfile.Localhost, localhost_ref=profile.localhost_profile)
    if profile.type == "Unconfined":
        return cri.SecurityProfile(profile_type=cri.SecurityProfile.Unconfined)
    return cri.SecurityProfile(profile_type=cri.SecurityProfile.RuntimeDefault)


def selinux(options: SELinuxOptions) -> cri.SELinuxOption:
    """The runtime's form of an SELinux label."""
    return cri.SELinuxOption(user=options.user, role=options.role, type=options.type, level=options.level)


def namespaces(pod: Pod) -> cri.NamespaceOption:
    """Whose network, process and IPC namespaces the pod's containers use."""
    if pod.spec.host_pid:
        pid = cri.NODE
    elif pod.spec.share_process_namespace:
        pid = cri.POD
    else:
        pid = cri.CONTAINER
    return cri.NamespaceOption(
        network=cri.NODE if pod.spec.host_network else cri.POD,
        pid=pid,
        ipc=cri.NODE if pod.spec.host_ipc else cri.POD,
    )
