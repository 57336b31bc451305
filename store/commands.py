"""`steer store`: backup, restore, and what happened to a key."""

from __future__ import annotations

from pathlib import Path

import click
import grpc
from etcd.kv_pb2 import Event
from steersman.cli.failures import CommandError
from steersman.service.tls import TLSFileError, channel_credentials

from store import admin
from store.raft.files import DataCorrupt
from store.restore import BUMP, restore
from store.settings import Endpoint, SettingsError, parse_initial_cluster

_FILE = click.Path(path_type=Path)


@click.group()
@click.option("--endpoint", default="http://127.0.0.1:2379", show_default=True, help="Client url of a member.")
@click.option("--cacert", type=_FILE, help="Authority of the member's certificate (PEM).")
@click.option("--cert", type=_FILE, help="Certificate to show (PEM).")
@click.option("--key", type=_FILE, help="Private key of it (PEM).")
@click.pass_context
def store(context: click.Context, endpoint: str, cacert: Path | None, cert: Path | None, key: Path | None) -> None:
    """Look after the store: backups and history."""
    context.obj = (endpoint, cacert, cert, key)


def _channel(context: click.Context) -> grpc.Channel:
    url, authority, certificate, key = context.obj
    try:
        endpoint = Endpoint.parse(url)
        credentials = channel_credentials(authority, certificate, key) if endpoint.secure else None
    except (SettingsError, TLSFileError) as error:
        raise CommandError(str(error)) from error
    return admin.channel(endpoint.address, credentials)


def _refused(error: grpc.RpcError, url: str) -> CommandError:
    details = getattr(error, "details", None)
    return CommandError(f"{url}: {details() if details else error}")


@store.command()
@click.argument("file", type=_FILE)
@click.pass_context
def snapshot(context: click.Context, file: Path) -> None:
    """Write a backup of a live member to FILE."""
    with _channel(context) as member:
        try:
            size = admin.save(member, file)
        except grpc.RpcError as error:
            raise _refused(error, context.obj[0]) from error
        except (DataCorrupt, OSError) as error:
            raise CommandError(str(error)) from error
    click.echo(f"{file}: {size} bytes")


@store.command("restore")
@click.argument("file", type=_FILE)
@click.option("--data-dir", type=_FILE, required=True, help="Directory of the new member; must not have one in it.")
@click.option("--name", default="default", show_default=True, help="Name of the new member.")
@click.option("--initial-cluster", help="All members of the new cluster, NAME=URL,... (default: this one alone).")
@click.option("--initial-cluster-token", default="etcd-cluster", show_default=True, help="As the members are started.")
@click.option("--bump-revision", type=int, default=BUMP, show_default=True, help="Revisions to move ahead.")
def restore_command(
    file: Path, data_dir: Path, name: str, initial_cluster: str | None, initial_cluster_token: str, bump_revision: int
) -> None:
    """Make the directory of a member of a new cluster from the backup in FILE."""
    try:
        cluster = parse_initial_cluster(initial_cluster or f"{name}=http://127.0.0.1:2380")
        if name not in cluster:
            raise CommandError(f"--initial-cluster does not name {name!r}")
        identity = restore(file, data_dir, name=name, cluster=cluster, token=initial_cluster_token, bump=bump_revision)
    except (SettingsError, DataCorrupt, OSError) as error:
        raise CommandError(str(error)) from error
    click.echo(f"{data_dir}: member {identity.member_id:x} of cluster {identity.cluster_id:x}")


@store.command()
@click.argument("key")
@click.pass_context
def history(context: click.Context, key: str) -> None:
    """Show what happened to KEY since the last compaction."""
    with _channel(context) as member:
        try:
            for event in admin.history(member, key.encode()):
                click.echo(_line(event))
        except grpc.RpcError as error:
            raise _refused(error, context.obj[0]) from error


def _line(event: Event) -> str:
    if event.type == Event.DELETE:
        return f"{event.kv.mod_revision}\tdeleted"
    value = event.kv.value
    shown = value.decode(errors="backslashreplace")
    return f"{event.kv.mod_revision}\tversion {event.kv.version}\t{len(value)} bytes\t{shown[:200]}"
