"""`steer create` on a real apiserver."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml
from steersman.client import Api
from steersman.core.v1 import ServiceAccount

from tests.apiserver.conftest import Served
from tests.sdk.cli.changing.conftest import Steer

WORDS = [
    ("deployment web --image a:1 --image b:1 --replicas 2 --port 80", "deployment.apps/web"),
    ("job once --image a:1 -- date --utc", "job.batch/once"),
    ("cronjob hourly --image a:1 --schedule 0_*_*_*_* -- date", "cronjob.batch/hourly"),
    ("configmap site --from-literal a=b=c", "configmap/site"),
    ("cm short --from-literal a='b'", "configmap/short"),
    ("secret generic db --from-literal password=x", "secret/db"),
    ("secret docker-registry pull --docker-username me --docker-password x", "secret/pull"),
    ("service clusterip web --tcp 80:8080", "service/web"),
    ("service clusterip bare --clusterip None --tcp 80", "service/bare"),
    ("svc nodeport np --tcp 80 --node-port 30003", "service/np"),
    ("service loadbalancer lb --tcp 80:http", "service/lb"),
    ("service externalname db --external-name db.example", "service/db"),
    ("ingress shop --rule shop.example/*=web:80,tls=cert --class nginx", "ingress.networking.k8s.io/shop"),
    ("serviceaccount builder", "serviceaccount/builder"),
    ("role reader --verb get,list --resource pods,deploy", "role.rbac.authorization.k8s.io/reader"),
    ("clusterrole metrics --verb get --non-resource-url /metrics", "clusterrole.rbac.authorization.k8s.io/metrics"),
    ("rolebinding rb --role reader --user ann", "rolebinding.rbac.authorization.k8s.io/rb"),
    (
        "clusterrolebinding crb --clusterrole metrics --serviceaccount default:builder",
        "clusterrolebinding.rbac.authorization.k8s.io/crb",
    ),
    ("namespace shop", "namespace/shop"),
    ("ns other", "namespace/other"),
    ("quota small --hard cpu=1,pods=3", "resourcequota/small"),
    ("pdb web --selector app=web --min-available 1", "poddisruptionbudget.policy/web"),
    ("priorityclass high --value 1000", "priorityclass.scheduling.k8s.io/high"),
]


async def test_every_kind_that_is_made_of_words(steer: Steer) -> None:
    for words, name in WORDS:
        line = ["create", *(word.replace("_", " ") for word in words.split())]
        end = line.index("--") if "--" in line else len(line)
        dry = await steer.ok(*line[:end], "--dry-run=client", *line[end:])
        assert dry == f"{name} created (dry run)\n"
        assert await steer.ok(*line) == f"{name} created\n"
        again = await steer(*line)
        assert (again.code, "exists" in again.err, again.err.count("\n")) == (1, True, 1), again


async def test_a_dry_run_needs_no_server_and_prints_a_manifest(steer: Steer, tmp_path: object) -> None:
    nowhere = Steer(steer.folder / "absent", steer.folder)
    text = await nowhere.ok(
        "create", "deployment", "web", "--image", "a:1", "--dry-run=client", "-o", "yaml", "-n", "x"
    )
    made = yaml.safe_load(text)
    assert made["metadata"] == {"name": "web", "namespace": "x", "labels": {"app": "web"}}
    path = steer.write("web.yaml", text.replace("namespace: x", "namespace: default"))
    assert await steer.ok("create", "-f", path) == "deployment.apps/web created\n"


async def test_configuration_of_files(api: Api, steer: Steer) -> None:
    (steer.folder / "pages").mkdir()
    (steer.folder / "pages" / "a.html").write_text("A")
    (steer.folder / "pages" / "b.bin").write_bytes(b"\xff\x00")
    variables = steer.write("app.env", "A=1\n# no\nB=2\n")
    one = steer.write("one.txt", "1")
    await steer.ok("create", "cm", "a", "--from-file", str(steer.folder / "pages"), "--from-file", f"x={one}")
    found = await api.configmaps.get("a")
    assert dict(found.data) == {"a.html": "A", "x": "1"}
    assert dict(found.binary_data) == {"b.bin": b"\xff\x00"}
    await steer.ok("create", "secret", "generic", "b", "--from-env-file", variables)
    assert dict((await api.secrets.get("b")).data) == {"A": b"1", "B": b"2"}


async def test_a_certificate_and_its_key(served: Served, api: Api, steer: Steer) -> None:
    certificate, key = served.authority.issue("x", now=datetime.now(UTC))
    _, other = served.authority.issue("y", now=datetime.now(UTC))
    crt = steer.write("x.crt", certificate.decode())
    await steer.ok("create", "secret", "tls", "t", "--cert", crt, "--key", steer.write("x.key", key.decode()))
    assert (await api.secrets.get("t")).type == "kubernetes.io/tls"
    wrong = await steer("create", "secret", "tls", "u", "--cert", crt, "--key", steer.write("y.key", other.decode()))
    assert (wrong.code, "is not that of the certificate" in wrong.err) == (1, True)


async def test_a_job_of_a_cronjob(api: Api, steer: Steer) -> None:
    await steer.ok("create", "cronjob", "backup", "--image", "a:1", "--schedule", "0 0 * * *", "--", "save")
    await steer.ok("create", "job", "now", "--from", "cronjob/backup")
    made = await api.jobs.get("now")
    assert list(made.spec.template.spec.containers[0].command) == ["save"]
    assert made.metadata.owner_references[0].uid == (await api.cronjobs.get("backup")).metadata.uid
    assert (await steer("create", "job", "now", "--from", "deploy/x")).code == 2


async def test_flags_may_stand_in_front_of_the_kind(api: Api, steer: Steer) -> None:
    await steer.ok("create", "namespace", "shop")
    assert await steer.ok("create", "-n", "shop", "cm", "a") == "configmap/a created\n"
    assert await steer.ok("create", "--dry-run", "secret", "generic", "b") == "secret/b created (server dry run)\n"
    assert await steer.ok("create", "-n", "shop", "cm", "c", "-n", "default") == "configmap/c created\n"
    found = await api.configmaps.list()
    places = {each.metadata.name: each.metadata.namespace for each in found}
    assert (places["a"], places["c"]) == ("shop", "default")


async def test_a_token(served: Served, api: Api, steer: Steer) -> None:
    account = ServiceAccount()
    account.metadata.name = "builder"
    await api.serviceaccounts.create(account)
    token = (await steer.ok("create", "token", "builder", "--duration", "1h")).strip()
    await steer.ok("create", "rolebinding", "b", "--clusterrole", "view", "--serviceaccount", "default:builder")
    assert token.count(".") == 2
    shown = await steer.json("create", "token", "builder")
    assert shown["kind"] == "TokenRequest"
    assert (await steer("create", "token", "nobody")).code == 4


async def test_some_of_several_manifests_fail(api: Api, steer: Steer) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
    await steer.ok("create", "-f", "-", stdin=manifest % "a")
    done = await steer("create", "-f", "-", stdin=(manifest % "a") + "---\n" + (manifest % "b"))
    assert (done.code, done.out) == (1, "configmap/b created\n")
    assert await steer.ok("create", "-f", "-", "--dry-run", stdin=manifest % "c") == (
        "configmap/c created (server dry run)\n"
    )
    assert len(await api.configmaps.list(namespace="default", field_selector="metadata.name=c")) == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("create", "create what?"),
        ("create unicorn x", "unicorn"),
        ("create deployment", "NAME"),
        ("create deployment web", "which image"),
        ("create deployment web --image a --replicas -1", "replicas"),
        ("create job x --image a --from cronjob/b", "either --image"),
        ("create cronjob x --image a", "when?"),
        ("create cm x --from-file /nonexistent/x", "No such file"),
        ("create cm x --from-literal a", "not KEY=VALUE"),
        ("create secret", "generic"),
        ("create service clusterip x", "which ports"),
        ("create role x --verb get --resource unicorns", "unicorns"),
        ("create rolebinding x", "which role"),
        ("create quota x --hard cpu", "not KEY=VALUE"),
        ("create priorityclass x --value much", "value"),
        ("create token x --duration never", "never"),
        ("create deployment Bad_Name --image a", "metadata.name"),
        ("create -f /nonexistent.yaml", "nonexistent.yaml"),
        ("create -f x deployment web --image a", "leave the kind out"),
    ],
)
async def test_words_that_make_no_object(steer: Steer, line: str, says: str) -> None:
    done = await steer(*line.split())
    assert done.code in (1, 2), done
    assert says in done.err + done.out, done
    assert "Traceback" not in done.err
