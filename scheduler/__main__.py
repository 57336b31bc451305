"""`python -m scheduler`: flags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
    given = parser.parse_args(arguments)
    logs.configure("scheduler", level=given.log_level, fmt=given.log_format)
    settings = bootstrap.Settings(
        config=given.config,
        names=tuple(dict.fromkeys(given.scheduler_name or (DEFAULT_SCHEDULER,))),
        profiles=given.profiles,
        seed=given.seed,
        bind_address=given.bind_address,
        metrics_address=given.metrics_address,
        tls=flags.serving_tls(given),
    )
    run(lambda stop: bootstrap.serve(settings, stop))


if __name__ == "__main__":
    main()
