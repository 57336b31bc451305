"""A client for Node.js, generated from proto/ by the packages of npm (grpc-js and proto-loader)."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.conftest import BUILD, PROTO, Served, declared_services, run

SOURCE = Path(__file__).parent / "node"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("node") is None or shutil.which("npm") is None,
        reason="needs Node.js and npm for a client of theirs",
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def packages() -> Path:
    """The folder of the packages that the lock file names, downloaded once for each of its contents."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = BUILD / f"node-client@{hashlib.sha256(lock).hexdigest()[:12]}"
    finished = folder / "finished"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, folder / name)
        code, output = await run(
            *["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder / "cache")], cwd=folder
        )
        assert code == 0, output
        finished.touch()
    return folder / "node_modules"


async def client(served: Served, packages: Path, name: str, *identity: str) -> tuple[int, dict[str, Any]]:
    code, output = await run(
        *[
            "node",
            str(SOURCE / "client.js"),
            served.address,
            str(PROTO),
            name,
            str(served.folder / "ca.crt"),
            *identity,
        ],
        NODE_PATH=str(packages),
    )
    try:
        return code, json.loads(output.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        pytest.fail(f"exit code {code}, no JSON at the end: {output}")


async def test_creates_lists_watches_and_deletes_over_mutual_tls(served: Served, packages: Path) -> None:
    folder = served.folder
    code, report = await client(served, packages, "by-node", str(folder / "admin.crt"), str(folder / "admin.key"))
    assert code == 0, report
    assert report["bookmark"]["type"] == "BOOKMARK"
    assert report["bookmark"]["initialStateEnd"] is True
    created = report["created"]
    assert created["metadata"]["name"] == "by-node"
    assert created["metadata"]["uid"]
    assert created["data"] == {"color": "blue"}
    assert report["listed"]["items"] == [created]
    assert report["deleted"]["metadata"]["uid"] == created["metadata"]["uid"]
    assert report["left"].get("items", []) == []
    added, deleted = report["events"]
    assert (added["type"], added["object"]) == ("ADDED", created)
    assert (deleted["type"], deleted["object"]["metadata"]["uid"]) == ("DELETED", created["metadata"]["uid"])
    assert int(deleted["resourceVersion"]) > int(added["resourceVersion"])


async def test_every_service_of_proto_is_generated(served: Served, packages: Path) -> None:
    folder = served.folder
    code, report = await client(served, packages, "generated", str(folder / "admin.crt"), str(folder / "admin.key"))
    assert code == 0, report
    assert set(report["services"]) == declared_services()


async def test_without_a_certificate_it_is_unauthenticated(served: Served, packages: Path) -> None:
    code, report = await client(served, packages, "by-nobody")
    assert code == 1
    assert report["error"] == "UNAUTHENTICATED", report


def test_the_lock_file_names_no_registry() -> None:
    locked = json.loads((SOURCE / "package-lock.json").read_text())["packages"]
    for name, package in locked.items():
        assert "resolved" not in package, name
        assert name == "" or package["integrity"].startswith("sha512-"), name
