#!/usr/bin/env bash
# On the bare machine: what an operator does with the package, from the first installation to the purge.
set -euo pipefail
cd /work
S=/var/lib/product-change-service
C=/etc/product-change-service/product-change-service.yaml
SECRETS=/etc/product-change-service/secrets
UNIT=/usr/lib/systemd/system/product-change-service.service
WANTED=/etc/systemd/system/multi-user.target.wants/product-change-service.service
OPERATOR=/usr/share/product-change-service/operator.sh
passed=0
ok() { # what, command…
    local what=$1
    shift
    if ! "$@" >/tmp/out 2>&1; then
        echo "FAILED: $what"
        cat /tmp/out
        [[ ! -s /tmp/service.log ]] || tail -n 15 /tmp/service.log
        exit 1
    fi
    passed=$((passed + 1))
}
no() { ! "$@"; }
is() { [[ $1 == "$2" ]] || { echo "\"$1\", not \"$2\""; return 1; }; }
says() { grep -qF -- "$1" /tmp/said || { cat /tmp/said; return 1; }; }
until_ok() {
    local end=$((SECONDS + 20))
    until "$@" >/dev/null 2>&1; do ((SECONDS < end)) || return 1; sleep 0.1; done
}

echo "-- installing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null
apt-get install -y -qq --no-install-recommends curl jq procps sqlite3 >/dev/null 2>&1
ok "nothing of it is here" no command -v product-change-service
ok "it installs, with what it needs" apt-get install -y -qq --no-install-recommends ./first.deb
ok "the program runs" product-change-service --version
ok "a user of its own" is "$(getent passwd product-change-service | cut -d: -f6,7)" "$S:/usr/sbin/nologin"
ok "the journal's directory is the user's alone" is "$(stat -c '%U %a' $S)" "product-change-service 700"
ok "secrets are root's" is "$(stat -c '%U %a' $SECRETS)" "root 700"
ok "manual, completion, migrations, documents" ls /usr/share/man/man8/product-change-service.8.gz /usr/share/man/man5/product-change-service.yaml.5.gz \
    /usr/share/bash-completion/completions/product-change-service /usr/share/product-change-service/sql/0001_history.sql
ok "every file is where dpkg says" bash -c '! dpkg --verify product-change-service | grep .'
ok "it starts with the machine" test -L $WANTED
ok "the configuration is a conffile" bash -c "dpkg-query -W -f '\${Conffiles}' product-change-service | grep -q $C"

