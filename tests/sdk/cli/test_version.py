"""`steer version`, and how soon it is there."""

from __future__ import annotations

import subprocess
import sys

import steersman

from tests.sdk.cli.conftest import Cluster


def test_versions(cluster: Cluster) -> None:
    own = steersman.__version__
    assert cluster.steer("version") == f"Client Version: {own}\nServer Version: {own}\n"
    assert cluster.steer("version", "--client", "--config", "/nowhere") == f"Client Version: {own}\n"
    data = cluster.json("version")
    assert data["serverVersion"]["version"] == data["clientVersion"]["version"] == own
    assert list(cluster.json("version", "--client")) == ["clientVersion"]
    done = cluster.run("version", "--config", "/nowhere")
    assert (done.code, done.out) == (3, f"Client Version: {own}\n")


def test_anybody_may_ask(cluster: Cluster) -> None:
    from steersman.client import connect_to
    from steersman.config import Context
    from steersman.meta.v1 import Version, VersionRequest

    async def ask() -> str:
        async with connect_to(Context("x", cluster.server, "", cluster.folder / "ca.crt")) as api:
            method = api.channel.unary_unary(
                "/steersman.meta.v1.Versions/Get",
                request_serializer=VersionRequest.SerializeToString,
                response_deserializer=Version.FromString,
            )
            return (await method(VersionRequest())).version  # type: ignore[no-any-return]

    import asyncio

    assert asyncio.run(ask()) == steersman.__version__


def test_what_asks_no_server_imports_no_client() -> None:
    """Each of these costs more than all the rest of the command."""
    code = (
        "import sys\n"
        "from steersman.cli.main import main\n"
        "try: main(['version', '--client'])\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'yaml', 'google.protobuf', 'cryptography', 'asyncio', 'steersman.client'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
