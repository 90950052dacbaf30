"""Delta tables, one folder a table: `ROOT/floor/table`, replaced a month at a time or merged by key.

Here: reading and committing frames of a declared model, and cheap identity of what is stored. Not here: what
the tables mean (`domain/`), SQL over them (`engine.py`), operational state (`ledger/`).

Contracts (architecture section 4): a commit is atomic; a commit that would change nothing is not made, so a
table's files change exactly when its content does and `state()` can see it from the file names alone. Only
`compact` changes files alone, once in dozens of commits: what depends on them is looked at once more and
found the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError

from expansion_platform.domain.core.errors import DataQualityError, ExpansionError
from expansion_platform.domain.core.table import (
    Table,
    added,
    arrow_schema,
    key,
    partitioned_by,
    table_name,
    to_pandas,
)
from expansion_platform.storage import files
from expansion_platform.storage.files import (
    File,
    Log,
    but,
    dataset_of,
    identity,
    log_of,
    month_of,
    rows_by_month,
    small_files,
    text_columns_unmeasured,
)
from expansion_platform.storage.rows import (
    among,
    changed_rows,
    conform,
    content_hash,
    ordered,
    with_deletions,
    with_dictionaries,
)
from expansion_platform.storage.scan import Scan


@dataclass(frozen=True)
class Commit:
    """What a write did: rows written or removed and the Delta version now current.

    `changed` is False when nothing had to be written.
    """

    table: str
    changed: bool
    rows: int
    version: int | None


MANY_FILES = 64
ABSENT = "absent"
"""`state` of a table that was never made, and of a month without rows."""
Point = tuple[str, int]
"""A table at a time: its identity and version."""


class Lake:
    """The tables under one root folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._tables: dict[str, tuple[Log, DeltaTable]] = {}
        self._datasets: dict[tuple[str, frozenset[str]], tuple[tuple[str, int], pyarrow.dataset.Dataset]] = {}

    def __reduce__(self) -> tuple[type[Lake], tuple[Path]]:
        """The folder only: another process looks for itself, and open tables cannot be sent to one."""
        return Lake, (self.root,)

    def path(self, model: type[Table]) -> Path:
        """Folder of the table."""
        return self.root / table_name(model)

    def exists(self, model: type[Table]) -> bool:
        """Whether anything was ever committed."""
        return DeltaTable.is_deltatable(str(self.path(model)))

    def version(self, model: type[Table]) -> int | None:
        """Newest Delta version, None before the first commit."""
        return self._open(model).version() if self.exists(model) else None

    def state(self, model: type[Table], months: Iterable[str] | None = None) -> str:
        """Identity of the stored content (of some months): equal exactly when no commit touched it.

        Reads the log, no data.
        """
        if not self.exists(model):
            return ABSENT
        return identity([Path(uri).name for uri in self._files(self._open(model), months)])

    def states(self, model: type[Table]) -> dict[str, str]:
        """`state` of each month the table holds rows of, from one look at the log."""
        if not self.exists(model):
            return {}
        files: dict[str, list[str]] = {}
        for uri in self._open(model).file_uris():
            if month := month_of(uri):
                files.setdefault(month, []).append(Path(uri).name)
        return {month: identity(names) for month, names in files.items()}

    def months(self, model: type[Table]) -> list[str]:
        """Months the table holds rows of, sorted."""
        if not self.exists(model):
            return []
        return sorted({month for uri in self._open(model).file_uris() if (month := month_of(uri))})

    def dataset(self, model: type[Table], *, dictionaries: Collection[str] = ()) -> pyarrow.dataset.Dataset:
        """The newest version as an Arrow dataset for an engine to scan.

        Empty with the right columns before the first commit.

        `dictionaries` are columns that come as the dictionaries their files hold, so that a text that repeats
        is in memory once.
        """
        if not self.exists(model):
            return pyarrow.dataset.dataset(with_dictionaries(arrow_schema(model), dictionaries).empty_table())
        table, asked = self._open(model), (table_name(model), frozenset(dictionaries))
        committed = (str(table.metadata().id), table.version())
        known = self._datasets.get(asked)
        # Listing the files of 36 months takes 0.1 s, and a range run reads each month of a table.
        if known is None or known[0] != committed:
            found = dataset_of(table, dictionaries)
            lacking = [field for field in arrow_schema(model) if field.name not in found.schema.names]
            known = (
                committed,
                found.replace_schema(pa.schema([*found.schema, *lacking])) if lacking else found,
            )
            self._datasets[asked] = known
        return known[1]

    def arrow(
        self,
        model: type[Table],
        months: Sequence[str] | None = None,
        where: pyarrow.dataset.Expression | None = None,
    ) -> pa.Table:
        """Rows in key order, in the model's Arrow schema.

        Of some months, or those an expression is true of.
        """
        if months is not None:
            in_months = among("month", months)
            where = in_months if where is None else in_months & where
        return ordered(model, conform(model, self.dataset(model).to_table(filter=where)))

    def read(
        self,
        model: type[Table],
        months: Sequence[str] | None = None,
        where: pyarrow.dataset.Expression | None = None,
    ) -> pd.DataFrame:
        """`arrow` as a pandas frame."""
        return to_pandas(self.arrow(model, months, where))

    def read_coded(
        self, model: type[Table], coded: Collection[str], *, without: Collection[str] = ()
    ) -> pd.DataFrame:
        """All rows in key order, `coded` columns (texts that repeat and are never null) as categoricals.

        For tables of millions of rows: 1.5M item states take 0.2 GB where texts take 0.4, and rules compare
        codes instead of texts.
        """
        names = [name for name in arrow_schema(model).names if name not in without]
        return to_pandas(self.pruned(model, columns=names, coded=coded, in_order=True))

    def pruned(
        self,
        model: type[Table],
        *,
        columns: Sequence[str] | None = None,
        months: Sequence[str] | None = None,
        where: pyarrow.dataset.Expression | None = None,
        coded: Collection[str] = (),
        in_order: bool = False,
    ) -> pa.Table:
        """Some columns of some rows, in the model's types.

        In key order where asked and where the key is among the columns.

        Args:
            model: the table.
            columns: all without.
            months: of a monthly table.
            where: only rows for which it is true.
            coded: texts that repeat and are never null, as dictionaries: 1.5M item states take 0.2 GB where
                texts take 0.4.
            in_order: whether rows come in the order of the key.
        """
        schema = with_dictionaries(arrow_schema(model), coded)
        names = list(columns) if columns is not None else schema.names
        if months is not None:
            where = among("month", months) if where is None else among("month", months) & where
        table = self.dataset(model, dictionaries=coded).to_table(columns=names, filter=where)
        table = table.cast(pa.schema([schema.field(name) for name in names])).replace_schema_metadata(None)
        if coded:
            table = table.unify_dictionaries()
        return ordered(model, table) if in_order and set(key(model)) <= set(names) else table

    def scan(
        self, model: type[Table], *, columns: Sequence[str] | None = None, months: Sequence[str] | None = None
    ) -> Scan:
        """Some columns of some months for a query to read, without having them in memory; see `pruned`."""
        schema = arrow_schema(model)
        paths = sorted(self._files(self._open(model), months)) if self.exists(model) else []
        return Scan(paths, pa.schema([schema.field(name) for name in columns or schema.names]))

    def rows(self, model: type[Table], months: Sequence[str] | None = None) -> int:
        """Number of rows (of some months)."""
        where = None if months is None else among("month", months)
        return int(self.dataset(model).count_rows(filter=where))

    def rows_by_month(self, model: type[Table], months: Sequence[str]) -> dict[str, int]:
        """Number of rows of those of some months of a monthly table that have any, as the log has it."""
        if not self.exists(model):
            return {}
        counts = rows_by_month(self._open(model))
        return {month: counts[month] for month in months if month in counts}

    def head(self, model: type[Table], count: int, months: Sequence[str] | None = None) -> pd.DataFrame:
        """A few rows, for a preview."""
        where = None if months is None else among("month", months)
        return to_pandas(conform(model, self.dataset(model).head(count, filter=where)))

    def content_hash(self, model: type[Table], months: Sequence[str] | None = None) -> str:
        """SHA-256 over the rows as text in key order.

        Equal content, equal hash, whatever the files look like.
        """
        return content_hash(self.arrow(model, months))

    def frame_hash(self, model: type[Table], frame: pd.DataFrame, *, without: Sequence[str] = ()) -> str:
        """`content_hash` of rows that are not stored yet, of all columns or without some."""
        return content_hash(ordered(model, conform(model, frame)).drop_columns(list(without)))

    def replace(
        self,
        model: type[Table],
        frame: pd.DataFrame,
        *,
        months: Sequence[str] | None = None,
        info: dict[str, Any] | None = None,
    ) -> Commit:
        """Replaces the whole table, or exactly `months` of a monthly table, in one commit.

        No commit when the rows are the same.

        Raises:
            DataQualityError: rows outside `months`.
        """
        table = ordered(model, conform(model, frame))
        monthly = partitioned_by(model) is not None
        if monthly:
            if months is None:
                raise TypeError(f"{table_name(model)}: name the months to replace")
            outside = set(table["month"].unique().to_pylist()) - set(months)
            if outside:
                raise DataQualityError(
                    f"{table_name(model)}: rows outside the months being replaced", sorted(outside)
                )
        if self.exists(model) and table.equals(self.arrow(model, months)):
            return Commit(table_name(model), False, table.num_rows, self.version(model))
        exists = self.exists(model)
        write_deltalake(
            str(self.path(model)),
            table,
            mode="overwrite",
            partition_by=["month"] if monthly else None,
            predicate=_in("month", months or []) if monthly and exists else None,
            schema_mode="merge" if exists and added(model) else None,
            commit_properties=_info(info),
        )
        return Commit(table_name(model), True, table.num_rows, self.version(model))

    def lay_down(
        self,
        model: type[Table],
        frame: pd.DataFrame,
        months: Sequence[str],
        theirs: pyarrow.dataset.Expression | None,
    ) -> tuple[list[File], bool]:
        """Writes rows of a shard as files that no reader sees before `commit`.

        Says whether they are the rows stored of it.

        Args:
            model: a monthly table.
            frame: rows of `months` only.
            months: those to replace.
            theirs: which stored rows are the shard's.
        """
        table = ordered(model, conform(model, frame))
        same = self.exists(model) and table.equals(self.arrow(model, months, theirs))
        return [] if same and not table.num_rows else files.written(self.path(model), table), same

    def commit(
        self,
        model: type[Table],
        found: Sequence[File],
        months: Sequence[str],
        *,
        same: bool,
        info: dict[str, Any] | None = None,
    ) -> Commit:
        """Replaces exactly `months` of a monthly table by files that were laid down, in one commit.

        None, and no files, when the rows are the same.

        Raises:
            DataQualityError: the files are not those of the months, or not as they were written.
        """
        rows = sum(file.rows for file in found)
        if same:
            self.forget({model: found})
            return Commit(table_name(model), False, rows, self.version(model))
        schema = DeltaSchema.from_arrow(arrow_schema(model))
        files.refuse_others(self.path(model), found, months)
        if not self.exists(model):
            DeltaTable.create(str(self.path(model)), schema, partition_by=["month"])
        self._open(model).create_write_transaction(
            [file.action for file in found],
            mode="overwrite",
            schema=schema,
            partition_by=["month"],
            partition_filters=[("month", "in", list(months))],
            commit_properties=_info(info, retries=0),
        )
        return Commit(table_name(model), True, rows, self.version(model))

    def forget(self, laid_down: Mapping[type[Table], Sequence[File]]) -> None:
        """Removes files that were laid down and will not be committed."""
        for model, found in laid_down.items():
            for file in found:
                (self.path(model) / file.path).unlink(missing_ok=True)

    def upsert(
        self,
        model: type[Table],
        frame: pd.DataFrame,
        *,
        delete: Iterable[str] = (),
        ignoring: Sequence[str] = ("observed_at",),
        among: pyarrow.dataset.Expression | None = None,
        info: dict[str, Any] | None = None,
    ) -> Commit:
        """Merges rows by the model's one-column key and deletes the keys in `delete`, in one commit.

        A row equal to the stored one in every column but `ignoring` is left alone, so `observed_at` keeps the
        first sight. `among` says which stored rows may have one of the keys, so that a part of a large table
        is merged without reading it; rows that are new to it are appended.
        """
        (by,) = key(model)
        before = self._open(model) if self.exists(model) else self.path(model)
        new = ordered(model, conform(model, frame))
        old = self.arrow(model, where=among)
        changed = changed_rows(
            new, old, by, [name for name in new.column_names if name not in {by, *ignoring}]
        )
        gone = sorted(set(delete) & set(old[by].to_pylist()) - set(new[by].to_pylist()))
        if self.exists(model) and not changed.num_rows and not gone:
            return Commit(table_name(model), False, 0, self.version(model))
        if not gone and not pc.any(pc.is_in(changed[by], value_set=old[by])).as_py():
            # 0.1 s whatever the size of the table, where a merge of 20,000 rows into 200,000 takes 0.8 s.
            try:
                write_deltalake(before, changed, mode="append", commit_properties=_info(info, retries=0))
            except CommitFailedError:  # another run wrote since `old` was read, perhaps the same rows
                return self.upsert(model, frame, delete=delete, ignoring=ignoring, among=among, info=info)
            return Commit(table_name(model), True, changed.num_rows, self.version(model))
        (
            self._open(model)
            .merge(
                with_deletions(changed, gone, by),
                predicate=f"t.{by} = s.{by}",
                source_alias="s",
                target_alias="t",
                writer_properties=text_columns_unmeasured(changed.schema),
                commit_properties=_info(info),
            )
            .when_matched_delete(predicate="s._delete")
            .when_matched_update(
                {name: f"s.{name}" for name in changed.column_names}, predicate="not s._delete"
            )
            .when_not_matched_insert(
                {name: f"s.{name}" for name in changed.column_names}, predicate="not s._delete"
            )
            .execute()
        )
        return Commit(table_name(model), True, changed.num_rows + len(gone), self.version(model))

    def append(
        self, model: type[Table], frame: pd.DataFrame, *, info: dict[str, Any] | None = None
    ) -> Commit:
        """Adds rows to a table that is only ever added to; no commit when there are none.

        Raises:
            CommitFailedError: another run wrote at the same time.
        """
        table = ordered(model, conform(model, frame))
        exists = self.exists(model)
        if table.num_rows or not exists:
            write_deltalake(
                self._open(model) if exists else self.path(model),
                table,
                mode="append",
                commit_properties=_info(info, retries=0),
            )
        return Commit(
            table_name(model), bool(table.num_rows) or not exists, table.num_rows, self.version(model)
        )

    def point(self, model: type[Table]) -> Point | None:
        """The table as it is now, for `since`; None before the first commit."""
        if not self.exists(model):
            return None
        table = self._open(model)
        return str(table.metadata().id), table.version()

    def since(self, model: type[Table], point: Point | None) -> pa.Table | None:
        """Rows that are not now as they were at `point`.

        Those that went or were replaced, then those that came in or replaced them.

        Reads only files that were dropped or written since. None when it cannot be known: the table is
        another one, or its old files are gone.
        """
        if point is None or point == self.point(model):
            return arrow_schema(model).empty_table() if point == self.point(model) else self.arrow(model)
        now = self._open(model) if self.exists(model) else None
        if now is None or str(now.metadata().id) != point[0]:
            return None
        try:
            before = DeltaTable(str(self.path(model)), version=point[1])
            kept = set(before.file_uris()) & set(now.file_uris())
            went, came = (
                ordered(model, conform(model, but(each, kept).to_table())) for each in (before, now)
            )
        except (DeltaError, OSError):
            return None
        (by,) = key(model)
        compared = [name for name in went.column_names if name != by]
        return pa.concat_tables(
            [changed_rows(went, came, by, compared), changed_rows(came, went, by, compared)]
        )

    def compact(self, model: type[Table]) -> bool:
        """Rewrites a table's small files as few once there are many; its rows stay, its `state` does not.

        Returns whether it did.

        Each pull adds files of some kilobytes: read every hour, a table would be of 8,760 in a year, and
        every look at it opens them all.
        """
        if not self.exists(model):
            return False
        table = self._open(model)
        if small_files(table) <= MANY_FILES:
            return False
        table.optimize.compact(writer_properties=text_columns_unmeasured(arrow_schema(model)))
        return True

    def delete_months(self, model: type[Table], months: Sequence[str]) -> None:
        """Removes months of a monthly table (to be rebuilt)."""
        if months and self.exists(model):
            self._open(model).delete(_in("month", months))

    def _open(self, model: type[Table]) -> DeltaTable:
        """The newest version; read again only when the log has changed.

        Reading a log of 36 months takes 3 ms of CPU, and a range run looks at its tables 400 times.
        """
        try:
            log = log_of(self.path(model))
        except OSError:
            return self._opened(model)
        known = self._tables.get(table_name(model))
        if known is None or known[0] != log:
            known = self._tables[table_name(model)] = log, self._opened(model)
        return known[1]

    def _opened(self, model: type[Table]) -> DeltaTable:
        try:
            table = DeltaTable(str(self.path(model)))
        except Exception as error:
            raise ExpansionError(
                f"cannot open the table {table_name(model)} in {self.path(model)}: {error}"
            ) from error
        stored = {field.name for field in table.schema().fields}
        if missing := [
            name for name in arrow_schema(model).names if name not in stored and name not in added(model)
        ]:
            computed = table_name(model).startswith(("billing/", "mrr/", "metrics/"))
            away = (
                f"{self.path(model)} away and refresh: it is computed"
                if computed
                else f"{self.root.parent} away and refresh: everything is read"
            )
            raise ExpansionError(
                f"{table_name(model)} was stored by an older version, without {', '.join(missing)}. "
                f"Move {away} again"
            )
        return table

    def _files(self, table: DeltaTable, months: Iterable[str] | None) -> list[str]:
        wanted = None if months is None else set(months)
        return [uri for uri in table.file_uris() if wanted is None or month_of(uri) in wanted]


def _in(column: str, values: Sequence[str]) -> str:
    return f"{column} in ({', '.join(repr(value) for value in values)})"


def _info(info: dict[str, Any] | None, retries: int | None = None) -> CommitProperties:
    metadata = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in (info or {}).items()
    }
    return CommitProperties(custom_metadata=metadata, max_commit_retries=retries)
