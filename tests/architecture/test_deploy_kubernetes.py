"""Properties of the manifests as kubectl renders them."""

from __future__ import annotations

import re
import tomllib
from collections import Counter

import pytest
from tests.support.processes.manifests import (
    DEPLOY,
    FOLDERS,
    ROOT,
    Object,
    container,
    environment,
    example_secrets,
    name,
    of_kind,
    pod,
    pod_labels,
    ports,
    problems,
    rendered,
    secret_keys,
    selected,
    workloads,
)

from modelyard_gateway.artifacts.uploads import UploadLimits
from modelyard_kit.settings.programs import KNOWN_VARIABLES

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
OVERLAYS = ("overlays/small", "overlays/production")
ROLES = ("tracking", "registry", "serving", "gateway")
PORTS = {"tracking": 50051, "registry": 50052, "serving": 50053, "gateway": 5000}

all_folders = pytest.mark.parametrize("folder", FOLDERS)
all_overlays = pytest.mark.parametrize("overlay", OVERLAYS)


def roles(overlay: str) -> dict[str, Object]:
    return {name(one): one for one in of_kind(rendered(overlay), "Deployment")}


def test_each_folder_that_can_be_applied_is_checked() -> None:
    folders = {
        str(path.parent.relative_to(DEPLOY / "kubernetes"))
        for path in (DEPLOY / "kubernetes").rglob("kustomization.yaml")
        if "components" not in path.parts
    }
    assert folders - {"base", "stores"} == set(FOLDERS)


def test_a_mistyped_field_is_refused() -> None:
    (deployment, *_) = of_kind(rendered("overlays/small"), "Deployment")
    spec = {**deployment["spec"], "replica": 2}
    (line,) = problems([{**deployment, "spec": spec}])
    assert "replica" in line


@all_folders
def test_no_object_is_declared_twice(folder: str) -> None:
    counted = Counter((one["kind"], name(one)) for one in rendered(folder))
    assert [key for key, times in counted.items() if times > 1] == []


