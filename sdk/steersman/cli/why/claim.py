"""Why a claim has no volume."""

from __future__ import annotations

from steersman.cli.why.facts import Answer, Facts, Finding, deletion, finished, listed, newest, told

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def of_claim(facts: Facts) -> Answer:
    """The answer for a claim of a volume."""
    claim = facts.obj
    name = f"pvc/{claim.metadata.name}"
    findings: list[Finding | None] = [deletion(facts, name)]
    users = [
        pod.metadata.name
        for pod in facts.pods
        if any(v.volume_source.persistent_volume_claim.claim_name == claim.metadata.name for v in pod.spec.volumes)
    ]
    phase = claim.status.phase or "Pending"
    if claim.metadata.HasField("deletion_timestamp") and users:
        findings.append(Finding(f"still used by {listed(users)}", (), ("it goes when those pods have gone",)))
    if phase == "Bound":
        used = f", used by {listed(users)}" if users else ", used by no pod"
        return finished(facts, name, f"is bound to {claim.spec.volume_name}{used}", findings, good=True)
    if phase == "Lost":
        findings.append(
            Finding(f"its volume {claim.spec.volume_name} is gone", (), ("its data is lost to the cluster",))
        )
    event = newest(facts.events, "ProvisioningFailed", "FailedBinding", "ExternalProvisioning", "WaitForFirstConsumer")
    details = (told(event, facts.now),) if event is not None else ()
    class_name = claim.spec.storage_class_name
    found = next((c for c in facts.classes if c.metadata.name == class_name), None)
    if claim.spec.volume_name:
        findings.append(Finding(f"it waits for the volume {claim.spec.volume_name}", details, ("steer get pv",)))
    elif class_name and found is None:
        names = sorted(c.metadata.name for c in facts.classes)
        hint = f"there are {listed(names)}" if names else "there are none"
        findings.append(
            Finding(f"there is no storage class {class_name!r}; {hint}", details, ("steer get storageclass",))
        )
    elif found is not None and found.volume_binding_mode == "WaitForFirstConsumer" and not users:
        findings.append(
            Finding("its storage class waits for the first pod that uses it, and there is none", details, ())
        )
    elif not class_name and not any(c.metadata.annotations.get(DEFAULT_CLASS) == "true" for c in facts.classes):
        findings.append(
            Finding(
                "it names no storage class and there is no default one, so only a volume made by hand can be bound",
                details,
                ("steer get pv", "steer get storageclass"),
            )
        )
    elif phase == "Pending":
        maker = f" of {found.provisioner}" if found is not None else ""
        findings.append(Finding(f"no volume suits it, and none has been made{maker}", details, ("steer get pv",)))
    return finished(facts, name, f"is {phase}", findings, good=False)
