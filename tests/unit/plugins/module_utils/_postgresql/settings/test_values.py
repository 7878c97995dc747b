# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import values

# Rows of pg_settings of PostgreSQL 15, as the server gives them.
BUFFERS = {
    "name": "shared_buffers",
    "vartype": "integer",
    "unit": "8kB",
    "min_val": "16",
    "max_val": "1073741823",
}
WORK_MEM = {
    "name": "work_mem",
    "vartype": "integer",
    "unit": "kB",
    "min_val": "64",
    "max_val": "2147483647",
}
WAL = {
    "name": "max_wal_size",
    "vartype": "integer",
    "unit": "MB",
    "min_val": "2",
    "max_val": "2147483647",
}
TIMEOUT = {
    "name": "statement_timeout",
    "vartype": "integer",
    "unit": "ms",
    "min_val": "0",
    "max_val": "2147483647",
}
COST = {
    "name": "random_page_cost",
    "vartype": "real",
    "unit": None,
    "min_val": "0",
    "max_val": "1.79769e+308",
}
CONNECTIONS = {
    "name": "max_connections",
    "vartype": "integer",
    "unit": None,
    "min_val": "1",
    "max_val": "262143",
}
JIT = {"name": "jit", "vartype": "bool", "unit": None}
COMPRESSION = {
    "name": "wal_compression",
    "vartype": "enum",
    "enumvals": ["pglz", "lz4", "zstd", "on", "off"],
}
HUGE = {"name": "huge_pages", "vartype": "enum", "enumvals": ["off", "on", "try"]}
PRELOAD = {"name": "shared_preload_libraries", "vartype": "string"}
MODE = {
    "name": "log_file_mode",
    "vartype": "integer",
    "unit": None,
    "min_val": "0",
    "max_val": "511",
}


@pytest.mark.parametrize(
    ("entry", "one", "other"),
    [
        (BUFFERS, "8MB", "8192kB"),
        (BUFFERS, "128MB", "16384"),
        (BUFFERS, "1GB", "131072"),
        (BUFFERS, "1.5GB", "1536MB"),
        (WORK_MEM, "4MB", "4096"),
        (WORK_MEM, "4 MB", 4096),
        (WAL, "4GB", "4096"),
        (TIMEOUT, "1min", "60000"),
        (TIMEOUT, "0.5s", "500ms"),
        (TIMEOUT, "1d", "24h"),
        (COST, "1.10", 1.1),
        (COST, 4, "4.0"),
        (JIT, "off", False),
        (JIT, "FALSE", "no"),
        (JIT, "t", "1"),
        (COMPRESSION, "on", "pglz"),
        (HUGE, "TRY", "try"),
        (HUGE, "true", "on"),
        (HUGE, False, "off"),
        (PRELOAD, "a,b", "a, b"),
        (PRELOAD, ["a", "b"], "a,b"),
        (MODE, "0600", "384"),
    ],
)
def test_the_same_in_other_words(entry, one, other):
    assert values.same(one, other, entry)
    assert values.same(other, one, entry)


@pytest.mark.parametrize(
    ("entry", "one", "other"),
    [
        (BUFFERS, "8MB", "8kB"),
        (WORK_MEM, "4MB", "4GB"),
        (TIMEOUT, "1s", "1min"),
        (JIT, "on", "off"),
        (COMPRESSION, "lz4", "on"),
        (PRELOAD, "a,b", "b,a"),
    ],
)
def test_not_the_same(entry, one, other):
    assert not values.same(one, other, entry)


@pytest.mark.parametrize(
    ("entry", "new", "old", "expected"),
    [
        (WORK_MEM, "4301kB", "4MB", False),
        (WORK_MEM, "4300kB", "4MB", True),
        (WORK_MEM, "3892kB", "4MB", True),
        (WORK_MEM, "3891kB", "4MB", False),
        (COST, 1.1, "1.15", True),
        (CONNECTIONS, 200, "205", True),
        # 0 and -1 switch things off: they are near to nothing.
        (TIMEOUT, "0", "1", False),
        (JIT, "on", "off", False),
    ],
)
def test_five_percent_is_no_change(entry, new, old, expected):
    assert values.same(new, old, entry, 0.05) is expected


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        (BUFFERS, "8mb", "the unit mb does not fit: use B, kB, MB, GB, TB"),
        (BUFFERS, "10s", "the unit s does not fit"),
        (TIMEOUT, "10MB", "the unit MB does not fit: use us, ms, s, min, h, d"),
        (CONNECTIONS, "10MB", "it has none"),
        (CONNECTIONS, "many", "needs a number"),
        (JIT, "maybe", "needs a boolean"),
        (JIT, "o", "needs a boolean"),
        (HUGE, "large", "needs one of off, on, try"),
    ],
)
def test_what_cannot_be_a_value_is_refused(entry, value, message):
    with pytest.raises(values.ValueInvalid, match=message):
        values.canonical(value, entry)


@pytest.mark.parametrize(
    ("text", "kilobytes"),
    [
        ("16GB", 16 * 1024**2),
        ("512 MB", 512 * 1024),
        ("1.5GiB", 1536 * 1024),
        ("4G", 4 * 1024**2),
        ("2TB", 2 * 1024**3),
        ("100kB", 100),
    ],
)
def test_amounts_of_memory(text, kilobytes):
    assert values.memory_kb(text) == kilobytes


@pytest.mark.parametrize("text", ["16", "16 apples", "", "-1GB", "GB"])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(values.ValueInvalid, match="write it like 16GB"):
        values.memory_kb(text)
