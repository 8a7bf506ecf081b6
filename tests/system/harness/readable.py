"""Waiting for descriptors, of which a test that runs for long has more than select(2) knows (1,024)."""

import selectors


def readable(files, seconds=None):
    """Those that are readable within so many seconds, in their order."""
    with selectors.PollSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        ready = {key.fileobj for key, _ in selector.select(seconds)}
    return [file for file in files if file in ready]
