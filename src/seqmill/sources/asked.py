"""The wish lives in `seqmill.config.asked`, where the sheet makes it."""

from seqmill.config.asked import Asked as Asked
