"""Renders the parts of compose.yaml, the Caddyfile and the chart's schema that name services, from the chart's values.
Also the version of the console, in its page and in the Caddyfile.

`make manifests` writes it. Each part of a file stands between two comments, `rendered: NAME` and `end of NAME`; in the
schema of the values the names have places of their own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from scripts.helm import CHART, ROOT

__all__ = ["CADDYFILE", "COMPOSE", "CONSOLE", "FILES", "SectionError", "rendered", "write_sections"]

COMPOSE = ROOT / "compose.yaml"
CADDYFILE = ROOT / "docker" / "edge" / "Caddyfile"
CONSOLE = ROOT / "docker" / "edge" / "console"
READ_URL = "ZEROCART_READ_DATABASE_URL"
PAGE = CONSOLE / "index.html"
SCHEMA = CHART / "values.schema.json"
PORT = 8080
HERE: Mapping[str, str] = {
    "ZEROCART_SMTP_URL": "smtp://mailpit:1025",
    "ZEROCART_CLOCK_URL": "http://clock:8080",
}
"""Settings with a value of their own in compose; all other secrets come from .env, under the same name."""

Values = Mapping[str, Any]
Lines = Iterator[str]


class SectionError(Exception):
    """A file does not have one of the parts exactly once."""


def urls(values: Values) -> Lines:
    """The services that receive events, with their addresses."""
    receiving = [name for name, service in values["services"].items() if service.get("database")]
    addresses = [f'"{name}": "http://{name}:{PORT}"' for name in receiving]
    yield "x-urls: &urls >-"
    yield from _folded(addresses, "  ")


def passwords(values: Values) -> Lines:
    """The password of every service that has a role in a database."""
    pairs = [f'"{name}": "${{{_password(name)}}}"' for name, service in values["services"].items() if _urls_of(service)]
    yield "      ZEROCART_ROLE_PASSWORDS: >-"
    yield from _folded(pairs, "        ")


def services(values: Values) -> Lines:
    """A container for each service, with its settings, and the one that builds views."""
    for name, service in values["services"].items():
        yield f"  {name}:"
        yield "    <<: *service"
        if service.get("readDatabase"):
            yield "    depends_on: {build-views: {condition: service_completed_successfully}}"
        if service.get("database") and service.get("readDatabase"):
            yield "    mem_limit: 512m # for the build that a request starts as a child process"
        yield "    environment:"
        yield "      <<: *settings"
        yield f"      SERVICE: {name}"
        yield from _settings(name, service)
        yield ""
    yield "  # builds the views that are missing or have changed, then ends; it runs at every `up`"
    yield "  build-views:"
    yield "    <<: *hardened"
    yield "    image: ${ZEROCART_IMAGE:-zerocart:dev}"
    yield "    entrypoint: [python, -m, services.projection.build]"
    yield "    restart: on-failure:6"
    yield '    user: "10001:10001"'
    yield "    mem_limit: 256m"
    yield "    pids_limit: 128"
    yield "    volumes: *archive"
    yield "    depends_on: {setup: {condition: service_completed_successfully}}"
    yield "    environment:"
    yield "      <<: *settings"
    yield from _settings("projection", values["services"]["projection"])


def _settings(name: str, service: Values) -> Lines:
    for setting, database in _urls_of(service).items():
        role = f"zerocart_{name}:${{{_password(name)}}}"
        yield f"      {setting}: postgresql://{role}@postgres:5432/{database}"
    for setting in [each for each in service.get("secrets", {}) if each != READ_URL]:
        yield f"      {setting}: {HERE.get(setting) or f'${{{setting}}}'}"
    for setting, value in service.get("env", {}).items():
        yield f"      {setting}: {HERE.get(setting) or json.dumps(value)}"


def upstreams(values: Values) -> Lines:
    """The addresses to which the edge sends requests."""
    for name in dict.fromkeys(route["service"] for route in values["edge"]["routes"]):
        yield f"      {name.upper()}_UPSTREAM: {name}:{PORT}"


def waits(values: Values) -> Lines:
    """The edge starts when every service is healthy, so that the first request finds all services ready."""
    for name in values["services"]:
        yield f"      {name}: {{condition: service_healthy}}"


def routes(values: Values) -> Lines:
    """The matchers and handlers of the edge, in the order in which Caddy tries them."""
    named = [(_matcher(index, values), route) for index, route in enumerate(values["edge"]["routes"])]
    yield "\t@anonymous {"
    yield "\t\tnot header Authorization *"
    for public in values["edge"]["public"]:
        yield "\t\tnot {"
        yield f"\t\t\tmethod {' '.join(public['methods'])}"
        yield f"\t\t\tpath {' '.join(public['paths'])}"
        yield "\t\t}"
    yield "\t}"
    for name, route in named:
        yield from _matching(name, route)
    yield ""
    yield "\t# a route keeps this order: without one Caddy sorts handlers by their paths, and not as the chart has them"
    yield "\troute {"
    for name, route in named:
        yield f"\t\thandle @{name} {{"
        yield f"\t\t\timport upstream {{${route['service'].upper()}_UPSTREAM}}"
        yield "\t\t}"


def assets() -> Sequence[Path]:
    """The files of the console besides its page."""
    return [file for file in sorted(CONSOLE.iterdir()) if file != PAGE]


def console_version() -> str:
    """The checksum of the console's files: a browser keeps a file under this version for ever."""
    digest = hashlib.sha256()
    for file in assets():
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def console(_: Values) -> Lines:
    """The paths of the console's files. Those of another version do not exist, so that versions never mix."""
    names = "|".join(re.escape(file.name) for file in assets())
    yield f"\t\t@asset path_regexp asset ^/console/assets/{console_version()}/({names})$"


