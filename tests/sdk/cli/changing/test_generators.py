"""Objects made of a few words, without any cluster."""

from __future__ import annotations

from typing import Any

import pytest
from steersman import kinds
from steersman.cli.failures import CommandError
from steersman.cli.generators import access, configuration, message, networking, policies, workloads
from steersman.kinds import UnknownKindError


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "nginx"),
        ("registry:5000/shop/Web_App:1.2", "web-app"),
        ("busybox@sha256:abc", "busybox"),
        ("x/y:1@sha256:abc", "y"),
        ("___", "container"),
    ],
)
def test_a_container_is_called_after_its_image(image: str, name: str) -> None:
    assert workloads.name_of_image(image) == name


def test_containers_of_the_same_name_are_numbered() -> None:
    made = workloads.containers(["a/web:1", "b/web:2"], [], 80)
    assert [each["name"] for each in made] == ["web", "web-2"]
    assert made[0]["ports"] == [{"containerPort": 80}]
    with pytest.raises(CommandError, match="one --image only"):
        workloads.containers(["a", "b"], ["sh"], None)


@pytest.mark.parametrize(
    "data",
    [
        workloads.deployment("web", ["a:1"], 2, 80, ["sh", "-c", "x"]),
        workloads.job("once", "a:1", ["date"]),
        workloads.cron_job("hourly", "a:1", "0 * * * *", ["date"], "Never"),
        workloads.pod("p", "a:1", words=["x"], environment={"A": "b"}, port=80, stdin=True, tty=True, privileged=True),
        configuration.config_map("c", {"a": b"text", "b": b"\xff"}),
        configuration.secret("s", {"a": b"\xff"}, ""),
        configuration.registry_secret("s", "r.example", "me", "pw", "me@x"),
        networking.service("s", "NodePort", ["80:http"], node_port=30001),
        networking.service("s", "ClusterIP", [], cluster_ip="None"),
        networking.service("s", "ExternalName", [], external_name="db.example"),
        networking.exposing("s", {"a": "b"}, networking.exposed_ports([80, 81], {81: "UDP"}, "", ""), labels={}),
        networking.ingress("i", ["h/p*=s:80,tls=x", "/=s:http", "h=t:1,tls"], "d:80", "nginx", {"a": "b"}),
        access.service_account("a"),
        access.role("r", access.rules(["get"], ["pods", "deploy/scale"], ["x"])),
        access.cluster_role("r", access.rules(["*"], ["*"], [], ["/metrics"])),
        access.cluster_role("r", [], ["a=b"]),
        access.binding("RoleBinding", "b", role="r", users=["u"], groups=["g"], accounts=["ns:a"]),
        policies.namespace("n"),
        policies.quota("q", ["cpu=1,memory=1Gi"], ["NotTerminating"]),
        policies.budget("b", "app=web,tier in (a,b)", "2", ""),
        policies.priority_class("p", 10, is_default=True, description="x", preemption="Never"),
        policies.autoscaler("h", workloads.deployment("web", ["a"], 1, None, []), least=1, most=3, cpu="80%"),
    ],
    ids=lambda data: data["kind"],
)
def test_what_is_made_is_an_object_of_its_kind(data: Any) -> None:
    assert kinds.of(message(data)).kind == data["kind"]


def test_rules_of_a_role_go_by_group() -> None:
    made = access.rules(["get,list", "get"], ["pods,deployments.apps", "svc", "pods/log", "widgets.example.com"], [])
    assert made == [
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "services", "pods/log"]},
        {"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["deployments"]},
        {"verbs": ["get", "list"], "apiGroups": ["example.com"], "resources": ["widgets"]},
    ]
    with pytest.raises(UnknownKindError):
        access.rules(["get"], ["unicorns"], [])


def test_rules_of_an_ingress_go_by_host() -> None:
    spec = networking.ingress("i", ["a/x=s:80,tls=t", "a/y*=s:web", "b=t:1,tls=t", "/z=s:1"], "", "", {})["spec"]
    assert spec["tls"] == [{"hosts": ["a", "b"], "secretName": "t"}]
    shown = [(r.get("host", ""), [(p["path"], p["pathType"]) for p in r["http"]["paths"]]) for r in spec["rules"]]
    assert shown == [
        ("a", [("/x", "Exact"), ("/y", "Prefix")]),
        ("b", [("/", "Prefix")]),
        ("", [("/z", "Exact")]),
    ]


def test_a_budget_takes_every_selector_that_it_can_have() -> None:
    spec = policies.budget("b", "app=web,tier in (a,b),x,!y", "", "25%")["spec"]
    assert spec["maxUnavailable"] == "25%"
    assert spec["selector"]["matchLabels"] == {"app": "web"}
    assert sorted(each["operator"] for each in spec["selector"]["matchExpressions"]) == ["DoesNotExist", "Exists", "In"]


def test_the_lines_of_an_env_file() -> None:
    content = "# note\n\n A=1\nB=x=y\nHOME\nNOWHERE\n"
    assert configuration.variables(content, "f", {"HOME": "/root"}) == [("A", "1"), ("B", "x=y"), ("HOME", "/root")]
    with pytest.raises(CommandError, match="f:1: '1A' is not the name of a variable"):
        configuration.variables("1A=x", "f", {})


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda: configuration.literal("x"), "not KEY=VALUE"),
        (lambda: configuration.named_file("a="), r"not \[KEY=\]PATH"),
        (lambda: configuration.merged([("f", [("a/b", b"")])]), "'a/b' is no key"),
        (lambda: configuration.merged([("f", [("a", b"")]), ("g", [("a", b"")])]), "g: the key 'a' is there already"),
        (lambda: configuration.tls_secret("s", b"", b""), "no certificate"),
        (lambda: networking.ports(["x:80"]), "not PORT"),
        (lambda: networking.ports(["70000"]), "not PORT"),
        (lambda: networking.service("s", "ClusterIP", []), "which ports"),
        (lambda: networking.ingress("i", [], "", "", {}), "which rule"),
        (lambda: networking.ingress("i", ["h/p"], "", "", {}), "is not HOST/PATH=SERVICE:PORT"),
        (lambda: networking.ingress("i", ["h/p=s"], "", "", {}), "'s' is not SERVICE:PORT"),
        (lambda: networking.ingress("i", ["h/p=s:80,ssl"], "", "", {}), "'ssl' is no option"),
        (lambda: access.rules([], ["pods"], []), "which verbs"),
        (lambda: access.rules(["get"], [], []), "which resources"),
        (lambda: access.rules(["get"], [], ["x"], ["/x"]), "goes with --resource"),
        (lambda: access.binding("RoleBinding", "b"), "which role"),
        (lambda: access.binding("RoleBinding", "b", role="a", cluster_role="b"), "which role"),
        (lambda: access.binding("RoleBinding", "b", role="a", accounts=["x"]), "not NAMESPACE:NAME"),
        (lambda: policies.quota("q", ["cpu"], []), "--hard 'cpu' is not KEY=VALUE"),
        (lambda: policies.budget("b", "a=b", "", ""), "how many"),
        (lambda: policies.budget("b", "", "1", ""), "for which pods"),
        (lambda: policies.budget("b", "a in", "1", ""), "--selector"),
        (lambda: policies.autoscaler("h", {}, least=5, most=3), "more than --max"),
        (lambda: policies.autoscaler("h", {}, least=None, most=0), "at least 1"),
        (lambda: message({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": 3}}), "spec.containers"),
    ],
)
def test_words_of_which_nothing_can_be_made(work: Any, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        work()
