#!/bin/sh
# Installs a pinned and hashed set into /app/venv, from wheels only: nothing is built, nothing unnamed comes in.
set -eu
[ -d /app/venv ] || python -m venv --without-pip /app/venv
pip --python /app/venv/bin/python install --cache-dir /var/cache/pip --disable-pip-version-check --no-compile \
    --require-hashes --only-binary :all: --requirement "$1"
# an installed package has no use for its C sources, stubs and tests
cd /app/venv/lib/python3.*/site-packages
find . -type f \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' \) -delete
find . -type d \( -name tests -o -name test -o -name _testbase \) -prune -exec rm -r {} +
# says when, and from what file on this machine, pip installed
find . -type f \( -name direct_url.json -o -name REQUESTED \) -delete
