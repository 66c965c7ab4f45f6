//! Interrupts against what the work needs: one too few is one that was lost.

use super::super::report::{Bar, Report};
use super::marks::{Mark, Phase};

/// Linux's periodic tick: the 8254's clock, divided to come near 250 Hz.
const TICK: f64 = 4773.0 / 1_193_182.0;
/// Samples of a period of the sound, as in `guests/soak/work.c`.
const PERIOD: f64 = 4096.0;
/// Counts are read one after the other.
const NEAR: f64 = 2.0;

pub(super) fn report(r: &mut Report, marks: &[Mark]) {
    let busy: Vec<&Mark> = marks.iter().filter(|m| m.phase == Phase::Busy).collect();
    let (Some(before), Some(after)) = (marks.first(), marks.last()) else { return };
    let (Some(begun), Some(end)) = (busy.first(), busy.last()) else { return };
    let mut all = |what: &str, got: f64, meant: f64, near: f64| {
        r.add(&format!("interrupts: {what}"), got, "", Bar::None);
        r.add("more than were due", got - meant, "", Bar::Within(near));
    };
    let ticks = after.interrupts("timer") - before.interrupts("timer");
    all("timer", ticks, (after.clock("tsc") - before.clock("tsc")) / TICK, NEAR);
    let commands = after.did("commands") - before.did("commands");
    all("disk", after.interrupts("ata_piix") - before.interrupts("ata_piix"), commands, 0.0);
    let periods = ((end.did("samples") - begun.did("samples")) / PERIOD).round();
    all("sound", end.interrupts("SoundBlaster") - begun.interrupts("SoundBlaster"), periods, NEAR);
    let seconds = (end.clock("tsc") - begun.clock("tsc")).round();
    all("battery clock", end.interrupts("rtc0") - begun.interrupts("rtc0"), seconds, NEAR);
    let network = after.interrupts("eth0") - before.interrupts("eth0");
    r.add("interrupts: network", network, "", Bar::AtLeast(1.0));
    r.add("interrupts of the 8259A without a cause", after.interrupts("ERR"), "", Bar::AtMost(0.0));
}

#[cfg(test)]
mod tests {
    use super::super::marks::Reader;
    use super::*;

    fn after(timer: u32, disk: u32, sound: u32, clock: u32, spurious: u32) -> usize {
        let mut reader = Reader::default();
        let mut mark = |phase: &str, secs: u64, done: u32, irq: &str| {
            let tsc = secs * 1_800_000_000;
            reader.take(&format!("soak at {phase} tsc={:08x}:{:08x}", tsc >> 32, tsc as u32), 0.0);
            let samples = u64::from(done > 0) * secs * 44_100;
            reader.take(&format!("soak did commands={} samples={samples}", 7 + done), 0.0);
            reader.take(&format!("soak irq {irq}"), 0.0);
        };
        mark("first", 0, 0, "0=1:timer 14=9:ata_piix 5=0:SoundBlaster 8=0:rtc0 11=0:eth0 ERR=0");
        mark("busy", 0, 0, "0=1:timer 14=9:ata_piix 5=0:SoundBlaster 8=0:rtc0 11=4:eth0 ERR=0");
        let end = format!(
            "0={timer}:timer 14={disk}:ata_piix 5={sound}:SoundBlaster 8={clock}:rtc0 11=9:eth0 ERR={spurious}"
        );
        mark("busy", 100, 50, &end);
        mark("last", 100, 50, &end);
        let mut r = Report::default();
        report(&mut r, &reader.into_parts().0);
        r.missed()
    }

    #[test]
    fn what_the_work_needs_is_no_more_and_no_less() {
        assert_eq!(after(25_000, 59, 1077, 100, 0), 0);
    }

    #[test]
    fn each_lost_interrupt_is_told() {
        assert_eq!(after(24_990, 59, 1077, 100, 0), 1, "ticks");
        assert_eq!(after(25_000, 58, 1077, 100, 0), 1, "a command of the disk");
        assert_eq!(after(25_000, 60, 1077, 100, 0), 1, "one too many");
        assert_eq!(after(25_000, 59, 1070, 100, 0), 1, "periods");
        assert_eq!(after(25_000, 59, 1077, 96, 0), 1, "seconds");
        assert_eq!(after(25_000, 59, 1077, 100, 1), 1, "one without a cause");
    }
}
