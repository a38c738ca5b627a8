#!/usr/bin/env bash
# Test on several GPUs of one machine: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
set -euo pipefail
if [ $# -lt 3 ]; then sed -n 2p "$0" | cut -c3- >&2; exit 2; fi
config=$1 checkpoint=$2 gpus=$3
shift 3
exec torchrun --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" --nproc_per_node="$gpus" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
