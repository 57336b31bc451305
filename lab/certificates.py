"""Who is who in a lab: one authority, and an identity and a client configuration for every component."""

from __future__ import annotations

import base64
import os
from datetime import datetime
from pathlib import Path

import yaml
from steersman import config
from steersman.config import Context
from steersman.pki import Authority, key_pem, new_key, write_identity, write_private

from lab.layout import APISERVER_PORT, SERVICE_CIDR, Lab

ADMIN = "kubernetes-admin"
MASTERS = "system:masters"


def issue(lab: Lab, now: datetime) -> None:
    """Writes the authority, all identities and the components' configurations below the lab's `pki` folder.

    Keys are readable by root only. Names are Kubernetes'.
    """
    folder = lab.pki
    folder.mkdir(mode=0o700)
    authority = Authority.create(f"steersman-{lab.name}", now=now)
    (folder / "ca.crt").write_bytes(authority.pem())
    write_private(folder / "ca.key", key_pem(authority.key))
    control = str(lab.control.address)
    local = ["localhost", "127.0.0.1"]
    first_service = SERVICE_CIDR.replace(".0.0/16", ".0.1")
    apiserver_hosts = ["apiserver", "kubernetes", "kubernetes.default", "kubernetes.default.svc", control, *local]

    def identity(name: str, user: str, groups: list[str], hosts: list[str]) -> None:
        write_identity(folder, name, authority, user, groups=groups, hosts=hosts, now=now)

    identity("store", "store", [], ["store", control, *local])
    identity("apiserver", "kube-apiserver", [MASTERS], [*apiserver_hosts, first_service])
    identity("scheduler", "system:kube-scheduler", [], ["scheduler", control, *local])
    identity("controllers", "system:kube-controller-manager", [], ["controllers", control, *local])
    identity("admin", ADMIN, [MASTERS], [])
    write_private(folder / "sa.key", key_pem(new_key()))
    write_private(folder / "encryption.yaml", _encryption(os.urandom(32)).encode())
    for name in ("scheduler", "controllers"):
        _configure(lab, name)
    for node in lab.nodes:
        hosts = [node.name, str(node.address), *local]
        identity(node.name, f"system:node:{node.name}", ["system:nodes"], hosts)
        identity(f"proxy-{node.name}", "system:kube-proxy", ["system:node-proxier"], hosts)
        _configure(lab, node.name)
        _configure(lab, f"proxy-{node.name}")


def _encryption(key: bytes) -> str:
    """Secrets are encrypted in the store; what somebody put there otherwise is still read."""
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            {
                "resources": ["secrets"],
                "providers": [
                    {"aesgcm": {"keys": [{"name": "key1", "secret": base64.b64encode(key).decode()}]}},
                    {"identity": {}},
                ],
            }
        ],
    }
    return str(yaml.safe_dump(document, sort_keys=False))


def _configure(lab: Lab, name: str) -> None:
    context = Context(
        name=lab.name,
        server=f"{lab.control.address}:{APISERVER_PORT}",
        server_name="apiserver",
        authority=lab.pki / "ca.crt",
        certificate=lab.pki / f"{name}.crt",
        key=lab.pki / f"{name}.key",
    )
    config.save(lab.pki / f"{name}.config", context)


def admin_context(lab: Lab) -> Context:
    """The configuration of the person who runs the lab: through a unix socket, complete in itself."""
    return Context(
        name=lab.name,
        server=f"unix:{lab.apiserver_socket}",
        server_name="apiserver",
        authority=(lab.pki / "ca.crt").read_bytes(),
        certificate=(lab.pki / "admin.crt").read_bytes(),
        key=(lab.pki / "admin.key").read_bytes(),
        scheduler=f"unix:{lab.scheduler_socket}",
    )


def write_admin(lab: Lab, path: Path) -> None:
    """Adds the lab to a person's configuration file and makes it the current context."""
    config.save(path, admin_context(lab))
