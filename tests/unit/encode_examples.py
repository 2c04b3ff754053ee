"""Records of the ENCODE portal for tests: made up, with the portal's own test accessions, and the recorded ones."""

from contextlib import contextmanager
from pathlib import Path

from tests.portal import Portal
from tests.portal.encode import Encode

from seqmill.config.asked import Asked
from seqmill.sources.encode import resolve_encode
from seqmill.sources.web import Web


@contextmanager
def portal_with(folder: Path, recorded: Path | None = None, **sources):
    """(records, sources, ask) of a portal; ``ask(location, **wish)`` resolves. ``recorded``: folder of test data."""
    with Portal() as portal:
        encode = Encode(portal)
        if recorded:
            encode.load_recorded(recorded / "metadata/ffq/ENCSR998WNE.txt")
            encode.load_fixtures(recorded / "metadata/encoded_inserts")
        chosen = portal.sources(folder).model_copy(update=sources)
        with Web(chosen) as web:

            def ask(location, **wish):
                return resolve_encode(Asked("t", location, where="tracks.tsv", **wish), web, chosen)

            ask.web, ask.portal = web, portal
            yield encode, chosen, ask