echo "-- starting it as its unit does"
product-change-service --config $C --check-config >/tmp/said 2>&1 && exit 1
ok "unconfigured it is refused, and what is missing is named" says KOS_BASE_URL
sed -i 's|^  #base_url:$|  base_url: http://127.0.0.1:18080|; s|^  #port: 8083|  port: 18083|' $C
grep -q 'base_url: http://127.0.0.1:18080' $C
head -c 48 /dev/urandom | base64 -w 0 >$SECRETS/jwt-secret
printf 'a-password-of-this-machine' >$SECRETS/db-password
head -c 32 /dev/urandom | base64 -w 0 >$SECRETS/mvno-webhook-secret
chmod 600 $SECRETS/*
# systemd shows the credentials to the service's user alone, in a directory of its own
load_credentials() {
    rm -rf /run/credentials && mkdir -m 700 /run/credentials
    cp $SECRETS/* /run/credentials/
    chown -R product-change-service: /run/credentials
}
start() { # what [Service] says, without systemd
    local line environment=()
    load_credentials
    while read -r line; do
        # shellcheck disable=SC2206
        environment+=($line)
    done < <(sed -n 's/^Environment=//p' $UNIT | sed "s|%S|/var/lib|g; s|%d|/run/credentials|g")
    # shellcheck disable=SC2046
    setpriv --reuid product-change-service --regid product-change-service --clear-groups --no-new-privs --bounding-set=-all \
        env -i PATH=/usr/bin:/bin "${environment[@]}" $(sed -n 's/^ExecStart=//p' $UNIT) >>/tmp/service.log 2>&1 &
    pid=$!
    until_ok curl -sf -m 2 http://127.0.0.1:18083/health/ready || { tail -n 20 /tmp/service.log; return 1; }
}
stop() {
    kill -TERM "$pid"
    wait "$pid"
}
./kos-sim --port 18080 --data kos.json >/tmp/kos.log 2>&1 &
JWT_SECRET=$(cat $SECRETS/jwt-secret) ./auth-sim --port 18081 --data users.json >/tmp/auth.log 2>&1 &
ok "KOS is simulated" until_ok curl -sf http://127.0.0.1:18080/_sim/health
ok "tokens are to be had" until_ok curl -sf http://127.0.0.1:18081/_sim/health
start
ok "it runs as its user" is "$(ps -o user:32= -p "$pid" | tr -d ' ')" product-change-service
token=$(curl -s http://127.0.0.1:18081/api/v1/auth/login -H 'Content-Type: application/json' -d '{"userId":"user01","password":"password1!"}' |
    jq -r '.. | .access_token? // .accessToken? // empty' | head -n 1)
ask() { curl -s -m 12 -H "Authorization: Bearer $token" "$@"; }
ask -H 'Content-Type: application/json' -d '{"lineNumber":"010-1234-5678","currentProductCode":"5GX_STANDARD","targetProductCode":"5GX_PREMIUM"}' \
    http://127.0.0.1:18083/request >/tmp/said
ok "a change is made" is "$(jq -r .data.processStatus /tmp/said)" COMPLETED
id=$(jq -r .data.requestId /tmp/said)
product-change-service status --json --slot 0 --config $C >/tmp/said
ok "the operator's commands reach it" is "$(jq -r .backlog.postgresql.rows /tmp/said)" 1
ok "without PostgreSQL and MVNO AP its row and its event wait in the journal" is "$(jq -r .backlog.mvno.events /tmp/said)" 1
ok "the journal is the user's alone" bash -c "! find $S -perm /077 | grep ."

echo "-- as an operator, at night"
operate() { bash -c ". $OPERATOR && $1"; }
for command in 'df -h "$JOURNAL_PATH"' 'P status' 'P settle list' 'P breakers' 'P breakers kos.change forced-open --reason "incident"' \
    'P breakers kos.change reset' 'P deliveries list --state pending --limit 5' 'P deliveries list --state dead' 'P slots' "P trace $id" \
    'curl -s "localhost:$(service_setting server.port)/metrics" | grep -E "pcs_loop_lag|process_cpu"' 'P backup /root/copy'; do
    ok "$command" operate "$command"
done
ok "the secrets are named" operate 'test "$JWT_SECRET_FILE:$DB_PASSWORD_FILE" = '"$SECRETS/jwt-secret:$SECRETS/db-password"
ok "the service's settings are known" operate 'test "$(service_setting db.host)/$(service_setting kos.base_url)" = 127.0.0.1/http://127.0.0.1:18080'
kill -KILL "$pid"
wait "$pid" || true
ok "a process that died leaves a slot without an owner" operate 'P slots | grep -i orphan'
rm -f $S/0/undo $S/0/reserve $S/0/lock
ok "what has nowhere to go is told, and kept" no operate 'P retire --orphans --wait 3'
ok "what root did there is the service's" bash -c "! find $S ! -user product-change-service | grep ."
start
ok "the service goes on with it" is "$(product-change-service status --json --slot 0 --config $C | jq -r .backlog.postgresql.rows)" 1

echo "-- upgrading while it runs"
instance=$(product-change-service status --json --slot 0 --config $C | jq -r .service.instance)
sed -i 's|^  #level: info|  level: debug|' $C
config_before=$(sha256sum <$C)
ok "the newer package installs over it" apt-get install -y -qq --no-install-recommends ./second.deb
ok "the newer version is there" is "$(dpkg-query -W -f '${Version}' product-change-service)" 0.1.0+upgrade
ok "the configuration is as it was" is "$(sha256sum <$C)" "$config_before"
ok "the secrets are as they were" test -s $SECRETS/jwt-secret
ok "the old program goes on" kill -0 "$pid"
stop
journal_before=$(cd $S/0 && sha256sum journal.db)
ok "installing once more" dpkg -i second.deb
ok "no installation touches the journal" is "$(cd $S/0 && sha256sum journal.db)" "$journal_before"
start
ok "the new program has the old one's journal" is "$(product-change-service status --json --slot 0 --config $C | jq -r .service.instance)" "$instance"
ok "the change is there" is "$(ask http://127.0.0.1:18083/request/"$id" | jq -r .data.processStatus)" COMPLETED
ok "what waited waits" is "$(product-change-service status --json --slot 0 --config $C | jq -r .backlog.postgresql.rows)" 1

echo "-- back to the older one"
stop
ok "the older package installs over it" apt-get install -y -qq --allow-downgrades --no-install-recommends ./first.deb
start
ok "the change is there" is "$(ask http://127.0.0.1:18083/request/"$id" | jq -r .data.processStatus)" COMPLETED
stop

echo "-- removing"
journal_before=$(cd $S/0 && sha256sum journal.db)
ok "it is removed" apt-get remove -y -qq product-change-service
ok "the program is gone" no test -e /usr/bin/product-change-service
ok "the configuration stays" is "$(sha256sum <$C)" "$config_before"
ok "the journal stays" is "$(cd $S/0 && sha256sum journal.db)" "$journal_before"
apt-get purge -y -qq product-change-service >/tmp/said 2>&1
ok "a purge takes configuration and secrets" no test -e /etc/product-change-service
ok "a purge leaves a journal that may hold something" is "$(cd $S/0 && sha256sum journal.db)" "$journal_before"
ok "and says so" says "the journal is kept in $S"
ok "what waits is still in it" is "$(sqlite3 $S/0/journal.db 'SELECT count(*) FROM history_queue')" 1
ok "it can be installed again" apt-get install -y -qq --no-install-recommends ./second.deb
ok "it starts with the machine" test -L $WANTED
apt-get remove -y -qq product-change-service >/dev/null
ok "removed, it is not started" no test -e $WANTED
ok "it comes back" apt-get install -y -qq --no-install-recommends ./second.deb
ok "and starts with the machine, as before" test -e $WANTED
rm $WANTED # systemctl disable
ok "an upgrade" dpkg -i second.deb
ok "leaves what an operator has disabled" no test -e $WANTED
rm -rf "$S"
apt-get purge -y -qq product-change-service >/tmp/said 2>&1
ok "a purge without a journal leaves nothing" no bash -c 'dpkg -L product-change-service 2>/dev/null || ls -d /etc/product-change-service /var/lib/product-change-service 2>/dev/null'
echo "$passed checks passed"
