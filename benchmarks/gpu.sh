#!/usr/bin/env bash
# What scratchnet does on a GPU, in less than ten minutes besides what installing takes: training steps of it and of
# PyTorch, measurements of the GPU and of PyTorch on it, and the tests, written to gpu.json and gpu.md.
#
#     benchmarks/gpu.sh [FOLDER]      # where to write; default: benchmarks
#     PYTHON=python3.12 benchmarks/gpu.sh
#
# Needs a driver of CUDA 12 or 13 and Python 3.11 or newer. A Python that has CuPy and pytest is used as it is; for
# another one, a virtual environment with them, and PyTorch if it installs, is made in a temporary folder.
# Of a part that fails, gpu-PART.log in FOLDER is all that it said.
# Exit code: 0, 1 where a part has failed (the others ran all the same), 2 where nothing could run.
set -euo pipefail

DEADLINE=585  # seconds; no part runs longer

refuse() {
    echo "gpu.sh: $1" >&2
    exit 2
}

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-$project/benchmarks}
[[ $out == /* ]] || out=$PWD/$out
python=$(command -v "${PYTHON:-python3}") || refuse "needs Python: ${PYTHON:-python3} is missing, name one with PYTHON=..."
[[ $python == /* ]] || python=$PWD/$python
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || refuse "needs Python 3.11 or newer: PYTHON=..."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$project"
export PYTHONPATH=$project${PYTHONPATH:+:$PYTHONPATH}

make_environment() {
    local cuda
    cuda=$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA \(UMD \)\{0,1\}Version: *\([0-9]*\).*/\2/p' | head -n 1) || true
    case $cuda in
        "") refuse "needs an NVIDIA GPU: $python has no CuPy, and nvidia-smi is missing or finds none" ;;
        [0-9] | 1[01]) refuse "needs a driver of CUDA 12 or newer: nvidia-smi says $cuda" ;;
        12) extra=cuda12x ;;
        *) extra=cuda13x ;;
    esac
    "$python" -m venv "$work/venv"
    python=$work/venv/bin/python
    echo "gpu.sh: installing .[$extra,test], and PyTorch"
    timeout 200 "$python" -m pip install -q ".[$extra,test]" || refuse "pip could not install .[$extra,test]"
    timeout 150 "$python" -m pip install -q torch || echo "gpu.sh: without PyTorch, which did not install"
}

failed=0

# part NAME SECONDS COMMAND...: runs the command under a time limit, notes how it ended, and writes all there is so far.
# An interrupt, and not a signal that ends it at once, lets the command tell what it has found by then.
part() {
    local name=$1 limit=$2 code=0 started=$SECONDS
    shift 2
    if ((limit > DEADLINE - SECONDS)); then
        limit=$((DEADLINE - SECONDS))
    fi
    if ((limit > 10)); then
        echo "gpu.sh: $name, at most $limit s"
        timeout --signal=INT --kill-after=10 "$((limit - 10))" "$@" >"$work/$name.out" 2>"$work/$name.err" || code=$?
    else
        echo "no time was left" >"$work/$name.err"
        code=124
    fi
    printf '%s\t%s\t%s\n' "$name" "$code" "$((SECONDS - started))" >>"$work/parts.tsv"
    if ((code != 0)); then
        echo "gpu.sh: $name ended with $code: $(tail -n 1 "$work/$name.err")"
        cat "$work/$name".{out,err} >"$out/gpu-$name.log" || true
        failed=1
    fi
    "$python" benchmarks/gpu_report.py "$work" --out "$out" || failed=1
}

"$python" -c 'import cupy, PIL, tqdm, pytest, hypothesis' 2>/dev/null || make_environment
"$python" benchmarks/gpu.py --check || exit 2
mkdir -p "$out"
SECONDS=0  # what installing took does not count

# pytest finds our plugin by itself where scratchnet is installed. Warnings of CuPy and others are no errors here, or
# they would be the reason to skip all tests.
plugin=()
"$python" -c 'from importlib.metadata import version; version("scratchnet-oneshot")' 2>/dev/null ||
    plugin=(-p scratchnet.pytest_plugin)
part tests 180 "$python" -m pytest -m gpu -q -W default "${plugin[@]}" --junitxml="$work/tests.xml"
for precision in float32 tf32; do
    part "bench_$precision" 120 "$python" -m scratchnet bench --device cuda --network koch2015 --pairs 128 \
        --rounds 20 --precision "$precision" --against torch --json
done
part measurements 240 "$python" benchmarks/gpu.py "$work"
echo "gpu.sh: wrote $out/gpu.json and $out/gpu.md"
exit $failed
