"""`python -m scheduler`: flags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from steersman.election import Terms
from steersman.service import flags, logs
from steersman.service.run import run

from scheduler import bootstrap
from scheduler.pod import DEFAULT_SCHEDULER

EXAMPLES = """\
  python -m scheduler --config scheduler.config
  grpcurl ... -d '{"pod": {"namespace": "default", "name": "web-0"}}' localhost:10259 \\
      steersman.scheduler.v1.Scheduler/Explain
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the flags and runs."""
    parser = flags.parser(
        "scheduler",
        "Decides on which node each pod runs (kube-scheduler), and explains its decisions.",
        examples=EXAMPLES,
    )
    flags.add_apiserver(parser)
    flags.add_serving(parser, bind="127.0.0.1:10259", metrics="127.0.0.1:10251")
    parser.add_argument("--socket", default="", metavar="PATH", help="also serve on this unix socket")
    group = parser.add_argument_group("decisions")
    group.add_argument(
        "--scheduler-name",
        action="append",
        metavar="NAME",
        help=f"serve pods whose spec.schedulerName is this; may be given several times (default: {DEFAULT_SCHEDULER})",
    )
    group.add_argument(
        "--profiles",
        type=Path,
        metavar="FILE",
        help="profiles as kube-scheduler's configuration has them (KubeSchedulerConfiguration): plugins, weights, "
        "arguments; in place of --scheduler-name",
    )
    group.add_argument(
        "--seed",
        type=int,
        metavar="NUMBER",
        help="seed of the random choice among equally good nodes; the same seed and events give the same decisions",
    )
    group = parser.add_argument_group("leader election")
    group.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="of several schedulers, let the one that holds the Lease kube-system/kube-scheduler decide",
    )
    group.add_argument(
        "--leader-elect-lease-duration",
        type=float,
        default=Terms.lease_s,
        metavar="SECONDS",
        help="how long the others wait after the last renewal before they take over",
    )
    group.add_argument(
        "--leader-elect-renew-deadline",
        type=float,
        default=Terms.renew_s,
        metavar="SECONDS",
        help="how long the leader goes on without having renewed; less than the lease's duration",
    )
    group.add_argument(
        "--leader-elect-retry-period",
        type=float,
        default=Terms.retry_s,
        metavar="SECONDS",
        help="time between attempts to get or to renew the lease",
    )
    given = parser.parse_args(arguments)
    try:
        terms = Terms(
            given.leader_elect_lease_duration, given.leader_elect_renew_deadline, given.leader_elect_retry_period
        )
    except ValueError:
        parser.error(
            "--leader-elect: lease duration, renew deadline and retry period must each be longer than the next"
        )
    logs.configure("scheduler", level=given.log_level, fmt=given.log_format)
    settings = bootstrap.Settings(
        config=given.config,
        names=tuple(dict.fromkeys(given.scheduler_name or (DEFAULT_SCHEDULER,))),
        profiles=given.profiles,
        seed=given.seed,
        bind_address=given.bind_address,
        metrics_address=given.metrics_address,
        tls=flags.serving_tls(given),
        election=terms if given.leader_elect else None,
        socket=given.socket,
    )
    run(lambda stop: bootstrap.serve(settings, stop))


if __name__ == "__main__":
    main()
