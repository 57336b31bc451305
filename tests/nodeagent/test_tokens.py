"""Tokens of pods: asked for once, replaced when most of their life is over, and missed with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from steersman import errors, reviews
from steersman.authentication.v1 import SelfSubjectReview
from steersman.core.v1 import Pod

from nodeagent.pod.volumes_spec import tokens_of
from nodeagent.tokens import Tokens
from tests.apiserver.conftest import Served, identities, served
from tests.apiserver.objects import pod
from tests.waiting import eventually

__all__ = ["identities", "served"]


@dataclass
class Watch:
    """A clock whose sleepers are woken by hand."""

    asked_s: list[float] = field(default_factory=list)
    _sleepers: list[asyncio.Event] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.asked_s.append(seconds)
        woken = asyncio.Event()
        self._sleepers.append(woken)
        await woken.wait()

    def wake(self) -> None:
        for sleeper in self._sleepers:
            sleeper.set()
        self._sleepers.clear()


@dataclass
class Kept:
    tokens: Tokens
    clock: Watch
    changed: list[str]


@pytest.fixture
async def kept(served: Served) -> AsyncIterator[Kept]:
    clock, changed = Watch(), list[str]()
    made = Kept(Tokens(served.as_user("system:node:n1", "system:nodes"), clock, changed.append), clock, changed)
    try:
        yield made
    finally:
        made.tokens.close()


async def bound(served: Served) -> Pod:
    """A pod on the node, which the apiserver knows to be there."""
    api, node = served.as_user("admin", "system:masters"), served.as_user("system:node:n1", "system:nodes")
    made = await api.pods.create(pod(node="n1"))

    async def may() -> bool:
        try:
            await reviews.create_token(node, "default", namespace="default", pod=made)
        except errors.Forbidden:
            return False
        return True

    await eventually(may)
    return made


async def test_a_token_is_replaced_when_most_of_its_life_is_over(served: Served, kept: Kept) -> None:
    made = await bound(served)
    (wanted,) = tokens_of(made)
    uid = made.metadata.uid
    kept.tokens.follow(made)
    kept.tokens.follow(made)
    await kept.tokens.tried(uid)
    first = kept.tokens.get(uid, *wanted)
    assert first is not None
    assert kept.changed == [uid]
    review = await reviews.ask(served.without_certificate(first.decode()), SelfSubjectReview())
    assert review.status.user_info.username == "system:serviceaccount:default:default"
    await eventually(lambda: kept.clock.asked_s)
    assert 0.79 * wanted.seconds < kept.clock.asked_s[0] <= 0.8 * wanted.seconds
    kept.clock.wake()
    await eventually(lambda: len(kept.changed) == 2)
    assert kept.tokens.get(uid, *wanted) not in (None, first)
    kept.tokens.forget(uid)
    assert kept.tokens.get(uid, *wanted) is None


async def test_a_token_that_is_refused_is_asked_for_again(served: Served, kept: Kept) -> None:
    api = served.as_user("admin", "system:masters")
    made = await bound(served)
    (wanted,) = tokens_of(made)
    uid = made.metadata.uid
    await api.serviceaccounts.delete("default")
    kept.tokens.follow(made)
    await kept.tokens.tried(uid)
    assert kept.tokens.get(uid, *wanted) is None
    assert "'default' not found" in kept.tokens.problem(uid)
    await api.pods.create(pod("other"))  # which makes the account again
    await eventually(lambda: kept.clock.asked_s)
    kept.clock.wake()
    await eventually(lambda: kept.tokens.get(uid, *wanted))
    assert not kept.tokens.problem(uid)
