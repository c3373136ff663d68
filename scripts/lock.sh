#!/bin/sh
# Pins every dependency with its hashes, for every Python and platform. The files name no registry.
# It keeps existing pins that still fit, except with --upgrade.
set -eu
. scripts/uv.sh
compile() {
    output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-emit-find-links --no-annotate "$@" pyproject.toml -o "$output"
}
compile requirements-dev.txt --extra tracing --extra documents --extra local --extra dev "$@"
# the smaller sets keep the versions of the largest
cp requirements-dev.txt requirements-local.txt
cp requirements-dev.txt requirements-tools.txt
cp requirements-dev.txt requirements.txt
cp requirements-dev.txt requirements-docs.txt
compile requirements-local.txt --extra tracing --extra local
compile requirements-tools.txt --extra tracing --extra tools
compile requirements.txt --extra tracing --extra documents
compile requirements-docs.txt --extra docs
