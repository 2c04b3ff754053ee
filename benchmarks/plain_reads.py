"""The same work with the plain tools, as one would type it: ENCODE's filters, signal and peaks, step by step.

bowtie2, cutadapt, samtools, bedtools, awk and macs as found on PATH; no seqmill code takes part.
"""

import os
import resource
import subprocess
import threading
import time
from pathlib import Path

import psutil

# Trim, align, filter, mark duplicates, as ENCODE (atac and chip-seq-pipeline2 v2.2.3, without multi-mappers).
PAIRED = """
cutadapt -j {threads} {trim} -o t1.fq.gz -p t2.fq.gz {reads1} {reads2} > cutadapt.log
bowtie2 -X 2000 --mm -p {threads} -x {index} -1 t1.fq.gz -2 t2.fq.gz 2> bowtie2.log | samtools sort -o raw.bam -
samtools view -F 1804 -f 2 -q 30 -u raw.bam | samtools sort -n -o names.bam -
samtools fixmate -r -m names.bam fixed.bam
samtools view -F 1804 -f 2 -u fixed.bam | samtools sort -o sorted.bam -
samtools markdup sorted.bam marked.bam
samtools view -F 1804 -f 2 -b marked.bam > final.bam
samtools sort -n -o final.names.bam final.bam
bedtools bamtobed -bedpe -mate1 -i final.names.bam | awk -v OFS='\t' '$1 !~ /^({excluded})$/ {{
  print $1, $2, $3, "N", 1000, $9; print $4, $5, $6, "N", 1000, $10 }}' > tags.bed
"""
SINGLE = """
cutadapt -j {threads} {trim} -o t1.fq.gz {reads1} > cutadapt.log
bowtie2 --mm -p {threads} -x {index} -U t1.fq.gz 2> bowtie2.log | samtools sort -o raw.bam -
samtools view -F 1804 -q 30 -b raw.bam > sorted.bam
samtools markdup sorted.bam marked.bam
samtools view -F 1804 -b marked.bam > final.bam
bedtools bamtobed -i final.bam | awk -v OFS='\t' '$1 !~ /^({excluded})$/ {{ $4 = "N"; $5 = 1000; print }}' > tags.bed
"""
# A table of fragments instead of reads: tags of 50 bases at both ends, as reads would be.
FRAGMENTS = """
zcat {reads1} | awk -v OFS='\t' '$1 !~ /^({excluded})$/ {{
  print $1, $2, $2 + 50, "N", 1000, "+"; print $1, ($3 > 50 ? $3 - 50 : 0), $3, "N", 1000, "-" }}' > tags.bed
"""
# Cut sites: 5' ends of tags moved by +4 and -5.
CUTS = """
awk -v OFS='\t' '{{ if ($6 == "+") $2 += 4; else $3 -= 5; if ($2 < $3) print }}' tags.bed > cuts.bed
sort -k1,1 cuts.bed | bedtools genomecov -5 -bg -i - -g {sizes} > cut_sites.bedgraph
mv cuts.bed tags.bed
"""
# macs would take the mean length of the first ten reads for that of all, and close gaps in peaks up to it: say it.
CALL = "macs2 callpeak -f BED -g {genome_bp} -p 0.01 --nomodel --keep-dup all {length} {model}"
LENGTH = "-s {read_bp}"
# macs' peaks may end behind their contig (ENCODE: bedClip -truncate).
CLIP = (
    """awk -v OFS='\\t' 'NR == FNR {{ size[$1] = $2; next }} $3 > size[$1] {{ $3 = size[$1] }} {{ print }}' {sizes}"""
)
GUESSED = f"{CALL} -t tags.bed -n guessed 2> guessed.log\n{CLIP} guessed_peaks.narrowPeak > guessed.narrowPeak\n"
# Signal of all, and peaks of all and of two halves drawn by chance; peaks of all that both halves have.
PEAKS = f"""
{CALL} -t tags.bed -n all -B --SPMR 2> macs.log
{CLIP} all_peaks.narrowPeak > peaks.narrowPeak
both="-t all_treat_pileup.bdg -c all_control_lambda.bdg --o-prefix all"
macs2 bdgcmp $both -m FE 2>> macs.log
macs2 bdgcmp $both -m ppois -S $(awk 'END {{{{ printf "%.6f", NR / 1000000 }}}}' tags.bed) 2>> macs.log
shuf --random-source=<(yes) tags.bed > shuffled.bed
split -n l/2 shuffled.bed half.
for half in half.aa half.ab; do {CALL} -t $half -n $half 2>> macs.log; done
bedtools intersect -u -f 0.5 -a peaks.narrowPeak -b half.aa_peaks.narrowPeak |
  bedtools intersect -u -f 0.5 -a - -b half.ab_peaks.narrowPeak > reproducible.narrowPeak
"""
ATAC = "--shift -75 --extsize 150 --call-summits"
CHIP = "--shift 0 --extsize {fragment_bp} -c {control}"


class Measured:
    """Seconds and peak memory of a command and all its children.

    Attributes
    ----------
    seconds : wall clock. cpu_seconds : user and system, children included.
    peak_mb : largest sum of proportional set sizes (memory that processes share counts once), every 50 ms.
    """

    def __init__(self, command: list[str], cwd: Path):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.peak_mb, done = 0.0, threading.Event()
        watcher = threading.Thread(target=self._watch, args=(process.pid, done))
        watcher.start()
        status = process.wait()
        self.seconds = time.perf_counter() - start
        done.set()
        watcher.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if status:
            raise SystemExit(f"{' '.join(command)}: exit status {status}")

    def _watch(self, pid: int, done: threading.Event) -> None:
        while not done.wait(0.05):
            total = 0
            try:
                tree = psutil.Process(pid)
                for one in [tree, *tree.children(recursive=True)]:
                    try:
                        total += one.memory_full_info().pss
                    except psutil.Error:
                        continue
            except psutil.Error:
                return
            self.peak_mb = max(self.peak_mb, total / 1e6)
