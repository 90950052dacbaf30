"""The fingerprint of each month of a declaration: one hash over everything its rows depend on.

Here: which parts there are: the rule, what is stored of the months it looks at, what it uses. Not here: the
hash of a rule (`rule_hash.py`), reading (`reading.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from expansion_platform.domain.core.table import columns
from expansion_platform.engine.declaration import Declaration, Digest, Read
from expansion_platform.engine.parts import QUALITY
from expansion_platform.engine.reading import Reading
from expansion_platform.engine.rule_hash import rule_hash
from expansion_platform.storage.lake import ABSENT


def hashed(*parts: str) -> str:
    """One hash over texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def fingerprints(declaration: Declaration, reading: Reading, months: Sequence[str]) -> dict[str, str]:
    """Month -> fingerprint, or what the declaration records instead."""
    if declaration.made_of is not None:
        return dict(declaration.made_of(reading))
    rule = rule_hash(*declaration.rules)
    digests = {digest: digested(digest, reading, months) for digest in declaration.digests}
    open_months = open_of(declaration, reading, months)

    def of(month: str) -> str:
        parts = [rule, *(reading.version(use, month) for use in declaration.uses)]
        parts += [digests[digest][month] for digest in digests]
        for read in declaration.reads:
            if read.digest is None:
                parts += _stored(read, reading, month)
        return hashed(*parts, "provisional") if month in open_months else hashed(*parts)

    return {month: of(month) for month in months}


def open_of(declaration: Declaration, reading: Reading, months: Sequence[str]) -> set[str]:
    """The months whose figures are provisional, of tables that say so."""
    graded = any(QUALITY in columns(model) for model in declaration.models)
    return set(months) - reading.platform.closed(months) if graded else set()


def digested(digest: Digest, reading: Reading, months: Sequence[str]) -> Mapping[str, str]:
    """The digest's text by month, from the ledger as long as what it is made of stays the same.

    Of a step's months once, whoever declares it.
    """
    if digest not in reading.digests:
        reading.digests[digest] = _digested(digest, reading, months)
    return reading.digests[digest]


def _digested(digest: Digest, reading: Reading, months: Sequence[str]) -> Mapping[str, str]:
    builds = reading.platform.ledger.builds
    uses = (reading.version(use) for use in digest.uses)
    reads = dict.fromkeys([*digest.reads, *(read for each in digest.pooled for read in each.reads)])
    models = dict.fromkeys(read.model for read in reads)
    basis = hashed(rule_hash(*digest.rules), *uses, *map(reading.state, models))
    known = builds.digests(digest.name, basis)
    if not set(months) <= known.keys():
        found = {month: hashed(text) for month, text in _texts(digest, reading, list(months)).items()}
        builds.record_digests(digest.name, basis, found)
        known |= found
    return known


def _texts(digest: Digest, reading: Reading, months: list[str]) -> Mapping[str, str]:
    inputs = reading.inputs(digest.name, digest.reads, digest.uses, months, digest.pooled)
    if digest.together is None:
        texts: Mapping[str, str] = digest.rule(months, inputs)
        return texts
    work = reading.work(digest.name, digest.rule, digest.reads, digest.uses, digest.pooled)
    return digest.together(months, reading.of_some(work, months), inputs)


def _stored(read: Read, reading: Reading, month: str) -> list[str]:
    if not read.monthly:
        return [reading.state(read.model)]
    states = reading.states(read.model)
    return [states.get(name, ABSENT) for name in read.window.months(month, list(states))]
