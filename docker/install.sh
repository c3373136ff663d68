#!/bin/sh
# Installs a pinned and hashed set of packages into /app/venv, from wheels only, so that it builds nothing.
set -eu
[ -d /app/venv ] || python -m venv --without-pip /app/venv
pip --python /app/venv/bin/python install --cache-dir /var/cache/pip --disable-pip-version-check --no-compile \
    --require-hashes --only-binary :all: --requirement "$1"
# an installed package does not need its C sources, stubs and tests
cd /app/venv/lib/python3.*/site-packages
find . -type f \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' \) -delete
find . -type d \( -name tests -o -name test -o -name _testbase \) -prune -exec rm -r {} +
# these files contain the time of the installation and paths of this machine
find . -type f \( -name direct_url.json -o -name REQUESTED \) -delete
