"""`steer create`: objects of manifests, or of a few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from steersman.cli import session
from steersman.cli.command import SPAN, Command, Group, dry_run_option, given, manager_option, result_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, access, configuration, networking, policies, workloads
from steersman.cli.making import maker, making_options, store
from steersman.cli.results import Results, Trouble
from steersman.cli.sources import entries, read
from steersman.cli.targets import of_files
from steersman.client import Api

F = TypeVar("F", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  steer create -f pod.yaml                                    an object of a manifest, which must be new
  steer create deployment web --image shop/web:1 --replicas 3
  steer create configmap site --from-file index.html --from-literal color=blue
  steer create secret generic db --from-literal password=...
  steer create deployment web --image shop/web:1 --dry-run=client -o yaml > web.yaml
"""


@click.group(cls=Group, invoke_without_command=True, epilog=EPILOG, subcommand_metavar="[KIND NAME ...]")
@session.file_options
@session.namespace_option
@manager_option
@dry_run_option
@result_option
@click.pass_context
def command(
    ctx: click.Context,
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Create objects: those of manifests (-f), or one of a few words. What is there already is an error."""
    if ctx.invoked_subcommand is not None:
        if filenames:
            raise CommandError("-f names the objects itself; leave the kind out", USAGE)
        return
    if not filenames:
        raise CommandError("create what? -f FILE, or a kind and a name (steer create --help)", USAGE)

    async def work(api: Api) -> int:
        results, trouble = Results(fmt, dry_run), Trouble()
        for target in of_files(api, filenames, recursive=recursive):
            with trouble.told():
                made = target.manifest
                if dry_run != "client":
                    made = await api.resource(target.kind).create(
                        made, field_manager=manager, dry_run=dry_run == "server"
                    )
                results.show(made, "created")
        results.close()
        return trouble.code

    raise SystemExit(session.run(ctx, namespace, work))


NAME = click.argument("name", metavar="NAME")
WORDS = click.argument("words", nargs=-1, metavar="[-- COMMAND [ARGUMENT]...]")
LITERALS = click.option("--from-literal", "literals", multiple=True, metavar="KEY=VALUE", help="An entry.")
FILES = click.option(
    "--from-file", "files", multiple=True, metavar="[KEY=]PATH", help="A file as an entry, or each file of a folder."
)
ENV_FILES = click.option(
    "--from-env-file", "env_files", multiple=True, metavar="PATH", help="A file of lines KEY=VALUE, each an entry."
)


def _several(name: str, help: str, metavar: str = "NAME", key: str = "") -> Callable[[F], F]:
    return click.option(name, *([key] if key else []), multiple=True, metavar=metavar, help=help)


def _text(name: str, help: str, metavar: str = "NAME", key: str = "") -> Callable[[F], F]:
    return click.option(name, *([key] if key else []), default="", metavar=metavar, help=help)


# --- workloads ------------------------------------------------------------------------------------------------------


@maker(
    command,
    "deployment",
    "deploy",
    examples="""\
  steer create deployment web --image shop/web:1 --replicas 3 --port 80
  steer create deployment shell --image busybox -- sleep infinity
""",
)
@NAME
@_several("--image", "Image of a container; several make several.", "IMAGE", "images")
@click.option("-r", "--replicas", type=click.IntRange(0), default=1, metavar="N", show_default=True, help="How many.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="A port that the first container listens on.")
@WORDS
def deployment(name: str, images: tuple[str, ...], replicas: int, port: int | None, words: tuple[str, ...]) -> Data:
    """A Deployment: so many pods, replaced one after another when it changes."""
    return workloads.deployment(name, images, replicas, port, words)


@click.command("job", cls=Command, help="A Job: a pod that runs to its end, now or as a CronJob would run it.")
@NAME
@_text("--image", "Image of the container.", "IMAGE")
@_text("--from", "The CronJob to run once now.", "cronjob/NAME", "source")
@making_options
@WORDS
@click.pass_context
def job(ctx: click.Context, /, name: str, image: str, source: str, words: tuple[str, ...], **_: Any) -> None:
    """`steer create job`."""
    if bool(image) == bool(source):
        raise CommandError("either --image IMAGE or --from cronjob/NAME", USAGE)
    if source and words:
        raise CommandError("--from brings the command along", USAGE)
    store(ctx, _job_of(ctx, name, source) if source else workloads.job(name, image, words))


job.epilog = """\b
Examples:
  steer create job once --image busybox -- date
  steer create job backup-now --from cronjob/backup
"""
command.add_command(job)


def _job_of(ctx: click.Context, name: str, source: str) -> Data:
    from steersman.manifests import codec

    target = session.one([source] if "/" in source else ["cronjob", source])
    if target.kind.kind != "CronJob":
        raise CommandError(f"--from {source}: only CronJobs make Jobs", USAGE)

    async def work(api: Api) -> Any:
        return await api.cronjobs.get(target.name or "", namespace=api.namespace)

    found = session.run(ctx, given(ctx, "namespace"), work)
    return workloads.job_of(name, codec.encode_object(found), found.metadata.uid)


@maker(
    command, "cronjob", "cj", examples='  steer create cronjob hourly --image busybox --schedule "0 * * * *" -- date\n'
)
@NAME
@_text("--image", "Image of the container.", "IMAGE")
@_text("--schedule", "When, as cron has it.", "MINUTE HOUR DAY MONTH WEEKDAY")
@click.option("--restart", type=click.Choice(["OnFailure", "Never"]), default="OnFailure", help="After a failure.")
@WORDS
def cronjob(name: str, image: str, schedule: str, restart: str, words: tuple[str, ...]) -> Data:
    """A CronJob: a Job at certain times."""
    if not schedule:
        raise CommandError('when? --schedule "0 * * * *"', USAGE)
    return workloads.cron_job(name, image, schedule, words, restart)


# --- configuration --------------------------------------------------------------------------------------------------


@maker(
    command,
    "configmap",
    "cm",
    examples="""\
  steer create configmap site --from-literal color=blue --from-file index.html
  steer create configmap site --from-file pages/
  steer create configmap env --from-env-file app.env
""",
)
@NAME
@LITERALS
@FILES
@ENV_FILES
def configmap(name: str, literals: tuple[str, ...], files: tuple[str, ...], env_files: tuple[str, ...]) -> Data:
    """A ConfigMap of literals and files."""
    return configuration.config_map(name, entries(literals, files, env_files))


@command.group(
    cls=Group,
    name="secret",
    epilog="""\b
Examples:
  steer create secret generic db --from-literal password=...
  steer create secret tls shop --cert shop.crt --key shop.key
""",
)
def secret() -> None:
    """A Secret: of literals and files, for TLS, or for a registry of images."""


@maker(
    secret,
    "generic",
    examples="""\
  steer create secret generic db --from-literal user=shop --from-file password=pw.txt
""",
)
@NAME
@LITERALS
@FILES
@ENV_FILES
@_text("--type", "What kind of secret it is.", "TYPE")
def generic(
    name: str, literals: tuple[str, ...], files: tuple[str, ...], env_files: tuple[str, ...], type: str
) -> Data:
    """A Secret of literals and files."""
    return configuration.secret(name, entries(literals, files, env_files), type)


@maker(secret, "tls", examples="  steer create secret tls shop --cert shop.crt --key shop.key\n")
@NAME
@click.option("--cert", required=True, metavar="FILE", help="The certificate, PEM.")
@click.option("--key", required=True, metavar="FILE", help="Its key, PEM.")
def tls(name: str, cert: str, key: str) -> Data:
    """A Secret with a certificate and its key, which must belong together."""
    return configuration.tls_secret(name, read(cert, "--cert"), read(key, "--key"))


@maker(
    secret,
    "docker-registry",
    examples="""\
  steer create secret docker-registry pull --docker-server r.example --docker-username me --docker-password ...
""",
)
@NAME
@click.option(
    "--docker-server", default="https://index.docker.io/v1/", show_default=True, metavar="HOST", help="Where."
)
@click.option("--docker-username", required=True, metavar="NAME", help="Who.")
@click.option("--docker-password", required=True, metavar="WORD", help="Proof.")
@_text("--docker-email", "Address.", "ADDRESS")
def docker_registry(
    name: str, docker_server: str, docker_username: str, docker_password: str, docker_email: str
) -> Data:
    """A Secret with which images are pulled from a registry."""
    return configuration.registry_secret(name, docker_server, docker_username, docker_password, docker_email)


# --- networking -----------------------------------------------------------------------------------------------------


@command.group(
    cls=Group,
    name="service",
    epilog="""\b
Examples:
  steer create service clusterip web --tcp 80:8080
  steer create service nodeport web --tcp 80:8080 --node-port 30080
""",
)
def service() -> None:
    """A Service for the pods with the label app=NAME."""


command.add_command(
    Group("svc", commands=service.commands, hidden=True, help=service.help, epilog=service.epilog), "svc"
)
TCP = _several("--tcp", "A port, and the pods' port where it is another.", "PORT[:TARGET]")


@maker(service, "clusterip", examples="  steer create service clusterip web --tcp 80:8080\n")
@NAME
@TCP
@_text("--clusterip", "The address; None: of the pods alone.", "ADDRESS")
def clusterip(name: str, tcp: tuple[str, ...], clusterip: str) -> Data:
    """A Service with an address inside the cluster."""
    return networking.service(name, "ClusterIP", tcp, cluster_ip=clusterip)


@maker(service, "nodeport", examples="  steer create service nodeport web --tcp 80:8080 --node-port 30080\n")
@NAME
@TCP
@click.option("--node-port", type=int, default=0, metavar="N", help="The port of the nodes.")
def nodeport(name: str, tcp: tuple[str, ...], node_port: int) -> Data:
    """A Service that also answers on a port of every node."""
    return networking.service(name, "NodePort", tcp, node_port=node_port)


@maker(service, "loadbalancer", examples="  steer create service loadbalancer web --tcp 80:8080\n")
@NAME
@TCP
def loadbalancer(name: str, tcp: tuple[str, ...]) -> Data:
    """A Service with an address outside of the cluster."""
    return networking.service(name, "LoadBalancer", tcp)


@maker(service, "externalname", examples="  steer create service externalname db --external-name db.example\n")
@NAME
@click.option("--external-name", required=True, metavar="HOST", help="The name that it stands for.")
@TCP
def externalname(name: str, external_name: str, tcp: tuple[str, ...]) -> Data:
    """A Service that is another name for a host elsewhere."""
    return networking.service(name, "ExternalName", tcp, external_name=external_name)


@maker(
    command,
    "ingress",
    "ing",
    examples="""\
  steer create ingress shop --rule "shop.example/*=web:80"
  steer create ingress shop --rule "shop.example/cart*=cart:80,tls=shop-cert" --class nginx
""",
)
@NAME
@_several("--rule", "Where requests go.", "HOST/PATH=SERVICE:PORT[,tls[=SECRET]]", "rules")
@_text("--default-backend", "Where all others go.", "SERVICE:PORT")
@_text("--class", "Who serves it.", "NAME", "class_name")
@_several("--annotation", "A note on it.", "KEY=VALUE", "annotations")
def ingress(
    name: str, rules: tuple[str, ...], default_backend: str, class_name: str, annotations: tuple[str, ...]
) -> Data:
    """An Ingress: which requests from outside go to which Service. A path that ends in * means all below it."""
    from steersman.cli.generators import pair

    notes = dict(pair(word, "--annotation") for word in annotations)
    return networking.ingress(name, rules, default_backend, class_name, notes)


# --- access ---------------------------------------------------------------------------------------------------------


@maker(command, "serviceaccount", "sa", examples="  steer create serviceaccount builder\n")
@NAME
def serviceaccount(name: str) -> Data:
    """A ServiceAccount: whom a program in a pod is."""
    return access.service_account(name)


VERBS = _several("--verb", "What is allowed.", "VERB,...", "verbs")
RESOURCES = _several("--resource", "On what.", "KIND[/SUBRESOURCE],...", "resources")
RESOURCE_NAMES = _several("--resource-name", "On these objects only.", "NAME,...", "names")


@maker(
    command,
    "role",
    examples="""\
  steer create role reader --verb get,list,watch --resource pods,deployments.apps
  steer create role one --verb get --resource configmaps --resource-name site
""",
)
@NAME
@VERBS
@RESOURCES
@RESOURCE_NAMES
def role(name: str, verbs: tuple[str, ...], resources: tuple[str, ...], names: tuple[str, ...]) -> Data:
    """A Role: what is allowed in one namespace."""
    return access.role(name, access.rules(verbs, resources, names))


@maker(
    command,
    "clusterrole",
    examples="""\
  steer create clusterrole reader --verb get,list,watch --resource pods,nodes
  steer create clusterrole metrics --verb get --non-resource-url /metrics
  steer create clusterrole all-readers --aggregation-rule reads=yes
""",
)
@NAME
@VERBS
@RESOURCES
@RESOURCE_NAMES
@_several("--non-resource-url", "On paths that are no objects.", "PATH,...", "urls")
@_several("--aggregation-rule", "Put together of the roles with these labels.", "KEY=VALUE,...", "aggregation")
def clusterrole(
    name: str,
    verbs: tuple[str, ...],
    resources: tuple[str, ...],
    names: tuple[str, ...],
    urls: tuple[str, ...],
    aggregation: tuple[str, ...],
) -> Data:
    """A ClusterRole: what is allowed everywhere."""
    if aggregation:
        if verbs or resources or names or urls:
            raise CommandError("--aggregation-rule takes its rules from other roles, and goes with no rule", USAGE)
        return access.cluster_role(name, [], aggregation)
    return access.cluster_role(name, access.rules(verbs, resources, names, urls))


USERS = _several("--user", "A user.", "NAME,...", "users")
GROUPS = _several("--group", "All of a group.", "NAME,...", "groups")
ACCOUNTS = _several("--serviceaccount", "A service account.", "NAMESPACE:NAME,...", "accounts")
CLUSTER_ROLE = _text("--clusterrole", "What they may do: a ClusterRole.", "NAME", "cluster_role")


@maker(
    command,
    "rolebinding",
    examples="""\
  steer create rolebinding readers --role reader --user ann --group testers
  steer create rolebinding builder --clusterrole edit --serviceaccount default:builder
""",
)
@NAME
@_text("--role", "What they may do: a Role.", "NAME")
@CLUSTER_ROLE
@USERS
@GROUPS
@ACCOUNTS
def rolebinding(
    name: str,
    role: str,
    cluster_role: str,
    users: tuple[str, ...],
    groups: tuple[str, ...],
    accounts: tuple[str, ...],
) -> Data:
    """A RoleBinding: who may do what a role says, in one namespace."""
    return access.binding(
        "RoleBinding", name, role=role, cluster_role=cluster_role, users=users, groups=groups, accounts=accounts
    )


@maker(
    command,
    "clusterrolebinding",
    examples="  steer create clusterrolebinding admins --clusterrole cluster-admin --group admins\n",
)
@NAME
@CLUSTER_ROLE
@USERS
@GROUPS
@ACCOUNTS
def clusterrolebinding(
    name: str, cluster_role: str, users: tuple[str, ...], groups: tuple[str, ...], accounts: tuple[str, ...]
) -> Data:
    """A ClusterRoleBinding: who may do what a role says, everywhere."""
    return access.binding(
        "ClusterRoleBinding", name, cluster_role=cluster_role, users=users, groups=groups, accounts=accounts
    )


@command.command(
    "token",
    cls=Command,
    epilog="""\b
Examples:
  steer create token builder
  steer create token builder --duration 1h --audience vault
  steer create token builder --bound-object-kind Pod --bound-object-name build-7
""",
)
@NAME
@_several("--audience", "Who is to accept it.", "NAME", "audiences")
@click.option("--duration", type=SPAN, metavar="SPAN", help="How long it is good for; the apiserver may shorten it.")
@click.option(
    "--bound-object-kind", type=click.Choice(["Pod", "Secret", "Node"]), help="It ends when this object is gone."
)
@_text("--bound-object-name", "Which.")
@_text("--bound-object-uid", "Only the one with this uid.", "UID")
@session.namespace_option
@click.option("-o", "--output", "fmt", type=click.Choice(["json", "yaml"]), help="The whole answer, so.")
@click.pass_context
def token(
    ctx: click.Context,
    name: str,
    audiences: tuple[str, ...],
    duration: float | None,
    bound_object_kind: str | None,
    bound_object_name: str,
    bound_object_uid: str,
    namespace: str | None,
    fmt: str | None,
) -> None:
    """A token with which to be a service account; it is shown and not kept anywhere."""
    from steersman.authentication.v1.token_request_pb2 import TokenRequest
    from steersman.core.v1.service_account_pb2 import ServiceAccountTokenRequest
    from steersman.manifests import codec

    if bool(bound_object_kind) != bool(bound_object_name):
        raise CommandError("--bound-object-kind and --bound-object-name go together", USAGE)
    request = ServiceAccountTokenRequest(name=name)
    request.request.spec.audiences.extend(audiences)
    if duration is not None:
        request.request.spec.expiration_seconds = int(duration)
    if bound_object_kind:
        bound = request.request.spec.bound_object_ref
        bound.kind, bound.name, bound.uid = bound_object_kind, bound_object_name, bound_object_uid
        bound.api_version = "v1"

    async def work(api: Api) -> Any:
        request.namespace = api.namespace
        method = api.channel.unary_unary(
            "/steersman.core.v1.ServiceAccounts/CreateToken",
            request_serializer=ServiceAccountTokenRequest.SerializeToString,
            response_deserializer=TokenRequest.FromString,
        )
        return await api.unary(method, request)

    answer: Any = session.run(ctx, given(ctx, "namespace"), work)
    if fmt is None:
        click.echo(answer.status.token)
        return
    import json

    from steersman.manifests import files

    data = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", **codec.encode(answer)}
    click.echo(json.dumps(data, indent=2) if fmt == "json" else files.yaml_of([data]).rstrip("\n"))


# --- policies -------------------------------------------------------------------------------------------------------


@maker(command, "namespace", "ns", examples="  steer create namespace shop\n")
@NAME
def namespace(name: str) -> Data:
    """A Namespace."""
    return policies.namespace(name)


@maker(
    command,
    "quota",
    "resourcequota",
    examples="  steer create quota small --hard cpu=2,memory=4Gi,pods=10 --scopes NotTerminating\n",
)
@NAME
@_several("--hard", "At most so much.", "RESOURCE=AMOUNT,...")
@_several("--scopes", "Of these only.", "SCOPE,...")
def quota(name: str, hard: tuple[str, ...], scopes: tuple[str, ...]) -> Data:
    """A ResourceQuota: how much a namespace may have."""
    return policies.quota(name, hard, scopes)


@maker(
    command,
    "poddisruptionbudget",
    "pdb",
    examples="""\
  steer create poddisruptionbudget web --selector app=web --min-available 2
  steer create pdb web --selector app=web --max-unavailable 25%
""",
)
@NAME
@click.option("-l", "--selector", default="", metavar="QUERY", help="Of which pods.")
@_text("--min-available", "At least so many stay.", "N|N%")
@_text("--max-unavailable", "At most so many go.", "N|N%")
def poddisruptionbudget(name: str, selector: str, min_available: str, max_unavailable: str) -> Data:
    """A PodDisruptionBudget: how many of some pods may be away on purpose at once."""
    return policies.budget(name, selector, min_available, max_unavailable)


@maker(
    command,
    "priorityclass",
    "pc",
    examples='  steer create priorityclass high --value 1000 --description "what earns money"\n',
)
@NAME
@click.option("--value", type=int, required=True, metavar="N", help="More is more important.")
@click.option("--global-default", is_flag=True, help="Of all pods that name none.")
@_text("--description", "What it is for.", "TEXT")
@click.option(
    "--preemption-policy",
    type=click.Choice(["PreemptLowerPriority", "Never"]),
    default="PreemptLowerPriority",
    help="Whether less important pods go for its pods.",
)
def priorityclass(name: str, value: int, global_default: bool, description: str, preemption_policy: str) -> Data:
    """A PriorityClass: how important pods are."""
    return policies.priority_class(
        name, value, is_default=global_default, description=description, preemption=preemption_policy
    )
