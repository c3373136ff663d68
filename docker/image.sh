#!/bin/sh
# `image.sh NAME VERSION`: builds the image of the services. The same commit on the same base image gives the same layers,
# on every machine and at any time.
set -eu
cd "$(dirname "$0")/.."
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
docker build --file docker/Dockerfile --target services --tag "$1:$2" \
    --build-arg VERSION="$2" \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --build-arg CREATED="$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$epoch" +%Y-%m-%dT%H:%M:%SZ)" \
    --build-arg SOURCE="${ZEROCART_SOURCE_URL:-}" .
docker image inspect --format '{{.Id}}  {{.Size}} bytes' "$1:$2"
