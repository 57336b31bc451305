"""What a request for a certificate asks for, and whether it is one that a node may make. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
API_CLIENT = "kubernetes.io/kube-apiserver-client"
SIGNED = (KUBELET_CLIENT, KUBELET_SERVING, API_CLIENT)
NODE_PREFIX, NODES, MASTERS = "system:node:", "system:nodes", "system:masters"

_CLIENT = frozenset({"client auth", "digital signature", "key encipherment"})
_SERVING = frozenset({"server auth", "digital signature", "key encipherment"})


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        user: common name.
        groups: organizations.
        hosts: DNS names.
        addresses: IP addresses, as text.
        others: whether it names anything else: mail addresses, URIs.
    """

    user: str
    groups: tuple[str, ...]
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    others: bool


def read(pem: bytes) -> Asked:
    """What a PKCS #10 request asks for.

    Raises:
        ValueError: it is none.
    """
    request = x509.load_pem_x509_csr(pem)
    names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    hosts: list[str] = []
    addresses: list[str] = []
    others = False
    try:
        alternatives = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternatives = x509.SubjectAlternativeName([])
    for each in alternatives:
        if isinstance(each, x509.DNSName):
            hosts.append(each.value)
        elif isinstance(each, x509.IPAddress):
            addresses.append(str(each.value))
        else:
            others = True
    return Asked(names[0] if names else "", tuple(groups), tuple(hosts), tuple(addresses), others)


def refusal(signer: str, asked: Asked, usages: frozenset[str], requester: str) -> str:
    """Why a signer never signs such a request, whoever approves it; empty when it does.

    Args:
        signer: name of the signer.
        asked: what is asked for.
        usages: what the key is to be for.
        requester: user that made the request.
    """
    if signer == API_CLIENT:
        if MASTERS in asked.groups:
            return f"nobody gets into {MASTERS} this way"
        return "" if usages <= _CLIENT and "client auth" in usages else "it must be for client auth only"
    if asked.groups != (NODES,):
        return f"its organization must be {NODES} alone"
    if not asked.user.startswith(NODE_PREFIX) or asked.user == NODE_PREFIX:
        return f"its common name must begin with {NODE_PREFIX}"
    if asked.others:
        return "it names more than hosts and addresses"
    if signer == KUBELET_CLIENT:
        if asked.hosts or asked.addresses:
            return "a client's certificate names no hosts"
        return "" if usages <= _CLIENT and "client auth" in usages else "it must be for client auth only"
    if not asked.hosts and not asked.addresses:
        return "a server's certificate names the hosts or addresses that it serves at"
    if asked.user != requester:
        return "a node asks for a server's certificate only for itself"
    return "" if usages <= _SERVING and "server auth" in usages else "it must be for server auth only"


def permission(signer: str, asked: Asked, requester: str) -> str:
    """The part of certificatesigningrequests that a requester must be allowed to create, to be approved unseen.

    Empty: no such request is approved unseen.
    """
    if signer == KUBELET_CLIENT:
        return "selfnodeclient" if asked.user == requester else "nodeclient"
    return "selfnodeserver" if signer == KUBELET_SERVING else ""


def serves_elsewhere(asked: Asked, node: Any | None, taken: frozenset[str]) -> str:
    """Why a node may not serve where its request says; empty when it may.

    Args:
        asked: what is asked for.
        node: the Node object. A node writes its own addresses, so they are not enough to go by.
        taken: addresses that are somebody else's: other nodes, Services, the apiserver.
    """
    if node is None:
        return "there is no such node"
    name = node.metadata.name
    for host in asked.hosts:
        if host != name:
            return f"{host!r} is not the node's name"
    known = {each.address for each in node.status.addresses}
    for address in asked.addresses:
        if address not in known:
            return f"{address!r} is none of the node's addresses"
        if address in taken:
            return f"{address!r} is somebody else's"
    return ""
