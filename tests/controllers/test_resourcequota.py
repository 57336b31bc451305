"""What is used of quotas follows what goes."""

from __future__ import annotations

from steersman.client import Api

from tests.apiserver import access
from tests.apiserver.access import asking
from tests.apiserver.objects import config_map, pod
from tests.waiting import eventually


async def test_what_goes_or_ends_is_given_back(running: Api) -> None:
    await running.configmaps.create(config_map("before"))
    await running.resourcequotas.create(access.quota(pods="5", configmaps="9", **{"requests.cpu": "1"}))

    async def used() -> dict[str, str]:
        quota = await running.resourcequotas.get("q")
        return {name: amount.value for name, amount in quota.status.used.items()}

    async def becomes(**amounts: str) -> None:
        wanted = {name.replace("_", "."): amount for name, amount in amounts.items()}

        async def there() -> bool:
            found = await used()
            return all(found.get(name) == amount for name, amount in wanted.items())

        await eventually(there)

    # Counted at once, though nothing was written since; a ConfigMap is published by no loop of this test.
    await becomes(pods="0", configmaps="1", requests_cpu="0")
    pods = [await running.pods.create(asking(pod(f"p{i}"), requests={"cpu": "100m"})) for i in range(3)]
    await becomes(pods="3", requests_cpu="300m")
    await running.pods.delete("p0", grace_period_s=0)
    await becomes(pods="2", requests_cpu="200m")
    pods[1].status.phase = "Succeeded"
    pods[1].metadata.resource_version = ""
    await running.pods.update_status(pods[1])
    await becomes(pods="1", requests_cpu="100m")
    await running.configmaps.delete("before")
    await becomes(configmaps="0")
