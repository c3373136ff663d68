"""Secrets come from files or the environment, follow a rotation, and stay out of the logs."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from services.kit.config.secrets import CHECK_SECONDS, SECRET_BYTES_MAX, Secrets
from services.kit.config.settings import Settings
from services.kit.domain.errors import Unavailable, ZerocartError
from services.kit.eventstore.connections import Connections
from services.kit.telemetry.logging import REDACTED, configure, keep_out, log
from tests.architecture.rules import ROOT
from tests.conftest import PASSWORDS

NAME = "ZEROCART_DATABASE_URL"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def mounted(folder: Path, content: str, link: str) -> None:
    """Mount a secret as the kubelet does: write a new directory, then swap the link in one step."""
    inner = folder / link
    inner.mkdir()
    (inner / NAME).write_text(content)
    (folder / "new").symlink_to(link)
    (folder / "new").rename(folder / "..data")
    if not (folder / NAME).exists():
        (folder / NAME).symlink_to(Path("..data") / NAME)


def test_a_file_of_the_mounted_directory_wins_over_the_environment(tmp_path):
    mounted(tmp_path, "from-file\n", "first")
    secrets = Secrets({"ZEROCART_SECRETS_DIR": str(tmp_path), NAME: "from-environment"})
    assert secrets.find(NAME) == "from-file"
    assert Secrets({NAME: "from-environment"}).find(NAME) == "from-environment"
    assert secrets.find("ZEROCART_SMTP_URL") == ""


def test_a_rotated_file_is_read_again_and_checked_once_a_second(tmp_path):
    clock = Clock()
    mounted(tmp_path, "first-value", "first")
    read = Secrets({"ZEROCART_SECRETS_DIR": str(tmp_path)}, clock).reading(NAME)
    assert read() == "first-value"
    mounted(tmp_path, "second-value", "second")
    assert read() == "first-value"
    clock.now += CHECK_SECONDS
    assert read() == "second-value"


def test_a_file_that_is_missing_during_a_rotation_keeps_its_value(tmp_path):
    clock = Clock()
    file = tmp_path / "password"
    file.write_text("the-value")
    read = Secrets({f"{NAME}_FILE": str(file)}, clock).reading(NAME)
    assert read() == "the-value"
    file.unlink()
    clock.now += CHECK_SECONDS
    assert read() == "the-value"


def test_a_secret_can_be_a_field_of_a_json_file(tmp_path):
    file = tmp_path / "database"
    file.write_text(json.dumps({"username": "ann", "url": "postgresql://ann:pw@db/zerocart"}))
    assert Secrets({f"{NAME}_FILE": f"{file}#url"}).find(NAME) == "postgresql://ann:pw@db/zerocart"


@pytest.mark.parametrize(
    "content", ['{"other": "very-secret"}', '{"url": 7}', '"very-secret"', "very-secret", b"\xff\xfe"]
)
def test_a_secret_that_cannot_be_read_is_named_and_not_shown(tmp_path, content):
    file = tmp_path / "database"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ZerocartError, match=NAME) as caught:
        Secrets({f"{NAME}_FILE": f"{file}#url"}).find(NAME)
    assert "very-secret" not in str(caught.value)


def test_a_secret_above_its_limit_is_refused(tmp_path):
    file = tmp_path / "database"
    file.write_text("x" * (SECRET_BYTES_MAX + 1))
    with pytest.raises(ZerocartError, match="65536"):
        Secrets({f"{NAME}_FILE": str(file)}).find(NAME)
    with pytest.raises(ZerocartError, match="cannot be read"):
        Secrets({f"{NAME}_FILE": str(tmp_path / "nowhere")}).find(NAME)


def test_values_of_secrets_are_removed_from_logs(capsys):
    keep_out("postgresql://ann:pa%22ss-w%C3%B6rd@db/zerocart")
    configure("orders")
    try:
        logging.getLogger("zerocart").error("connection failed", extra={"fields": {"dsn": 'user ann, pa"ss-wörd'}})
        logging.getLogger("zerocart").error("with pa%22ss-w%C3%B6rd in it")
    finally:
        logging.basicConfig(handlers=[], force=True)
    printed = capsys.readouterr().out
    assert printed.count(REDACTED) == 2
    assert "ss-w" not in printed


def test_values_of_rows_that_postgres_names_stay_out_of_logs(capsys):
    configure("orders")
    try:
        refused = asyncpg.CheckViolationError("a rule of the row")
        refused.detail, refused.hint = "Failing row contains (ann@example.com,\n\nLeeds).", "use another"
        try:
            try:
                raise refused
            except asyncpg.PostgresError as error:
                raise RuntimeError("the caller's") from error
        except RuntimeError as error:
            log("failed", error=error)
    finally:
        logging.basicConfig(handlers=[], force=True)
    printed = capsys.readouterr().out
    assert "a rule of the row" in printed and "use another" in printed and "the caller's" in printed
    assert "ann@example.com" not in printed and "Leeds" not in printed


def test_a_service_without_a_required_setting_names_it_and_does_not_start():
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-m", "services.run", "orders"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ZEROCART_DATABASE_URL" in done.stderr
    assert "KAFKA_BOOTSTRAP_SERVERS" not in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_rotated_database_password_is_used_without_a_restart(database, tmp_path):
    right = database.dsn("orders")
    file = tmp_path / "dsn"
    file.write_text(right.replace(PASSWORDS["orders"], "not-any-more"))
    clock = Clock()
    settings = Settings(service="orders", database_url=Secrets({f"{NAME}_FILE": str(file)}, clock).reading(NAME))
    connections = Connections(settings.database_url, "orders", 1)
    with pytest.raises(Unavailable):
        await connections.fetch("SELECT 1")
    file.write_text(right)
    clock.now += CHECK_SECONDS
    assert (await connections.fetch("SELECT 1"))[0][0] == 1
    assert "not-any-more" not in repr(settings)
    await connections.close()
