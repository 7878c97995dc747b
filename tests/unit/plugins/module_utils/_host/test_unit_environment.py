# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    systemctl,
    unit_environment,
)

#: as systemd 247, 252 and 257 print them (all tried)
SHOWN = r"""Environment=A=1 "B=two words" "C=it\"s" "D=a'b\nc" "E=\$x" "F=back\\\\slash" G=0
EnvironmentFiles=/etc/x/*.conf (ignore_errors=no)
EnvironmentFiles=/etc/x/bom.env (ignore_errors=yes)
PassEnvironment=container FOO
UnsetEnvironment=SECOND A=9
"""


def values(entries):
    return {name: entry.value for name, entry in entries.items()}


def test_what_systemctl_prints_is_read_as_the_unit_has_it():
    shown = systemctl.parse(SHOWN)
    assert unit_environment.assignments(shown) == {
        "A": "1",
        "B": "two words",
        "C": 'it"s',
        "D": "a'b\nc",
        "E": "$x",
        "F": "back\\\\slash",
        "G": "0",
    }
    assert unit_environment.environment_files(shown) == [
        ("/etc/x/*.conf", False),
        ("/etc/x/bom.env", True),
    ]
    assert unit_environment.passed(shown) == ["container", "FOO"]


@pytest.mark.parametrize("text", [None, "", '"open', "\\", '"a\\"'])
def test_a_list_of_nothing_or_cut_off_does_no_harm(text):
    assert isinstance(unit_environment.words(text), list)


def test_the_sources_count_in_systemds_order():
    shown = {"Environment": "A=unit B=unit C=unit D=unit", "UnsetEnvironment": "D E=other F=file"}
    readings = [
        app_config.interpret("A=first\nB=first\n", "/etc/one"),
        app_config.interpret("B=second\nE=file\nF=file\n", "/etc/two"),
    ]
    found = unit_environment.given(shown, {"A": "manager", "M": "1", "PATH": "/bin"}, readings)
    assert values(found) == {
        "A": "first",
        "B": "second",
        "C": "unit",
        "E": "file",
        "M": "1",
    }
    assert found["B"][1:] == ("/etc/two", 1)
    assert found["C"].source == "Environment="


def test_wildcards_stand_for_files_in_the_order_of_their_names(tmp_path):
    for name in ("b.conf", "a.conf", "c.other"):
        (tmp_path / name).write_text("")
    pattern = unit_environment.EnvironmentFile(str(tmp_path / "*.conf"), False)
    assert pattern.paths() == [str(tmp_path / "a.conf"), str(tmp_path / "b.conf")]
    plain = unit_environment.EnvironmentFile("/none/x.env", False)
    assert plain.paths() == ["/none/x.env"]


def files(*paths):
    return {"EnvironmentFiles": "\n".join("%s (ignore_errors=no)" % path for path in paths)}


def test_the_file_of_the_settings_is_the_one_named_env(tmp_path):
    own = str(tmp_path / ".env")
    find = unit_environment.default_file
    assert find({}, str(tmp_path)) == own
    assert find(files("/srv/.env", "/etc/default/app"), str(tmp_path)) == "/srv/.env"
    assert find(files("/etc/a", "/etc/b"), str(tmp_path)) == "/etc/b"
    (tmp_path / ".env").write_text("")
    assert find(files("/etc/a", "/etc/b"), str(tmp_path)) == own
