#!/bin/sh
# Builds the documentation site into build/site; a broken link or a missing module fails. It installs the pinned requirements
# of the site into .venv once. After that a build needs no network.
set -eu
stamp=.venv/.docs-ready
wanted=$(cksum requirements-docs.txt requirements-dev.txt)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    . scripts/uv.sh
    "$uv" pip install --quiet --python .venv/bin/python --require-hashes --no-deps --requirement requirements-docs.txt
    printf '%s\n' "$wanted" >"$stamp"
fi
.venv/bin/python -m scripts.site
NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet
echo "built build/site/index.html"
