#!/bin/sh
# Tests and measures the models of make_bundle.py on this machine's GPU:
#   integers against NumPy's, outputs of `main` against the CPU's, greedy tokens against the CPU's, prefill against decode
#   (to rounding), sequences at once against each alone, tokens drawn from the largest logits against those drawn from
#   all, memory and races by compute-sanitizer where it is there, then speed.
# usage: run.sh [--no-sanitizer]; the exit code is the number of failures.
cd "$(dirname "$0")" || exit 1
export LD_LIBRARY_PATH="$PWD:$LD_LIBRARY_PATH"
failures=0

check() { # name, command...
  name=$1
  shift
  if "$@" >log.txt 2>&1; then
    echo "PASS: $name"
  else
    echo "FAIL: $name"
    tail -5 log.txt
    failures=$((failures + 1))
  fi
}

same_tokens() { # model
  ./pquant-run "$1.so" --tokens "$(cat "$1.prompt")" -n 24 2>/dev/null >got.txt && cmp got.txt "$1.tokens"
}

# The 200 largest logits, which the GPU finds, have all but all of the probability here.
same_draws() { # model
  for k in 0 200; do
    ./pquant-run "$1.so" --tokens "$(cat "$1.prompt")" -n 64 --temperature 0.5 --top-p 0.95 --top-k $k --seed 7 2>/dev/null >draws.$k || return
  done
  cmp draws.0 draws.200
}

same_batch() { # model
  ./pquant-run "$1.so" --check-equality --tolerance 4e-2 | grep -q "sequences at once and alone: bit-identical"
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
for rows in 1 5 150; do
  check "exact: $rows rows" ./pquant-run exact.so --inputs exact$rows.npz --expect exact$rows.npz --tolerance 0
done
for model in sample odd experts grouped int8 narrow; do
  # An activation that falls on the other side of a rounding boundary costs up to 4e-2 of the last layers with random
  # inputs: as much as between the kernels of two CPUs.
  for inputs in $model $model.long; do
    tolerance=4e-2
    [ $inputs = sample ] && tolerance=1e-3
    check "$inputs: outputs" ./pquant-run $model.so --device=cuda --inputs $inputs.npz --expect $inputs.npz --tolerance $tolerance
  done
  check "$model: tokens" same_tokens $model
  check "$model: prefill and decode" ./pquant-run $model.so --check-equality --tolerance 4e-2
  check "$model: several sequences" same_batch $model
done
check "sample: draws" same_draws sample
if [ "$1" != --no-sanitizer ] && command -v compute-sanitizer >/dev/null; then
  for model in odd experts grouped int8 narrow; do
    for tool in memcheck racecheck; do
      for inputs in $model $model.long; do
        check "$inputs: $tool" compute-sanitizer --tool $tool --error-exitcode 1 ./pquant-run $model.so --tokens "$(cat $inputs.prompt)" -n 3
      done
    done
  done
fi
./pquant-bench sample.so -p 128,512 -n 64 --context 256
./pquant-bench sample.so -p 0 -n 64 --context 256 --batch 8
echo "$failures failures"
exit $failures
