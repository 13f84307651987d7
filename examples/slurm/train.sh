#!/usr/bin/env bash
# A training run as a Slurm job of as many processes as it has tasks. It may be preempted, and goes on when its time is
# over: Slurm then starts it again with the same arguments.
#
#   RUN=runs/mine sbatch examples/slurm/train.sh --recipe omniglot --data ~/omniglot --set batch_size=16
#
# RUN is the run folder, on a file system that all nodes share; the arguments are those of `scratchnet train`. The
# number of tasks has to divide batch_size. Adapt the lines below, and activate your environment before sbatch.
#
#SBATCH --job-name=scratchnet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

run=${RUN:?"set RUN to the run folder"}
arguments=("$@" --out "$run")
[[ ! -e $run/state.npz ]] || arguments+=(--resume)
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}

trap : TERM # of this shell: the processes get it as well, and save
code=0
srun --mpi=pmix --kill-on-bad-exit=1 --cpu-bind=cores scratchnet train "${arguments[@]}" || code=$?

case $code in
    138) # SIGUSR1, two minutes before the end of its time; all is saved
        scontrol requeue "$SLURM_JOB_ID"
        ;;
    143) # SIGTERM; all is saved. Slurm ends this job, and starts it again if it was preempted, not if it was cancelled.
        sleep "${LINGER:-600}" || true
        ;;
esac
exit "$code"
