#!/bin/sh
# Compiles all Python that may run into /app/bytecode, and gives every file the same date, so that the same sources make the
# same layer. The byte code is `unchecked`: Python does not compare dates, so it stays valid when files get new dates.
set -eu
export PYTHONHASHSEED=0
sources=$(find /app -maxdepth 1 \( -name services -o -name tools \))
library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
python -m compileall -q -j 1 --invalidation-mode unchecked-hash \
    -x '/(site-packages|test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data)/' "$library"
/app/venv/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash /app/venv/lib $sources
chmod -R a+rX,go-w /app/bytecode $sources /app/venv
# a constant date and not that of the commit, because BuildKit ignores dates when it looks for a copy in its cache
find /app -exec touch --no-dereference --date @0 {} +
# inside another folder, because a copy keeps the dates of a folder's content, but not of the folder itself
mkdir /image
mv /app /image/
