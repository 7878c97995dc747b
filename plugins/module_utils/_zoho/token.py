# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sees to a token of Zoho: reads what the fleet knows, and asks Zoho only where the decision
says so.
"""

from __future__ import annotations

import os
import random
import re
import time
import uuid

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    InvalidValue,
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._core.zoho_data_centres import DATA_CENTRES
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config, unit
from ansible_collections.sergas.ops.plugins.module_utils._host.app_config import (
    DEFAULT_APP_DIR,
    redis_target,
)
from ansible_collections.sergas.ops.plugins.module_utils._zoho import (
    client,
    credentials,
    decide,
    host_store,
    store,
)
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import Unusable, digest
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import TRANSIENT, Failed
from ansible_collections.sergas.ops.plugins.module_utils._zoho.store import StoreFailed

#: A lease lasts this much longer than the request it is for; in seconds.
_LEASE_MARGIN = 5
#: For how long a restarting Redis is waited for, where something is to be done; in seconds.
_PATIENCE = 15
#: Between two looks at whether another host has finished; in seconds.
_PAUSE = (0.05, 0.2)
#: What the options that are numbers may be: (name, least, most).
RANGES = (
    ("min_ttl", 0, 3300),
    ("max_age", 0, 3300),
    ("budget", 1, 1000),
    ("budget_window", 1, 86400),
    ("timeout", 1, 120),
    ("deadline", 1, 3600),
    ("redis_port", 1, 65535),
    ("redis_db", 0, 65535),
)


def run(params, deadline, check_mode, hide, quiet):
    """Do what the module's options ask for and return its result, with the key ``warnings``.

    Args:
        hide: called with each secret that no result may show.
        quiet: whether the task's result is kept out of logs (``no_log``).

    Raises:
        Refused: there is no token.
        InvalidValue: an option is not allowed.
    """
    if params["return_token"] and not quiet:
        raise InvalidValue("return_token returns a secret: set no_log: true on the task")
    check_ranges(params)
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
    """There is no token; the message says why and what to do, the result has the findings."""

    def __init__(self, item, result):
        Exception.__init__(self, "%s. %s" % (item["summary"], item["advice"] or ""))
        self.result = result


def check_ranges(params):
    """Raise ValueError for an option outside of what it may be."""
    for name, least, most in RANGES:
        value = params[name]
        if value is not None and not least <= value <= most:
            raise InvalidValue("%s must be from %s to %s, it is %s" % (name, least, most, value))


class Run:
    """One run of the module on one host."""

    def __init__(self, params, deadline, check_mode=False, hide=lambda secret: None):
        """Read the configuration; asks nobody yet.

        Args:
            params: the options of the module.
            deadline: the Deadline of all of it.
            check_mode: whether nothing may be changed and no token spent.
            hide: called with each secret value, as soon as it is known.

        Raises:
            Refused: the configuration gives no credentials, or no place to use them at.
        """
        self.params = params
        self.deadline = deadline
        self.check_mode = check_mode
        self.hide = hide
        self.owner = uuid.uuid4().hex
        self.warnings = []
        self.findings = []
        self.spent = 0
        self.verdict = None
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
        }
        settings, why = self._settings()
        self.result["variables"] = credentials.variables(settings, params["credentials"])
        target, self.credentials = "zoho", None
        try:
            self.place = credentials.place(settings, params)
            target = self.place.target()
            self.result.update(
                data_centre=self.place.data_centre, accounts_url=self.place.accounts_url
            )
            self.result.update(api_url=self.place.api_url)
            self.credentials = self._credentials(settings, why)
            for secret in self.credentials[1:3] if self.credentials else ():
                hide(secret)
        except Unusable as error:
            evidence = {"variables": error.names} if error.names else {}
            self._refuse(decide.trouble(error.told, str(error), target, evidence))
        if self.credentials:
            self.result["credentials"] = self.credentials.source
        self.client = client.Client(self.place, params["timeout"], params["ca_path"])
        self.store = self._store(settings)
        self.result["coordination"] = "redis" if self.store.shared else "host"

    def _settings(self):
        """Return ({name: value} the app runs with, why the .env could not be read or None)."""
        properties = unit.read(self.params["service"], self.deadline.within(3))[0]
        folder = self.params["app_dir"] or unit.working_directory(properties) or DEFAULT_APP_DIR
        path = (
            self.params["env_file"]
            or unit.environment_file(properties)
            or os.path.join(folder, ".env")
        )
        reading, why = app_config.read(path)
        if reading is None and why is None:
            why = "%s does not exist" % path
        return app_config.settings(reading, self.params, properties), why

    def _credentials(self, settings, why):
        try:
            return credentials.choose(settings, self.params, self.params["credentials"])
        except Unusable as error:
            if self.params["state"] == "absent" and self.params["revoke"] != "refresh_token":
                return None
            if error.told == "credentials" and why:
                raise Unusable(error.told, "%s (%s)" % (error, why), error.names)
            raise

    def _store(self, settings):
        fingerprint, refresh_token = "none", "none"
        if self.credentials:
            fingerprint = self.credentials.fingerprint(self.place.accounts_url)
            refresh_token = digest(self.credentials.refresh_token)
        budget = (self.params["budget"], self.params["budget_window"])
        target = redis_target(settings)
        if not target:
            return host_store.HostStore(fingerprint, refresh_token, *budget)
        if target["password"]:
            self.hide(target["password"])
        path = settings.get("REDIS_URL.path", "").strip("/")
        database = path if re.match(r"[0-9]{1,5}\Z", path) else settings.get("REDIS_DB", "")
        target["db"] = int(database) if re.match(r"[0-9]{1,5}\Z", database) else 0
        if self.params["redis_db"] is not None:
            target["db"] = self.params["redis_db"]
        if self.params["redis_tls"] is not None:
            target["tls"] = self.params["redis_tls"]
        target["ca_path"] = self.params["redis_ca_path"]
        return store.RedisStore(
            target,
            fingerprint,
            refresh_token,
            *budget,
            lease=self.params["timeout"] + _LEASE_MARGIN,
            prefix=self.params["redis_prefix"],
            patience=(
                0
                if self.params["state"] == "observed"
                else min(_PATIENCE, self.deadline.remaining() / 2)
            ),
        )

    # -- what the states do

    def obtain(self, forced=False):
        """See to a token with at least C(min_ttl) left; forced, to one issued within C(max_age).

        Returns:
            the result of the module

        Raises:
            Refused: there is none to be had.
        """
        try:
            return self._obtain(forced)
        except StoreFailed as failure:
            if not self.store.shared or self.params["on_redis_failure"] == "fail":
                self._refuse(decide.trouble("store", str(failure), self.place.target()))
            self.warnings.append("%s, so this host goes on alone" % failure)
            self.store = self._alone()
            return self._obtain(forced)

    def _alone(self):
        self.result["coordination"] = "host"
        return host_store.HostStore(
            self.credentials.fingerprint(self.place.accounts_url),
            digest(self.credentials.refresh_token),
            self.params["budget"],
            self.params["budget_window"],
        )

    def _obtain(self, forced):
        shared = self._read()
        before = self._shown(shared)
        wanted = decide.Wanted(
            self.credentials.fingerprint(self.place.accounts_url),
            self.params["min_ttl"] * 1000,
            shared.now,
            not_before=shared.now - self.params["max_age"] * 1000 if forced else None,
            limit=self.params["budget"],
            window=int(self.params["budget_window"] * 1000),
        )
        while True:
            choice = decide.choose(shared, wanted)
            if choice.action == "use":
                if self._accepted(shared):
                    break
                wanted = wanted._replace(rejected=digest(shared.token))
            elif choice.action == "failed":
                self._refuse(self._heard(shared))
            elif choice.action == "blocked":
                self._wait(choice)
            elif self.check_mode:
                break
            else:
                self._refresh_once(wanted)
            shared = self._read()
        predicted = choice.action == "refresh"
        self.result["reason"] = choice.reason
        self.result["changed"] = predicted or self.spent > 0
        if not self.store.shared:
            self.warnings.append(
                "without Redis, neither one refresh for the fleet nor the budget across hosts can"
                " be guaranteed, and the token is not kept: use one host only (run_once)"
            )
        if self.params["return_token"] and not predicted:
            self.result["access_token"] = shared.token
        self._describe(shared)
        after = dict(
            before, token="a new one" if predicted else self.result["token"]["fingerprint"]
        )
        self.result["diff"] = {
            "before": before,
            "after": after if self.result["changed"] else before,
        }
        if predicted:
            reason = "a new one would be asked for, as %s" % choice.reason
            self.findings.append(decide.nothing(reason, self.place.target()))
        elif self.verdict is None or self.verdict.told == "alive":
            self.findings.append(self._good(shared))
        return self._finish()

    def observe(self):
        """Return the result of the module for C(state=observed): what there is, with nothing
        changed or spent.
        """
        target = self.place.target()
        try:
            shared = self._read()
        except StoreFailed as failure:
            self.findings.append(decide.trouble("store", str(failure), target))
            return self._finish()
        if shared.token and self.params["verify"]:
            self._ask(shared)
        self._describe(shared)
        failure = shared.failure
        dead = self.verdict is not None and self.verdict.told == "dead"
        usable = bool(shared.token) and not dead
        refused = failure and (
            failure["told"] in decide.PERMANENT or int(failure["until"]) > shared.now
        )
        known = None
        if self.params["find_data_centre"] or (self.params["verify"] and not (usable or refused)):
            known = self._try_client()
        if self._bad():
            pass  # What keeps every token away says more than what is cached.
        elif refused:
            self.findings.append(self._heard(shared, "warn" if usable else None))
        elif self.result["budget"]["left"] == 0:
            message = "all %(limit)d tokens of %(window)d s were asked for" % self.result["budget"]
            evidence = {"retry_after": self.result["budget"]["retry_after"]}
            self.findings.append(
                decide.trouble(
                    "throttled", message, target, evidence, status="warn" if usable else None
                )
            )
        elif dead:
            self._tell("dead", self.verdict.message, self.store.address)
        elif not shared.token:
            reason = "none is cached"
            if known:
                reason += ", and Zoho knows the client and its secret"
            self.findings.append(decide.nothing(reason, target))
        elif self.verdict is None or self.verdict.told == "alive":
            self.findings.append(self._good(shared))
        stale = decide.staleness(
            shared,
            digest(self.credentials.refresh_token),
            self.credentials.fingerprint(self.place.accounts_url),
        )
        for item in self.findings:
            if stale and item["evidence"].get("told") == "dead":
                # One fault, not two: the cache is to be cleared.
                item["cause"] = "zoho.cache.stale"
        self.findings += [decide.stale(reason, self.store.address) for reason in stale]
        return self._finish()

    def clear(self):
        """Forget the cached tokens, and revoke one if asked; returns the result of the module."""
        revoked = None
        try:
            shared = self._read()
            cached = bool(shared.token or shared.refresh_token)
            if not self.check_mode and cached:
                fence = self._acquire()
                try:
                    shared = self._read()
                    self.store.clear(fence)
                finally:
                    self._release()
        except StoreFailed as failure:
            self._refuse(decide.trouble("store", str(failure), self.place.target()))
        secret = {
            "access_token": shared.token,
            "refresh_token": self.credentials and self.credentials.refresh_token,
        }.get(self.params["revoke"])
        self.result["changed"] = cached or bool(secret and self.check_mode)
        if secret and not self.check_mode:
            try:
                revoked = self.client.revoke(secret)
            except Failed as failure:
                self._tell(failure.told, "it is not revoked: %s" % failure)
                self._refuse(self.findings.pop())
            self.result["changed"] = cached or revoked
        if not self.store.shared:
            self.warnings.append("no Redis is configured, so there is no cache to clear")
        self.result.update(revoked=revoked, reason="cleared" if cached else "nothing was cached")
        present = {"access_token": bool(shared.token), "refresh_token": bool(shared.refresh_token)}
        self.result["diff"] = {"before": present, "after": dict.fromkeys(present, False)}
        return self._finish()

    # -- the steps

    def _read(self):
        shared = self.store.read()
        if shared.token:
            self.hide(shared.token)
        return shared

    def _acquire(self):
        """Return the fence of the lease, as soon as no other host has one."""
        while True:
            fence = self.store.acquire(self.owner)
            if fence:
                return fence
            self._pause()

    def _pause(self):
        if self.deadline.expired():
            message = "another host has been refreshing for %s s" % self.params["deadline"]
            self._refuse(decide.trouble("busy", message, self.place.target()))
        time.sleep(min(random.uniform(*_PAUSE), self.deadline.remaining()))  # noqa: S311  # spreads hosts, no secret

    def _release(self):
        try:
            self.store.release(self.owner)
        except StoreFailed:
            pass  # a lease ends by itself

    def _refresh_once(self, wanted):
        """Take the lease and refresh, unless somebody else has done so meanwhile."""
        fence = self.store.acquire(self.owner)
        if not fence:
            self._pause()
            return
        try:
            if decide.choose(self._read(), wanted).action == "refresh":
                self._refresh(fence)
        finally:
            self._release()

    def _refresh(self, fence):
        for attempt in (1, 2):
            member = "%s-%d" % (self.owner, attempt)
            outcome, number = self.store.reserve(self.owner, member)
            if outcome != "reserved":
                # The next look tells: the budget is used up, or another host has the lease.
                return
            try:
                grant = self.client.refresh(self.credentials)
            except Failed as failure:
                if (
                    attempt == 1
                    and failure.told in TRANSIENT
                    and self.deadline.remaining() > self.params["timeout"]
                ):
                    continue
                blocked = self.params["budget_window"] if failure.told == "throttled" else 0
                self.store.remember(self.owner, member, failure.told, str(failure), blocked)
                self._refuse(self._refusal(failure, blocked))
            self.spent += 1
            self.hide(grant.access_token)
            if grant.seconds < self.params["min_ttl"]:
                self.warnings.append(
                    "Zoho's new token lives %d s only, less than min_ttl" % grant.seconds
                )
            try:
                self.store.keep(self.owner, fence, member, number, grant)
            except StoreFailed as failure:
                self.result["changed"] = True
                message = "a token was issued and could not be kept, as %s" % failure
                self._refuse(decide.trouble("store", message, self.place.target()))
            return

    def _refusal(self, failure, blocked):
        evidence, advice = {}, None
        if blocked:
            evidence["retry_after"] = int(blocked)
            self.result["retry_after"] = int(blocked)
        if failure.told == "client" and self.params["find_data_centre"]:
            advice = self._find_data_centre()
        return decide.trouble(failure.told, str(failure), self.place.target(), evidence, advice)

    def _heard(self, shared, status=None):
        """Return the finding for a refusal that another run was told."""
        failure = shared.failure
        age = (shared.now - int(failure["at"])) // 1000
        evidence = {"told_to": failure["host"], "seconds_ago": age}
        if int(failure["until"]) > shared.now:
            evidence["retry_after"] = (int(failure["until"]) - shared.now + 999) // 1000
        message = "%s, as %s was told %d s ago" % (failure["message"], failure["host"], age)
        return decide.trouble(
            failure["told"], message, self.place.target(), evidence, status=status
        )

    def _wait(self, choice):
        """Wait until a token may be asked for again, if that is wanted and there is time; else
        refuse.
        """
        seconds = choice.wait / 1000
        if (
            self.params["on_throttle"] == "wait"
            and not self.check_mode
            and seconds < self.deadline.remaining()
        ):
            time.sleep(seconds + random.uniform(*_PAUSE))  # noqa: S311  # spreads hosts, no secret
            return
        self.result["retry_after"] = int(seconds) + 1
        message = "%s; again in %d s at the latest" % (choice.reason, int(seconds) + 1)
        evidence = {"retry_after": int(seconds) + 1}
        self._refuse(decide.trouble("throttled", message, self.place.target(), evidence))

    def _accepted(self, shared):
        """Return whether the API takes the token, as far as it can be told; False asks for
        another one.
        """
        if not self.params["verify"]:
            return True
        if decide.is_verified(shared):
            self.verdict = decide.accepted()
            return True
        self._ask(shared)
        if self.verdict is None or self.verdict.told != "dead":
            if self.verdict and self.verdict.told == "alive" and not self.check_mode:
                self.store.verified(shared.token)
            return True
        if decide.is_fresh(shared):
            self._refuse(
                decide.trouble(
                    "dead",
                    "%s although it was issued a moment ago" % self.verdict.message,
                    self.place.api_target(),
                    advice=(
                        "Compare the data centre of the API with that of the account (ZOHO_API_URL,"
                        " ZOHO_ACCOUNTS_URL). Look for what else issues tokens: the 16th kills the"
                        " oldest."
                    ),
                )
            )
        return False

    def _ask(self, shared):
        """Ask the API what it says of the token; what is not about its life goes into the
        findings at once.
        """
        try:
            self.verdict = self.client.check(shared.token, shared.own_record().get("api"))
        except Failed as failure:
            self.verdict = decide.unanswered()
            self._tell(failure.told, str(failure), self.place.api_target())
            return
        if self.verdict.told not in ("alive", "dead"):
            self._tell(self.verdict.told, self.verdict.message, self.place.api_target())

    def _try_client(self):
        """Ask whether Zoho knows the client and its secret, which spends nothing; return whether it
        does, or None where that cannot be told. What is wrong goes into the findings.
        """
        try:
            refusal = self.client.client_refusal(self.place.accounts_url, self.credentials)
        except Failed as failure:
            self._tell(failure.told, str(failure))
            return None
        advice = None
        if refusal is None or refusal.told == "client_secret":
            if self.params["find_data_centre"] and self.place.data_centre:
                own = [self.place.data_centre]
                self.result.update(client_data_centres=own, unasked_data_centres=[])
        elif self.params["find_data_centre"]:
            advice = self._find_data_centre()
        if refusal is None:
            return True
        self.findings.append(
            decide.trouble(refusal.told, str(refusal), self.place.target(), advice=advice)
        )
        return False

    def _find_data_centre(self):
        """Ask the other data centres which of them knows the client, and return the advice, or
        None.
        """
        if self.place.data_centre is None:
            return None
        known, unknown = [], []
        for name, (accounts, _api) in DATA_CENTRES.items():
            if name == self.place.data_centre:
                continue
            if self.deadline.remaining() < self.params["timeout"]:
                unknown.append(name)
                continue
            try:
                refusal = self.client.client_refusal("https://" + accounts, self.credentials)
                if refusal is None or refusal.told == "client_secret":
                    known.append(name)
            except Failed:
                unknown.append(name)
        self.result.update(client_data_centres=known, unasked_data_centres=unknown)
        if known:
            return (
                "The client belongs to the data centre %s: set ZOHO_SDK_REGION and the URLs to it."
                % " or ".join(known)
            )
        if unknown:
            return None
        return (
            "No data centre knows the client: copy its id from Zoho's API console into the vault"
            " and .env."
        )

    # -- what is said

    def _tell(self, told, message, target=None):
        self.findings.append(decide.trouble(told, message, target or self.place.target()))

    def _bad(self):
        return any(is_bad(item) for item in self.findings)

    def _good(self, shared):
        evidence = {
            "credentials": self.credentials.source,
            "budget_left": self.result["budget"]["left"],
        }
        if self.place.data_centre:
            evidence["data_centre"] = self.place.data_centre
        verified = self.verdict is not None and self.verdict.told == "alive"
        return decide.good(decide.lifetime(shared), verified, self.place.target(), evidence)

    def _shown(self, shared):
        return {"token": digest(shared.token) if shared.token else None}

    def _describe(self, shared):
        left = decide.lifetime(shared)
        record = shared.own_record()
        if shared.token:
            self.result["token"] = {
                "fingerprint": digest(shared.token),
                "source": "refresh" if self.spent else "cache",
                "issuer": record.get("host"),
                "seconds_left": None if left is None else left // 1000,
                "verified": self.verdict.told if self.verdict else None,
            }
            if self.verdict and self.verdict.credits is not None:
                self.result["token"]["api_credits_left"] = self.verdict.credits
        limit, window = self.params["budget"], int(self.params["budget_window"] * 1000)
        wait = decide.budget_wait(shared.spent, limit, window, shared.now)
        self.result["budget"] = {
            "limit": limit,
            "window": window // 1000,
            "used": len(shared.spent),
            "left": max(0, limit - len(shared.spent)),
            "retry_after": -(-wait // 1000),
        }

    def _finish(self):
        self.result["refreshes"] = self.spent
        if self.credentials:
            account = self.credentials.fingerprint(self.place.accounts_url)
            for item in self.findings:
                item["evidence"].setdefault("account", account)
        self.result["findings"] = self.findings
        self.result["roots"] = [item["id"] for item in roots(self.findings)]
        self.result["bad"] = sum(is_bad(item) for item in self.findings)
        return self.result

    def _refuse(self, item):
        self.findings.append(item)
        self.result["changed"] = self.result["changed"] or self.spent > 0
        raise Refused(item, self._finish())
