# setup.sh and lock.sh source this file. It sets $uv to a uv of the pinned version and hash in the user's cache, which all
# clones share, and gives it pip's configuration (index, certificate), which uv does not read by itself.

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "zerocart needs Python 3.11 or newer; ${PYTHON:-the PATH} has none." >&2
    echo "Name one: make setup PYTHON=python3.12" >&2
    exit 1
}

# The same rule as in tools/knative_local/cache.py: if the home folder is not writable, use a folder of the clone.
cache_folder() {
    for folder in "${ZEROCART_CACHE:-}" "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/zerocart" "$PWD/.zerocart/cache"; do
        if [ -n "$folder" ] && mkdir -p "$folder" 2>/dev/null && [ -w "$folder" ]; then
            echo "$folder"
            return
        fi
    done
    echo "No cache folder is writable: set ZEROCART_CACHE to a writable folder." >&2
    exit 1
}

# Sets $pip to a command that runs pip: Python's own, or one in a virtual environment in the cache.
find_pip() {
    if "$python" -m pip --version >/dev/null 2>&1; then
        pip="$python -m pip"
        return
    fi
    if [ ! -x "$cache/pip/bin/pip" ] || ! "$cache/pip/bin/pip" --version >/dev/null 2>&1; then
        if ! "$python" -c 'import ensurepip' 2>/dev/null; then
            echo "$python has neither pip nor ensurepip: install one of them and run make setup again" >&2
            echo "(Debian and Ubuntu: apt install python3-venv)" >&2
            exit 1
        fi
        "$python" -m venv --clear "$cache/pip"
    fi
    pip="$cache/pip/bin/python -m pip"
}

install_uv() {
    echo "installing uv $version (18 MB, once for all clones)"
    staging="$cache/uv.new-$$"
    mkdir -p "$staging"
    awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements-dev.txt >"$staging/requirements.txt"
    PIP_USER=0 PIP_ROOT_USER_ACTION=ignore $pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
        --target "$staging/uv" --requirement "$staging/requirements.txt"
    mkdir -p "$cache/uv-$version"
    mv -f "$staging/uv/bin/uv" "$cache/uv-$version/uv"
    rm -rf "$staging"
}

# pip names a setting `global.cert`, `user.cert` or, from the environment, `:env:.cert`; the last one listed wins.
pip_setting() {
    printf '%s\n' "$pip_settings" | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -n 1
}

hand_over() {
    eval "given=\${$1:-}"
    if [ -z "$given" ] && [ -n "$2" ]; then
        export "$1=$2"
    fi
}

python=$(find_python)
cache=$(cache_folder)
version=$(sed -n 's/^uv==\([^ ;]*\).*/\1/p' requirements-dev.txt)
uv="$cache/uv-$version/uv"
find_pip
if ! "$uv" --version >/dev/null 2>&1; then
    install_uv
fi
pip_settings=$($pip config list 2>/dev/null || true)
hand_over UV_DEFAULT_INDEX "$(pip_setting index-url)"
hand_over UV_INDEX "$(pip_setting extra-index-url)"
hand_over UV_FIND_LINKS "$(pip_setting find-links)"
hand_over SSL_CERT_FILE "$(pip_setting cert)"
hand_over UV_HTTP_TIMEOUT "$(pip_setting default-timeout)"
hand_over UV_HTTP_TIMEOUT 180 # seconds without an answer; the default of 30 is short for a slow line
hand_over UV_PYTHON_DOWNLOADS never
case "$cache" in
"$PWD"/*) hand_over UV_CACHE_DIR "$cache/uv" ;;
esac
