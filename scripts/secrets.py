"""Writes the Secret `zerocart` of a cluster as a folder of files, one for each key: `kubectl create secret` takes it.

`python -m scripts.secrets FOLDER --log HOST:PORT/DATABASE --read HOST:PORT/DATABASE --smtp URL`. Parameters
after the database (such as `?sslmode=verify-full`) go into the URLs. Existing passwords and keys are kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from services.databases import DATABASE_ROLES, READ_ROLES
from services.kit.eventstore.grants import role_of
from tools.knative_local.secrets import local_secrets
from tools.knative_local.state import State

__all__ = ["secret", "write"]

APART = ("operator-secret", "delivery-key", "events-keys")
"""Secrets that a cluster does not need: services have only a digest of the first; the local cluster uses the others."""


def secret(folder: Path, log: str, read: str, smtp: str) -> Mapping[str, str]:
    """The value of each key of the Secret."""
    state = State(folder)
    passwords = state.passwords({*DATABASE_ROLES, *READ_ROLES})
    keys = {key: value for key, value in local_secrets(state).items() if key not in APART}
    urls = {f"{name}-database-url": _url(name, passwords, log) for name in DATABASE_ROLES}
    urls |= {f"{name}-read-database-url": _url(name, passwords, read) for name in READ_ROLES}
    return {**keys, **urls, "smtp-url": smtp}


def write(folder: Path, found: Mapping[str, str]) -> None:
    """Write one file for each key into FOLDER/zerocart; only the owner of the files can read them."""
    place = folder / "zerocart"
    place.mkdir(mode=0o700, exist_ok=True)
    for key, value in found.items():
        file = place / key
        file.touch(mode=0o600)
        file.write_text(value)


def _url(name: str, passwords: Mapping[str, str], place: str) -> str:
    return f"postgresql://{role_of(name)}:{passwords[name]}@{place}"


def main() -> None:
    """Write the folder by the arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.secrets", description="Write the Secret zerocart as files."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--log", required=True, help="where the event store is: host:port/database")
    parser.add_argument("--read", required=True, help="where the read database is: host:port/database")
    parser.add_argument("--smtp", required=True, help="smtp://user:password@host:587 or smtps://…:465")
    arguments = parser.parse_args()
    found = secret(arguments.folder, arguments.log, arguments.read, arguments.smtp)
    write(arguments.folder, found)
    print(json.dumps(sorted(found)))


if __name__ == "__main__":
    main()
