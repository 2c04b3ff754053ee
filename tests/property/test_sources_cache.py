"""The cache against a dictionary of what it should hold, through any order of what users and accidents do to it."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from seqmill.config.lock import LockRow
from seqmill.sources.cache import Cache

CONTENTS = [b"", b"a", b"b", b"abc", b"x" * 50]
contents = st.sampled_from(CONTENTS)
kinds = st.sampled_from(["md5", "sha256"])


def row_of(content: bytes, kind: str) -> LockRow:
    sums = {kind: hashlib.new(kind, content).hexdigest()}
    return LockRow(name="t", asked="t", file="a", source="url", accession="", url="u", bytes=len(content), **sums)


class CacheMachine(RuleBasedStateMachine):
    """``held``: content -> bytes that are there now. ``links``: contents that a project links to."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.cache = Cache(self.folder / "cache")
        self.held: dict[bytes, bytes] = {}
        self.links: set[bytes] = set()

    def teardown(self):
        shutil.rmtree(self.folder)

    def link(self, content: bytes) -> Path:
        return self.folder / hashlib.sha256(content).hexdigest()

    @rule(content=contents, kind=kinds, came=contents)
    def fetch(self, content, kind, came):
        """A download of ``content`` that brings ``came``."""
        row = row_of(content, kind)
        with self.cache.hold(row):
            part = self.cache.part(row)
            part.write_bytes(came)
            sha256, md5 = (hashlib.new(name, came).hexdigest() for name in ("sha256", "md5"))
            try:
                path = self.cache.admit(part, row, sha256, md5)
            except ValueError:
                assert came != content
                return
        assert came == content and path.read_bytes() == content
        self.leave(content)  # the object is a new file; an older link is to the one before
        self.held[content] = content

    @rule(content=contents)
    def use(self, content):
        """A project links to a file."""
        path = self.cache.find(row_of(content, "sha256"))
        if path and content not in self.links:
            os.link(path, self.link(content))
            self.links.add(content)

    @rule(content=contents)
    def leave(self, content):
        """The project is deleted."""
        self.links.discard(content)
        self.link(content).unlink(missing_ok=True)

    @rule(content=contents, other=st.binary(max_size=4))
    def damage(self, content, other):
        """The disk, or somebody, changes a file."""
        path = self.cache.object(hashlib.sha256(content).hexdigest())
        if content in self.held:
            os.chmod(path, 0o644)
            path.write_bytes(other)
            self.held[content] = other

    @rule(unused=st.booleans())
    def prune(self, unused):
        gone = {entry.sha256 for entry in self.cache.prune(unused=unused)}
        expected = {content for content in self.held if not unused or content not in self.links}
        assert gone == {hashlib.sha256(content).hexdigest() for content in expected}
        for content in expected:
            del self.held[content]

    @rule()
    def check(self):
        damaged = {content for content, now in self.held.items() if now != content}
        found = self.cache.check()
        assert {entry.sha256 for entry in found} == {hashlib.sha256(content).hexdigest() for content in damaged}
        for entry in found:
            self.cache.drop(entry.sha256)
        for content in damaged:
            del self.held[content]

    @invariant()
    def what_is_held_is_found(self):
        for content in CONTENTS:
            there = content in self.held and len(self.held[content]) == len(content)
            for kind in ("md5", "sha256"):
                path = self.cache.find(row_of(content, kind))
                assert (path is not None) == there
                assert path is None or path.read_bytes() == self.held[content]
        assert sorted(entry.bytes for entry in self.cache.entries()) == sorted(map(len, self.held.values()))
        assert not list(self.cache.folder.glob("parts/*.lock"))


CacheMachine.TestCase.settings = settings(deadline=None, max_examples=25, stateful_step_count=25)
TestCache = CacheMachine.TestCase
