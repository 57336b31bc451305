"""What the workers of all pods share."""

from __future__ import annotations

from dataclasses import dataclass

from steersman.client import Api
from steersman.clock import Clock
from steersman.recorder import Recorder

from nodeagent.config import AgentConfig
from nodeagent.cri.runtime import Runtime
from nodeagent.executor import Executor
from nodeagent.handlers import Handlers
from nodeagent.metrics import Metrics
from nodeagent.objects import ReferencedObjects


@dataclass(frozen=True)
class WorkerTools:
    """What all workers of an agent share."""

    config: AgentConfig
    api: Api
    runtime: Runtime
    executor: Executor
    handlers: Handlers
    objects: ReferencedObjects
    recorder: Recorder
    clock: Clock
    metrics: Metrics
