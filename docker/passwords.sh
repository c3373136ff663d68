#!/bin/sh
# Writes the passwords that compose.yaml asks for into .env, which git ignores; those that are there stay as they are.
set -eu
cd "$(dirname "$0")/.."
umask 077
touch .env
for name in POSTGRES GRAFANA USERS ORDERS INVENTORY PAYMENTS SHIPPING NOTIFICATIONS FULFILLMENT SCHEDULER PROJECTION QUERY OPERATIONS; do
    if ! grep -q "^ZEROCART_${name}_PASSWORD=" .env; then
        echo "ZEROCART_${name}_PASSWORD=$(od -An -N 24 -tx1 /dev/urandom | tr -d ' \n')" >>.env
    fi
done
