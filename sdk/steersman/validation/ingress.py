"""Rules of Ingresses and IngressClasses."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.meta import one_of
from steersman.validation.names import show, violation

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
CONTROLLER_CHARACTERS_MAX = 250
PATH_TYPES = ("Exact", "Prefix", "ImplementationSpecific")
# What a path to be compared literally may not have in it, since servers read it in different ways.
_AMBIGUOUS = ("//", "/./", "/../", "%2f", "%2F")
_AMBIGUOUS_ENDS = ("/..", "/.")
_CONTROLLER_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


def ingress(obj: Any) -> list[FieldViolation]:
    """What is wrong with an Ingress."""
    spec = obj.spec
    found: list[FieldViolation] = []
    if not spec.rules and not spec.HasField("default_backend"):
        found += violation("spec", "needs a defaultBackend or rules")
    if spec.HasField("default_backend"):
        found += _backend("spec.defaultBackend", spec.default_backend)
    for index, tls in enumerate(spec.tls):
        for number, host in enumerate(tls.hosts):
            found += _host(f"spec.tls[{index}].hosts[{number}]", host)
        if tls.secret_name:
            found += names.subdomain(f"spec.tls[{index}].secretName", tls.secret_name)
    for index, rule in enumerate(spec.rules):
        here = f"spec.rules[{index}]"
        if rule.host:
            found += _host(f"{here}.host", rule.host)
        if rule.ingress_rule_value.HasField("http"):
            paths = rule.ingress_rule_value.http.paths
            if not paths:
                found += violation(f"{here}.http.paths", "required: at least one path")
            for number, path in enumerate(paths):
                found += _path(f"{here}.http.paths[{number}]", path)
    if spec.HasField("ingress_class_name"):
        found += names.subdomain("spec.ingressClassName", spec.ingress_class_name)
    return found


def created(obj: Any) -> list[FieldViolation]:
    """What may not be so in a new Ingress, though it may in an old one."""
    if obj.spec.HasField("ingress_class_name") and CLASS_ANNOTATION in obj.metadata.annotations:
        field = f"metadata.annotations[{CLASS_ANNOTATION}]"
        return violation(field, "may not be given together with spec.ingressClassName")
    return []


def _host(field: str, host: str) -> list[FieldViolation]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return names.subdomain(field, host.removeprefix("*."))
    return violation(field, f"{host} is an address: a host has a name")


def _path(field: str, path: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if not path.HasField("path_type"):
        found += violation(f"{field}.pathType", f"required: one of {', '.join(PATH_TYPES)}")
    else:
        found += one_of(f"{field}.pathType", path.path_type, PATH_TYPES)
    literal = path.path_type in ("Exact", "Prefix")
    if (literal or path.path) and not path.path.startswith("/"):
        found += violation(f"{field}.path", f"{show(path.path)} does not begin with '/'")
    if literal:
        for part in _AMBIGUOUS:
            if part in path.path:
                found += violation(f"{field}.path", f"{show(path.path)} has {part!r} in it")
        for end in _AMBIGUOUS_ENDS:
            if path.path.endswith(end):
                found += violation(f"{field}.path", f"{show(path.path)} ends with {end!r}")
    return found + _backend(f"{field}.backend", path.backend)


def _backend(field: str, backend: Any) -> list[FieldViolation]:
    if backend.HasField("service") == backend.HasField("resource"):
        return violation(field, "needs exactly one of service and resource")
    found: list[FieldViolation] = []
    if backend.HasField("resource"):
        for part in ("kind", "name"):
            if not getattr(backend.resource, part):
                found += violation(f"{field}.resource.{part}", "required")
        return found
    service = backend.service
    found += names.label_1035(f"{field}.service.name", service.name)
    here, port = f"{field}.service.port", service.port
    if bool(port.name) == bool(port.number):
        found += violation(here, "needs exactly one of name and number")
    elif port.name:
        found += names.port_name(f"{here}.name", port.name)
    else:
        found += names.port_number(f"{here}.number", port.number)
    return found


def ingress_status(status: Any) -> list[FieldViolation]:
    """What is wrong with an Ingress' status."""
    found: list[FieldViolation] = []
    for index, point in enumerate(status.load_balancer.ingress):
        here = f"status.loadBalancer.ingress[{index}]"
        if point.ip:
            try:
                ipaddress.ip_address(point.ip)
            except ValueError:
                found += violation(f"{here}.ip", f"{show(point.ip)} is not an IP address")
        if point.hostname:
            found += names.subdomain(f"{here}.hostname", point.hostname)
    return found


def ingress_class(obj: Any) -> list[FieldViolation]:
    """What is wrong with an IngressClass."""
    controller = obj.spec.controller
    found: list[FieldViolation] = []
    domain, slash, path = controller.partition("/")
    rule = f"a domain, '/' and a path, at most {CONTROLLER_CHARACTERS_MAX}"
    if not controller:
        found += violation("spec.controller", "required")
    elif not slash or not _CONTROLLER_PATH.fullmatch(path) or len(controller) > CONTROLLER_CHARACTERS_MAX:
        found += violation("spec.controller", f"{show(controller)} is not the name of a controller ({rule})")
    else:
        found += names.subdomain("spec.controller", domain)
    if not obj.spec.HasField("parameters"):
        return found
    parameters, here = obj.spec.parameters, "spec.parameters"
    for part in ("kind", "name"):
        if not getattr(parameters, part):
            found += violation(f"{here}.{part}", "required")
    if parameters.api_group:
        found += names.subdomain(f"{here}.apiGroup", parameters.api_group)
    found += one_of(f"{here}.scope", parameters.scope, ("Cluster", "Namespace"))
    if parameters.scope == "Namespace" and not parameters.namespace:
        found += violation(f"{here}.namespace", "required where the scope is Namespace")
    if parameters.scope == "Cluster" and parameters.HasField("namespace"):
        found += violation(f"{here}.namespace", "not allowed where the scope is Cluster")
    if parameters.namespace:
        found += names.label_1123(f"{here}.namespace", parameters.namespace)
    return found
