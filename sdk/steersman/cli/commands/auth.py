"""`steer auth`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from steersman.cli import output, session
from steersman.cli.command import Command, Group
from steersman.cli.failures import FAILED, USAGE, CommandError, say

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer auth can-i create pods -n default
  steer auth can-i delete deployments.apps/web --as jo
  steer auth can-i get pods --subresource log
  steer auth can-i --list -n default
  steer auth whoami
"""
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind", "escalate")


@click.group(cls=Group, epilog=EPILOG)
def command() -> None:
    """Ask who you are to the cluster, and what you may do."""


@command.command("can-i", cls=Command, epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="VERB KIND[/NAME] | VERB /PATH")
@session.namespace_option
@session.all_namespaces_option
@click.option("--subresource", default="", metavar="PART", help="A part of the objects: log, exec, status, scale.")
@click.option("--list", "everything", is_flag=True, help="All that you may do in a namespace.")
@click.option("-q", "--quiet", is_flag=True, help="Only the exit code: 0 yes, 1 no.")
@click.option("--no-headers", is_flag=True, help="With --list: leave the headings out.")
@click.pass_context
def can_i(
    ctx: click.Context,
    words: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    subresource: str,
    everything: bool,
    quiet: bool,
    no_headers: bool,
) -> None:
    """Say whether you may do something; ends with 1 when not."""
    if everything == bool(words):
        raise CommandError("ask about a verb and a kind, as in: can-i create pods; or --list", USAGE)

    async def work(api: Api) -> bool:
        if everything:
            await _list(api, not no_headers)
            return True
        answer = await _ask(api, words, "" if all_namespaces else api.namespace, subresource)
        if not quiet:
            output.write("yes" if answer.allowed else "no" + (f" - {answer.reason}" if answer.reason else ""))
        return bool(answer.allowed)

    if not session.run(ctx, namespace, work):
        raise SystemExit(FAILED)


async def _ask(api: Api, words: tuple[str, ...], namespace: str, subresource: str) -> Any:
    from steersman import kinds, reviews
    from steersman.authorization.v1.self_subject_access_review_pb2 import SelfSubjectAccessReview

    review = SelfSubjectAccessReview()
    if len(words) not in (2, 3):
        raise CommandError("ask about a verb and a kind, as in: can-i create pods", USAGE)
    verb, what = words[0], words[1]
    if what.startswith("/"):
        review.spec.non_resource_attributes.verb, review.spec.non_resource_attributes.path = verb, what
        return (await reviews.ask(api, review)).status
    plural, _, name = what.partition("/")
    attributes = review.spec.resource_attributes
    attributes.verb, attributes.name = verb, name or (words[2] if len(words) == 3 else "")
    attributes.subresource = subresource
    _look_at_verb(verb)
    if plural == "*":
        attributes.group, attributes.resource, attributes.namespace = "*", "*", namespace
    else:
        try:
            kind = kinds.by_name(plural)
        except kinds.UnknownKindError:
            # It may be a kind that only the server knows, or none: the question can be asked all the same.
            from steersman.cli.failures import unknown_kind

            click.echo(f"warning: {unknown_kind(plural)}", err=True)
            attributes.resource, _, attributes.group = plural.partition(".")
            attributes.namespace = namespace
        else:
            attributes.group, attributes.resource = kind.group, kind.plural
            attributes.namespace = namespace if kind.namespaced else ""
    return (await reviews.ask(api, review)).status


def _look_at_verb(verb: str) -> None:
    from steersman.cli.nearest import nearest

    close = nearest(verb, VERBS)
    if verb not in (*VERBS, "*") and close is not None:
        click.echo(f"warning: {verb!r} is no usual verb; did you mean {close!r}?", err=True)


async def _list(api: Api, head: bool) -> None:
    from steersman import reviews
    from steersman.authorization.v1.self_subject_rules_review_pb2 import SelfSubjectRulesReview

    review = SelfSubjectRulesReview()
    review.spec.namespace = api.namespace
    status = (await reviews.ask(api, review)).status
    rows = []
    for rule in status.resource_rules:
        for group in rule.api_groups or [""]:
            for resource in rule.resources or [""]:
                name, slash, part = resource.partition("/")
                named = f"{name}.{group}{slash}{part}" if group else resource
                rows.append([named, "[]", _bracketed(rule.resource_names), _bracketed(rule.verbs)])
    for other in status.non_resource_rules:
        rows.append(["", _bracketed(other.non_resource_urls), "[]", _bracketed(other.verbs)])
    output.write(output.table(["Resources", "Non-Resource URLs", "Resource Names", "Verbs"], sorted(rows), head=head))
    if status.incomplete:
        click.echo("warning: more may be allowed than can be listed", err=True)
    if status.evaluation_error:
        say(status.evaluation_error)


def _bracketed(values: Any) -> str:
    return f"[{' '.join(values)}]"


@command.command(
    "whoami", cls=Command, epilog="\b\nExamples:\n  steer auth whoami\n  steer auth whoami --as jo -o yaml"
)
@click.option("-o", "--output", "fmt", type=click.Choice(["yaml", "json"]), help="As data.")
@click.pass_context
def whoami(ctx: click.Context, fmt: str | None) -> None:
    """Say who you are to the cluster."""

    async def work(api: Api) -> None:
        from steersman import reviews
        from steersman.authentication.v1.self_subject_review_pb2 import SelfSubjectReview
        from steersman.manifests import codec

        answer = await reviews.ask(api, SelfSubjectReview())
        if fmt is not None:
            head = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            output.write(output.document({**head, **codec.encode(answer)}, fmt))
            return
        user = answer.status.user_info
        rows = [["Username", user.username]]
        rows += [["UID", user.uid]] if user.uid else []
        rows += [["Groups", _bracketed(user.groups)]] if user.groups else []
        rows += [[f"Extra: {key}", _bracketed(value.items)] for key, value in sorted(user.extra.items())]
        output.write(output.table(["ATTRIBUTE", "VALUE"], rows))

    session.run(ctx, None, work)
