#!/usr/bin/env bash
# All checks and measurements on one NVIDIA GPU, in under eight minutes and without a network.
#
#   bash benchmarks/gpu.sh                  everything
#   bash benchmarks/gpu.sh speed fast       some sections: presets graph fast speed monitoring bulk tests; or
#                                           recipes, ways to train mnist_fast, of which validation chooses one
#   REHEARSAL=1 bash benchmarks/gpu.sh      as short as possible, on a CPU: finds what is misspelt
#
# MNIST_DIR is the folder with MNIST (default: data), OUT the one for the results (default: gpu-results), one file per
# section and summary.txt. LIMIT is in seconds, ROUNDS how often each way of training is timed. Wheels in .whl/ are
# installed for this run only. A section that fails or takes too long does not stop the others. The tests run on the CPU,
# on other cores than what is timed.
set -u
cd "$(dirname "$0")/.." || exit 1
OUT=$(realpath -m "${OUT:-gpu-results}")
export MNIST_DIR=$(realpath -m "${MNIST_DIR:-data}")
LIMIT=${LIMIT:-480}
sections=("$@")
[ $# = 0 ] && sections=(presets graph fast speed monitoring bulk tests)
mkdir -p "$OUT"
started=$SECONDS

python=python3
if compgen -G ".whl/*.whl" >/dev/null; then
    site=$(mktemp -d)
    $python -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" .whl/*.whl || exit 1
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

cores=$(nproc)
others="" timed=""
if [ "$cores" -ge 8 ] && [ ${#sections[@]} -gt 1 ]; then
    others="taskset -c 0-$((cores - 5))" timed="taskset -c $((cores - 4))-$((cores - 1))"
    workers=$((cores - 4))
else
    workers=$((cores > 2 ? cores - 1 : cores))
fi

device=gpu few="" rounds=${ROUNDS:-8}
if [ -n "${REHEARSAL:-}" ]; then
    device=cpu few="--rounds=1" rounds=1
    other_tests="tests/test_imports.py"
fi

# run SECTION SECONDS COMMAND...: into the section's file, with the time it took and how it ended
run() {
    local name=$1 seconds=$2 left=$((LIMIT - SECONDS + started)) begin=$SECONDS code
    shift 2
    echo "+ $*" >>"$OUT/$name.txt"
    [ "$left" -lt 5 ] && { echo "$name: no time was left for: $*" | tee -a "$OUT/summary.txt"; return; }
    timeout -s INT -k 10 $((seconds < left ? seconds : left)) "$@" >>"$OUT/$name.txt" 2>&1
    code=$?
    echo "$name: exit code $code, $((SECONDS - begin)) s$([[ $code = 124 || $code = 137 ]] && echo ', out of time')" | tee -a "$OUT/summary.txt"
}

section_tests() {
    run tests 460 nice -n 5 $others $python -m pytest -n "$workers" -rfEs --durations=10 ${other_tests:-}
}

section_graph() {
    run graph 120 $python -m pytest -m gpu -n 4 -v -rs --tb=short ${other_tests:-tests/runtime/graph}
}

section_presets() {
    if [ $device = cpu ]; then
        run presets 400 $python benchmarks/presets.py cpu --data_dir "$MNIST_DIR" --least 0.1 \
            --flags "--data.subset=1000 --data.num_val=100 --checkup=false"
    else
        run presets 170 $python benchmarks/presets.py --data_dir "$MNIST_DIR"
    fi
}

section_fast() {
    local recipe="--graph=true --data.batch_size=512 --model.optimizer.lr=0.02 --model.scheduler.cycle_momentum=false"
    local flags="--checkup=false ${FAST_FLAGS-$recipe}"
    [ $device = cpu ] && flags="--checkup=false --data.subset=1000 --data.num_val=100 --trainer.max_epochs=1"
    run fast 90 $timed $python benchmarks/speed.py fast --device $device --data_dir "$MNIST_DIR" \
        --rounds $((rounds == 1 ? 1 : 10)) --flags "$flags"
}

section_recipes() {
    local common="--checkup=false --graph=true" recipes=()
    for recipe in "256 0.01 2 true" "256 0.01 2 false" "256 0.02 3 false" "512 0.02 3 false" "512 0.02 4 false" "512 0.04 4 false" \
        "1024 0.04 5 false" "512 0.02 2 false"; do
        set -- $recipe
        recipes+=(--flags "$common --data.batch_size=$1 --model.optimizer.lr=$2 --trainer.max_epochs=$3
            --model.scheduler.cycle_momentum=$4")
    done
    run recipes 180 $timed $python benchmarks/speed.py fast --device $device --data_dir "$MNIST_DIR" --rounds 3 "${recipes[@]}"
}

section_speed() {
    for part in titanic mlp conv; do
        run speed $([ $device = cpu ] && echo 300 || echo 80) $timed $python benchmarks/speed.py $part --quick \
            --device $device --data_dir "$MNIST_DIR" --rounds $rounds
        [ -n "$few" ] && break
    done
}

section_monitoring() {
    for model in "MLP 784-100-10" "conv 16-64-128"; do
        run monitoring $([ $device = cpu ] && echo 300 || echo 60) $timed $python benchmarks/monitoring.py --quick \
            --device $device --model "$model" --rounds $((rounds * 2 - 1))
        [ -n "$few" ] && break
    done
}

section_bulk() {
    local short="--trainer.max_epochs=5"
    [ $device = cpu ] && short="--trainer.max_epochs=1"
    run bulk 120 $timed $python benchmarks/bulk.py titanic_mlp --quick --device $device $short
    [ -n "$few" ] || run bulk 60 $timed $python benchmarks/bulk.py mnist_4v9_mlp --quick --device $device \
        --data.data_dir="$MNIST_DIR"
}

rm -f "$OUT"/*.txt
{
    date -u
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || echo "no GPU"
    $python -c "import platform, torch, pytorch_lightning as pl
print('Python', platform.python_version(), 'PyTorch', torch.__version__, 'Lightning', pl.__version__)"
    git rev-parse HEAD 2>/dev/null
} 2>&1 | tee "$OUT/summary.txt"

[[ " ${sections[*]} " = *" tests "* ]] && { section_tests & }
for section in presets graph recipes fast monitoring speed bulk; do
    [[ " ${sections[*]} " = *" $section "* ]] && section_$section
done
wait

# The end of each section's output: tables, counts, names of what failed.
for section in "${sections[@]}"; do
    [ -f "$OUT/$section.txt" ] || continue
    echo "=== $section"
    case $section in
    tests) grep -aE "^(FAILED|ERROR)|passed|failed|no tests ran" "$OUT/tests.txt" | tail -n 40 ;;
    graph) grep -aE "FAILED|ERROR|passed|failed|skipped|no tests ran" "$OUT/graph.txt" | tail -n 30 ;;
    speed | monitoring) grep -aE "^\||^A (turn|step)|Error" "$OUT/$section.txt" ;;
    fast | recipes) grep -aE "^(mnist_fast|first batch|after the|validation|.*Error)" "$OUT/$section.txt" ;;
    *) tail -n 14 "$OUT/$section.txt" ;;
    esac
done 2>&1 | cut -c1-220 | tee -a "$OUT/summary.txt"
echo "$((SECONDS - started)) s in all; everything is in $OUT"
