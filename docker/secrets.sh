#!/bin/sh
# Adds the secrets that compose.yaml needs to .env, which git ignores; it does not change secrets that .env has.
set -eu
cd "$(dirname "$0")/.."
umask 077
touch .env

random() { # 32 bytes in hexadecimal
    od -An -N 32 -tx1 /dev/urandom | tr -d ' \n'
}

keep() { # NAME COMMAND: adds the output of the command under the name, unless .env has the name
    if ! grep -q "^ZEROCART_$1=" .env; then
        value=$("$2")
        printf 'ZEROCART_%s=%s\n' "$1" "$value" >>.env
    fi
}

signing_key() { # Ed25519 in PEM: the fixed head of PKCS 8, then 32 random bytes
    key=$({ printf '\060\056\002\001\000\060\005\006\003\053\145\160\004\042\004\040'; head -c 32 /dev/urandom; } | base64)
    printf '"-----BEGIN PRIVATE KEY-----\\n%s\\n-----END PRIVATE KEY-----\\n"' "$key"
}

clients() { # the operator has all scopes; the service gets only the digest of its secret
    secret=$(sed -n 's/^ZEROCART_OPERATOR_SECRET=//p' .env)
    digest=$(printf %s "$secret" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d ' ' -f 1)
    scopes=$(
        for what in users orders stock payments shipments fulfillments operations access webhooks; do
            printf '"%s:read", "%s:write", ' "$what" "$what"
        done
    )
    printf '%s' "'{\"operator\": {\"secret_sha256\": \"$digest\", \"scopes\": [$scopes\"users:admin\", \"orders:admin\", \"orders:import\", \"orders:price\", \"catalogue:write\", \"analytics:read\", \"events:read\", \"audit:read\"]}}'"
}

# every password that compose.yaml names
for name in $(grep -o 'ZEROCART_[A-Z]*_PASSWORD' compose.yaml | sed 's/ZEROCART_\(.*\)_PASSWORD/\1/' | sort -u); do
    keep "${name}_PASSWORD" random
done
keep ACCOUNT_KEY random
keep MAIL_TOKEN_KEYS random
keep WEBHOOK_KEYS random
keep VAULT_KEYS random
keep SIGNING_KEYS signing_key
keep OPERATOR_SECRET random
keep CLIENTS clients
