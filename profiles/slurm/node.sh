#!/usr/bin/env bash
# A Slurm of one node on this machine, started by hand as root. Usage: node.sh start|stop STATE_FOLDER
# Needs Debian's slurm-wlm and munge.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
action=$1
state=$2

conf=/etc/slurm/slurm.conf # the executor drops SLURM_CONF inside jobs, so the usual place must lead to ours

stop() {
  [ "$(readlink "$conf")" = "$state/slurm.conf" ] && rm -f "$conf"
  for name in slurmd slurmctld munged; do
    [ -f "$state/$name.pid" ] && kill "$(cat "$state/$name.pid")" 2>/dev/null || true
  done
}

case $action in
  stop) stop ;;
  start)
    if [ -L "$conf" ] && [ ! -e "$conf" ]; then rm -f "$conf"; fi # left by a killed demo
    if [ -e "$conf" ]; then
      echo "slurm: $conf exists: this machine belongs to a Slurm already; use 'snakemake --profile profiles/slurm'" >&2
      exit 1
    fi
    mkdir -p "$state/ctld" "$state/d" "$state/munge"
    host=$(hostname -s)
    # ports of this run alone, so that two checkouts do not meet
    port=$((20000 + $(printf %s "$state" | cksum | cut -d' ' -f1) % 20000))
    cpus=$(nproc)
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    sed -e "s|@HOST@|$host|g; s|@STATE@|$state|g; s|@PORT@|$port|; s|@PORT2@|$((port + 1))|; s|@CPUS@|$cpus|; s|@MEMORY@|$memory|" \
      "$here/slurm.conf.in" >"$state/slurm.conf"
    chmod 700 "$state/munge"
    [ -f "$state/munge/key" ] || dd if=/dev/urandom of="$state/munge/key" bs=1024 count=1 status=none
    chmod 600 "$state/munge/key"
    export SLURM_CONF="$state/slurm.conf"
    mkdir -p /etc/slurm
    ln -s "$SLURM_CONF" "$conf"
    munged --force --key-file="$state/munge/key" --socket="$state/munge/socket" --pid-file="$state/munged.pid" \
      --log-file="$state/munge/log" --seed-file="$state/munge/seed" >/dev/null
    echo "AuthInfo=socket=$state/munge/socket" >>"$state/slurm.conf"
    slurmctld -c >/dev/null
    slurmd -N "$host" >/dev/null
    for _ in $(seq 100); do
      sinfo -h -o %T 2>/dev/null | grep -qE "idle|mixed|allocated" && exit 0
      sleep 0.2
    done
    echo "slurm: the node did not come up; see $state/slurmctld.log and $state/slurmd.log" >&2
    stop
    exit 1
    ;;
esac
