#!/usr/bin/env bash
# The guide's own script of first response, as its operators run it today.
echo "=== Quick Diagnostic Report ==="
echo "Timestamp: $(date)"
echo ""

echo "1. APPLICATION STATUS"
systemctl status sergas-app --no-pager | head -20
echo ""

echo "2. RECENT ERRORS (last 5 minutes)"
journalctl -u sergas-app --since "5 minutes ago" | grep -i "ERROR\|CRITICAL" | tail -20
echo ""

echo "3. API HEALTH"
curl -s -m 5 http://localhost:8000/health | jq || echo "API not responding"
echo ""

echo "4. DATABASE CONNECTIVITY"
psql -d sergas_prod -c "SELECT 1;" >/dev/null 2>&1 && echo "OK" || echo "FAILED"
echo ""

echo "5. REDIS CONNECTIVITY"
redis-cli ping 2>&1
echo ""

echo "6. RESOURCE USAGE"
free -h | head -2
df -h / | tail -1
echo ""

echo "7. ACTIVE CONNECTIONS"
# shellcheck disable=SC2126  # as the guide has it
ss -tunap | grep :8000 | wc -l
echo ""

echo "=== End Diagnostic Report ==="
