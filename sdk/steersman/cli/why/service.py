"""Why a service is answered, or by nobody."""

from __future__ import annotations

from collections.abc import Iterator

from steersman import selectors
from steersman.cli.nearest import nearest
from steersman.cli.why.facts import Answer, Facts, Finding, condition, deletion, finished, listed


def of_service(facts: Facts) -> Answer:
    """The answer for a service: who answers it, and why nobody does."""
    service = facts.obj
    name = f"service/{service.metadata.name}"
    findings: list[Finding | None] = [deletion(facts, name)]
    if service.spec.type == "ExternalName":
        return finished(facts, name, f"is another name for {service.spec.external_name}", findings, good=True)
    ready = [
        e for s in facts.endpoints for e in s.endpoints if not e.conditions.HasField("ready") or e.conditions.ready
    ]
    addresses = sorted({address for endpoint in ready for address in endpoint.addresses})
    state = f"is answered by {len(addresses)} address{'es' if len(addresses) != 1 else ''}"
    if addresses:
        state += f": {listed(addresses, 3)}"
    else:
        state = "is answered by nobody"
    if service.spec.selector:
        findings += _selected(facts)
    elif not addresses:
        findings.append(
            Finding(
                "it has no selector, so its EndpointSlices are somebody else's to make, and there are none",
                (),
                ("add spec.selector, or make an EndpointSlice",),
            )
        )
    findings += _ports(facts)
    if service.spec.type == "LoadBalancer" and not service.status.load_balancer.ingress:
        findings.append(
            Finding(
                "no load balancer has been given to it",
                (),
                ("a cloud controller gives them; without one use NodePort",),
                good=bool(addresses),
            )
        )
    return finished(facts, name, state, findings, good=bool(addresses))


def _selected(facts: Facts) -> list[Finding | None]:
    service = facts.obj
    wanted = selectors.of_map(service.spec.selector)
    chosen = [pod for pod in facts.pods if wanted.matches(pod.metadata.labels)]
    if not chosen:
        return [Finding(f"no pod has the labels {wanted}", tuple(_nearly(facts)), ("steer get pods --show-labels",))]
    unready = []
    for pod in chosen:
        ready = condition(pod, "Ready")
        if pod.status.phase in ("Succeeded", "Failed") or ready is None or ready.status != "True":
            unready.append(pod)
    if not unready:
        return []
    first = unready[0].metadata.name
    return [
        Finding(
            f"{len(unready)} of {len(chosen)} pods with its labels are not ready",
            (listed([pod.metadata.name for pod in unready]),),
            (f"steer why pod/{first}",),
            good=False,
        )
    ]


def _nearly(facts: Facts) -> Iterator[str]:
    """Labels of pods that differ little from those that the service wants."""
    wanted = dict(facts.obj.spec.selector)
    for key, value in sorted(wanted.items()):
        values = sorted({pod.metadata.labels[key] for pod in facts.pods if key in pod.metadata.labels})
        close = nearest(value, values)
        if value in values:
            yield f"{key}={value}: some pods have it"
        elif close:
            yield f"{key}={value}: no pod has it, but {key}={close} there is"
        elif values:
            yield f"{key}={value}: no pod has it; there are {key}={listed(values)}"
        else:
            other = nearest(key, {label for pod in facts.pods for label in pod.metadata.labels})
            yield f"no pod has a label {key}" + (f", but {other} there is" if other else "")


def _ports(facts: Facts) -> list[Finding | None]:
    """Ports that no container of the selected pods offers."""
    service = facts.obj
    if not service.spec.selector:
        return []
    wanted = selectors.of_map(service.spec.selector)
    chosen = [pod for pod in facts.pods if wanted.matches(pod.metadata.labels)]
    offered = [port for pod in chosen for container in pod.spec.containers for port in container.ports]
    found: list[Finding | None] = []
    for port in service.spec.ports:
        target = port.target_port
        names, numbers = {each.name for each in offered if each.name}, {each.container_port for each in offered}
        if target.type == 1 and chosen and target.str_val not in names:
            close = nearest(target.str_val, names)
            hint = f"; did you mean {close!r}?" if close else f"; there are {listed(sorted(names))}" if names else ""
            found.append(
                Finding(
                    f"port {port.port}: no container names a port {target.str_val!r}{hint}", (), ("correct targetPort",)
                )
            )
        number = target.int_val or port.port
        if target.type != 1 and numbers and number not in numbers:
            there = listed([str(each) for each in sorted(numbers)])
            found.append(
                Finding(
                    f"port {port.port} goes to {number}, and the containers name only {there}",
                    (),
                    ("that may be right: containers need not name their ports",),
                    good=True,
                )
            )
    return found
