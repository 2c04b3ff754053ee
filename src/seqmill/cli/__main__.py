"""``python -m seqmill.cli``."""

import sys

from seqmill.cli.command import main

sys.exit(main())
