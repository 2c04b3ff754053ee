#!/usr/bin/env bash
# Make sure that programs which are not Python packages are there.
# Usage: envs/system.sh PROGRAM[=DEBIAN_PACKAGE] ...
# Installs what is missing with apt (as root or by sudo), else conda or mamba; else prints the line to type and fails.
set -u
missing=()
for entry in "$@"; do
  command -v "${entry%%=*}" >/dev/null 2>&1 || missing+=("${entry##*=}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
# Packages that conda calls otherwise than Debian.
conda_names=()
for package in "${missing[@]}"; do
  case $package in
    sra-toolkit) conda_names+=(sra-tools) ;;
    macs) conda_names+=(macs2) ;;
    *) conda_names+=("$package") ;;
  esac
done

echo "set-up: installing ${missing[*]}"
if command -v apt-get >/dev/null 2>&1; then
  if [ "$(id -u)" -eq 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo); else as_root=(false); fi
  if [ "${as_root[*]-}" != false ]; then
    "${as_root[@]}" apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null && exit 0
  fi
fi
for conda in mamba conda; do
  if command -v "$conda" >/dev/null 2>&1; then
    "$conda" install -y -q -c conda-forge -c bioconda "${conda_names[@]}" && exit 0
  fi
done
echo "set-up: not installed. Please run: apt-get install ${missing[*]}   (or: conda install -c bioconda ${conda_names[*]})" >&2
exit 1
