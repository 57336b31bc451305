"""grpcurl, built from the Go module proxy where Go is there: it knows only what reflection tells it.

It prints fields by the names that proto/ gives them, as the descriptors of reflection carry no names for JSON; it reads
either form.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.conftest import BUILD, PROTO, Served, declared_services, run

GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"
CACHE = BUILD / GRPCURL.rpartition("/")[2]
UNAUTHENTICATED, PERMISSION_DENIED = 64 + 16, 64 + 7  # grpcurl's exit code is 64 and the status

Json = dict[str, Any]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("go") is None, reason="needs Go to build grpcurl"),
]


class Messages:
    """The messages that a stream prints, one after the other."""

    def __init__(self, output: asyncio.StreamReader) -> None:
        self._output = output
        self._text = ""

    async def next(self, timeout_s: float = 20) -> Json:
        async with asyncio.timeout(timeout_s):
            while True:
                self._text = self._text.lstrip()
                try:
                    message, end = json.JSONDecoder().raw_decode(self._text)
                except json.JSONDecodeError:
                    more = await self._output.read(65536)
                    assert more, f"the stream ended after {self._text!r}"
                    self._text += more.decode()
                else:
                    self._text = self._text[end:]
                    return dict(message)


class Grpcurl:
    """grpcurl with what it proves itself by."""

    def __init__(self, served: Served, *credentials: str) -> None:
        self._served = served
        self._options = ["-cacert", str(served.folder / "ca.crt"), "-max-time", "60", *credentials]

    def with_token(self, token: str) -> Grpcurl:
        return Grpcurl(self._served, "-H", f"authorization: Bearer {token}")

    def with_protos(self) -> Grpcurl:
        """The same without reflection, from the sources of the messages."""
        return Grpcurl(self._served, *self._options[4:], "-import-path", str(PROTO), "-proto", CONFIG_MAPS_FILE)

    async def run(self, *arguments: str, data: Json | None = None) -> tuple[int, str]:
        return await run(*self._command(*arguments, data=data))

    async def text(self, *arguments: str) -> str:
        """What it prints; it must succeed."""
        code, output = await self.run(*arguments)
        assert code == 0, output
        return output

    async def call(self, method: str, data: Json) -> Json:
        """The one answer of a call that must succeed."""
        code, output = await self.run(method, data=data)
        assert code == 0, output
        return dict(json.loads(output))

    @asynccontextmanager
    async def stream(self, method: str, data: Json) -> AsyncIterator[Messages]:
        """A call whose answers are read while it goes on; killed at the end."""
        process = await asyncio.create_subprocess_exec(
            *self._command(method, data=data), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            yield Messages(process.stdout)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def _command(self, *arguments: str, data: Json | None) -> list[str]:
        given = [] if data is None else ["-d", json.dumps(data)]
        return [str(CACHE / "grpcurl"), *self._options, *given, self._served.address, *arguments]


CONFIG_MAPS = "steersman.core.v1.ConfigMaps"
CONFIG_MAPS_FILE = "steersman/core/v1/config_map.proto"


def settings(name: str, **data: str) -> Json:
    return {"object": {"metadata": {"namespace": "default", "name": name}, "data": data}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nobody(served: Served) -> Grpcurl:
    """It proves nothing."""
    program = CACHE / "grpcurl"
    if not program.exists():
        # The module cache stays writable, so that build/ can be removed like everything else in it.
        code, output = await run(
            "go", "install", GRPCURL, GOBIN=str(CACHE), GOPATH=str(CACHE / "go"), GOFLAGS="-modcacherw"
        )
        assert code == 0, output
    return Grpcurl(served)


@pytest.fixture
def admin(served: Served, nobody: Grpcurl) -> Grpcurl:
    """The administrator by certificate."""
    return Grpcurl(served, "-cert", str(served.folder / "admin.crt"), "-key", str(served.folder / "admin.key"))


async def token_of(admin: Grpcurl, name: str) -> str:
    """A token of a new service account."""
    account = {"namespace": "default", "name": name}
    await admin.call("steersman.core.v1.ServiceAccounts/Create", {"object": {"metadata": account}})
    answer = await admin.call("steersman.core.v1.ServiceAccounts/CreateToken", account)
    return str(answer["status"]["token"])


async def allow(admin: Grpcurl, account: str, *verbs: str) -> None:
    """The service account may do this to config maps."""
    metadata = {"namespace": "default", "name": account}
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}
    await admin.call("steersman.rbac.v1.Roles/Create", {"object": {"metadata": metadata, "rules": [rule]}})
    binding = {
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": account}],
    }
    await admin.call("steersman.rbac.v1.RoleBindings/Create", {"object": binding})


async def creates_gets_and_watches(client: Grpcurl, name: str) -> None:
    watched = {"namespace": "default", "fieldSelector": f"metadata.name={name}"}
    async with client.stream(f"{CONFIG_MAPS}/Watch", watched) as events:
        bookmark = await events.next()
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["initial_state_end"] is True
        created = await client.call(f"{CONFIG_MAPS}/Create", settings(name, color="blue"))
        assert created["data"] == {"color": "blue"}
        assert created["metadata"]["uid"]
        got = await client.call(f"{CONFIG_MAPS}/Get", {"namespace": "default", "name": name})
        assert got == created
        event = await events.next()
        assert event["type"] == "ADDED"
        assert event["object"] == created


async def test_lists_every_service(admin: Grpcurl) -> None:
    listed = (await admin.text("list")).split()
    # Those of other components; everything else that is declared is the apiserver's.
    elsewhere = ("steersman.scheduler.", "steersman.nodeagent.", "steersman.netproxy.")
    assert {name for name in declared_services() if not name.startswith(elsewhere)} <= set(listed)
    assert "grpc.health.v1.Health" in listed


async def test_describes_every_service_and_message(admin: Grpcurl) -> None:
    described = await admin.text("describe")
    assert f"{CONFIG_MAPS} is a service" in described
    message = await admin.text("describe", "steersman.core.v1.ConfigMap")
    assert "map<string, string> data = 2;" in message
    assert ".steersman.meta.v1.ObjectMeta metadata = 1;" in message
    assert "rpc Watch ( .steersman.meta.v1.WatchRequest ) returns ( stream" in await admin.text("describe", CONFIG_MAPS)


async def test_creates_gets_and_watches_with_a_certificate(admin: Grpcurl) -> None:
    await creates_gets_and_watches(admin, "by-certificate")


async def test_creates_gets_and_watches_with_a_token(admin: Grpcurl) -> None:
    robot = admin.with_token(await token_of(admin, "robot"))
    await allow(admin, "robot", "create", "get", "watch")
    await creates_gets_and_watches(robot, "by-token")
    code, output = await robot.run(f"{CONFIG_MAPS}/Delete", data={"namespace": "default", "name": "by-token"})
    assert code == PERMISSION_DENIED, output
    assert "system:serviceaccount:default:robot" in output


async def test_creates_a_pod_whose_defaults_come_back(admin: Grpcurl) -> None:
    await admin.call(
        "steersman.core.v1.ServiceAccounts/Create",
        {"object": {"metadata": {"namespace": "default", "name": "default"}}},
    )
    spec = {"containers": [{"name": "web", "image": "busybox"}]}
    pod = {"metadata": {"namespace": "default", "name": "web"}, "spec": spec}
    async with admin.stream("steersman.core.v1.Pods/Watch", {"namespace": "default"}) as events:
        assert (await events.next())["type"] == "BOOKMARK"
        created = await admin.call("steersman.core.v1.Pods/Create", {"object": pod})
        assert created["spec"]["restart_policy"] == "Always"
        assert (await events.next())["object"]["metadata"] == created["metadata"]


async def test_who_proves_nothing_is_unauthenticated(nobody: Grpcurl) -> None:
    request = {"namespace": "default"}
    for client in (nobody.with_protos(), nobody.with_token("not.a.token").with_protos()):
        for method in ("List", "Watch"):
            code, output = await client.run(f"{CONFIG_MAPS}/{method}", data=request)
            assert code == UNAUTHENTICATED, output
            assert "Unauthenticated" in output
        code, output = await client.run(f"{CONFIG_MAPS}/Create", data=settings("by-nobody"))
        assert code == UNAUTHENTICATED, output
    # And as it is called by hand, where reflection is asked first.
    code, output = await nobody.run(f"{CONFIG_MAPS}/List", data=request)
    assert code != 0
    assert "Unauthenticated" in output
