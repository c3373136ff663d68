#!/bin/sh
# Compiles all Python that may run into /app/bytecode and gives every file the same age: the same sources make the same
# layer. Unchecked: a file's age is never looked at, so byte code stays valid on a read-only, re-dated file system.
set -eu
export PYTHONHASHSEED=0
sources=$(find /app -maxdepth 1 \( -name services -o -name tools \))
library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
python -m compileall -q -j 1 --invalidation-mode unchecked-hash \
    -x '/(site-packages|test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data)/' "$library"
/app/venv/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash /app/venv/lib $sources
chmod -R a+rX,go-w /app/bytecode $sources /app/venv
# always the same age, not that of the commit: BuildKit takes a copy from its cache that differs in nothing but age
find /app -exec touch --no-dereference --date @0 {} +
# inside another folder, because a copy keeps the age of what is in a folder, and not of the folder itself
mkdir /image
mv /app /image/
