"""A controller of one's own: a ConfigMap that describes a website becomes a Deployment and a Service.

    python examples/website/controller.py              runs it against the cluster of the current context
    python examples/website/controller.py --help

A site is a ConfigMap with the label `kind=website` and the keys `image` and, if wanted, `replicas` (1) and `port`
(8080). What it has become is written in its annotation `example.org/status`. A finalizer has the controller say
good-bye before a site goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from steersman import Key, Result, Runtime, TerminalError, finalizers
from steersman.apps.v1 import Deployment
from steersman.core.v1 import ConfigMap, Service
from steersman.meta.v1 import OwnerReference
from steersman.runtime import main

NAME = "website-controller"
SITES = "kind=website"
STATUS = "example.org/status"
GOODBYE = "example.org/goodbye"


@dataclass(frozen=True)
class Site:
    """What a site's ConfigMap says."""

    image: str
    replicas: int
    port: int

    @classmethod
    def read(cls, source: ConfigMap) -> Site:
        """Raises TerminalError: it makes no sense, and trying again will not help."""
        try:
            site = cls(
                source.data["image"], int(source.data.get("replicas", "1")), int(source.data.get("port", "8080"))
            )
        except (KeyError, ValueError) as error:
            raise TerminalError(f"{source.metadata.name} describes no website: {error}") from error
        if not site.image:
            raise TerminalError(f"{source.metadata.name} describes no website: image is empty")
        return site


def deployment(name: str, namespace: str, site: Site, owner: OwnerReference) -> Deployment:
    """The Deployment of a site."""
    labels = {"website": name}
    container = {"name": "web", "image": site.image, "ports": [{"container_port": site.port}]}
    return Deployment(
        metadata={"name": name, "namespace": namespace, "owner_references": [owner]},
        spec={
            "replicas": site.replicas,
            "selector": {"match_labels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    )


def service(name: str, namespace: str, site: Site, owner: OwnerReference) -> Service:
    """The Service of a site."""
    made = Service(
        metadata={"name": name, "namespace": namespace, "owner_references": [owner]},
        spec={"selector": {"website": name}},
    )
    port = made.spec.ports.add(name="http", port=80)
    port.target_port.int_val = site.port
    return made


def websites(runtime: Runtime) -> None:
    """Sets the controller up."""
    api = runtime.api
    sites = runtime.informer(ConfigMap, label_selector=SITES)
    deployments = runtime.informer(Deployment)

    @runtime.reconciler(ConfigMap, owns=[Deployment, Service], label_selector=SITES, name="websites")
    async def reconcile(key: Key) -> Result | None:
        source = sites.get(key)
        if source is None:
            return None
        if finalizers.is_going(source):
            runtime.recorder.event(source, "Normal", "Goodbye", f"The website {key.name} is taken down")
            await finalizers.remove(api.configmaps, source, GOODBYE)
            return None
        site = Site.read(source)
        await finalizers.add(api.configmaps, source, GOODBYE)
        owner = OwnerReference(
            api_version="v1", kind="ConfigMap", name=key.name, uid=source.metadata.uid, controller=True
        )
        # Applying is idempotent: what is as it should be is not written again.
        await api.deployments.apply(deployment(key.name, key.namespace, site, owner), field_manager=NAME, force=True)
        await api.services.apply(service(key.name, key.namespace, site, owner), field_manager=NAME, force=True)
        running = deployments.get(key)
        ready = running.status.ready_replicas if running is not None else 0
        status = f"{ready} of {site.replicas} ready"
        await api.configmaps.modify(
            key.name, lambda found: found.metadata.annotations.update({STATUS: status}), namespace=key.namespace
        )
        return None


if __name__ == "__main__":
    main(NAME, websites, description="Makes Deployments and Services of ConfigMaps with the label kind=website.")
