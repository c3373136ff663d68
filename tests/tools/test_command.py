"""The `zerocart` command: every error is a sentence with a next step and never a traceback; its help and its version."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.rules import ROOT
from tests.waiting import SECONDS_MAX
from tools.knative_local.cluster import PASSED_ON
from tools.knative_local.ports import free_port
from tools.knative_local.service_settings import require_valid
from tools.knative_local.settings import SETTINGS, BadSettingError, port, seconds
from tools.knative_local.state import State
from tools.zerocart.cli import COMMANDS, main

PROGRAM = [sys.executable, "-m", "tools.zerocart"]


def zerocart(home: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("ZEROCART_", "KAFKA_"))}
    environ = {**known, "PYTHONPATH": str(ROOT), "ZEROCART_HOME": str(home), **environ}
    return subprocess.run(
        [*PROGRAM, *words], env=environ, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )


def assert_told(done: subprocess.CompletedProcess[str], *words: str) -> None:
    told = done.stdout + done.stderr
    assert done.returncode != 0, told
    assert "Traceback" not in told
    for word in words:
        assert word in told


NEEDING_A_CLUSTER = [
    ["status"], ["open"], ["events"], ["trace", "ord_1"], ["costs"], ["resume", "ord_1"], ["dead-letters"], ["parked"],
    ["views"], ["rebuild", "orders"], ["archive"], ["token"], ["replay"],
]  # fmt: skip


@pytest.mark.parametrize("words", NEEDING_A_CLUSTER, ids=lambda words: words[0])
def test_a_command_without_a_cluster_says_how_to_start_one(tmp_path: Path, words: list[str]) -> None:
    assert_told(zerocart(tmp_path, *words), "zerocart up")


def test_every_command_is_in_the_test_without_a_cluster() -> None:
    assert {words[0] for words in NEEDING_A_CLUSTER} == set(COMMANDS) - {
        "up",
        "down",
        "demo",
        "logs",
        "doctor",
        "gauntlet",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [("ZEROCART_EDGE_PORT", "abc"), ("ZEROCART_EDGE_PORT", "0"), ("ZEROCART_EDGE_PORT", "70000"),
     ("ZEROCART_WINDOW", "soon"), ("ZEROCART_WINDOW", "-1"), ("ZEROCART_START_SECONDS", "nan"),
     ("ZEROCART_MANIFESTS", "/no/such/folder")],
)  # fmt: skip
def test_a_bad_setting_is_named_with_what_it_must_be(tmp_path: Path, name: str, text: str) -> None:
    assert_told(zerocart(tmp_path, "up", "--detach", **{name: text}), name, "must be", text)


@pytest.mark.parametrize("words", [["up"], ["up", "--detach"], ["status"], ["down"], ["logs", "edge"]], ids=" ".join)
def test_a_state_folder_that_cannot_be_used_is_named(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert_told(zerocart(file, *words), "ZEROCART_HOME" if words[0] != "logs" else "has no log")


@pytest.mark.parametrize("size", ["12m", "16k"])
def test_a_full_disk_is_named_as_the_reason(tmp_path: Path, size: str) -> None:
    mount = f"mount -t tmpfs -o size={size} none {tmp_path}"
    up = f"ZEROCART_HOME={tmp_path}/home ZEROCART_EDGE_PORT={free_port()} exec {' '.join(PROGRAM)} up --detach"
    alone = next((way for way in ("-m", "-Urm") if run_alone(way, mount).returncode == 0), None)
    if alone is None:  # no file system can be mounted here: a limit on files comes nearest
        assert_told(run_alone("--fork", f"ulimit -f 1; {up}"), "zerocart up:", "postgres.log")
    else:
        assert_told(run_alone(alone, f"{mount} && {up}"), "No space left on device")


def run_alone(way: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with mounts of its own, which end with it."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["unshare", way, "sh", "-c", command], env=environ, capture_output=True, text=True, check=False
    )


def test_down_without_a_cluster_is_no_error(tmp_path: Path) -> None:
    done = zerocart(tmp_path, "down")
    assert (done.returncode, done.stdout) == (0, f"No cluster runs on {tmp_path}.\n")
    assert json.loads(zerocart(tmp_path, "down", "--json").stdout) == {"stopped": False}


def test_version_and_help_are_printed() -> None:
    done = zerocart(Path("/nowhere"), "--version")
    assert done.stdout.startswith("zerocart ")
    assert "unknown" not in done.stdout
    shown = zerocart(Path("/nowhere"), "--help", COLUMNS="70").stdout
    for name in [*COMMANDS, *(setting.name for setting in SETTINGS)]:
        assert name in shown
    assert max(map(len, shown.splitlines())) <= 70


def test_every_variable_is_in_the_help() -> None:
    """The help leaves out only variables that one part of the cluster sets for another."""
    internal = {
        "ZEROCART_LISTEN_FD", "ZEROCART_REPORT_FD", "ZEROCART_SERVICE_URLS", "ZEROCART_NAMESPACE", "ZEROCART_STATUS_PORT",
        "ZEROCART_STATUS_FD", "ZEROCART_STATUS_HOST", "ZEROCART_DELIVERY_KEY", "ZEROCART_ERASURES_URL",
        "ZEROCART_EVENTS_ISSUER", "ZEROCART_EVENTS_SUBJECTS", "ZEROCART_EVENTS_KEYS", "ZEROCART_EDGE_URL",
        "ZEROCART_STATE",
    }  # fmt: skip
    named = {
        name
        for file in (ROOT / "tools").rglob("*.py")
        for name in re.findall(r"ZEROCART_[A-Z_]+[A-Z]", file.read_text())
    }
    assert named - internal == {setting.name for setting in SETTINGS if setting.name.startswith("ZEROCART_")}


def test_doctor_reports_a_port_in_use_and_an_unwritable_folder(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1])
        done = zerocart(tmp_path, "doctor", "--json", ZEROCART_EDGE_PORT=number)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 1
    assert f"process {os.getpid()}" in checks["edge port"]["found"]
    assert "ZEROCART_EDGE_PORT" in checks["edge port"]["next_step"]
    assert checks["Python"]["next_step"] == checks["packages"]["next_step"] == ""
    bad = json.loads(zerocart(tmp_path / "x", "doctor", "--json", ZEROCART_EDGE_PORT="abc").stdout)
    assert next(check for check in bad if check["name"] == "settings")["next_step"]
    assert not (tmp_path / "x").exists()  # it only looks
    (tmp_path / "file").touch()
    unusable = json.loads(zerocart(tmp_path / "file" / "x", "doctor", "--json").stdout)
    assert [(check["name"], "file" in check["found"]) for check in unusable if check["next_step"]] == [
        ("state folder", True), ("cluster", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ["logs", "orders", "--lines"], ["costs", "--days"], ["demo", "--orders"], ["replay", "--orders"],
        ["views", "--drop"], ["views", "--switch"],
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("number", ["-1", "0", "1.5", "x", "", "9" * 30])
def test_a_number_out_of_bounds_is_refused(capsys: pytest.CaptureFixture[str], words: list[str], number: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words[:-1], f"{words[-1]}={number}"])
    assert ended.value.code == 2
    assert f"{number!r} is not a whole number from 1 to " in capsys.readouterr().err


def test_logs_prints_the_last_lines_and_lists_the_logs_for_an_unknown_name(tmp_path: Path) -> None:
    log = State(tmp_path).folder("logs") / "orders.log"
    log.write_text("".join(f"{number}\n" for number in range(100)))
    assert zerocart(tmp_path, "logs", "orders", "--lines", "2").stdout == "98\n99\n"
    assert_told(zerocart(tmp_path, "logs", "odrers"), "It has: orders")


def test_colours_are_used_only_at_a_terminal(tmp_path: Path) -> None:
    assert "\x1b[" not in zerocart(tmp_path, "doctor").stdout
    assert "\x1b[32mok" in at_terminal(tmp_path, "doctor")
    assert "\x1b[32m" not in at_terminal(tmp_path, "doctor", NO_COLOR="1")


def at_terminal(home: Path, *words: str, **environ: str) -> str:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "ZEROCART_HOME": str(home), "TERM": "xterm", **environ}
    environ = {name: value for name, value in environ.items() if value}
    with subprocess.Popen([*PROGRAM, *words], env=environ, stdout=theirs, stderr=theirs):
        os.close(theirs)
        found = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                chunk = os.read(ours, 65_536)
            except OSError:
                break
            if not chunk:
                break
            found += chunk
    os.close(ours)
    return found.decode()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ZEROCART_RATES", "place 20/1", "JSON"), ("ZEROCART_RATES", '{"place": "x"}', "20/1.5"),
        ("ZEROCART_RATES", '{"plaice": "20/1"}', "plaice"), ("ZEROCART_TIME_ZONE", "Mars/Olympus", "Mars/Olympus"),
        ("ZEROCART_DELIVERY_SECONDS", "-1", "above 0"), ("ZEROCART_MISSED_CHECK_SECONDS", "soon", "soon"),
        ("ZEROCART_RETENTION_DAYS", "1", "whole number"), ("ZEROCART_CAPTURE", "never", "by_hand"),
        ("ZEROCART_CURRENCY", "XYZ", "ISO 4217"), ("ZEROCART_ORDER_NUMBER_PREFIX", "a b", "letters"),
        ("ZEROCART_SHOP_RULES", "{", "ZEROCART_SHOP_RULES"), ("ZEROCART_MAIL_LANGUAGE", "xx", "de"),
        ("ZEROCART_MAIL_WHEN_PLACED", "maybe", "yes or no"), ("ZEROCART_MAILS_OFF", "all", "switched off"),
        ("ZEROCART_MAIL_FROM", "nobody", "ZEROCART_MAIL_FROM"), ("ZEROCART_SHOP_URL", "shop", "ZEROCART_SHOP_URL"),
        ("ZEROCART_WEBHOOK_NETWORKS", "10.0.0.0/99", "10.0.0.0/8"), ("ZEROCART_WEBHOOK_PORTS", "0", "ZEROCART_WEBHOOK_PORTS"),
        ("ZEROCART_WEBHOOK_HTTP", "perhaps", "ZEROCART_WEBHOOK_HTTP"), ("LOG_LEVEL", "LOUD", "DEBUG"),
    ],
)  # fmt: skip
def test_a_setting_that_a_service_refuses_is_refused_before_the_cluster_starts(
    tmp_path: Path, name: str, value: str, told: str
) -> None:
    with pytest.raises(BadSettingError, match=name) as refused:
        require_valid(PASSED_ON, {name: value})
    assert told in str(refused.value)
    require_valid(PASSED_ON, {name: ""})


def test_up_and_doctor_name_a_setting_that_a_service_refuses(tmp_path: Path) -> None:
    for words in (["up"], ["up", "--detach"], ["doctor"]):
        assert_told(zerocart(tmp_path, *words, ZEROCART_TIME_ZONE="Mars/Olympus"), "ZEROCART_TIME_ZONE", "Mars/Olympus")


def test_an_invalid_setting_is_refused() -> None:
    assert port("P", 8080, {}) == port("P", 1, {"P": "8080"}) == 8080
    assert seconds("S", 2, {"S": "0.5"}) == 0.5
    for text in ("", "8080"):
        port("P", 1, {"P": text})
    for text in ("8080 ", "-1", "１", "65536", "8e3"):
        with pytest.raises(BadSettingError, match="P must be a port"):
            port("P", 1, {"P": text})
    for text in ("inf", "nan", "0", "x", "-3"):
        with pytest.raises(BadSettingError, match="S must be a number"):
            seconds("S", 1, {"S": text})
