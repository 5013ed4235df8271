"""What a request and a worker may cost: the budgets of the design, in one place.

Used by scenarios.py and identities.py, which say what each holds for, and by report.py, which judges.
"""

from dataclasses import dataclass

MEMORY_KIB = 4096


@dataclass(frozen=True)
class Budget:
    """What a request may cost beside plain proxy_pass with the same request."""

    instructions: int  # more than it
    cpu_ratio: float


ROUTE = Budget(900, 1.02)
REMEMBERED_TOKEN = Budget(1500, 1.03)


def first_hs256(token_bytes):
    """Instructions that the first request with a token may take more than later ones, which find it remembered."""
    return 10_000 + 35 * token_bytes
