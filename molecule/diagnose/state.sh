#!/usr/bin/env bash
# What a diagnosis could have changed: packages, files of the app and of /etc, services with their main process,
# what listens, firewall rules.
set -eu
dpkg-query -W | sha256sum
find /etc /home/sergas /opt /usr/local -xdev -type f -printf '%p %s %T@ %m %u\n' 2>/dev/null | sort | sha256sum
for unit in sergas-app postgresql@*-main redis-server ssh; do
    systemctl show --property=Id,ActiveState,MainPID,NRestarts,ActiveEnterTimestampMonotonic "$unit"
done
ss -Hltn | awk '{ print $4 }' | sort
iptables-save 2>/dev/null | grep -v '^[#:]' || true
