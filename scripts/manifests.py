"""Renders the chart into files for `kubectl apply -f`: `python -m scripts.manifests [--values FILE] [--out FOLDER]`.

Without arguments it writes knative/, and the parts of compose.yaml and docker/edge/Caddyfile that name services. There
is one file for each template of the chart, the namespace first: kubectl applies files in the order of their names.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.helm import CHART, ROOT, HelmError, render
from scripts.sections import write_sections

__all__ = ["KNATIVE", "manifests", "write"]

KNATIVE = ROOT / "knative"
PLAIN = CHART / "values-manifests.yaml"
HEADER = "# Rendered from charts/zerocart by `make manifests`: change it there.\n"
SOURCE = re.compile(r"^# Source: zerocart/templates/(\S+)\n", re.M)


def manifests(values: Sequence[Path] = ()) -> Mapping[str, str]:
    """The text of each file by its name; `values` (files) override the values for kubectl."""
    found: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", render([PLAIN, *values]), flags=re.M):
        if match := SOURCE.match(document):
            found.setdefault(match[1], []).append(document[match.end() :].strip() + "\n")
    return {name: HEADER + "---\n".join(documents) for name, documents in sorted(found.items())}


def write(folder: Path, values: Sequence[Path] = ()) -> None:
    """Write the manifests into the folder, and remove other manifests from it."""
    files = manifests(values)
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.yaml"):
        if file.name not in files:
            file.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


def main() -> None:
    """Render by the arguments of the command line; exits with the output of helm if it fails."""
    parser = argparse.ArgumentParser(prog="python -m scripts.manifests", description="Render the chart for kubectl.")
    parser.add_argument("--values", type=Path, action="append", default=[], help="a file of values, over the chart's")
    parser.add_argument("--out", type=Path, default=KNATIVE, help="the folder to write, knative/ if not given")
    arguments = parser.parse_args()
    try:
        if arguments.out == KNATIVE:
            write_sections()
        write(arguments.out, arguments.values)
    except HelmError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
