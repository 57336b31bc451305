"""Pods/Evict: nobody gets round a budget, and every eviction is counted once."""

from __future__ import annotations

import asyncio

import pytest
from steersman import errors
from steersman.client import Api
from steersman.core.v1 import Pod
from steersman.meta.v1 import IntOrString
from steersman.policy.v1 import PodDisruptionBudget

from apiserver import disruption
from tests.apiserver.conftest import Served
from tests.apiserver.objects import pod


async def running(api: Api, name: str, *, ready: bool = True, app: str = "web") -> Pod:
    made = await api.pods.create(pod(name, node="n1", app=app))
    made.status.phase = "Running"
    made.status.conditions.add(type="Ready", status="True" if ready else "False")
    return await api.pods.update_status(made)


async def budget(api: Api, name: str = "b", *, allowed: int, app: str = "web", policy: str = "") -> PodDisruptionBudget:
    made = PodDisruptionBudget()
    made.metadata.name, made.metadata.namespace = name, "default"
    made.spec.selector.match_labels["app"] = app
    made.spec.max_unavailable.CopyFrom(IntOrString(int_val=1))
    if policy:
        made.spec.unhealthy_pod_eviction_policy = policy
    made = await api.poddisruptionbudgets.create(made)
    return await observed(api, made, allowed)


async def observed(api: Api, made: PodDisruptionBudget, allowed: int, *, healthy: int = 2) -> PodDisruptionBudget:
    """What the disruption controller would have written."""
    made.status.observed_generation = made.metadata.generation
    made.status.disruptions_allowed = allowed
    made.status.current_healthy, made.status.desired_healthy, made.status.expected_pods = healthy, 2, 3
    return await api.poddisruptionbudgets.update_status(made)


async def is_going(api: Api, name: str) -> bool:
    try:
        return (await api.pods.get(name)).metadata.HasField("deletion_timestamp")
    except errors.NotFound:
        return True


async def test_a_pod_without_a_budget_is_deleted(api: Api) -> None:
    await running(api, "p")
    answer = await api.pods.evict("p", grace_period_s=7)
    assert answer.metadata.deletion_grace_period_seconds == 7
    assert await is_going(api, "p")


async def test_an_eviction_is_counted(api: Api) -> None:
    await running(api, "p")
    await budget(api, allowed=1)
    await api.pods.evict("p")
    counted = await api.poddisruptionbudgets.get("b")
    assert (counted.status.disruptions_allowed, list(counted.status.disrupted_pods)) == (0, ["p"])
    [condition] = counted.status.conditions
    assert (condition.type, condition.status, condition.reason) == ("DisruptionAllowed", "False", "InsufficientPods")
    gone = await api.pods.get("p")
    assert gone.metadata.HasField("deletion_timestamp")
    target = next(each for each in gone.status.conditions if each.type == "DisruptionTarget")
    assert (target.status, target.reason) == ("True", "EvictionByEvictionAPI")


async def test_a_budget_that_allows_none_refuses(api: Api) -> None:
    await running(api, "p")
    await budget(api, allowed=0)
    with pytest.raises(errors.Exhausted, match="needs 2 healthy pods and has 2") as caught:
        await api.pods.evict("p")
    assert caught.value.reason == "DISRUPTION_BUDGET"
    assert caught.value.facts == {"pod": "p", "budget": "b"}
    assert not await is_going(api, "p")


async def test_a_budget_whose_pods_could_not_be_counted_says_so(api: Api) -> None:
    await running(api, "p")
    made = await budget(api, allowed=0)
    made.status.conditions.add(type="DisruptionAllowed", status="False", reason="SyncFailed", message="no controller")
    await api.poddisruptionbudgets.update_status(made)
    with pytest.raises(errors.Exhausted, match="could not be counted: no controller"):
        await api.pods.evict("p")


async def test_a_budget_that_nobody_looked_at_refuses_for_a_while(api: Api) -> None:
    await running(api, "p")
    made = await budget(api, allowed=5)
    made.spec.max_unavailable.int_val = 2
    await api.poddisruptionbudgets.update(made)
    with pytest.raises(errors.Exhausted, match="still to be looked at"):
        await api.pods.evict("p")


