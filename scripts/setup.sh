#!/bin/sh
# `setup.sh [local|dev]` brings .venv to the pinned requirements: `local` is what demo, up and down need, `dev` (the
# default) what check and test need besides. It ends at once if .venv has them. A .venv that works is updated in
# place, because other commands may be running from it.
set -eu
set=${1:-dev}
# two makes at once must not install into each other
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

# made for another path (moved or copied: its scripts name that path), or its Python is gone
if ! .venv/bin/python -c '' 2>/dev/null || [ "$(cat .venv/.path .venv/.ready 2>/dev/null | head -n 1)" != "$(pwd)" ]; then
    echo "making .venv with $("$python" --version)"
    rm -rf .venv
    "$uv" venv --quiet --no-project --python "$python" .venv
    pwd >.venv/.path
fi

echo "installing requirements-$set.txt"
failed=.venv/.failed
rm -f "$failed"
# Tests turn the warnings that compiling gives into errors; what only runs is compiled when it is first imported.
case "$set" in
dev) compile=--compile-bytecode ;;
*) compile=--no-compile-bytecode ;;
esac
# The file is complete and hashed: nothing else may be asked for. One line a package would hide what matters.
{
    "$uv" pip install --python .venv/bin/python --no-deps --require-hashes $compile \
        --requirement "requirements-$set.txt" 2>&1 || : >"$failed"
} | sed '/^ [-+~] /d; /^ *Downloaded /d; /^Resolved /d'
if [ -e "$failed" ]; then
    echo "The requirements could not be installed: the reason is above. Run the same command again to go on." >&2
    exit 1
fi
rm -f "$failed"

# zerocart itself: importable from here, and one command. Nothing is built, so nothing is fetched to build it.
pwd >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zerocart.pth"
cat >.venv/bin/zerocart <<'END'
#!/bin/sh
exec "$(dirname "$0")/python" -m tools.zerocart "$@"
END
chmod +x .venv/bin/zerocart

# `check` works without Kafka, and `up` fetches it again: a failure is told and does not stop here
.venv/bin/python -m tools.knative_local.kafka_jars || echo "make setup, demo and up try again" >&2
wanted "$set" >".venv/.ready-$set"
echo "ready"
