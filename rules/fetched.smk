# What other rules ask of fetched files. No rules.

from seqmill.config.experiments import EXPERIMENTS
from seqmill.config.remote import FETCHED


def tracked(paths):
    """Source files as inputs of rules: what is fetched or made of reads is tracked by the marker of its folder."""
    return [
        str(
            path.parent / "marker.json"
            if {FETCHED, EXPERIMENTS} & {*path.parents}
            else path
        )
        for path in map(Path, paths)
    ]


def pinned(source):
    """What decides the content of a folder of fetched files: not where the bytes are had from."""
    rows = PROJECT.locked.rows.get(label_of(source), [])
    return json.dumps([[row.file, row.role, row.bytes, row.digest] for row in rows])


def fetched_markers():
    """Folders of the fetched files that the configuration uses."""
    return [f"results/sources/{slug(name)}/marker.json" for name in PROJECT.fetched()]
