#!/bin/sh
# Pins requirements/*.txt anew, with hashes, for Python 3.10 to 3.13 on every system. No registry address gets
# into them, and PIP_FIND_LINKS (a folder of one machine) has no say. uv lives in a venv of its own in build/.
set -eu
cd "$(dirname "$0")/.."
unset PIP_FIND_LINKS UV_FIND_LINKS UV_EXTRA_INDEX_URL
tool=build/lock
[ -d "$tool" ] || .venv/bin/python -m venv "$tool"
"$tool/bin/python" -m pip install -q --disable-pip-version-check 'uv>=0.5'

pin() {
    UV_PYTHON_DOWNLOADS=never "$tool/bin/uv" pip compile -q --upgrade --universal --python-version 3.10 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' "$@"
}

pin -o requirements/build.txt requirements/build.in
pin -o requirements/dev.txt --all-extras -c requirements/build.txt \
    --build-constraints requirements/build.txt pyproject.toml
pin -o requirements/newest.txt requirements/newest.in
if grep -nE '://|file:|@ ' requirements/*.txt; then
    echo 'error: an address got into the requirements (see above)' >&2
    exit 1
fi