async def test_many_at_once_spend_no_more_than_there_is(api: Api) -> None:
    for number in range(8):
        await running(api, f"p{number}")
    await budget(api, allowed=3)

    async def one(number: int) -> bool:
        try:
            await api.pods.evict(f"p{number}")
        except (errors.Exhausted, errors.Conflict):
            return False
        return True

    granted = await asyncio.gather(*(one(number) for number in range(8)))
    counted = await api.poddisruptionbudgets.get("b")
    assert sum(granted) == len(counted.status.disrupted_pods) == 3 - counted.status.disruptions_allowed
    going = [await is_going(api, f"p{number}") for number in range(8)]
    assert going == granted


async def test_a_dry_run_counts_nothing(api: Api) -> None:
    await running(api, "p")
    made = await budget(api, allowed=1)
    await api.pods.evict("p", dry_run=True)
    assert await api.poddisruptionbudgets.get("b") == made
    assert not await is_going(api, "p")
    await observed(api, made, 0)
    with pytest.raises(errors.Exhausted):
        await api.pods.evict("p", dry_run=True)


async def test_preconditions_hold(api: Api) -> None:
    made = await running(api, "p")
    await budget(api, allowed=1)
    with pytest.raises(errors.Conflict):
        await api.pods.evict("p", uid="another")
    with pytest.raises(errors.Conflict):
        await api.pods.evict("p", resource_version="1")
    assert (await api.poddisruptionbudgets.get("b")).status.disruptions_allowed == 1
    await api.pods.evict("p", uid=made.metadata.uid, resource_version=made.metadata.resource_version)
    assert await is_going(api, "p")


async def test_two_budgets_for_one_pod_say_nothing_together(api: Api) -> None:
    await running(api, "p")
    await budget(api, "b1", allowed=1)
    await budget(api, "b2", allowed=1)
    with pytest.raises(errors.FailedPrecondition, match="b1, b2"):
        await api.pods.evict("p")


async def test_who_serves_nobody_goes_freely(api: Api) -> None:
    await budget(api, allowed=0)
    await api.pods.create(pod("pending", app="web"))
    await api.pods.evict("pending")
    ended = await running(api, "ended")
    ended.status.phase = "Succeeded"
    await api.pods.update_status(ended)
    await api.pods.evict("ended")
    ending = await running(api, "ending")
    await api.pods.delete("ending")
    await api.pods.evict(ending.metadata.name)
    assert (await api.poddisruptionbudgets.get("b")).status.disrupted_pods == {}
    await running(api, "other", app="else")
    await api.pods.evict("other")


async def test_pods_that_are_not_ready_go_by_the_policy(api: Api) -> None:
    made = await budget(api, allowed=0)
    await running(api, "ill-1", ready=False)
    await api.pods.evict("ill-1")
    await observed(api, await api.poddisruptionbudgets.get("b"), 0, healthy=1)
    await running(api, "ill-2", ready=False)
    with pytest.raises(errors.Exhausted):
        await api.pods.evict("ill-2")
    made = await api.poddisruptionbudgets.get("b")
    made.spec.unhealthy_pod_eviction_policy = "AlwaysAllow"
    await api.poddisruptionbudgets.update(made)
    await api.pods.evict("ill-2")


async def test_there_must_be_such_a_pod(api: Api) -> None:
    with pytest.raises(errors.NotFound):
        await api.pods.evict("none")


async def test_who_may_not_evict(served: Served) -> None:
    admin = served.as_user("admin", "system:masters")
    await running(admin, "p")
    with pytest.raises(errors.Forbidden):
        await served.as_user("lea").pods.evict("p")


def test_a_budget_without_a_selector_is_for_no_pod() -> None:
    made = PodDisruptionBudget()
    assert disruption.budget_of(pod("p", app="web"), [made]) is None
    made.spec.selector.SetInParent()
    assert disruption.budget_of(pod("p", app="web"), [made]) is made
