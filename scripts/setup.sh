#!/bin/sh
# Brings .venv to the pinned requirements; instant when it is there already. An existing .venv is updated in place,
# because other commands may be running from it, and is made anew only when it does not work.
set -eu
# its own lock: two makes at once must not install into each other
if command -v flock >/dev/null 2>&1; then
    exec 9<"$0"
    flock 9
fi
stamp=.venv/.ready
wanted=$(pwd; cat requirements-dev.txt pyproject.toml | cksum)
if [ -x .venv/bin/zerocart ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "zerocart needs Python 3.11 or newer, and ${PYTHON:-what is on the PATH} is not" >&2
    echo "(another one can be named: make setup PYTHON=python3.12)" >&2
    exit 1
}

make_venv() {
    rm -rf .venv
    if "$1" -c 'import ensurepip' 2>/dev/null; then
        "$1" -m venv .venv
    elif "$1" -m pip --version >/dev/null 2>&1; then
        "$1" -m venv --without-pip .venv
        "$1" -m pip --python .venv/bin/python install --quiet pip
    else
        echo "$1 can neither make a virtual environment with pip nor has pip itself: install one of them" >&2
        echo "(Debian and Ubuntu: apt install python3-venv)" >&2
        exit 1
    fi
}

if ! .venv/bin/pip --version >/dev/null 2>&1; then # missing, moved, or its Python is gone
    python=$(find_python)
    echo "making .venv with $("$python" --version)"
    make_venv "$python"
fi
echo "installing the pinned requirements (about a minute the first time)"
# the file is complete: what it leaves out, pip shall not ask for
.venv/bin/pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
# after them, because it builds with the pinned setuptools and fetches nothing
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
printf '%s\n' "$wanted" >"$stamp"
echo "ready"
