//! Saved state of function 3.

use board::{StateError, StateIn, StateOut};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::Piix4Pm;
use super::power::PowerBlock;
use super::regs::{GLBSTS_MASK, Pmcntrl, Pmsts};
use super::smbus::{BLOCK, Smbus};

const VERSION: u16 = 1;

#[derive(Encode, Decode)]
struct Piix4PmV1 {
    #[n(0)]
    config: ByteVec,
    #[n(1)]
    pmsts: u16,
    #[n(2)]
    pmen: u16,
    #[n(3)]
    pmcntrl: u16,
    #[n(4)]
    gpsts: u16,
    #[n(5)]
    gpen: u16,
    #[n(6)]
    pcntrl: u32,
    #[n(7)]
    glben: u16,
    #[n(8)]
    glbctl: u32,
    #[n(9)]
    devctl: u32,
    #[n(10)]
    gpo: u32,
    #[n(11)]
    top: bool,
    #[n(12)]
    asleep: bool,
    #[n(13)]
    smb: [u8; 5],
    #[n(14)]
    smb_data: [u8; 2],
    #[n(15)]
    smb_block: ByteVec,
    /// SMBSLVCNT, nothing, SMBSLVEVT, nothing.
    #[n(16)]
    smb_slave: [u8; 6],
    #[n(17)]
    apm: [u8; 2],
    #[n(18)]
    glbsts: Option<u16>,
    /// When the power button's override comes.
    #[n(19)]
    held_until: Option<u64>,
    /// When the SMBus command that runs is through.
    #[n(20)]
    smb_busy: Option<u64>,
    /// Address counters of the EEPROMs.
    #[n(21)]
    eeproms: Option<ByteVec>,
}

pub(super) fn save(d: &Piix4Pm, out: &mut StateOut) {
    let Piix4Pm { sci: _, config, power, smbus, apm } = d;
    let power = power.clone();
    let Smbus {
        bus,
        status,
        control,
        command,
        address,
        data,
        block,
        at,
        slave_control,
        slave_event: [event, event_high],
        busy,
    } = smbus.clone();
    out.put(
        VERSION,
        &Piix4PmV1 {
            config: config.bytes().to_vec().into(),
            pmsts: power.pmsts.into_bits(),
            pmen: power.pmen,
            pmcntrl: power.pmcntrl.into_bits(),
            gpsts: power.gpsts,
            gpen: power.gpen,
            pcntrl: power.pcntrl,
            glben: power.glben,
            glbctl: power.glbctl,
            devctl: power.devctl,
            gpo: power.gpo,
            top: power.top,
            asleep: power.asleep,
            smb: [status, control, command, address, at],
            smb_data: data,
            smb_block: block.to_vec().into(),
            smb_slave: [slave_control, 0, event, event_high, 0, 0],
            apm: *apm,
            glbsts: Some(power.glbsts),
            held_until: power.held_until,
            smb_busy: busy,
            eeproms: Some(bus.counters().into()),
        },
    );
}

pub(super) fn load(d: &mut Piix4Pm, s: &StateIn<'_>) -> Result<(), StateError> {
    let v: Piix4PmV1 = s.get(VERSION)?;
    let config: &[u8; 256] =
        v.config.as_slice().try_into().map_err(|_| s.bad("config", v.config.len() as u64))?;
    let block =
        v.smb_block.as_slice().try_into().map_err(|_| s.bad("smb_block", v.smb_block.len() as u64))?;
    let [status, control, command, address, at] = v.smb;
    if usize::from(at) >= BLOCK {
        return Err(s.bad("smb index", u64::from(at)));
    }
    let mut bus = d.smbus.bus.clone();
    if let Some(all) = &v.eeproms
        && !bus.set_counters(all)
    {
        return Err(s.bad("eeproms", all.len() as u64));
    }
    d.config.set_bytes(config);
    d.power = PowerBlock {
        pmsts: Pmsts::from_bits(v.pmsts),
        pmen: v.pmen,
        pmcntrl: Pmcntrl::from_bits(v.pmcntrl),
        gpsts: v.gpsts,
        gpen: v.gpen,
        pcntrl: v.pcntrl,
        glbsts: v.glbsts.unwrap_or(0) & GLBSTS_MASK,
        glben: v.glben,
        glbctl: v.glbctl,
        devctl: v.devctl,
        gpo: v.gpo,
        top: v.top,
        asleep: v.asleep,
        held_until: v.held_until,
        wish: None,
    };
    let [slave_control, _, event, event_high, ..] = v.smb_slave;
    d.smbus = Smbus {
        bus,
        status,
        control,
        command,
        address,
        data: v.smb_data,
        block,
        at,
        slave_control,
        slave_event: [event, event_high],
        busy: v.smb_busy,
    };
    d.apm = v.apm;
    Ok(())
}
