"""Services and Ingresses out of a few words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, base, number_or_text

TYPES = {
    "clusterip": "ClusterIP",
    "nodeport": "NodePort",
    "loadbalancer": "LoadBalancer",
    "externalname": "ExternalName",
}


def ports(words: Sequence[str], node_port: int = 0) -> list[Data]:
    """What `--tcp 80`, `--tcp 80:8080` and `--tcp 80:http` mean.

    Raises:
        CommandError: one is no port.
    """
    made: list[Data] = []
    for word in words:
        front, _, target = word.partition(":")
        if not front.isdecimal() or not 1 <= int(front) <= 65535:
            raise CommandError(f"--tcp {word!r} is not PORT or PORT:TARGET", USAGE)
        name = re.sub(r"[^a-z0-9-]", "-", f"{front}-{target}" if target else front)
        one: Data = {"name": name, "port": int(front), "protocol": "TCP", "targetPort": number_or_text(target or front)}
        if node_port:
            one["nodePort"] = node_port
        made.append(one)
    return made


def service(
    name: str, type: str, tcp: Sequence[str], *, cluster_ip: str = "", node_port: int = 0, external_name: str = ""
) -> Data:
    """A Service for the pods that have the label app=NAME.

    Raises:
        CommandError: it has no ports and needs some.
    """
    if type != "ExternalName" and not tcp and cluster_ip != "None":
        raise CommandError("which ports? --tcp PORT:TARGET", USAGE)
    made = base("v1", "Service", name, labels={"app": name})
    spec: Data = {"type": type, "selector": {"app": name}}
    if tcp:
        spec["ports"] = ports(tcp, node_port)
    if cluster_ip:
        spec["clusterIP"] = cluster_ip
    if external_name:
        spec["externalName"] = external_name
    made["spec"] = spec
    return made


def exposing(
    name: str,
    selector: Mapping[str, str],
    ports: Sequence[Data],
    *,
    labels: Mapping[str, str],
    type: str = "",
    cluster_ip: str = "",
    external_ip: str = "",
    load_balancer_ip: str = "",
    external_name: str = "",
    affinity: str = "",
) -> Data:
    """The Service through which `steer expose` lets others reach pods."""
    made = base("v1", "Service", name, **({"labels": dict(labels)} if labels else {}))
    spec: Data = {"selector": dict(selector), "ports": list(ports)}
    spec |= {
        key: value
        for key, value in (
            ("type", type),
            ("clusterIP", cluster_ip),
            ("loadBalancerIP", load_balancer_ip),
            ("externalName", external_name),
            ("sessionAffinity", affinity),
            ("externalIPs", [external_ip] if external_ip else None),
        )
        if value
    }
    made["spec"] = spec
    return made


def exposed_ports(numbers: Sequence[int], protocols: Mapping[int, str], target: str, protocol: str) -> list[Data]:
    """The ports of such a Service.

    Args:
        numbers: ports of the Service.
        protocols: what the pods' own ports speak.
        target: port or port's name of the pods; empty: the same.
        protocol: what all speak; empty: what the pods' ports do.
    """
    made: list[Data] = []
    for index, number in enumerate(numbers):
        one: Data = {"port": number, "protocol": protocol or protocols.get(number, "TCP")}
        one["targetPort"] = number_or_text(target) if target else number
        if len(numbers) > 1:
            one = {"name": f"port-{index + 1}", **one}
        made.append(one)
    return made


def ingress(name: str, rules: Sequence[str], default: str, class_name: str, annotations: Mapping[str, str]) -> Data:
    """An Ingress of rules such as `shop.example/cart*=cart:80,tls=shop-cert`.

    Raises:
        CommandError: a rule cannot be read, or there is none and no default either.
    """
    if not rules and not default:
        raise CommandError("which rule? --rule HOST/PATH=SERVICE:PORT, or --default-backend SERVICE:PORT", USAGE)
    made = base("networking.k8s.io/v1", "Ingress", name, **({"annotations": dict(annotations)} if annotations else {}))
    spec: Data = {}
    if class_name:
        spec["ingressClassName"] = class_name
    if default:
        spec["defaultBackend"] = _backend(default, f"--default-backend {default!r}")
    hosts: dict[str, list[Data]] = {}
    secrets: dict[str, list[str]] = {}
    for rule in rules:
        host, path, secret = _rule(rule)
        hosts.setdefault(host, []).append(path)
        if secret is not None:
            listed = secrets.setdefault(secret, [])
            if host and host not in listed:
                listed.append(host)
    if secrets:
        spec["tls"] = [
            ({"hosts": names} if names else {}) | ({"secretName": secret} if secret else {})
            for secret, names in secrets.items()
        ]
    if hosts:
        spec["rules"] = [({"host": host} if host else {}) | {"http": {"paths": paths}} for host, paths in hosts.items()]
    made["spec"] = spec
    return made


def _rule(rule: str) -> tuple[str, Data, str | None]:
    """Host, path and TLS secret (None: no TLS) of a rule."""
    where, equals, rest = rule.partition("=")
    target, _, options = rest.partition(",")
    host, slash, path = where.partition("/")
    if not equals or not target:
        raise CommandError(f"--rule {rule!r} is not HOST/PATH=SERVICE:PORT[,tls[=SECRET]]", USAGE)
    secret: str | None = None
    if options:
        word, _, secret = options.partition("=")
        if word != "tls":
            raise CommandError(f"--rule {rule!r}: {word!r} is no option; tls or tls=SECRET is", USAGE)
    path = slash + path if slash else "/"
    prefix = path.endswith("*") or not slash
    entry: Data = {
        "path": path.removesuffix("*") or "/",
        "pathType": "Prefix" if prefix else "Exact",
        "backend": _backend(target, f"--rule {rule!r}"),
    }
    return host, entry, secret


def _backend(text: str, source: str) -> Data:
    service, colon, port = text.partition(":")
    if not colon or not service or not port:
        raise CommandError(f"{source}: {text!r} is not SERVICE:PORT", USAGE)
    return {"service": {"name": service, "port": {"number": int(port)} if port.isdecimal() else {"name": port}}}
