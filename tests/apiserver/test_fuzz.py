"""Every rpc with messages of any content: it succeeds or says what is wrong, and never breaks.

Requests are made from the descriptors with seeds that stay the same. Half of them name objects that may be there, so
that calls reach each other's objects; the long run makes more.
"""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from steersman import kinds
from steersman.client import Api
from steersman.manifests import codec

from tests import manifests
from tests.apiserver.conftest import Served
from tests.apiserver.kinds.test_fuzz import scramble

# What a caller may be told: everything but that the server is at a loss.
BROKEN = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED}
# What the client's library says by itself when a call has ended before all of its requests were sent.
CUT_OFF = "Internal error from Core"
PATIENCE_S = 30.0
LISTEN_S = 0.02


class Rpc(NamedTuple):
    path: str
    kind: kinds.Kind
    request: type[Any]
    response: type[Any]
    sends_stream: bool
    gets_stream: bool


@cache
def rpcs() -> tuple[Rpc, ...]:
    found = []
    for kind in kinds.every():
        pool: Any = importlib.import_module(kind.module).DESCRIPTOR.pool
        for method in pool.FindServiceByName(kind.service).methods:
            messages = (GetMessageClass(method.input_type), GetMessageClass(method.output_type))
            streams = (method.client_streaming, method.server_streaming)
            found.append(Rpc(f"/{kind.service}/{method.name}", kind, *messages, *streams))
    return tuple(found)


def request_for(rpc: Rpc, source: random.Random) -> Any:
    """A request that may be anything; half of the time about an object of a good name, that was good before."""
    made = rpc.request()
    known = rpc.request.DESCRIPTOR.fields_by_name
    good = source.random() < 0.5
    if good and "object" in known and type(made.object) is rpc.kind.message:
        document = manifests.of(rpc.kind.api_version, rpc.kind.kind)
        made.object.CopyFrom(codec.decode_object(document))
    scramble(made, source, source.choice([0.02, 0.1, 0.4]))
    place = made
    for name in ("object", "metadata", "start", "bind"):
        if name in place.DESCRIPTOR.fields_by_name and source.random() < 0.9:
            place = getattr(place, name)
    if good:
        for name, value in (("name", f"f{source.randrange(4)}"), ("namespace", "default")):
            field = place.DESCRIPTOR.fields_by_name.get(name)
            if field is not None and (name == "name" or rpc.kind.namespaced):
                setattr(place, name, value)
            elif field is not None:
                place.ClearField(name)
        for name in ("uid", "resource_version"):
            if name in place.DESCRIPTOR.fields_by_name and source.random() < 0.8:
                place.ClearField(name)
    if "options" in known and "dry_run" in made.options.DESCRIPTOR.fields_by_name and rpc.path.endswith("Collection"):
        # Everything in the cluster may be deleted, but not so often that nothing is left to try.
        made.options.ClearField("dry_run")
        made.options.dry_run.append("All")
    return made


async def code_of(api: Api, rpc: Rpc, source: random.Random) -> tuple[grpc.StatusCode, str]:
    """What a call comes to; a stream that goes on is listened to for a moment."""
    request = request_for(rpc, source)
    channel: Any = api.channel
    shape = f"{'stream' if rpc.sends_stream else 'unary'}_{'stream' if rpc.gets_stream else 'unary'}"
    method = getattr(channel, shape)(
        rpc.path, request_serializer=rpc.request.SerializeToString, response_deserializer=rpc.response.FromString
    )

    async def sent() -> AsyncIterator[Any]:
        yield request
        yield request_for(rpc, source)

    call = method(sent() if rpc.sends_stream else request, timeout=PATIENCE_S)
    try:
        if not rpc.gets_stream:
            await call
        else:
            async with asyncio.timeout(LISTEN_S):
                async for _ in call:
                    pass
    except TimeoutError:
        call.cancel()
    except grpc.aio.AioRpcError as error:
        if rpc.sends_stream and error.details() == CUT_OFF:
            return grpc.StatusCode.CANCELLED, ""
        return error.code(), error.details() or ""
    except asyncio.CancelledError:
        if not call.done():
            raise
    return grpc.StatusCode.OK, ""


async def hunt(api: Api, seeds: range) -> None:
    found: list[str] = []
    codes: dict[str, int] = {}
    for seed in seeds:
        for rpc in rpcs():
            source = random.Random(f"{rpc.path} {seed}")
            code, words = await code_of(api, rpc, source)
            codes[code.name] = codes.get(code.name, 0) + 1
            if code in BROKEN or code is grpc.StatusCode.DEADLINE_EXCEEDED or "Traceback" in words:
                found.append(f"{rpc.path} with seed {seed}: {code.name} {words}")
    assert not found, "\n".join(found)
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(codes), codes


async def test_no_rpc_breaks(served: Served, api: Api) -> None:
    await hunt(api, range(3))
    # And the server is well: it serves on.
    assert await api.namespaces.list()


@pytest.mark.long
async def test_no_rpc_breaks_for_long(api: Api) -> None:
    await hunt(api, range(3, 250))
