#!/bin/sh
# Installs the guest agent, or takes it away: install.sh [--uninstall]. Run as root, from the folder of heirloom-agent.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
agent=$root/usr/local/sbin/heirloom-agent
unit=$root/etc/systemd/system/heirloom-agent.service
init=$root/etc/init.d/heirloom-agent

# With DESTDIR only files are put there; nothing is started.
systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }
sysv() { [ -z "$root" ] && ! systemd && [ -d /etc/init.d ]; }

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

uninstall() {
    if systemd; then systemctl disable --now heirloom-agent 2>/dev/null || true; fi
    if sysv && [ -x "$init" ]; then
        "$init" stop || true
        rm -f "$init"
        if command -v update-rc.d > /dev/null; then update-rc.d heirloom-agent remove > /dev/null; fi
    fi
    rm -f "$unit" "$init" "$agent"
    if systemd; then systemctl daemon-reload; fi
    echo "the Heirloom guest agent is taken away"
}

install_files() {
    [ -f "$here/heirloom-agent" ] || fail "no heirloom-agent beside this script; copy the whole folder"
    mkdir -p "$(dirname "$agent")"
    # A new file in place of the old one: that may be running.
    cp "$here/heirloom-agent" "$agent.new"
    chmod 755 "$agent.new"
    mv -f "$agent.new" "$agent"
    if [ -n "$root" ] || [ -d /etc/systemd ]; then
        mkdir -p "$(dirname "$unit")"
        cp "$here/heirloom-agent.service" "$unit"
        chmod 644 "$unit"
    fi
    if [ -n "$root" ] || [ -d /etc/init.d ]; then
        mkdir -p "$(dirname "$init")"
        cp "$here/heirloom-agent.init" "$init"
        chmod 755 "$init"
    fi
}

start() {
    if systemd; then
        systemctl daemon-reload
        systemctl enable heirloom-agent
        systemctl restart heirloom-agent
    elif sysv; then
        if command -v update-rc.d > /dev/null; then
            update-rc.d heirloom-agent defaults > /dev/null
        else
            echo "install.sh: have /etc/init.d/heirloom-agent started at boot, as your system does it" >&2
        fi
        "$init" restart
    elif [ -z "$root" ]; then
        echo "install.sh: neither systemd nor sysvinit here; start $agent at boot" >&2
    fi
    echo "the Heirloom guest agent is installed"
}

[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "must be root"
case "${1:-}" in
"") install_files && start ;;
--uninstall) uninstall ;;
*) fail "usage: install.sh [--uninstall]" ;;
esac
