# shellcheck shell=sh # part of the tests of packages
# What they have in common: one line for each thing that holds, and the first that does not ends all.

log=$(mktemp)
slurmctld_log=/var/log/slurm/slurmctld.log
# Not Slurm's own: others on this machine may have it. Derived from what is one's own alone.
# shellcheck disable=SC2034 # used by the tests
port=$((11000 + ${SLURM_ASG_TEST_NUMBER:-0}))
slurmctld=

ok() {
    echo "ok - ${release:+$release: }$*"
}

fail() {
    echo "not ok - ${release:+$release: }$*"
    echo "--- output"
    tail -n 40 "$log"
    echo "--- slurmctld"
    tail -n 20 "$slurmctld_log" 2> /dev/null || true
    exit 1
}

# until_true WHAT COMMAND...: tries for half a minute.
until_true() {
    what=$1
    shift
    tries=0
    until "$@" 2> /dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || fail "not in 30 s: $what"
        sleep 0.2
    done
    ok "$what"
}

start_slurmctld() {
    : > "$slurmctld_log"
    chown slurm:slurm "$slurmctld_log"
    AWS_EC2_METADATA_DISABLED=true AWS_ENDPOINT_URL=http://127.0.0.1:9 AWS_ACCESS_KEY_ID=none \
        AWS_SECRET_ACCESS_KEY=none /usr/sbin/slurmctld -D > /tmp/slurmctld.$$.out 2>&1 &
    slurmctld=$!
}

stop_slurmctld() {
    kill "$slurmctld" 2> /dev/null || true
    wait "$slurmctld" 2> /dev/null || true
}
