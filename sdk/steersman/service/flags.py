"""Flags that every service has, declared once."""

from __future__ import annotations

import argparse
from pathlib import Path

from steersman.service import logs
from steersman.service.run import StartError
from steersman.service.tls import TLSFiles


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of descriptions and shows defaults."""


def parser(service: str, description: str, *, examples: str) -> argparse.ArgumentParser:
    """A parser for `python -m <service>`, with the flags for logging and examples at the end of its help."""
    result = argparse.ArgumentParser(
        prog=f"python -m {service}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    group = result.add_argument_group("logging")
    group.add_argument("--log-level", choices=logs.LEVELS, default="info", help="lowest level that is written")
    group.add_argument(
        "--log-format",
        choices=logs.FORMATS,
        default="auto",
        help="auto: key-value on a terminal, JSON elsewhere",
    )
    return result


def add_serving(
    target: argparse.ArgumentParser, *, bind: str, metrics: str, tls_names: tuple[str, str, str] | None = None
) -> None:
    """Adds the flags of a server: where it listens, its certificate, where its metrics are.

    Args:
        target: the parser.
        bind: default of `--bind-address`, "host:port".
        metrics: default of `--metrics-address`, "host:port".
        tls_names: flag names for certificate, key and client authority where a service uses others than Kubernetes'.
    """
    certificate, key, authority = tls_names or ("--tls-cert-file", "--tls-private-key-file", "--client-ca-file")
    group = target.add_argument_group("serving")
    group.add_argument("--bind-address", default=bind, metavar="HOST:PORT", help="where gRPC is served")
    group.add_argument(
        "--metrics-address",
        default=metrics,
        metavar="HOST:PORT",
        help="where Prometheus metrics are served at /metrics over HTTPS; empty: nowhere",
    )
    group.add_argument(certificate, dest="tls_cert_file", type=Path, metavar="FILE", help="PEM certificate")
    group.add_argument(key, dest="tls_private_key_file", type=Path, metavar="FILE", help="PEM private key")
    group.add_argument(
        authority,
        dest="client_ca_file",
        type=Path,
        metavar="FILE",
        help="PEM authority that must have signed a client's certificate",
    )


def add_apiserver(target: argparse.ArgumentParser) -> None:
    """Adds the flags of a client of the apiserver: where its configuration file is."""
    group = target.add_argument_group("apiserver")
    group.add_argument(
        "--kubeconfig",
        "--config",
        dest="config",
        type=Path,
        metavar="FILE",
        help="client configuration: apiserver address, authority and this component's certificate "
        "(default: $STEERCONFIG or ~/.steer/config)",
    )


def serving_tls(arguments: argparse.Namespace) -> TLSFiles | None:
    """The identity that the serving flags name, or None when none of them is given.

    Raises:
        SystemExit: only some of them are given.
    """
    given = (arguments.tls_cert_file, arguments.tls_private_key_file, arguments.client_ca_file)
    if all(path is None for path in given):
        return None
    if any(path is None for path in given):
        raise SystemExit("error: certificate, private key and client authority must be given together")
    return TLSFiles(*given)


def host_port(text: str) -> tuple[str, int]:
    """Splits "host:port"; "[::1]:80" and ":80" (all addresses) are understood.

    Raises:
        ValueError: there is no port, or it is not a number from 0 to 65535.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.strip("[]") or "0.0.0.0", int(port)


def refuse_plain_text(address: str, flag: str) -> None:
    """Makes sure that without certificates nothing is served beyond this machine.

    Raises:
        StartError: the address is not loopback.
    """
    if not address or address.startswith("unix:"):
        return
    try:
        host, _ = host_port(address)
    except ValueError as error:
        raise StartError(f"{flag}: {error}") from error
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise StartError(f"{flag} {address} is not a loopback address: give it a certificate, key and client authority")
