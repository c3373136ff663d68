#!/bin/sh
# Makes .venv from the pinned requirements. Debian's python3 comes without ensurepip, so pip may have to be fetched.
set -eu
python=${1:-}
if [ -z "$python" ]; then
    echo "zerocart needs Python 3.11 or newer on the PATH" >&2
    exit 1
fi
echo "setting up .venv with $($python --version) (about a minute the first time)"
rm -rf .venv
if ! "$python" -m venv .venv >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv --without-pip .venv
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip --python .venv/bin/python install --quiet pip
    else
        echo "this Python has neither ensurepip nor pip: install one of them (Debian: apt install python3-venv)" >&2
        exit 1
    fi
fi
.venv/bin/python -m pip install --quiet --progress-bar on --disable-pip-version-check --require-hashes -r requirements-dev.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
touch .venv/.ready
echo "ready"
