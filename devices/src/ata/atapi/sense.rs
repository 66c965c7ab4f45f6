//! Sense keys and additional sense codes. SFF-8020i table 140, MMC-2 annex.

/// Why a packet command failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sense {
    pub(crate) key: u8,
    pub(crate) asc: u8,
    pub(crate) ascq: u8,
}

const fn sense(key: u8, asc: u8, ascq: u8) -> Sense {
    Sense { key, asc, ascq }
}

impl Sense {
    pub(crate) const NONE: Self = sense(0, 0, 0);
    /// Medium not present, tray closed.
    pub(crate) const EMPTY: Self = sense(2, 0x3a, 0x01);
    /// Medium not present, tray open.
    pub(crate) const OPEN: Self = sense(2, 0x3a, 0x02);
    pub(crate) const UNREADABLE: Self = sense(3, 0x11, 0x00);
    /// Parameter list length error.
    pub(crate) const LIST_LENGTH: Self = sense(5, 0x1a, 0x00);
    pub(crate) const BAD_OPCODE: Self = sense(5, 0x20, 0x00);
    pub(crate) const OUT_OF_RANGE: Self = sense(5, 0x21, 0x00);
    pub(crate) const BAD_FIELD: Self = sense(5, 0x24, 0x00);
    /// Invalid field in parameter list.
    pub(crate) const BAD_PARAMETER: Self = sense(5, 0x26, 0x00);
    /// Command sequence error.
    pub(crate) const SEQUENCE: Self = sense(5, 0x2c, 0x00);
    /// Cannot read medium, incompatible format.
    pub(crate) const INCOMPATIBLE: Self = sense(5, 0x30, 0x02);
    /// Saving parameters not supported.
    pub(crate) const NO_SAVED_PAGES: Self = sense(5, 0x39, 0x00);
    /// Medium removal prevented.
    pub(crate) const LOCKED: Self = sense(5, 0x53, 0x02);
    /// Illegal mode for this track.
    pub(crate) const WRONG_TRACK: Self = sense(5, 0x64, 0x00);
    /// Not ready to ready change, medium may have changed.
    pub(crate) const NEW_MEDIUM: Self = sense(6, 0x28, 0x00);
    /// Power on, reset, or bus device reset occurred.
    pub(crate) const WAS_RESET: Self = sense(6, 0x29, 0x00);
    /// A bus master that did not do its part: aborted command, data phase error.
    pub(crate) const DATA_PHASE: Self = sense(0x0b, 0x4b, 0x00);

    /// REQUEST SENSE data.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut b = vec![0; 18];
        b[0] = 0x70;
        b[2] = self.key;
        b[7] = 10;
        b[12] = self.asc;
        b[13] = self.ascq;
        b
    }
}
