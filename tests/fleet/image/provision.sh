#!/bin/sh
# Turns a release's packages into a fleet host: runs once, in the image's build.
set -eu
export LC_ALL=C.UTF-8
app=/home/sergas/super-account-manager

# The machine's business, which a container must leave alone, and what needs modules or a console.
for unit in systemd-modules-load.service systemd-binfmt.service systemd-remount-fs.service \
    systemd-firstboot.service systemd-udevd.service \
    systemd-journal-catalog-update.service systemd-update-done.service ldconfig.service \
    systemd-hwdb-update.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
    proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount console-getty.service \
    getty.target apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer dpkg-db-backup.timer systemd-networkd-wait-online.service
do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
rm -rf /etc/systemd/system/getty.target.wants /var/log/*.log
mkdir -p /var/log/journal

# ops: a person with sudo. The key of the fleet is put in place when a host is created.
useradd --create-home --shell /bin/bash ops
chmod 440 /etc/sudoers.d/ops
install -d -m 700 /root/.ssh
install -d -m 700 -o ops -g ops /home/ops/.ssh
printf 'PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\n' \
    > /etc/ssh/sshd_config.d/fleet.conf

# PostgreSQL: the app's database and role; ops may read everything.
version=$(ls /etc/postgresql)
printf '%s\n' "password_encryption = 'scram-sha-256'" 'shared_buffers = 64MB' \
    > "/etc/postgresql/$version/main/conf.d/fleet.conf"
sed -i 's/\bmd5$/scram-sha-256/' "/etc/postgresql/$version/main/pg_hba.conf"
password=$(sed -n 's/^DATABASE_PASSWORD="\(.*\)"/\1/p' "$app/env")
# No TCP: builds run side by side on the machine's own network.
pg_ctlcluster "$version" main start -- -o '-c fsync=off -c listen_addresses='
sql() { su postgres -c "psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 -d $1"; }
sql postgres <<SQL
CREATE ROLE sergas_app LOGIN PASSWORD '$password';
CREATE ROLE ops LOGIN;
GRANT pg_monitor TO ops;
CREATE DATABASE sergas_prod OWNER sergas_app TEMPLATE template0
    ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';
SQL
{ echo 'SET ROLE sergas_app;'; cat /tmp/schema.sql; } | sql sergas_prod
echo 'VACUUM ANALYZE;' | sql sergas_prod
pg_ctlcluster "$version" main stop

# Redis: a password and a limit.
{
    echo "requirepass $(sed -n 's/^REDIS_PASSWORD=//p' "$app/env")"
    echo 'maxmemory 64mb'
    echo 'maxmemory-policy allkeys-lru'
} >> /etc/redis/redis.conf

# ufw: written while it is inactive, since an active one would touch the building machine's rules.
# 192.0.2.1 stands for the controller, 192.0.2.2 for the balancer, until fleet-addresses.service has run.
ufw allow 22/tcp
ufw allow from 192.0.2.1 to any port 8000 proto tcp
ufw allow from 192.0.2.2 to any port 8000 proto tcp
sed -i 's/^ENABLED=.*/ENABLED=yes/' /etc/ufw/ufw.conf

# The app, in a virtual environment that can be repaired without a network.
useradd --home-dir /home/sergas --shell /usr/sbin/nologin sergas
chown sergas:sergas /home/sergas
chmod 755 /home/sergas
cd "$app"
python3 -m venv venv
printf '[global]\nno-index = true\nfind-links = %s/wheelhouse\ndisable-pip-version-check = true\n' \
    "$app" > venv/pip.conf
venv/bin/pip install --quiet -r requirements.txt
mv env .env
python3 -m compileall -q src
# What a fault may have changed is restored from here.
mkdir -p /usr/local/share/sergas-fleet
cp -a "$app/src" "$app/.env" /usr/local/share/sergas-fleet/
chown -R sergas:sergas "$app"
chmod 600 .env

systemctl enable fleet-addresses.service sergas-app.service sergas-externals.service fail2ban.service ufw.service \
    redis-server.service postgresql.service ssh.service
# Nothing to bring up to date at boot.
touch /etc/.updated /var/.updated
: > /etc/machine-id
