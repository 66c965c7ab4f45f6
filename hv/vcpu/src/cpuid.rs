//! What CPUID answers, the same on every engine: a Pentium 4 of the first kind without an APIC.
//!
//! Leaf and bit meanings: SDM vol. 2, CPUID. Why this shape: NT 4 and Windows 9x fail on a maximum leaf above
//! 2; the APIC, DS, ACPI and TM bits promise MSRs and hardware that this board does not have.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuidLeaf {
    pub leaf: u32,
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuidTable {
    leaves: Vec<CpuidLeaf>,
}

const FPU: u32 = 1 << 0;
const DE: u32 = 1 << 2;
const PSE: u32 = 1 << 3;
const TSC: u32 = 1 << 4;
const MSR: u32 = 1 << 5;
const PAE: u32 = 1 << 6;
const CX8: u32 = 1 << 8;
const SEP: u32 = 1 << 11;
const MTRR: u32 = 1 << 12;
const PGE: u32 = 1 << 13;
const CMOV: u32 = 1 << 15;
const PAT: u32 = 1 << 16;
const PSE36: u32 = 1 << 17;
const CLFSH: u32 = 1 << 19;
const MMX: u32 = 1 << 23;
const FXSR: u32 = 1 << 24;
const SSE: u32 = 1 << 25;
const SSE2: u32 = 1 << 26;
const SS: u32 = 1 << 27;

/// 80000001h EDX: execute disable.
pub const NX: u32 = 1 << 20;

impl CpuidTable {
    /// The TSC's rate. A round number that no guest of this age finds too fast.
    pub const TSC_HZ: u64 = 1_800_000_000;
    /// Family 15, model 1, stepping 2; also EDX after reset.
    pub const SIGNATURE: u32 = 0x0000_0f12;

    /// The processor that Heirloom shows. `nx` adds execute disable (Windows XP SP2 then picks its PAE kernel).
    pub fn pentium4(nx: bool) -> Self {
        let features = FPU
            | DE
            | PSE
            | TSC
            | MSR
            | PAE
            | CX8
            | SEP
            | MTRR
            | PGE
            | CMOV
            | PAT
            | PSE36
            | CLFSH
            | MMX
            | FXSR
            | SSE
            | SSE2
            | SS;
        let leaf = |leaf, eax, ebx, ecx, edx| CpuidLeaf { leaf, eax, ebx, ecx, edx };
        let text = |leaf: u32, s: &[u8; 16]| {
            let d = |i: usize| u32::from_le_bytes([s[i], s[i + 1], s[i + 2], s[i + 3]]);
            CpuidLeaf { leaf, eax: d(0), ebx: d(4), ecx: d(8), edx: d(12) }
        };
        let leaves = vec![
            leaf(
                0,
                2,
                u32::from_le_bytes(*b"Genu"),
                u32::from_le_bytes(*b"ntel"),
                u32::from_le_bytes(*b"ineI"),
            ),
            leaf(1, Self::SIGNATURE, 0x0000_0808, 0, features),
            leaf(2, 0x665b_5001, 0, 0, 0x007a_7040),
            leaf(0x8000_0000, 0x8000_0004, 0, 0, 0),
            leaf(0x8000_0001, 0, 0, 0, if nx { NX } else { 0 }),
            text(0x8000_0002, b"Intel(R) Pentium"),
            text(0x8000_0003, b"(R) 4 CPU 1.80GH"),
            text(0x8000_0004, b"z\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ];
        Self { leaves }
    }

    /// What CPUID returns for EAX = `leaf`. Beyond the last basic leaf it answers as the last one does (SDM).
    pub fn get(&self, leaf: u32) -> CpuidLeaf {
        let find = |l: u32| self.leaves.iter().find(|x| x.leaf == l).copied();
        find(leaf).or_else(|| find(2)).unwrap_or(CpuidLeaf { leaf, eax: 0, ebx: 0, ecx: 0, edx: 0 })
    }

    pub fn leaves(&self) -> &[CpuidLeaf] {
        &self.leaves
    }

    pub fn has_nx(&self) -> bool {
        self.get(0x8000_0001).edx & NX != 0
    }
}
