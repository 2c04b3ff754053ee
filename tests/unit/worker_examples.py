"""What an isolated worker may meet: a good reader, and every way to fail. Loaded by name in the child process."""

import os
import signal
import time


class Panic(BaseException):
    """As a Rust panic shows up in Python: not an Exception."""


class Reader:
    def __init__(self, path: str = "x"):
        if path == "missing":
            raise FileNotFoundError(path)
        if path == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        self.path, self.calls = path, 0

    def double(self, value):
        self.calls += 1
        return 2 * value

    def count(self):
        return self.calls

    def refuse(self):
        raise ValueError("line 7: not a number")

    def crash(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(self):
        os._exit(9)

    def panic(self):
        raise Panic("index out of bounds")

    def hang(self):
        time.sleep(60)

    def swell(self):
        return len(bytearray(4 << 30))

    def pid(self):
        return os.getpid()


def product(a, b):
    return a * b
