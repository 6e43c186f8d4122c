"""What differs between two outputs, and is it more than noise. Pure rules; `replay.outputs` reads the files."""

from replay.compare.difference import HARMLESS, Difference
from replay.compare.distribution import Shift, shift
from replay.compare.divergence import bytes_divergence, divergence, document_divergence
from replay.compare.documents import compare_bytes, compare_documents
from replay.compare.tables import compare_tables
from replay.compare.tolerance import Tolerance, noise_floor

__all__ = [
    "HARMLESS",
    "Difference",
    "Shift",
    "Tolerance",
    "bytes_divergence",
    "compare_bytes",
    "compare_documents",
    "compare_tables",
    "divergence",
    "document_divergence",
    "noise_floor",
    "shift",
]
