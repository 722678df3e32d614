#!/usr/bin/env bash
# Builds what gpu.sh needs on a machine with an NVIDIA GPU but without Rust: build-gpu.sh FOLDER
#
# FOLDER gets `alexnet` and the test binary `conformance`, optimised and stripped, with CUDA and Vulkan, and gpu.sh with its
# peers. CUDA, NVRTC and Vulkan are loaded when run, and HDF5 is built in from source, which needs CMake 3.26 or newer: Debian 12
# has 3.25, `pip install 'cmake<4'` in a virtual environment or bookworm-backports have newer ones. What remains are the C library and
# its companions, of this machine's version or newer: the last lines say which.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
out="$(cd "$1" && pwd)"
cd "$(dirname "$0")/.."

found="$(cmake --version 2>/dev/null | sed -n '1s/[^0-9]*//p')"
if [ "$(printf '%s\n' 3.26 "${found:-0}" | sort -V | head -1)" != 3.26 ]; then
    echo "error: building HDF5 needs CMake 3.26 or newer, found ${found:-none}: pip install 'cmake<4' has one" >&2
    exit 1
fi

# The path of the binary of this name that cargo says it made.
made() {
    cargo "$@" --release --message-format json-render-diagnostics | python3 -c "
import json, sys
made = [m['executable'] for m in map(json.loads, sys.stdin) if m.get('executable')]
print(made[-1])"
}
alexnet="$(made build -p alexnet-cli --features cuda,vulkan,hdf5-static)"
conformance="$(made test -p alexnet-tensor --features cuda,vulkan --test conformance --no-run)"
strip -o "$out/alexnet" "$alexnet"
strip -o "$out/conformance" "$conformance"
mkdir -p "$out/peers"
cp benches/gpu.sh "$out"
cp benches/peers/*.py "$out/peers"

for binary in alexnet conformance; do
    size="$(du -m "$out/$binary" | cut -f1)"
    libraries="$(readelf -d "$out/$binary" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | paste -sd' ')"
    glibc="$(readelf -V "$out/$binary" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)"
    echo "$out/$binary: $size MiB, needs $libraries ($glibc or newer)"
done