@all_folders
def test_each_pod_is_contained(folder: str) -> None:
    for workload in workloads(rendered(folder)):
        spec = pod(workload)
        assert spec["automountServiceAccountToken"] is False, name(workload)
        assert spec["enableServiceLinks"] is False, name(workload)
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["runAsGroup"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(workload)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@all_folders
def test_each_container_has_requests_and_limits(folder: str) -> None:
    for workload in workloads(rendered(folder)):
        resources = container(workload)["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]), name(workload)
        assert "memory" in resources["limits"], name(workload)
        for volume in pod(workload).get("volumes", ()):
            if "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], volume["name"]


@all_folders
def test_each_mount_has_its_volume(folder: str) -> None:
    for workload in workloads(rendered(folder)):
        volumes = {volume["name"] for volume in pod(workload).get("volumes", ())}
        claims = workload["spec"].get("volumeClaimTemplates", ())
        mounted = [mount["name"] for mount in container(workload)["volumeMounts"]]
        assert set(mounted) == volumes | {name(claim) for claim in claims}, name(workload)


@all_folders
def test_each_server_is_probed_on_a_port_it_has(folder: str) -> None:
    for workload in of_kind(rendered(folder), "Deployment", "StatefulSet"):
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container(workload)[kind]
            if "httpGet" in probe:
                assert probe["httpGet"]["port"] in ports(workload), name(workload)


@all_overlays
def test_probes_of_roles_ask_the_monitoring_port(overlay: str) -> None:
    for role in ROLES:
        probed = container(roles(overlay)[role])
        assert probed["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "monitoring"}
        assert probed["startupProbe"]["httpGet"] == {"path": "/livez", "port": "monitoring"}
        assert probed["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "monitoring"}


@all_folders
def test_pods_have_time_to_drain(folder: str) -> None:
    for workload in of_kind(rendered(folder), "Deployment"):
        pause_s = container(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod(workload)["terminationGracePeriodSeconds"] >= pause_s + 20 + 10
        assert workload["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@all_folders
def test_each_setting_is_declared(folder: str) -> None:
    for workload in workloads(rendered(folder)):
        given = environment(workload, rendered(folder))
        unknown = {one for one in given if one.startswith("MODELYARD_")} - KNOWN_VARIABLES
        assert unknown == set(), name(workload)


@all_overlays
def test_roles_listen_where_services_and_probes_look(overlay: str) -> None:
    for role, port in PORTS.items():
        given = environment(roles(overlay)[role], rendered(overlay))
        assert given[f"MODELYARD_{role.upper()}_LISTEN"] == f"0.0.0.0:{port}"
        assert given[f"MODELYARD_{role.upper()}_MONITORING"] == "0.0.0.0:9090"
        main = "http" if role == "gateway" else "grpc"
        assert ports(roles(overlay)[role]) == {main: port, "monitoring": 9090}


@all_overlays
def test_the_gateway_has_room_for_all_uploads_it_takes_at_once(overlay: str) -> None:
    gateway = roles(overlay)["gateway"]
    (spool,) = (volume for volume in pod(gateway)["volumes"] if volume["name"] == "tmp")
    limit = environment(gateway, rendered(overlay))["MODELYARD_MAX_UPLOAD_BYTES"] or ""
    size_gib = int(spool["emptyDir"]["sizeLimit"].removesuffix("Gi"))
    assert size_gib << 30 > UploadLimits().max_concurrent * int(limit)


@all_folders
def test_models_are_unpacked_where_there_is_room(folder: str) -> None:
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert "ENV TMPDIR=/var/cache/modelyard\n" in dockerfile.partition(" AS serving\n")[2]
    for workload in workloads(rendered(folder)):
        if container(workload)["image"].startswith("modelyard-serving:"):
            mounts = [mount["mountPath"] for mount in container(workload)["volumeMounts"]]
            assert "/var/cache/modelyard" in mounts


@all_overlays
def test_services_connect_to_headless_services(overlay: str) -> None:
    services = {name(one): one["spec"] for one in of_kind(rendered(overlay), "Service")}
    for role in ("tracking", "registry", "serving"):
        given = environment(roles(overlay)["gateway"], rendered(overlay))
        target = given[f"MODELYARD_{role.upper()}_TARGET"] or ""
        host, _, port = target.removeprefix("dns:///").partition(":")
        assert services[host]["clusterIP"] == "None"
        assert [one["port"] for one in services[host]["ports"]] == [int(port)]


@all_overlays
def test_only_containers_that_need_a_secret_see_it(overlay: str) -> None:
    seen = {
        name(one): {secret for secret, _ in secret_keys(one) if not secret.endswith("-tls")}
        for one in workloads(rendered(overlay))
        if name(one) not in {"postgres", "minio", "create-bucket"}
    }
    databases = {"modelyard-tracking-database", "modelyard-registry-database"}
    maintenance = {
        "backup": databases,
        "doctor": databases | {"modelyard-token", "modelyard-object-store"},
    }
    assert seen == (maintenance if overlay == "overlays/production" else {}) | {
        "tracking": {"modelyard-token", "modelyard-object-store", "modelyard-tracking-database"},
        "registry": {"modelyard-token", "modelyard-object-store", "modelyard-registry-database"},
        "serving": {"modelyard-token"},
        "gateway": {"modelyard-token", "modelyard-object-store"},
        f"migrate-{VERSION.replace('.', '-')}": databases,
    }


@all_folders
def test_each_secret_is_in_the_example_or_made_by_a_certificate(folder: str) -> None:
    known = example_secrets()
    made = {one["spec"]["secretName"] for one in of_kind(rendered(folder), "Certificate")}
    for workload in workloads(rendered(folder)):
        for secret, key in secret_keys(workload):
            assert secret in made or key in known[secret], f"{secret}.{key}"
    assert of_kind(rendered(folder), "Secret") == []


@all_folders
def test_each_service_and_budget_selects_the_pods_of_one_workload(folder: str) -> None:
    objects = rendered(folder)
    for service in of_kind(objects, "Service"):
        (workload,) = selected({"matchLabels": service["spec"]["selector"]}, objects)
        for port in service["spec"]["ports"]:
            assert ports(workload)[port["targetPort"]] == port["port"], name(service)
    for budget in of_kind(objects, "PodDisruptionBudget"):
        (workload,) = selected(budget["spec"]["selector"], objects)
        assert budget["spec"]["maxUnavailable"] == 1
    for workload in of_kind(objects, "Deployment", "StatefulSet"):
        assert workload in selected(workload["spec"]["selector"], objects)
        for spread in pod(workload).get("topologySpreadConstraints", ()):
            assert selected(spread["labelSelector"], objects) == [workload]


def test_production_has_two_replicas_of_each_role_and_leaves_their_number_to_the_autoscaler() -> (
    None
):
    scalers = of_kind(rendered("overlays/production"), "HorizontalPodAutoscaler")
    assert {one["spec"]["scaleTargetRef"]["name"] for one in scalers} == set(ROLES)
    for scaler in scalers:
        assert scaler["spec"]["minReplicas"] >= 2
        workload = roles("overlays/production")[scaler["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in workload["spec"]
        assert "cpu" in container(workload)["resources"]["requests"]


def test_routes_of_the_ingress_lead_to_ports_of_services() -> None:
    objects = rendered("overlays/production")
    services = {name(one): one["spec"]["ports"] for one in of_kind(objects, "Service")}
    for ingress in of_kind(objects, "Ingress"):
        hosts = {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]}
        for rule in ingress["spec"]["rules"]:
            assert rule["host"] in hosts
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                names = [port["name"] for port in services[backend["name"]]]
                assert backend["port"]["name"] in names


def test_certificates_name_the_hosts_that_are_connected_to() -> None:
    objects = rendered("overlays/production")
    certificates = {
        one["spec"]["secretName"]: one["spec"].get("dnsNames", [])
        for one in of_kind(objects, "Certificate")
    }
    for role in ROLES:
        hosts = certificates[f"modelyard-{role}-tls"]
        assert role in hosts
        if role != "gateway":
            assert f"{role}-headless" in hosts
        given = environment(roles("overlays/production")[role], objects)
        for variable in ("CERT_FILE", "KEY_FILE", "CA_FILE"):
            assert (given[f"MODELYARD_TLS_{variable}"] or "").startswith("/run/secrets/tls/")
        mounts = {
            mount["name"]: mount["mountPath"]
            for mount in container(roles("overlays/production")[role])["volumeMounts"]
        }
        assert mounts["tls"] == "/run/secrets/tls"


@all_folders
def test_all_is_of_one_version(folder: str) -> None:
    for workload in workloads(rendered(folder)):
        image, _, tag = container(workload)["image"].rpartition(":")
        if image.startswith("modelyard-"):
            assert tag == VERSION
            assert pod_labels(workload)["app.kubernetes.io/version"] == VERSION


def test_the_migration_is_a_job_of_the_version_that_refers_to_nothing_that_changes() -> None:
    objects = rendered("overlays/small")
    (job,) = (one for one in of_kind(objects, "Job") if name(one).startswith("migrate"))
    assert name(job) == f"migrate-{VERSION.replace('.', '-')}"
    assert container(job)["args"] == ["migrate"]
    assert "envFrom" not in container(job)
    assert "ttlSecondsAfterFinished" not in job["spec"]  # it would run again at each apply


def test_what_is_watched_is_scraped_from_a_port_that_a_service_has() -> None:
    services = of_kind(rendered("overlays/production") + rendered("model-server"), "Service")
    monitors = of_kind(rendered("overlays/production"), "ServiceMonitor")
    scraped = {
        name(service)
        for monitor in monitors
        for service in services
        if monitor["spec"]["selector"]["matchLabels"].items()
        <= service["metadata"]["labels"].items()
        and monitor["spec"]["endpoints"][0]["port"] in {p["name"] for p in service["spec"]["ports"]}
    }
    assert scraped == {"tracking", "registry", "serving", "gateway", "iris"}


def test_calls_that_are_refused_before_they_are_counted_raise_an_alert_too() -> None:
    (rules,) = of_kind(rendered("overlays/production"), "PrometheusRule")
    alerts = {alert["alert"]: alert["expr"] for alert in rules["spec"]["groups"][0]["rules"]}
    assert "modelyard_rpc_shed_total" in alerts["ModelyardRefusesLoad"]


def test_alerts_name_metrics_that_are_measured() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py"))
    for rule in of_kind(rendered("overlays/production"), "PrometheusRule"):
        for alert in rule["spec"]["groups"][0]["rules"]:
            for metric in re.findall(r"modelyard_[a-z_]+", alert["expr"]):
                measured = re.sub(r"_(count|bucket|sum)$", "", metric)
                assert f'"{measured}' in code or f'"{measured.removesuffix("_total")}"' in code
