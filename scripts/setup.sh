#!/bin/sh
# `setup.sh [local|dev]` installs the pinned requirements into .venv: `local` has the packages for demo, up and down, `dev`
# (the default) also those for check and test. It ends at once if .venv has them. It updates a working .venv in place,
# because other commands may be running from it.
set -eu
set=${1:-dev}
# two processes of make must not install at the same time
if command -v flock >/dev/null 2>&1; then
    exec 9<"$0"
    flock 9
fi

wanted() {
    pwd
    cksum "requirements-$1.txt" pyproject.toml scripts/setup.sh
}
is_ready() {
    [ -x .venv/bin/zerocart ] && [ "$(cat ".venv/.ready-$1" 2>/dev/null)" = "$(wanted "$1")" ]
}
if is_ready "$set" || { [ "$set" = local ] && is_ready dev; }; then
    exit 0
fi

. scripts/uv.sh

# .venv was moved or copied (its scripts name the old path), or its Python no longer exists
if ! .venv/bin/python -c '' 2>/dev/null || [ "$(cat .venv/.path .venv/.ready 2>/dev/null | head -n 1)" != "$(pwd)" ]; then
    echo "making .venv with $("$python" --version)"
    rm -rf .venv
    "$uv" venv --quiet --no-project --python "$python" .venv
    pwd >.venv/.path
fi

echo "installing requirements-$set.txt"
failed=.venv/.failed
rm -f "$failed"
# Compiling gives warnings, which tests would turn into errors, so `dev` compiles here. `local` compiles at the first import.
case "$set" in
dev) compile=--compile-bytecode ;;
*) compile=--no-compile-bytecode ;;
esac
# The file is complete and hashed, so --no-deps. sed removes the line for each package, so that errors are seen.
{
    "$uv" pip install --python .venv/bin/python --no-deps --require-hashes $compile \
        --requirement "requirements-$set.txt" 2>&1 || : >"$failed"
} | sed '/^ [-+~] /d; /^ *Downloaded /d; /^Resolved /d'
if [ -e "$failed" ]; then
    echo "The requirements could not be installed: see the lines above. Run the same command again to continue." >&2
    exit 1
fi
rm -f "$failed"

# zerocart itself is importable from this folder and has one command. That needs no build and no build tools.
pwd >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zerocart.pth"
cat >.venv/bin/zerocart <<'END'
#!/bin/sh
exec "$(dirname "$0")/python" -m tools.zerocart "$@"
END
chmod +x .venv/bin/zerocart

# if this download fails, go on: `check` works without Kafka, and `up` downloads it again
.venv/bin/python -m tools.knative_local.kafka_jars || echo "make setup, make demo and make up try this download again" >&2
wanted "$set" >".venv/.ready-$set"
echo "ready"
