#!/usr/bin/env bash
# Runs the demo through a real Slurm of one node on this machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for program in slurmctld slurmd munged; do
  command -v "$program" >/dev/null || { echo "slurm-demo: $program is missing; apt-get install slurm-wlm munge" >&2; exit 1; }
done
[ "$(id -u)" -eq 0 ] || { echo "slurm-demo: the Slurm daemons are started by hand and need root" >&2; exit 1; }
state=$(mktemp -d)
trap 'bash "$here/node.sh" stop "$state"; sleep 1; rm -rf "$state"' EXIT
bash "$here/node.sh" start "$state"
echo "slurm-demo: one-node Slurm is up ($(sinfo -h -o '%P %D node, %C CPUs A/I/O/T'))"
snakemake --profile "$here" --jobs 4 --latency-wait 10 --slurm-init-seconds-before-status-checks 5 "$@"
