"""What a request and a worker may cost, in one place: the budgets of the design, and where it has none, what we hold to.

Used by scenarios.py and identities.py, which say what each holds for, and by report.py, which judges.
"""

from dataclasses import dataclass

MEMORY_KIB = 4096


@dataclass(frozen=True)
class Budget:
    """What a request may cost beside plain proxy_pass with the same request."""

    instructions: int  # more than it
    cpu_ratio: float


# Of the design, with a pin: a request of a page, which most are, is told by it alone.
ROUTE = Budget(900, 1.02)
REMEMBERED_TOKEN = Budget(1500, 1.03)
# Ours, without: each request asks for routes, the user and the token.
ROUTE_BY_ITSELF = Budget(1500, 1.02)
TOKEN_BY_ITSELF = Budget(1900, 1.03)
# Ours, for requests of a page that are no files, on top.
OF_API, OF_NAVIGATION = 1300, 1900


def first_hs256(token_bytes):
    """Instructions that the first request with a token may take more than later ones, which find it remembered."""
    return 10_000 + 35 * token_bytes
