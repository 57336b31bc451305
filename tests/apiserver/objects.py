"""Objects for tests, as short as they may be."""

from __future__ import annotations

from steersman.apps.v1 import Deployment
from steersman.core.v1 import ConfigMap, Namespace, Pod, Service


def pod(name: str = "p", namespace: str = "default", *, node: str = "", image: str = "a:1", **labels: str) -> Pod:
    made = Pod()
    made.metadata.name, made.metadata.namespace = name, namespace
    made.metadata.labels.update(labels)
    made.spec.node_name = node
    made.spec.containers.add(name="c", image=image)
    return made


def config_map(name: str = "c", namespace: str = "default", **data: str) -> ConfigMap:
    made = ConfigMap(data=data)
    made.metadata.name, made.metadata.namespace = name, namespace
    return made


def namespace(name: str) -> Namespace:
    made = Namespace()
    made.metadata.name = name
    return made


def service(name: str = "s", *, type: str = "", ports: tuple[int, ...] = (80,), cluster_ip: str = "") -> Service:
    made = Service()
    made.metadata.name, made.metadata.namespace = name, "default"
    made.spec.type, made.spec.cluster_ip = type, cluster_ip
    for number in ports:
        made.spec.ports.add(name=f"p{number}", port=number)
    return made


def deployment(name: str = "d", replicas: int = 1, image: str = "a:1") -> Deployment:
    made = Deployment()
    made.metadata.name, made.metadata.namespace = name, "default"
    made.spec.replicas = replicas
    made.spec.selector.match_labels["app"] = name
    made.spec.template.metadata.labels["app"] = name
    made.spec.template.spec.containers.add(name="c", image=image)
    return made
