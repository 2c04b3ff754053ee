"""A portal on 127.0.0.1 for tests and benchmarks: answers, files and faults. Needs nothing but the standard library."""

from .faults import Fault
from .files import stand_in
from .server import Portal, Reply, Request

__all__ = ["Fault", "Portal", "Reply", "Request", "stand_in"]
