"""Lists and watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from steersman import errors
from steersman.client import ADDED, BOOKMARK, DELETED, MODIFIED, Api
from steersman.meta.v1 import ListRequest

from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, pod
from tests.waiting import eventually


async def test_lists_are_selected_by_namespace_label_and_field(api: Api) -> None:
    await api.pods.create(pod("a", app="web", tier="front"))
    await api.pods.create(pod("b", node="n1", app="web"))
    await api.pods.create(pod("c", "kube-system", app="dns"))

    async def names(**selection: str) -> list[str]:
        return [found.metadata.name for found in await api.pods.list(**selection)]

    assert await names() == ["a", "b", "c"]
    assert await names(namespace="default") == ["a", "b"]
    assert await names(label_selector="app in (web, dns),!tier") == ["b", "c"]
    assert await names(field_selector="spec.nodeName=n1") == ["b"]
    assert await names(field_selector="spec.nodeName!=n1,metadata.namespace=default") == ["a"]
    with pytest.raises(errors.Invalid, match=r"cannot be selected by 'spec.colour'"):
        await names(field_selector="spec.colour=red")
    with pytest.raises(errors.Invalid, match="label_selector"):
        await names(label_selector="a in b")


async def test_pages_are_of_one_revision(api: Api) -> None:
    for index in range(7):
        await api.configmaps.create(config_map(f"c{index}"))
    pages: list[list[str]] = []
    token = ""
    client: Any = api.configmaps
    while True:
        page = await client._call(
            "List",
            ListRequest(namespace="default", limit=3, continue_token=token),
            client.kind.list_message,
        )
        pages.append([item.metadata.name for item in page.items])
        if not token:
            await api.configmaps.create(config_map("c6a"))
            await api.configmaps.delete("c4")
            assert page.metadata.remaining_item_count == 4
            first = page.metadata.resource_version
        assert page.metadata.resource_version == first
        token = page.metadata.continue_token
        if not token:
            break
    assert pages == [["c0", "c1", "c2"], ["c3", "c4", "c5"], ["c6"]]
    with pytest.raises(errors.Invalid, match="continue_token"):
        await client._call("List", ListRequest(continue_token="bm9uc2Vuc2U="), client.kind.list_message)


async def test_a_list_goes_on_when_its_revision_is_compacted(served: Served, api: Api) -> None:
    for index in range(4):
        await api.configmaps.create(config_map(f"c{index}"))
    client: Any = api.configmaps
    page = await client._call("List", ListRequest(namespace="default", limit=2), client.kind.list_message)
    await api.configmaps.delete("c3")
    newest = await api.configmaps.create(config_map("c4"))
    await served.storage.compact(int(newest.metadata.resource_version))
    rest = await client._call(
        "List",
        ListRequest(namespace="default", limit=10, continue_token=page.metadata.continue_token),
        client.kind.list_message,
    )
    assert [item.metadata.name for item in rest.items] == ["c2", "c4"]


async def test_a_selected_list_is_paged_too(api: Api) -> None:
    for index in range(20):
        made = config_map(f"c{index:02}")
        made.metadata.labels["odd"] = str(index % 2)
        await api.configmaps.create(made)
    found = await api.configmaps.list(namespace="default", label_selector="odd=1", page=3)
    assert [obj.metadata.name for obj in found] == [f"c{index:02}" for index in range(1, 20, 2)]


async def take(events: AsyncIterator[Any], count: int) -> list[tuple[int, str]]:
    """The next messages about objects, as (type, name)."""
    found: list[tuple[int, str]] = []
    async with asyncio.timeout(10):
        async for event in events:
            if event.type != BOOKMARK:
                found.append((event.type, event.object.metadata.name))
            if len(found) == count:
                return found
    return found


async def test_a_watch_sends_the_present_state_and_then_every_change(api: Api) -> None:
    await api.configmaps.create(config_map("old"))
    watch = api.configmaps.watch(namespace="default")
    first = await anext(watch)
    assert (first.type, first.object.metadata.name) == (ADDED, "old")
    mark = await anext(watch)
    assert (mark.type, mark.initial_state_end) == (BOOKMARK, True)
    made = await api.configmaps.create(config_map("new"))
    made.data["a"] = "1"
    await api.configmaps.update(made)
    await api.configmaps.delete("old")
    assert await take(watch, 3) == [(ADDED, "new"), (MODIFIED, "new"), (DELETED, "old")]
    await watch.aclose()


async def test_a_watch_resumes_without_loss(api: Api) -> None:
    made = await api.configmaps.create(config_map("a"))
    for name in ("b", "c"):
        await api.configmaps.create(config_map(name))
    await api.configmaps.delete("b")
    watch = api.configmaps.watch(resource_version=made.metadata.resource_version)
    assert await take(watch, 3) == [(ADDED, "b"), (ADDED, "c"), (DELETED, "b")]
    await watch.aclose()


async def test_what_stops_matching_is_deleted_to_the_watcher(api: Api) -> None:
    made = await api.pods.create(pod("a", app="web"))
    watch = api.pods.watch(label_selector="app=web")
    assert await take(watch, 1) == [(ADDED, "a")]
    made.metadata.labels["app"] = "other"
    made = await api.pods.update(made)
    made.metadata.labels["app"] = "web"
    await api.pods.update(made)
    assert await take(watch, 2) == [(DELETED, "a"), (ADDED, "a")]
    await watch.aclose()


async def test_watchers_by_node_hear_only_of_their_pods(served: Served, api: Api) -> None:
    watch = api.pods.watch(field_selector="spec.nodeName=n1")
    assert (await anext(watch)).initial_state_end
    made = await api.pods.create(pod("a"))
    await api.pods.create(pod("b"))
    await api.pods.bind("b", node_name="n2")
    await api.pods.bind("a", node_name="n1", uid=made.metadata.uid)
    assert await take(watch, 1) == [(ADDED, "a")]
    cache = served.apiserver.registries["steersman.core.v1.Pods"].cache
    assert list(cache._narrow) == [("spec.nodeName", "n1")]
    await watch.aclose()
    await eventually(lambda: cache.count_watchers() == 0)


async def test_objects_in_watches_and_reads_are_the_same(api: Api) -> None:
    watch = api.pods.watch()
    assert (await anext(watch)).initial_state_end
    made = await api.pods.create(pod("a"))
    event = await anext(watch)
    assert event.object == made == await api.pods.get("a") == (await api.pods.list())[0]
    assert event.resource_version == made.metadata.resource_version
    await watch.aclose()


async def test_a_revision_that_is_gone_is_out_of_range(served: Served, api: Api) -> None:
    with pytest.raises(errors.Expired) as caught:
        await anext(api.configmaps.watch(resource_version="0"))
    assert caught.value.reason == "REVISION_COMPACTED"
    with pytest.raises(errors.Invalid, match="resource_version"):
        await anext(api.configmaps.watch(resource_version="yesterday"))


async def test_a_slow_watcher_is_cut_off(served: Served, api: Api) -> None:
    from apiserver.errors import SlowWatcher
    from apiserver.watchcache.watcher import Selection

    cache = served.apiserver.registries["steersman.core.v1.ConfigMaps"].cache
    with cache.subscribe(Selection(), since=None) as watcher:
        watcher._limit = 5
        for index in range(6):
            await api.configmaps.create(config_map(f"c{index}"))

        async def cut_off() -> bool:
            try:
                await watcher.next()
            except SlowWatcher:
                return True
            return False

        await eventually(lambda: watcher._failure is not None)
        assert await cut_off()