FIRST_PAGE = "orders.js"
"""The module of the page that most people see first; without this, the browser learns of it from another module."""


def imported(name: str, found: set[str]) -> set[str]:
    """The modules that a module of the console imports at once, and those that they import, added to `found`."""
    for other in re.findall(r'^import .* from "\./([\w.]+)";$', (CONSOLE / name).read_text(), re.MULTILINE):
        if other not in found:
            found.add(other)
            imported(other, found)
    return found


def files(_: Values) -> Lines:
    """The files with which the console starts, all of them at once, so that none waits for another."""
    base = f"/console/assets/{console_version()}"
    yield f'<link rel="icon" href="{base}/icon.svg">'
    yield f'<link rel="stylesheet" href="{base}/style.css">'
    yield f'<script src="{base}/first_paint.js"></script>'
    for name in sorted(imported("main.js", {FIRST_PAGE} | imported(FIRST_PAGE, set()))):
        yield f'<link rel="modulepreload" href="{base}/{name}">'
    yield f'<script type="module" src="{base}/main.js"></script>'


Part = Callable[[Values], Lines]
FILES: Mapping[Path, Sequence[Part]] = {
    COMPOSE: (urls, passwords, services, upstreams, waits),
    CADDYFILE: (console, routes),
    PAGE: (files,),
    SCHEMA: (),
}


def rendered(file: Path) -> str:
    """The text of a file with its parts rendered anew; SectionError if it does not have each part once."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = file.read_text()
    if file == SCHEMA:
        return _with_names(text, list(values["services"]))
    for part in FILES[file]:
        lines = "\n".join(part(values)).rstrip("\n")
        pattern = rf"([^\n]*\brendered: {part.__name__}\b[^\n]*\n).*?([^\n]*\bend of {part.__name__}\b[^\n]*\n)"
        text, found = re.subn(pattern, lambda match, lines=lines: f"{match[1]}{lines}\n{match[2]}", text, flags=re.S)
        if found != 1:
            raise SectionError(f"{file.name} has the part {part.__name__} {found} times, not once")
    return text


def write_sections() -> None:
    """Render the parts of all files."""
    for file in FILES:
        file.write_text(rendered(file))


def _with_names(text: str, names: Sequence[str]) -> str:
    schema = json.loads(text)
    schema["$defs"]["serviceName"]["enum"] = names
    schema["properties"]["services"]["required"] = names
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _matching(name: str, route: Values) -> Lines:
    paths = f"path {' '.join(route['paths'])}"
    if not route.get("methods") and not route.get("query"):
        yield f"\t@{name} {paths}"
        return
    yield f"\t@{name} {{"
    if methods := route.get("methods"):
        yield f"\t\tmethod {' '.join(methods)}"
    yield f"\t\t{paths}"
    for parameter in route.get("query", ()):
        yield f"\t\tquery {parameter}=*"
    yield "\t}"


def _matcher(index: int, values: Values) -> str:
    """The name of the service, numbered from its second route on."""
    names = [route["service"] for route in values["edge"]["routes"]]
    before = names[:index].count(names[index])
    return f"{names[index]}_{before + 1}" if before else names[index]


def _urls_of(service: Values) -> dict[str, str]:
    """The settings with the URLs of a service's databases, and the names of these databases."""
    found: dict[str, str] = {}
    if service.get("database"):
        found["ZEROCART_DATABASE_URL"] = "zerocart"
    if service.get("readDatabase") or READ_URL in service.get("secrets", {}):
        found[READ_URL] = "zerocart_read"
    return found


def _password(name: str) -> str:
    return f"ZEROCART_{name.upper()}_PASSWORD"


def _folded(pairs: Sequence[str], indent: str) -> Lines:
    """A JSON object on several lines, three pairs to a line."""
    rows = [", ".join(pairs[start : start + 3]) for start in range(0, len(pairs), 3)]
    json.loads("{" + ", ".join(rows) + "}")
    for number, row in enumerate(rows):
        opening = "{" if number == 0 else " "
        closing = "}" if number == len(rows) - 1 else ","
        yield f"{indent}{opening}{row}{closing}"
