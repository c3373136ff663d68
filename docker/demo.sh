#!/bin/sh
# `demo.sh [--orders N]`: starts a new compose project beside the others, replays real orders in it, checks the totals.
set -eu
cd "$(dirname "$0")/.."
export COMPOSE_PROJECT_NAME="${ZEROCART_DEMO_PROJECT:-zerocart-demo}" ZEROCART_EDGE_PORT=0
export EDGE_TRUSTED_PROXIES=private_ranges # everybody in the demo has an address of their own
sh docker/secrets.sh
said=$(mktemp)
trap 'docker compose --profile demo down --volumes --remove-orphans --timeout 10 >/dev/null 2>&1; rm -f "$said"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
docker compose down --volumes --timeout 10 >/dev/null 2>&1 # of a demo that was killed
echo "building, and starting every service"
docker compose up --detach --build --wait --quiet-pull >"$said" 2>&1 || {
    cat "$said" >&2
    docker compose ps --all >&2
    exit 1
}
docker compose ps --all --format 'table {{.Service}}\t{{.Status}}'
docker compose run --rm --no-deps demo "$@"
