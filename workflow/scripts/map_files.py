"""What browsers and motif discovery read of a map, and its pictures."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.effects.maps.files import write_map_files

    write_map_files(
        noun(snakemake.output[0]),
        map_folder=noun(snakemake.input.map),
        genome=noun(snakemake.input.genome) if snakemake.input.genome else None,
        pictures=snakemake.params.pictures,
        exports=snakemake.params.exports,
    )
