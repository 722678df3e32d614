#!/usr/bin/env bash
# Builds and runs programs that use the crates as a stranger does: each is a project of its own, outside the workspace, with
# the crates' real names. Without arguments all of them. Prints the lines of each.
#
#     benches/strangers/run.sh [PROJECT ...]
#
# `own_kernel` needs Vulkan, if only Mesa's in software (mesa-vulkan-drivers); `peers/` has the same programs with candle
# and burn.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/target}/strangers"
XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$(mktemp -d)}"
export XDG_RUNTIME_DIR
[ $# -gt 0 ] || set -- lenet own_kernel own_source rosenbrock own_loop
for project in "$@"; do
    printf '\n== %s: %s\n' "$project" "$(./lines.sh "$project")"
    cargo run --quiet --release --manifest-path "$project/Cargo.toml"
done
