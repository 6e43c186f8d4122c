"""Arrow IPC, in its two containers: a file that knows where its batches lie, and a stream.

https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"ARROW1"
"""What the file container begins with."""

Container = Literal["file", "stream"]


def opened(source: pa.NativeFile) -> tuple[pa.RecordBatchFileReader | pa.RecordBatchStreamReader, Container]:
    """Return the reader of what begins here, and its container. Raises pyarrow.ArrowException, OSError."""
    import pyarrow as pa

    container: Container = "file" if source.read(len(MAGIC)) == MAGIC else "stream"
    source.seek(0)
    return (pa.ipc.open_file if container == "file" else pa.ipc.open_stream)(source), container


def batches(reader: pa.RecordBatchFileReader | pa.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    """Yield the batches of either container, one at a time. Raises as `opened` does."""
    import pyarrow as pa

    if isinstance(reader, pa.RecordBatchFileReader):
        yield from map(reader.get_batch, range(reader.num_record_batches))
    else:
        yield from reader
