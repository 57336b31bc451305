"""`steer version`."""

from __future__ import annotations

from typing import Any

import click

import steersman

EPILOG = """\b
Examples:
  steer version
  steer version --client         without asking the server
  steer version -o json
"""


@click.command(epilog=EPILOG)
@click.option("--client", is_flag=True, help="Only of this program; asks no server.")
@click.option("-o", "--output", "fmt", type=click.Choice(["yaml", "json"]), help="As data.")
@click.pass_context
def command(ctx: click.Context, client: bool, fmt: str | None) -> None:
    """Show the versions of this program and of the server."""
    if fmt is None:
        click.echo(f"Client Version: {steersman.__version__}")
    if client:
        _data({"clientVersion": _own()}, fmt)
        return
    server = _ask(ctx)
    if fmt is None:
        click.echo(f"Server Version: {server['version']}")
        if server["version"] != steersman.__version__:
            click.echo("warning: the server is of another version", err=True)
    _data({"clientVersion": _own(), "serverVersion": server}, fmt)


def _own() -> dict[str, str]:
    import platform

    return {
        "version": steersman.__version__,
        "pythonVersion": platform.python_version(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


def _data(data: dict[str, Any], fmt: str | None) -> None:
    if fmt is not None:
        from steersman.cli import output

        output.write(output.document(data, fmt))


def _ask(ctx: click.Context) -> dict[str, str]:
    from steersman.cli import session

    async def work(api: Any) -> dict[str, str]:
        from steersman import errors
        from steersman.meta.v1.version_pb2 import Version, VersionRequest

        method = api.channel.unary_unary(
            "/steersman.meta.v1.Versions/Get",
            request_serializer=VersionRequest.SerializeToString,
            response_deserializer=Version.FromString,
        )
        try:
            answer: Any = await api.unary(method, VersionRequest(), idempotent=True)
        except errors.Unsupported:
            # One from before it was asked.
            return {"version": "unknown"}
        return {"version": answer.version, "pythonVersion": answer.python_version, "platform": answer.platform}

    return session.run(ctx, None, work)
