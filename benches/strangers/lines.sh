#!/usr/bin/env bash
# Lines of a project's programs without blank lines and comments.
set -euo pipefail
cd "$(dirname "$0")"
for file in "$1"/src/*.rs; do
    printf '%s %s  ' "$(basename "$file" .rs)" "$(grep -cvE '^\s*(//|$)' "$file")"
done
