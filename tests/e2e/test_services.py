"""Every service answers health, reflection and metrics, over mutual TLS."""

from __future__ import annotations

import json
import sys

import pytest

from tests.e2e.world import STORE, World

pytestmark = [pytest.mark.root, pytest.mark.e2e]

# machine, identity to call as, gRPC port, metrics port, a service that reflection lists, a metric that is there
# (What a real etcd shows of itself is its own business.)
OWN_STORE = STORE == "steersman"
SERVICES = [
    *([("control", "apiserver", 2379, 2381, "etcdserverpb.KV", "")] if OWN_STORE else []),
    ("control", "admin", 6443, 6442, "steersman.core.v1.Pods", "apiserver_calls_total"),
    ("control", "admin", 10259, 10251, "steersman.scheduler.v1.Scheduler", ""),
    ("control", "admin", 10257, 10252, "grpc.health.v1.Health", "steersman_reconciles_total"),
    ("n1", "apiserver", 10250, 10255, "steersman.nodeagent.v1.Streams", ""),
    ("n1", "admin", 10256, 10249, "steersman.netproxy.v1.Rules", ""),
]

SCRIPT = """
import json, ssl, sys, urllib.request
import grpc
from pathlib import Path
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
address, identity, port, metrics, pki = sys.argv[1:6]
pki = Path(pki)
pem = lambda name: (pki / name).read_bytes()
credentials = grpc.ssl_channel_credentials(pem("ca.crt"), pem(f"{identity}.key"), pem(f"{identity}.crt"))
with grpc.secure_channel(f"{address}:{port}", credentials) as channel:
    health = channel.unary_unary(
        "/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest(), timeout=5)
    listed = next(channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString, reflection_pb2.ServerReflectionResponse.FromString,
    )(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5))
context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
try:
    urllib.request.urlopen(f"https://{address}:{metrics}/metrics", timeout=5, context=context).read()
    open_to_all = True
except OSError:
    open_to_all = False
context.load_cert_chain(pki / f"{identity}.crt", pki / f"{identity}.key")
text = urllib.request.urlopen(f"https://{address}:{metrics}/metrics", timeout=5, context=context).read().decode()
services = [s.name for s in listed.list_services_response.service]
print(json.dumps({"serving": health.status, "services": services, "metrics": text, "open": open_to_all}))
"""


@pytest.mark.parametrize(("machine", "identity", "port", "metrics", "service", "metric"), SERVICES)
def test_health_reflection_and_metrics(
    cluster: World, machine: str, identity: str, port: int, metrics: int, service: str, metric: str
) -> None:
    home = next(m for m in cluster.lab.machines if m.name == machine)
    done = cluster.inside(
        home, sys.executable, "-c", SCRIPT, str(home.address), identity, str(port), str(metrics), str(cluster.lab.pki)
    )
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["serving"] == 1
    assert service in answer["services"]
    assert metric in answer["metrics"]
    assert "# TYPE" in answer["metrics"]
    assert not answer["open"], "metrics are shown to callers without a certificate"


@pytest.mark.parametrize("service", ["store", "apiserver", "scheduler", "controllers", "nodeagent", "netproxy"])
def test_help_explains_every_flag(service: str) -> None:
    import subprocess

    text = subprocess.run(
        [sys.executable, "-m", service, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "200"}
    ).stdout
    lines = text.splitlines()
    flags = [index for index, line in enumerate(lines) if line.startswith("  -")]
    assert len(flags) > 8
    for index in flags:
        # The explanation stands behind the flag, or on the next line where the flag is long.
        explained = "  " in lines[index].strip() or lines[index + 1].startswith("      ")
        assert explained, lines[index]


def test_logs_are_json_lines_with_service_and_level(cluster: World) -> None:
    ours = [("control", "apiserver"), ("n1", "nodeagent"), ("n1", "netproxy")]
    for machine, service in [*ours, *([("control", "store")] if OWN_STORE else [])]:
        home = next(m for m in cluster.lab.machines if m.name == machine)
        first = (home.logs / f"{service}.log").read_text().splitlines()[0]
        record = json.loads(first)
        assert record["service"] == service
        assert {"event", "level", "timestamp"} <= record.keys()
