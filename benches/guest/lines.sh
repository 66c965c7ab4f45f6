#!/bin/sh
# Runs lines of the benchmark by name: the same script in the guest and on the host.
# usage: lines.sh LIMIT LINE...        (LIMIT: seconds after which a line stops early; see main.c)
here=${0%/*}
busybox=$here/busybox
data=${BENCH_TMP:-/tmp}
limit=$1
shift

program() { # NAME ROUNDS SCRIPT: a line that is a command of busybox's
    "$here/bench-x87" --limit "$limit" --exec "$1" "$2" -- "$busybox" sh -c "$3"
}

for line in "$@"; do
    case $line in
    none) # only to see the system come up
        ;;
    shell-loop)
        program shell-loop 5 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo $i';;
    md5sum)
        "$here/bench-x87" --data "$data/bench.data" 16000000
        program md5sum 6 "exec $busybox md5sum < $data/bench.data";;
    gzip)
        "$here/bench-x87" --data "$data/bench.data" 500000
        program gzip 6 "exec $busybox gzip -c < $data/bench.data";;
    sse2-*|libm-*)
        "$here/bench-sse2" --limit "$limit" "$line";;
    *)
        "$here/bench-x87" --limit "$limit" "$line";;
    esac || echo "bench failed $line"
    rm -f "$data/bench.data"
done
echo "bench done"
