"""Wires netproxy: connection, informers, compiler, kernel, loop, servers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from steersman.client import connect
from steersman.clock import RealClock
from steersman.config import ConfigError
from steersman.informer import Informer
from steersman.service.flags import refuse_plain_text
from steersman.service.metrics import MetricsServer
from steersman.service.run import StartError
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from netproxy import routing, transaction
from netproxy.commands import CommandError
from netproxy.compiler import Compiler, Options
from netproxy.health import HealthPorts
from netproxy.iptables import NoIptablesError, detect
from netproxy.metrics import Metrics
from netproxy.routes import Route
from netproxy.rpc.rules import SERVICE, RulesService
from netproxy.sync import Network, Periods, Proxy

log = structlog.get_logger(__name__)

MODE = "iptables"


@dataclass(frozen=True)
class Settings:
    """What the flags say.

    Attributes:
        config: client configuration file; None: the default one.
        options: choices that shape the rules.
        periods: when things happen.
        iptables_prefix: which iptables, or "auto".
        pod_routes: keep routes to other nodes' pods.
        bind_address: where gRPC is served.
        metrics_address: where metrics are served; empty: nowhere.
        tls: identity of the servers; None: plain text, on loopback only.
    """

    config: Path | None
    options: Options
    periods: Periods
    iptables_prefix: str
    pod_routes: bool
    bind_address: str
    metrics_address: str
    tls: TLSFiles | None


async def _no_routes(_desired: frozenset[Route]) -> frozenset[Route]:
    return frozenset()


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Runs until `stop` is set. The rules stay in place: connections go on while netproxy is away.

    Raises:
        StartError: something that is needed is missing.
    """
    if settings.tls is None:
        refuse_plain_text(settings.bind_address, "--bind-address")
        refuse_plain_text(settings.metrics_address, "--metrics-address")
    try:
        iptables = await detect(settings.iptables_prefix)
        api = connect(settings.config)
    except (NoIptablesError, ConfigError) as error:
        raise StartError(str(error)) from error
    routing.enable_forwarding(localhost_node_ports=settings.options.localhost_node_ports)

    registry = CollectorRegistry()
    clock = RealClock()
    services = Informer(api.services, clock=clock)
    slices = Informer(api.endpointslices, clock=clock)
    nodes = Informer(api.nodes, clock=clock)
    apply_routes = routing.apply_routes if settings.pod_routes else _no_routes
    health_ports = HealthPorts()
    server: GrpcServer

    async def serving() -> None:
        await server.set_serving(True)

    proxy = Proxy(
        Compiler(settings.options),
        iptables,
        Network(apply_routes, routing.forget, routing.udp_flows, health_ports.apply),
        services=services,
        slices=slices,
        nodes=nodes,
        clock=clock,
        metrics=Metrics(registry),
        periods=settings.periods,
        on_first_sync=serving,
    )
    server = GrpcServer([RulesService(proxy, mode=MODE).handler()], services=[SERVICE])
    server.listen(settings.bind_address, settings.tls)
    try:
        metrics_server = MetricsServer.start(
            settings.metrics_address,
            settings.tls,
            registry,
            extra={"/proxyMode": lambda: MODE, "/healthz": lambda: "ok" if proxy.status.generation else "starting"},
        )
    except OSError as error:
        raise StartError(f"cannot serve metrics on {settings.metrics_address}: {error.strerror}") from error
    await server.start()
    log.info("netproxy started", node=settings.options.node_name, mode=MODE, iptables=iptables.prefix)

    async with api:
        tasks = [asyncio.create_task(part.run()) for part in (services, slices, nodes, proxy)]
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)
            await health_ports.close()
            await server.stop()
            if metrics_server is not None:
                metrics_server.stop()
    log.info("netproxy stopped, rules stay in force")


async def clean_up(iptables_prefix: str) -> None:
    """Removes every rule, chain and route that netproxy makes; idempotent.

    Raises:
        StartError: the kernel does not let us.
    """
    try:
        iptables = await detect(iptables_prefix)
        text = transaction.removal(await iptables.found())
        if text:
            await iptables.restore(text)
        await routing.apply_routes(frozenset())
    except (NoIptablesError, CommandError) as error:
        raise StartError(f"cannot clean up: {error}") from error
    log.info("rules and routes removed", iptables=iptables.prefix)
