# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ensures a token of Zoho: reads the state that the fleet shares, and acts where the decision says
so.
"""

from __future__ import annotations

import os
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import options
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    InvalidValue,
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._zoho import (
    client,
    configuration,
    credentials,
    data_centres,
    decide,
    findings,
    refresh,
)
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import Unusable, digest
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import Failed
from ansible_collections.sergas.ops.plugins.module_utils._zoho.store import StoreFailed

_ALONE = (
    "without Redis, neither one refresh for the fleet nor the budget across hosts can be"
    " guaranteed, and the token is not kept: use one host only (run_once)"
)
_REJECTED_AT_ONCE = (
    "Compare the data centre of the API with that of the account (ZOHO_API_URL,"
    " ZOHO_ACCOUNTS_URL). Find out what else issues tokens: the 16th kills the oldest."
)


def run(params, deadline, check_mode, hide, quiet):
    """Do what the module's options request and return its result, with the key ``warnings``.

    Args:
        hide: called with each secret that no result may show.
        quiet: whether the task's result is kept out of logs (``no_log``).

    Raises:
        Refused: there is no token.
        InvalidValue: an option is not allowed.
    """
    if params["return_token"] and not quiet:
        raise InvalidValue("return_token returns a secret: set no_log: true on the task")
    options.check_ranges(params, configuration.RANGES)
    state = params["state"]
    if params["verify"] is None:
        params["verify"] = state in ("valid", "refreshed")
    try:
        work = Run(
            params,
            deadline,
            check_mode,
            hide if not params["return_token"] else lambda secret: None,
        )
        if state == "observed":
            result = work.observe()
        elif state == "absent":
            result = work.clear()
        else:
            result = work.obtain(forced=state == "refreshed")
    except Refused as refusal:
        if state != "observed":
            raise
        return refusal.result
    return dict(result, warnings=work.warnings)


class Refused(OperationError):
    """There is no token; the message has the reason and the advice, the result the findings."""

    def __init__(self, item, result):
        super().__init__("%s. %s" % (item["summary"], item["advice"] or ""))
        self.result = result


class Run:
    """One run of the module on one host.

    Attributes:
        warnings: what to warn of.
    """

    def __init__(self, params, deadline, check_mode=False, hide=lambda secret: None):
        """Read the configuration; sends no request yet.

        Args:
            params: the options of the module.
            deadline: the ``Deadline`` of all of it.
            check_mode: whether nothing may be changed and no token spent.
            hide: called with each secret value, as soon as it is known.

        Raises:
            Refused: the configuration gives no credentials, or no endpoints to use them at.
        """
        self.params = params
        self.deadline = deadline
        self.check_mode = check_mode
        self.hide = hide
        self.warnings = []
        self.findings = []
        self.verdict = None
        self.endpoints = self.credentials = self.refresher = None
        self.result = {
            "changed": False,
            "token": None,
            "budget": None,
            "refreshes": 0,
            "reason": None,
            "data_centre": None,
            "accounts_url": None,
            "api_url": None,
            "credentials": None,
            "coordination": None,
            "driver": None,
        }
        settings, unreadable = configuration.read(params, deadline)
        self.result["variables"] = credentials.variables(settings, params["credentials"])
        try:
            self._configure(settings, unreadable)
        except Unusable as error:
            evidence = {"variables": error.names} if error.names else {}
            target = self.endpoints.target() if self.endpoints else "zoho"
            kind = error.error_kind
            if kind == "credentials" and unreadable and os.geteuid() != 0:
                # They may well be there, where only root reads.
                kind = "unreadable"
            self._refuse(findings.problem(kind, str(error), target, evidence))
        self.client = client.Client(self.endpoints, params["timeout"], params["ca_path"])
        self.refresher = refresh.Refresher(self.client, self.credentials, params, deadline, hide)
        try:
            target = configuration.redis_target(settings, params)
        except StoreFailed as failure:
            self._refuse(findings.of_store(failure, self.endpoints.target()))
        for secret in configuration.secrets(target):
            hide(secret)
        self._use_store(target)

    def _configure(self, settings, unreadable):
        self.endpoints = credentials.endpoints(settings, self.params)
        self.result.update(
            data_centre=self.endpoints.data_centre,
            accounts_url=self.endpoints.accounts_url,
            api_url=self.endpoints.api_url,
        )
        self.credentials = configuration.choose_credentials(settings, self.params, unreadable)
        if self.credentials:
            self.hide(self.credentials.client_secret)
            self.hide(self.credentials.refresh_token)
            self.result["credentials"] = self.credentials.source

    def _use_store(self, target):
        self.store = configuration.open_store(
            target, self.params, self.deadline, self.credentials, self.endpoints.accounts_url
        )
        self.result["coordination"] = "redis" if self.store.shared else "host"
        self.result["driver"] = self.store.driver

    # -- the states

    def obtain(self, forced=False):
        """Ensure a token with at least ``min_ttl`` left; forced, one issued within ``max_age``.

        Returns:
            the result of the module

        Raises:
            Refused: none can be obtained.
        """
        try:
            return self._obtain(forced)
        except StoreFailed as failure:
            if not self.store.shared or self.params["on_redis_failure"] == "fail":
                self._refuse(findings.of_store(failure, self.endpoints.target()))
            self.warnings.append("%s, so this host goes on alone" % failure)
            self._use_store(None)
            return self._obtain(forced)

    def _obtain(self, forced):
        shared = self._read()
        before = {"token": digest(shared.token) if shared.token else None}
        wanted = decide.Wanted(
            self.credentials.fingerprint(self.endpoints.accounts_url),
            self.params["min_ttl"] * 1000,
            shared.now,
            not_before=shared.now - self.params["max_age"] * 1000 if forced else None,
            limit=self.params["budget"],
            window=int(self.params["budget_window"] * 1000),
        )
        while True:
            choice = decide.choose(shared, wanted)
            if choice.action == "use":
                if self._is_accepted(shared):
                    break
                wanted = wanted._replace(rejected=digest(shared.token))
            elif choice.action == "failed":
                self._refuse(findings.of_earlier_refusal(shared, self.endpoints.target()))
            elif choice.action == "blocked":
                self._wait(choice)
            elif self.check_mode:
                break
            else:
                self._refresh(wanted)
            shared = self._read()
        return self._obtained(shared, choice, before)

    def _obtained(self, shared, choice, before):
        """Return the result of the last choice: use a token, or in check mode request one."""
        predicted = choice.action == "refresh"
        self.result["reason"] = choice.reason
        self.result["changed"] = predicted or self.refresher.issued > 0
        if not self.store.shared:
            self.warnings.append(_ALONE)
        if self.params["return_token"] and not predicted:
            self.result["access_token"] = shared.token
        self._describe(shared)
        after = {"token": "a new one" if predicted else self.result["token"]["fingerprint"]}
        self.result["diff"] = {
            "before": before,
            "after": after if self.result["changed"] else before,
        }
        if predicted:
            reason = "a new one would be requested, as %s" % choice.reason
            self.findings.append(findings.nothing(reason, self.endpoints.target()))
        elif self.verdict is None or self.verdict.error_kind == "alive":
            self.findings.append(self._good(shared))
        return self._finish()

    def observe(self):
        """Return the result of the module for the state ``observed``: nothing is changed or
        spent.
        """
        target = self.endpoints.target()
        try:
            shared = self._read()
        except StoreFailed as failure:
            self.findings.append(findings.of_store(failure, target))
            return self._finish()
        if shared.token and self.params["verify"]:
            self._verify(shared)
        self._describe(shared)
        is_decided = decide.is_usable(shared, self.verdict) or decide.earlier_refusal_holds(shared)
        known = None
        if self.params["find_data_centre"] or (self.params["verify"] and not is_decided):
            known = self._check_client()
        seen = decide.Observed(
            shared, self.verdict, self.result["budget"], known, target, self.store.address
        )
        stale = decide.staleness(
            shared,
            digest(self.credentials.refresh_token),
            self.credentials.fingerprint(self.endpoints.accounts_url),
        )
        self.findings = decide.observed_findings(seen, self.findings, stale, self._good(shared))
        return self._finish()

    def clear(self):
        """Discard the cached tokens, and revoke one if requested; returns the result of the
        module.
        """
        try:
            shared = self._discard()
        except StoreFailed as failure:
            self._refuse(findings.of_store(failure, self.endpoints.target()))
        except refresh.Busy as error:
            self._refuse(findings.problem("busy", str(error), self.endpoints.target()))
        cached = bool(shared.token or shared.refresh_token)
        secret = {
            "access_token": shared.token,
            "refresh_token": self.credentials and self.credentials.refresh_token,
        }.get(self.params["revoke"])
        revoked = None
        self.result["changed"] = cached or bool(secret and self.check_mode)
        if secret and not self.check_mode:
            try:
                revoked = self.client.revoke(secret)
            except Failed as failure:
                self._refuse(self._problem(failure.error_kind, "it is not revoked: %s" % failure))
            self.result["changed"] = cached or revoked
        if not self.store.shared:
            self.warnings.append("no Redis is configured, so there is no cache to clear")
        self.result.update(revoked=revoked, reason="cleared" if cached else "nothing was cached")
        present = {"access_token": bool(shared.token), "refresh_token": bool(shared.refresh_token)}
        self.result["diff"] = {"before": present, "after": dict.fromkeys(present, False)}
        return self._finish()

    def _discard(self):
        """Return the state with the tokens that were discarded, or would be in check mode."""
        shared = self._read()
        if self.check_mode or not (shared.token or shared.refresh_token):
            return shared
        fence = self.refresher.acquire(self.store)
        try:
            shared = self._read()
            self.store.clear(fence)
        finally:
            self.refresher.release(self.store)
        return shared

    # -- the steps

    def _read(self):
        shared = self.store.read()
        if shared.token:
            self.hide(shared.token)
        return shared

    def _refresh(self, wanted):
        try:
            self.refresher.refresh(
                self.store, lambda: decide.choose(self._read(), wanted).action == "refresh"
            )
        except refresh.Busy as error:
            self._refuse(self._problem("busy", str(error)))
        except refresh.NotKept as error:
            self.result["changed"] = True
            self._refuse(self._problem("store", str(error)))
        except refresh.Denied as denied:
            evidence, advice = {}, None
            if denied.blocked:
                evidence["retry_after"] = self.result["retry_after"] = int(denied.blocked)
            kind = denied.failure.error_kind
            if kind == "client" and self.params["find_data_centre"]:
                advice = self._find_data_centre()
            self._refuse(self._problem(kind, str(denied), evidence=evidence, advice=advice))

    def _wait(self, choice):
        """Wait until a token may be requested again, if on_throttle says so and there is time; else
        refuse.
        """
        seconds = choice.wait / 1000
        wanted = self.params["on_throttle"] == "wait" and not self.check_mode
        if wanted and seconds < self.deadline.remaining():
            time.sleep(seconds + refresh.spread())
            return
        self.result["retry_after"] = int(seconds) + 1
        message = "%s; again in %d s at the latest" % (choice.reason, int(seconds) + 1)
        evidence = {"retry_after": int(seconds) + 1}
        self._refuse(self._problem("throttled", message, evidence=evidence))

    def _is_accepted(self, shared):
        """Return whether the API accepts the token, as far as that is known; False requires another
        one.
        """
        if not self.params["verify"]:
            return True
        if decide.is_verified(shared):
            self.verdict = decide.accepted()
            return True
        self._verify(shared)
        if self.verdict.error_kind != "dead":
            if self.verdict.error_kind == "alive" and not self.check_mode:
                self.store.verified(shared.token)
            return True
        if decide.is_fresh(shared):
            message = "%s although it was issued a moment ago" % self.verdict.message
            target = self.endpoints.api_target()
            self._refuse(self._problem("dead", message, target, advice=_REJECTED_AT_ONCE))
        return False

    def _verify(self, shared):
        """Query the API about the token; what is not about its life goes into the findings."""
        target = self.endpoints.api_target()
        try:
            self.verdict = self.client.check(shared.token, shared.own_record().get("api"))
        except Failed as failure:
            self.verdict = decide.unanswered()
            self.findings.append(self._problem(failure.error_kind, str(failure), target))
            return
        kind = self.verdict.error_kind
        if kind not in ("alive", "dead"):
            self.findings.append(self._problem(kind, self.verdict.message, target))

    def _check_client(self):
        """Check whether Zoho knows the client and its secret, which spends nothing; return whether
        it does, or None where that is unknown. What is wrong goes into the findings.
        """
        accounts = self.endpoints.accounts_url
        try:
            refusal = self.client.client_refusal(accounts, self.credentials)
        except Failed as failure:
            self.findings.append(self._problem(failure.error_kind, str(failure)))
            return None
        advice = None
        if self.params["find_data_centre"]:
            if not data_centres.knows(refusal):
                advice = self._find_data_centre()
            elif self.endpoints.data_centre:
                own = [self.endpoints.data_centre]
                self.result.update(client_data_centres=own, unchecked_data_centres=[])
        if refusal is None:
            return True
        self.findings.append(self._problem(refusal.error_kind, str(refusal), advice=advice))
        return False

    def _find_data_centre(self):
        """Query the other data centres for the client, and return the advice, or None."""
        own = self.endpoints.data_centre
        if own is None:
            return None
        known, unknown = data_centres.find_others(self.client, self.credentials, own, self.deadline)
        self.result.update(client_data_centres=known, unchecked_data_centres=unknown)
        return data_centres.advice(known, unknown)

    # -- the result

    def _problem(self, kind, message, target=None, **details):
        return findings.problem(kind, message, target or self.endpoints.target(), **details)

    def _good(self, shared):
        evidence = {
            "credentials": self.credentials.source,
            "budget_left": self.result["budget"]["left"],
        }
        if self.endpoints.data_centre:
            evidence["data_centre"] = self.endpoints.data_centre
        verified = self.verdict is not None and self.verdict.error_kind == "alive"
        target = self.endpoints.target()
        return findings.good(decide.lifetime(shared), verified, target, evidence)

    def _describe(self, shared):
        refreshed = self.refresher.issued > 0
        self.result["token"] = decide.describe_token(shared, self.verdict, refreshed)
        budget, window = self.params["budget"], self.params["budget_window"]
        self.result["budget"] = decide.describe_budget(shared, budget, window)

    def _finish(self):
        if self.refresher:
            self.result["refreshes"] = self.refresher.issued
            self.warnings += self.refresher.warnings
        if self.credentials:
            account = self.credentials.fingerprint(self.endpoints.accounts_url)
            for item in self.findings:
                item["evidence"].setdefault("account", account)
        self.result["findings"] = self.findings
        self.result["roots"] = [item["id"] for item in roots(self.findings)]
        self.result["bad"] = sum(is_bad(item) for item in self.findings)
        return self.result

    def _refuse(self, item):
        self.findings.append(item)
        issued = self.refresher.issued if self.refresher else 0
        self.result["changed"] = self.result["changed"] or issued > 0
        raise Refused(item, self._finish())
