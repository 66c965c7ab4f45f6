//! Guest of the test that saves a machine at many instants: disk, diskette, CD, sound card, speaker, network, printer, screen and
//! both serial ports busy at once, while keys are typed and the mouse moves; what can be checked the guest checks itself.

use std::path::Path;

use anyhow::Result;

use super::layer::{self, Layer};

/// First program in the guest: the kernel hands over `rounds` from its command line. COM1 gets what came of it all, COM2 a
/// numbered line each few milliseconds. Five lines come on COM2, and `typed` from the keyboard.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in $(cat /modules.order); do insmod /modules/$m; done
mouse=; n=0; while [ ! -b /dev/sda -o ! -b /dev/fd0 -o ! -b /dev/sr0 -o ! -c /dev/lp0 -o -z "$mouse" ] && [ $n -lt 100 ]; do
    usleep 50000; n=$((n+1)); mouse=$(grep -l Mouse /sys/class/input/event*/device/name | cut -d / -f 5)
done
ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
dd if=/dev/urandom of=/r bs=64k count=8 2>/dev/null; dd if=/r of=/f bs=18k count=3 2>/dev/null
/modules/tones volume 100; seq 1 100 > /page; crc32 /dev/sr0 | cut -d ' ' -f 1 > /cd.sum
stty -F /dev/ttyS1 115200 raw -echo
sleep 4
dmesg -n 1; dmesg -c > /dev/null
echo "busy begins"
(bad=0; i=0; while [ $i -lt $((rounds * 4)) ]; do
    dd if=/r of=/dev/sda bs=64k seek=$((i % 16 * 8)) conv=notrunc 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches
    dd if=/dev/sda bs=64k skip=$((i % 16 * 8)) count=8 2>/dev/null | cmp - /r || bad=$((bad + 1)); i=$((i + 1))
done; echo "disk: $i rounds, $bad bad" > /disk.log) &
(bad=0; i=0; while [ $i -lt $rounds ]; do
    dd if=/r of=/dev/fd0 bs=18k seek=$((i * 7 % 70)) count=3 conv=fsync 2>/dev/null; blockdev --flushbufs /dev/fd0
    dd if=/dev/fd0 bs=18k skip=$((i * 7 % 70)) count=3 2>/dev/null | cmp - /f || bad=$((bad + 1)); i=$((i + 1))
done; echo "diskette: $i rounds, $bad bad" > /diskette.log) &
(bad=0; i=0; while [ $i -lt $rounds ]; do
    /modules/tones play 22050 16 2 441 700 || bad=$((bad + 1)); i=$((i + 1))
done; echo "sound: $i tones, $bad bad" > /sound.log) &
(ping -c $((rounds * 60)) -i 0.01 -s 1200 10.0.2.2 | grep packets > /net.log) &
(i=0; while [ $i -lt $((rounds * 20)) ]; do echo "line $i"; usleep 20000; i=$((i + 1)); done > /dev/ttyS1) &
(bad=0; i=0; while [ $i -lt $((rounds * 4)) ]; do
    blockdev --flushbufs /dev/sr0; [ "$(crc32 < /dev/sr0)" = "$(cat /cd.sum)" ] || bad=$((bad + 1)); i=$((i + 1))
done; echo "CD: $i rounds, $bad bad, sum $(cat /cd.sum)" > /cd.log) &
(i=0; while [ $i -lt $((rounds * 10)) ]; do printf '\033[10;%d]\033[11;60]\a' $((400 + i * 37)); usleep 80000; i=$((i + 1)); done > /dev/tty1) &
(i=0; while [ $i -lt $((rounds * 30)) ]; do echo "row $i of the screen"; usleep 30000; i=$((i + 1)); done > /dev/tty1) &
(i=0; while [ $i -lt $rounds ]; do cat /page; usleep 200000; i=$((i + 1)); done > /dev/lp0) &
(timeout 60 head -n "$typed" < /dev/tty1 > /typed.log) &
(timeout 60 head -n 5 < /dev/ttyS1 > /heard.log) &
cat "/dev/input/$mouse" > /mouse &
cat=$!
(sleep 1; while pidof head dd ping tones > /dev/null; do usleep 50000; done; sleep 1; kill $cat) &
wait
sed 's/^/typed: /' /typed.log; sed 's/^/heard: /' /heard.log
echo "mouse: $(wc -c < /mouse) bytes, $(md5sum < /mouse)"
cat /disk.log /diskette.log /cd.log /sound.log /net.log
dmesg | grep -i -e lost -e 'timed out' -e 'nobody cared' -e exception -e 'failed command' -e reset -e 'call trace' \
    -e spurious -e stall -e 'blocked for' -e underrun -e xrun -e error -e floppy | sed 's/^/kernel: /'
echo "busy ends"
poweroff -f
"#;

const LAYER: Layer<'_> = Layer {
    init: INIT,
    drivers: &[
        "ata_piix",
        "sd_mod",
        "sr_mod",
        "floppy",
        "parport_pc",
        "lp",
        "psmouse",
        "evdev",
        "pcspkr",
        "tulip",
        "af_packet",
        "snd_sb16",
        "snd_mixer_oss",
        "snd_pcm_oss",
    ],
    modules: &[],
    programs: &[("tones", include_str!("tones.c"))],
    binaries: &[],
};

/// `base`: the tests' initrd.
pub(super) fn make(at: &Path, base: &Path) -> Result<()> {
    layer::make(at, base, &LAYER)
}
