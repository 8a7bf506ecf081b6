"""What a reader says of an image that it does not read."""


class Refused(Exception):
    """`kind` is one of those of docs/format.md: too new, key needed, wrong key, corrupt, foreign, blank."""

    def __init__(self, kind, cause):
        super().__init__(f"{kind}: {cause}")
        self.kind = kind
        self.cause = cause


def must_be(holds, cause):
    if not holds:
        raise Refused("corrupt", cause)
