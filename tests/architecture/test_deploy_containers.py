"""Properties of the Dockerfile and of the compose file."""

from __future__ import annotations

import fnmatch
import re
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
from tests.support.processes.manifests import DEPLOY, ROOT, Object, compose

from modelyard_kit.settings.programs import KNOWN_VARIABLES

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKERFILE = (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8")
ROLES = ("tracking", "registry", "serving", "gateway")
OURS = (*ROLES, "iris", "migrate", "tools")
ONCE = ("migrate", "create-bucket", "tools")
PUBLISHED = {
    "gateway": 5000,
    "iris": 5001,
    "minio": 9000,  # models go between clients and the store directly
    "registry": 50052,
    "serving": 50053,
    "tracking": 50051,
}


def service(name: str) -> Object:
    found: Object = compose()["services"][name]
    return found


def environment(name: str) -> dict[str, str]:
    found: dict[str, str] = service(name).get("environment", {})
    return found


def test_commands_can_write_where_they_keep_what_they_download() -> None:
    assert service("tools")["read_only"] is True
    assert service("tools")["environment"]["MODELYARD_CACHE"].startswith("/tmp/")  # noqa: S108 - a tmpfs


def test_there_is_an_image_per_role_that_starts_it() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    images = dict(
        re.findall(r"^FROM runtime AS (\w+)\n(?:.*\n)*?CMD (.*)", DOCKERFILE, re.MULTILINE)
    )
    assert set(images) == {*ROLES, "tools"}
    assert all(images[role] == f'["{role}"]' for role in ROLES)
    (runtime,) = (stage for stage in stages if " AS runtime\n" in stage)
    assert "USER 10001:10001" in runtime
    assert "STOPSIGNAL SIGTERM" in runtime
    assert 'ENTRYPOINT ["modelyard"]' in runtime
    assert "pip uninstall" in runtime


def test_roles_are_installed_with_extras_that_exist() -> None:
    installed = re.findall(r"^RUN install-role (\S+)$", DOCKERFILE, re.MULTILINE)
    extras = {extra for line in installed for extra in line.split(",")}
    assert len(installed) == len(ROLES) + 1
    assert extras <= set(PROJECT["optional-dependencies"])
    assert "dev" not in extras


def test_images_are_of_the_version_of_the_project() -> None:
    version = PROJECT["version"]
    assert f"ARG VERSION={version}\n" in DOCKERFILE
    for name in OURS:
        built = service(name)["build"]["target"]
        assert service(name)["image"] == f"modelyard-{built}:{version}"


def test_the_build_is_sent_what_it_copies_and_no_more() -> None:
    ignored = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    sent = [line[1:] for line in ignored.splitlines() if line.startswith("!")]
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert sorted(copied) == sorted(sent)
    assert all((ROOT / source).exists() for source in copied)
    assert not any(fnmatch.fnmatch(line, ".*") for line in sent)


def test_our_containers_are_contained() -> None:
    for name in (*OURS, "create-bucket"):
        assert service(name)["read_only"] is True, name
        assert service(name)["cap_drop"] == ["ALL"], name
        assert service(name)["security_opt"] == ["no-new-privileges:true"], name


def test_models_are_cached_and_uploads_spooled_on_disk_not_in_memory() -> None:
    assert service("gateway")["tmpfs"] == []
    mounts = {
        name: one["volumes"] for name, one in compose()["services"].items() if "volumes" in one
    }
    assert mounts["gateway"] == ["gateway-spool:/tmp"]
    assert mounts["serving"] == ["serving-cache:/var/cache/modelyard"]
    assert mounts["iris"] == ["iris-cache:/var/cache/modelyard"]


def test_each_container_has_its_limits() -> None:
    for name in compose()["services"]:
        limits = service(name)["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory", "pids"}, name


def test_servers_start_when_what_they_need_is_healthy() -> None:
    services = compose()["services"]
    for name, one in services.items():
        assert (name in ONCE) is ("healthcheck" not in one), name
        for needed, how in one.get("depends_on", {}).items():
            done = "service_completed_successfully" if needed in ONCE else "service_healthy"
            assert how == {"condition": done}, f"{name} needs {needed}"


def test_only_ports_for_clients_are_published_and_by_default_to_this_machine_only() -> None:
    published = {
        name: one["ports"] for name, one in compose()["services"].items() if "ports" in one
    }
    assert published == {
        name: [f"${{BIND:-127.0.0.1}}:{port}:{port}"] for name, port in PUBLISHED.items()
    }
    assert service("postgres")["networks"] == ["database"]
    assert compose()["networks"]["database"] == {"internal": True}


def test_settings_are_declared_and_agree_with_the_ports() -> None:
    for name in OURS:
        given = {one for one in environment(name) if one.startswith("MODELYARD_")}
        assert given - KNOWN_VARIABLES == set(), name
    for role in ROLES:
        own = environment(role)
        assert own[f"MODELYARD_{role.upper()}_LISTEN"] == f"0.0.0.0:{PUBLISHED[role]}"
        assert own[f"MODELYARD_{role.upper()}_MONITORING"] == "0.0.0.0:9090"
        if role != "gateway":
            assert own[f"MODELYARD_{role.upper()}_TARGET"] == f"dns:///{role}:{PUBLISHED[role]}"


def test_only_containers_that_need_a_secret_see_it() -> None:
    seen = {name: set(one.get("secrets", ())) for name, one in compose()["services"].items()}
    assert seen == {
        "postgres": {
            "postgres_password",
            "tracking_database_password",
            "registry_database_password",
        },
        "minio": {"minio_root_user", "minio_root_password"},
        "create-bucket": {
            "minio_root_user",
            "minio_root_password",
            "s3_access_key",
            "s3_secret_key",
        },
        "migrate": set(),
        "tools": {"token", "s3_credentials"},
        "tracking": {"token", "s3_credentials"},
        "registry": {"token", "s3_credentials"},
        "serving": {"token"},
        "gateway": {"token", "s3_credentials"},
        "iris": {"token"},
    }


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    subprocess.run([DEPLOY / "init-secrets", folder], check=True)
    return folder


def test_init_secrets_makes_each_secret_that_is_read(secrets: Path) -> None:
    read = {one["file"] for one in compose()["secrets"].values()}
    read |= {file for one in compose()["services"].values() for file in one.get("env_file", ())}
    assert read == {f"secrets/{path.name}" for path in secrets.iterdir()}


def test_secrets_are_random_and_in_a_folder_of_their_owner(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    texts = [
        (secrets / name).read_text(encoding="utf-8")
        for name in ("token", "postgres_password", "minio_root_password", "s3_secret_key")
    ]
    assert len(set(texts)) == len(texts)
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in texts)
    password = (secrets / "tracking_database_password").read_text(encoding="utf-8")
    assert (secrets / "tracking.env").read_text(encoding="utf-8") == (
        f"MODELYARD_TRACKING_DATABASE_URL=postgresql://tracking:{password}@postgres:5432/tracking\n"
    )


def test_secrets_are_not_made_twice(secrets: Path) -> None:
    token = (secrets / "token").read_text(encoding="utf-8")
    again = subprocess.run(
        [DEPLOY / "init-secrets", secrets], capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert "exists; new secrets would not match" in again.stderr
    assert (secrets / "token").read_text(encoding="utf-8") == token


def test_secrets_are_kept_out_of_git() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", "deploy/secrets/token"], cwd=ROOT, check=False
    )
    assert ignored.returncode == 0
