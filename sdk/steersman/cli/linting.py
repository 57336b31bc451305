"""Looking through manifests without a server: the server's rules, and what stands between several objects. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from steersman import kinds, podsecurity, selectors
from steersman.cli import offline
from steersman.cli.nearest import nearest
from steersman.manifests.files import Manifest, Place

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Remark:
    """Something about a manifest.

    Attributes:
        level: ERROR where a server would refuse it, WARNING for what is allowed and probably not meant.
        place: where; None where no file can be named.
        text: what.
    """

    level: str
    place: Place | None
    text: str

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place is not None else ""
        return f"{where}{'warning: ' if self.level == WARNING else ''}{self.text}"


def look_through(manifests: Sequence[Manifest], namespace: str, security: str = "") -> list[Remark]:
    """Everything to be said of manifests.

    Args:
        manifests: as they were read.
        namespace: for objects that name none.
        security: "baseline" or "restricted": also what that level of pod security does not allow.
    """
    found: list[Remark] = []
    for manifest in manifests:
        found += [
            Remark(ERROR, manifest.place_of(each.field), str(each))
            for each in offline.violations(manifest.obj, namespace)
        ]
        template = podsecurity.template_of(kinds.of(manifest.obj).kind, manifest.obj) if security else None
        if template is not None:
            found += [
                Remark(ERROR, manifest.place, f"not allowed by pod security {security}: {each}")
                for each in podsecurity.violations(security, template.metadata, template.spec)
            ]
    found += _twice(manifests, namespace)
    found += _between(manifests, namespace)
    return found


def _where(manifest: Manifest, namespace: str) -> str:
    kind = kinds.of(manifest.obj)
    return (manifest.obj.metadata.namespace or namespace) if kind.namespaced else ""


def _twice(manifests: Sequence[Manifest], namespace: str) -> Iterator[Remark]:
    """Objects of which the second would undo the first."""
    seen: dict[tuple[str, str, str], Manifest] = {}
    for manifest in manifests:
        kind, name = kinds.of(manifest.obj), manifest.obj.metadata.name
        if not name:
            continue
        key = kind.qualified_plural, _where(manifest, namespace), name
        if key in seen:
            text = f"{kind.singular} {name!r} stands at {seen[key].place} already, and this one undoes that one"
            yield Remark(WARNING, manifest.place, text)
        seen.setdefault(key, manifest)


def _between(manifests: Sequence[Manifest], namespace: str) -> Iterator[Remark]:
    """Services that select no pod, and ports that no pod has, where the pods are among the manifests."""
    templates = [
        (_where(manifest, namespace), template)
        for manifest in manifests
        if (template := podsecurity.template_of(kinds.of(manifest.obj).kind, manifest.obj)) is not None
    ]
    for manifest in manifests:
        obj = manifest.obj
        if kinds.of(obj).kind != "Service" or not obj.spec.selector:
            continue
        near = [template for where, template in templates if where == _where(manifest, namespace)]
        wanted = selectors.of_map(obj.spec.selector)
        chosen = [template for template in near if wanted.matches(template.metadata.labels)]
        if near and not chosen:
            yield Remark(WARNING, manifest.place_of("spec.selector"), _selects_nothing(wanted, obj, near))
        ports = [port for template in chosen for container in template.spec.containers for port in container.ports]
        names = {port.name for port in ports if port.name}
        for index, port in enumerate(obj.spec.ports):
            target = port.target_port
            if target.type == 1 and chosen and target.str_val not in names:
                close = nearest(target.str_val, names)
                field = f"spec.ports[{index}].targetPort"
                hint = f"; did you mean {close!r}?" if close else ""
                text = f"{field}: no container of its pods names a port {target.str_val!r}{hint}"
                yield Remark(WARNING, manifest.place_of(field), text)


def _selects_nothing(wanted: Any, service: Any, templates: Sequence[Any]) -> str:
    text = f"spec.selector: none of the pods here has the labels {wanted}"
    for key, value in sorted(service.spec.selector.items()):
        there = {template.metadata.labels[key] for template in templates if key in template.metadata.labels}
        close = nearest(value, there - {value})
        if value not in there and close:
            return f"{text}; did you mean {key}={close}?"
    return text
