"""States and runs to put into a store."""

from __future__ import annotations

from replay.record import EngineInfo, Host, OutputRecord, OutputSpec, Reason, RunRecord
from replay.state import LAYERS, ReleaseState
from replay.store.base import BlobRef, Store


def add_state(store: Store, job: str = "churn") -> str:
    """Keep a small state of six layers and return its id."""
    layers = {name: store.put(f"{name} of {job}".encode()) for name in LAYERS}
    refs = [BlobRef(entry.blob, entry.size, "text/plain", name) for name, entry in layers.items()]
    state = ReleaseState(job=job, outputs={"scores": "out.csv"}, layers={n: e.blob for n, e in layers.items()})
    return store.add_state(state, refs)


def record(store: Store, state: str, number: int, reason: Reason = "run", job: str = "churn") -> RunRecord:
    """Return the record of run `number`, its log and output kept."""
    output = OutputRecord(
        spec=OutputSpec(path="out.csv"), files={"out.csv": store.put(f"id,score\n{number},1\n".encode())}
    )
    return RunRecord(
        state=state,
        job=job,
        reason=reason,
        engine=EngineInfo(name="local"),
        started=f"2024-10-01T00:00:{number:02}Z",
        exit_code=0,
        outputs={"scores": output},
        log=store.put(f"log of {number}\n".encode()).blob,
        host=Host(),
    )


def add_runs(store: Store, state: str, count: int, first: int = 0) -> list[str]:
    """Record runs of a state and return their ids."""
    return [store.add_run(record(store, state, number)) for number in range(first, first + count)]
