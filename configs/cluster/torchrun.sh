#!/bin/bash
# One run with torchrun, which restarts all processes from the last checkpoint when one of them dies.
# From the repository's folder, which all machines must see:
#
#   NPROC=8 configs/cluster/torchrun.sh fit --config configs/mnist_convnet.yaml --config configs/presets/ddp.yaml
#
# On several machines the same command on each, with
#   NNODES=4                  how many there are
#   HEAD=first-machine:29500  one of them, and a free port there
#   JOB_ID=convnet-1          a name for this run only: a second start with the same name resumes the run
set -euo pipefail
nnodes=${NNODES:-1}
nproc=${NPROC:?set it to the number of processes on this machine, one per GPU}
if [ "$nnodes" -gt 1 ]; then : "${HEAD:?}" "${JOB_ID:?}"; fi

# otherwise restarted processes may find the addresses of the old ones, and wait for them forever
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec torchrun \
    --nnodes="$nnodes" --nproc-per-node="$nproc" --max-restarts=3 \
    --rdzv-backend=c10d --rdzv-endpoint="${HEAD:-localhost:0}" --rdzv-id="${JOB_ID:-$(hostname)-$$-$(date +%s)}" \
    train.py "$@" --trainer.num_nodes "$nnodes" --trainer.devices "$nproc"
