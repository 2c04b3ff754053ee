# seqmill: from sequencing tracks to trained sequence models and a report.
# Without --configfile the embedded demo of config/config.yaml runs.

from snakemake.utils import min_version

min_version("9.22")

if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/runs.smk"
include: "rules/fetched.smk"
include: "rules/libraries.smk"
include: "rules/tuning.smk"
include: "rules/simulation.smk"
include: "rules/sources.smk"
include: "rules/genome.smk"
include: "rules/reads.smk"
include: "rules/tracks.smk"
include: "rules/datasets.smk"
include: "rules/models.smk"
include: "rules/searches.smk"
include: "rules/curves.smk"
include: "rules/effects.smk"
include: "rules/maps.smk"
include: "rules/motifs.smk"
include: "rules/variants.smk"
include: "rules/measured.smk"
include: "rules/exports.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        final_outputs(),


rule sources:
    input:
        fetched_markers(),


rule datasets:
    input:
        dataset_markers(),


rule tracks:
    input:
        track_markers(),


rule qualities:
    input:
        quality_table(),


rule browser:
    input:
        export_markers(),


onstart:
    hold_run_lock()
    check_models()


onsuccess:
    say_summary()


onerror:
    say_errors(log)
