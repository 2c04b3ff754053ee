"""Simulate the demo's world."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.simulation import SimulationSettings
    from seqmill.simulate.world import simulate_world

    simulate_world(noun(snakemake.output[0]), SimulationSettings.model_validate_json(snakemake.params.settings))
