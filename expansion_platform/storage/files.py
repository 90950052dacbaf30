"""The Parquet files of a Delta table: which are of a month, which are small, what may be read of them.

Here: pure functions of Delta tables, their files' names and datasets. Not here: reading and committing tables
(`lake.py`), rows (`rows.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
from deltalake import ColumnProperties, DeltaTable, WriterProperties
from deltalake.transaction import AddAction

from expansion_platform.domain.core.errors import DataQualityError

SMALL_FILE = 16 << 20
Log = tuple[int, int, int, str]
"""What `log_of` says of a table's log."""


@dataclass(frozen=True)
class File:
    """A Parquet file of one month that no commit names yet.

    Its path from the table's folder, size in bytes, rows, and when it was written.
    """

    path: str
    size: int
    month: str
    rows: int
    written_ms: int

    @property
    def action(self) -> AddAction:
        """What a commit says of it."""
        return AddAction(
            self.path,
            self.size,
            {"month": self.month},
            self.written_ms,
            True,
            json.dumps({"numRecords": self.rows}),
        )


def written(folder: Path, table: pa.Table) -> list[File]:
    """Writes the rows of each month, which follow each other, into a file of its own.

    The column of the month is left to the folder's name.

    Each attempt writes under names of its own, so two of them never meet.
    """
    months = pc.run_end_encode(table["month"].combine_chunks())
    rows, first, found = table.drop_columns("month"), 0, []
    for month, beyond in zip(months.values.to_pylist(), months.run_ends.to_pylist(), strict=True):
        path = f"month={month}/part-{uuid.uuid4()}.parquet"
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(rows.slice(first, beyond - first), place, compression="snappy")
        stat = place.stat()
        found.append(File(path, stat.st_size, month, beyond - first, stat.st_mtime_ns // 1_000_000))
        first = beyond
    return found


def refuse_others(folder: Path, found: Sequence[File], months: Sequence[str]) -> None:
    """Raises DataQualityError for files that are no files of some months, or not as they were written.

    A commit checks nothing by itself.
    """
    outside = sorted({file.month for file in found} - set(months))
    wrong = [
        file.path
        for file in found
        if not (folder / file.path).is_file() or (folder / file.path).stat().st_size != file.size
    ]
    if outside or wrong or len({file.path for file in found}) != len(found):
        raise DataQualityError(
            f"{folder}: files that cannot be committed", [*outside, *wrong] or [file.path for file in found]
        )


def small_files(table: DeltaTable) -> int:
    """How many of its files are under 16 MB."""
    return sum(
        size < SMALL_FILE for size in pa.table(table.get_add_actions(flatten=True))["size_bytes"].to_pylist()
    )


def log_of(path: Path) -> Log:
    """What shows that a table's log has changed: its folder, when a file was last added, how many, the last.

    OSError where there is none.
    """
    folder = path / "_delta_log"
    names, status = [entry.name for entry in folder.iterdir()], folder.stat()
    return status.st_ino, status.st_mtime_ns, len(names), max(names, default="")


def rows_by_month(table: DeltaTable) -> dict[str, int]:
    """Rows of each month of a monthly table, as counted when its files were written."""
    files = pa.table(table.get_add_actions(flatten=True))
    counts = files.group_by("partition.month").aggregate([("num_records", "sum")])
    return dict(
        zip(counts["partition.month"].to_pylist(), counts["num_records_sum"].to_pylist(), strict=True)
    )


def dataset_of(table: DeltaTable, dictionaries: Collection[str] = ()) -> pyarrow.dataset.FileSystemDataset:
    """The files of a table, opened by Arrow itself.

    `dictionaries` are columns that come as the dictionaries their files hold.

    Through deltalake's own file system Arrow's threads call Python. One that did so while the process ended
    aborted it ("terminate called without an active exception"): 3 to 9 of 100 runs of `expansion month` on a
    busy machine, after all was printed.
    """
    system, folder = pyarrow.fs.FileSystem.from_uri(table.table_uri)
    options = pyarrow.dataset.ParquetReadOptions(dictionary_columns=set(dictionaries))
    # Without files: it would make an expression of each one's statistics, 45 ms for 60 of them.
    found = table.to_pyarrow_dataset(
        filesystem=pyarrow.fs.SubTreeFileSystem(folder, system),
        parquet_read_options=options,
        file_pruning_predicate="false",
    )
    fragments = [_fragment(found, uri) for uri in table.file_uris()]
    return pyarrow.dataset.FileSystemDataset(fragments, found.schema, found.format, found.filesystem)


def _fragment(found: pyarrow.dataset.FileSystemDataset, uri: str) -> pyarrow.dataset.Fragment:
    """One file, of which only its month is known without opening it.

    The log has a column without statistics (`text_columns_unmeasured`) as all null, so a filter would skip
    the file. Row groups are still skipped by Parquet's own statistics of numbers and instants.
    """
    month, name = month_of(uri), Path(uri).name
    return found.format.make_fragment(
        f"month={month}/{name}" if month else name,
        filesystem=found.filesystem,
        partition_expression=pc.field("month") == month if month else None,
    )


def but(table: DeltaTable, uris: set[str]) -> pyarrow.dataset.Dataset:
    """A version of a table without some of its files."""
    found, left_out = dataset_of(table), {Path(uri).name for uri in uris}
    fragments = [fragment for fragment in found.get_fragments() if Path(fragment.path).name not in left_out]
    return pyarrow.dataset.FileSystemDataset(fragments, found.schema, found.format, found.filesystem)


def identity(names: list[str]) -> str:
    """One name for a set of files."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16] if names else "absent"


def month_of(uri: str) -> str | None:
    """The month of the partition a file is in."""
    match = re.search(r"/month=(\d{4}-\d{2})/", uri)
    return match[1] if match else None


def text_columns_unmeasured(schema: pa.Schema) -> WriterProperties:
    """A merge writes texts as `string_view`.

    Against statistics of that type Arrow fails on any filter by a text, from SQL too.
    """
    unmeasured = ColumnProperties(statistics_enabled="NONE")
    return WriterProperties(
        column_properties={field.name: unmeasured for field in schema if field.type == pa.string()}
    )
