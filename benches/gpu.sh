#!/usr/bin/env bash
# Measures the project on a machine with an NVIDIA GPU beside PyTorch, and tests its kernels there, within ten minutes.
#
#   gpu.sh --out FOLDER [--pack PACK] [--device cuda] [--minutes 10] [--bin FOLDER] ...   (--help lists all)
#
# Needs Linux, an NVIDIA driver, the CUDA toolkit (NVRTC and headers: CUDA_PATH, or /usr/local/cuda), Python 3 and PyTorch;
# neither Rust nor a network. `build-gpu.sh` makes the folder with all that is needed, this script in it. FOLDER/gpu.md is
# the table for RESULTS.md; it also lists the parts that failed or did not fit the time, which stop nothing else.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
if [ -z "${CUDA_PATH:-}" ] && [ -d /usr/local/cuda ]; then
    export CUDA_PATH=/usr/local/cuda
fi
exec "${PYTHON:-python3}" "$here/peers/gpu.py" --bin "$here" "$@"
