# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report_only
type: stdout
short_description: Print nothing but the report of the fleet
version_added: 1.0.0
description:
  - Shows what M(sergas.ops.fleet_report) prints, warnings and errors, and nothing else.
  - A host that cannot be reached and a host whose diagnosis fails are lines of the report, so they
    are not shown twice.
  - With C(-v) or more it shows all that the default callback shows.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - Set it as the stdout callback, for example with
    C(ANSIBLE_STDOUT_CALLBACK=sergas.ops.report_only).
author:
  - Sergas DevOps (@sergas-ops)
"""

from ansible.plugins.callback.default import CallbackModule as Default


class CallbackModule(Default):
    """The default callback, less what the report has."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "sergas.ops.report_only"

    @property
    def _is_verbose(self):
        return self._display.verbosity > 0

    def v2_playbook_on_play_start(self, play):
        if self._is_verbose:
            super().v2_playbook_on_play_start(play)
        else:
            self._play = play

    def v2_playbook_on_task_start(self, task, is_conditional):
        if self._is_verbose:
            super().v2_playbook_on_task_start(task, is_conditional)

    def v2_runner_on_ok(self, result):
        if self._is_verbose:
            super().v2_runner_on_ok(result)

    def v2_runner_on_skipped(self, result):
        if self._is_verbose:
            super().v2_runner_on_skipped(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if self._is_verbose:
            super().v2_runner_on_failed(result, ignore_errors=ignore_errors)
        elif not ignore_errors:
            # The rest of the result is in the report.
            self._display.display(
                str(result._result.get("msg", "the task failed")), color="red", stderr=True
            )

    def v2_runner_on_unreachable(self, result):
        if self._is_verbose:
            super().v2_runner_on_unreachable(result)

    def v2_playbook_on_stats(self, stats):
        if self._is_verbose:
            super().v2_playbook_on_stats(stats)
