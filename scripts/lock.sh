#!/bin/sh
# Pins every dependency with its hashes, for every Python and platform; no registry is named in the files.
set -eu
compile() {
    output=$1
    shift
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-emit-find-links --no-annotate "$@" pyproject.toml -o "$output"
}
compile requirements.txt
compile requirements-local.txt --extra local
compile requirements-dev.txt --extra local --extra dev
