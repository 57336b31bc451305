"""What the apiserver counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Calls by service, verb and outcome; how long they took; watches that are open."""

    def __init__(self, registry: CollectorRegistry) -> None:
        names = ["resource", "verb"]
        self.calls = Counter("apiserver_calls", "Calls by outcome", [*names, "code"], registry=registry)
        self.seconds = Histogram("apiserver_call_seconds", "Duration of unary calls", names, registry=registry)
        self.streams = Gauge("apiserver_open_streams", "Streams that are open now", names, registry=registry)
        self.cached = Gauge("apiserver_cached_objects", "Objects in the watch cache", ["resource"], registry=registry)
        self.watchers = Gauge("apiserver_watchers", "Watchers of the cache", ["resource"], registry=registry)
