"""Changing members where there is only one."""

from __future__ import annotations

import pytest
from etcd import rpc_pb2 as pb

from tests.store.client import Client, Refused


async def test_a_member_nobody_can_reach_does_not_grow(client: Client) -> None:
    with pytest.raises(Refused, match="etcdserver: re-configuration failed due to not enough started members"):
        await client.call("Cluster", "MemberAdd", pb.MemberAddRequest(peerURLs=["http://127.0.0.1:1"]))
    await client.put(b"still", b"alone")


@pytest.mark.parametrize("method", ["MemberRemove", "MemberPromote", "MemberUpdate"])
async def test_an_unknown_member(client: Client, method: str) -> None:
    request = getattr(pb, f"{method}Request")(ID=4711)
    if method == "MemberUpdate":
        request.peerURLs.append("http://127.0.0.1:1")
    with pytest.raises(Refused, match="etcdserver: member not found"):
        await client.call("Cluster", method, request)


async def test_bad_addresses(client: Client) -> None:
    for urls in ([], ["nonsense"], ["ftp://h:1"], ["http://h"]):
        with pytest.raises(Refused):
            await client.call("Cluster", "MemberUpdate", pb.MemberUpdateRequest(ID=1, peerURLs=urls))
