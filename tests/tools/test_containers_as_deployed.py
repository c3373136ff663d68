"""The containers of knative/, each started as its manifest says: command, environment, mounted secrets, probe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from scripts.secrets import secret, write
from services.databases import DATABASE_ROLES
from services.folders import SERVICES
from tests.architecture.rendered import pods
from tests.architecture.rules import ROOT
from tests.conftest import PASSWORDS, execute
from tests.waiting import SECONDS_MAX
from tools.knative_local.ports import free_port
from tools.knative_local.process import stop

MOUNT = "/var/run/secrets/zerocart"
_numbers = count(1)

Document = dict[str, Any]


def documents(file: str) -> list[Document]:
    return list(yaml.safe_load_all((ROOT / "knative" / file).read_text()))


class Namespace:
    """The ConfigMaps and Secrets of a namespace to which pods refer."""

    def __init__(self, folder: Path, postgres, bootstrap: str) -> None:
        self.folder, self.bootstrap = folder, bootstrap
        self.store, self.read = (f"deployed{next(_numbers)}{suffix}" for suffix in ("", "_read"))
        owners = {"database-url": postgres.dsn(self.store), "read-database-url": postgres.dsn(self.read)}
        log, read = (url.rpartition("@")[2] for url in owners.values())
        # the roles are the server's, so other tests' passwords must stay
        (folder / "passwords.json").write_text(json.dumps(PASSWORDS))
        made = secret(folder, log, read, "smtp://127.0.0.1:1")
        self.secrets: dict[str, Mapping[str, str]] = {"zerocart": made, "zerocart-owner": owners}
        self.config_maps = {"zerocart-broker": {"bootstrap.servers": bootstrap}}

    def mounted(self, template: Document, name: str) -> Path:
        """A volume of secrets as the kubelet would fill it."""
        (volume,) = [each for each in template["spec"]["volumes"] if each["name"] == name]
        folder = self.folder / f"mounted{next(_numbers)}"
        folder.mkdir()
        for source in volume["projected"]["sources"]:
            secret = self.secrets[source["secret"]["name"]]
            items = source["secret"].get("items") or [{"key": key, "path": key} for key in secret]
            for item in items:
                (folder / item["path"]).write_text(secret[item["key"]])
        return folder

    def environ(self, template: Document, container: Document | None = None) -> dict[str, str]:
        """The environment of a container, or of the only one, with the mounted folder where it is here."""
        (found_container,) = [container] if container else template["spec"]["containers"]
        (mount,) = found_container["volumeMounts"]
        assert mount["mountPath"] == MOUNT
        folder = str(self.mounted(template, mount["name"]))
        found = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/proc"}
        for each in found_container["env"]:
            if "value" in each:
                found[each["name"]] = each["value"].replace(MOUNT, folder)
            else:
                reference = each["valueFrom"]["configMapKeyRef"]
                found[each["name"]] = self.config_maps[reference["name"]][reference["key"]]
        return found


def set_up(namespace: Namespace) -> subprocess.CompletedProcess[str]:
    """Run the containers of the setup Job one after the other, as the kubelet would, until one fails."""
    (job,) = documents("setup.yaml")
    template = job["spec"]["template"]
    there = {"ZEROCART_TOPIC": namespace.store, "KAFKA_BOOTSTRAP_SERVERS": namespace.bootstrap}
    output, done = "", None
    for container in (*template["spec"]["initContainers"], *template["spec"]["containers"]):
        environ = {**namespace.environ(template, container), **there}
        program, *arguments = container["command"]
        assert program == "python"
        done = subprocess.run(
            [sys.executable, *arguments], env=environ, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
        output += done.stdout
        if done.returncode:
            break
    assert done is not None
    done.stdout = output
    return done


@pytest.fixture(scope="module")
def namespace(tmp_path_factory, postgres_server, kafka_bootstrap):
    made = Namespace(tmp_path_factory.mktemp("deployed"), postgres_server, kafka_bootstrap)
    done = set_up(made)
    assert done.returncode == 0, done.stderr
    return made


async def test_the_setup_job_can_be_repeated(namespace):
    again = set_up(namespace)
    assert again.returncode == 0, again.stderr
    assert "set up" in again.stdout
    for service in DATABASE_ROLES:
        connection = await asyncpg.connect(namespace.secrets["zerocart"][f"{service}-database-url"])
        await connection.close()


async def test_the_setup_job_reports_its_error(namespace):
    owners = namespace.secrets["zerocart-owner"]
    await execute(owners["database-url"], "INSERT INTO zerocart_migrations VALUES ('later/9999', 'x')")
    try:
        done = set_up(namespace)
        assert done.returncode == 1
        assert "newer version" in done.stderr
    finally:
        await execute(owners["database-url"], "DELETE FROM zerocart_migrations WHERE name = 'later/9999'")


def status(url: str, method: str = "GET") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_becomes_ready_and_answers_no_404_to_knative(service, namespace, tmp_path):
    (document,) = [each for each in documents("services.yaml") if each["metadata"]["name"] == service]
    template = document["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert "command" not in container  # the image's own: python -m services.run
    port = free_port()
    environ = {**namespace.environ(template), "PORT": str(port)}
    base = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "services.run"], env=environ, stdout=log, stderr=log)
    try:
        wait_until_ready(process, base + container["readinessProbe"]["httpGet"]["path"], tmp_path / "log")
        assert status(base + container["livenessProbe"]["httpGet"]["path"]) == 200
        assert status(f"{base}/metrics") == 200
        # an empty message is none, or nothing is heard here; whatever fails ends with operations, which takes anything
        assert status(f"{base}/events", "POST") == {"query": 405, "catalogue": 405, "operations": 202}.get(service, 400)
    finally:
        stop(process, signal.SIGTERM, SECONDS_MAX)
    assert process.returncode in (0, -signal.SIGTERM)


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if status(url) == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_a_service_gets_no_secret_of_another(namespace):
    for document in documents("services.yaml"):
        name, template = document["metadata"]["name"], document["spec"]["template"]
        mounted = {
            file.read_text() for file in namespace.mounted(template, template["spec"]["volumes"][0]["name"]).iterdir()
        }
        urls = {key: value for key, value in namespace.secrets["zerocart"].items() if key.endswith("database-url")}
        assert not [key for key, url in urls.items() if url in mounted and not key.startswith(f"{name}-")]
        assert not mounted & set(namespace.secrets["zerocart-owner"].values())


def test_the_secret_has_exactly_the_keys_that_manifests_use(namespace):
    asked = {
        item["key"]
        for document, template in pods("everything")  # with `watch`, which knative/ goes without
        if document["metadata"]["labels"]["app.kubernetes.io/component"] in ("service", "watch")
        for source in template["spec"]["volumes"][0]["projected"]["sources"]
        if source.get("secret", {}).get("name") == "zerocart"
        for item in source["secret"]["items"]
        if item["key"] not in ("events-keys", "postgres-ca.crt")  # the platform's part
    }
    assert asked == set(namespace.secrets["zerocart"])


def test_the_secret_is_readable_by_its_owner_only_and_kept(tmp_path):
    given = (tmp_path, "log.example:5432/zerocart", "read.example:5432/zerocart_read", "smtp://mail.example:587")
    write(tmp_path, secret(*given))
    files = {file.name: file.read_text() for file in (tmp_path / "zerocart").iterdir()}
    assert files == secret(*given)
    assert files["orders-database-url"].startswith("postgresql://zerocart_orders:")
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "zerocart").iterdir())
    assert json.loads((tmp_path / "secrets.json").read_text())["operator-secret"] not in str(files)
