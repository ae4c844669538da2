"""Where rows live, behind one protocol: in memory, read anew, or a part of them at each visit."""

from divmix.rows.dask import DaskRows
from divmix.rows.memory import MemoryRows
from divmix.rows.minibatch import MiniBatches
from divmix.rows.protocol import AnyBlock, Block, Features, Rows
from divmix.rows.repetitions import distinct
from divmix.rows.stream import StreamedRows, Survey
from divmix.rows.summary import Summary, summarize

__all__ = [
    "AnyBlock",
    "Block",
    "DaskRows",
    "Features",
    "MemoryRows",
    "MiniBatches",
    "Rows",
    "StreamedRows",
    "Summary",
    "Survey",
    "distinct",
    "summarize",
]
