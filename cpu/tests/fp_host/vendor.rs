//! Whether the host can be the oracle.

/// Undefined results and last bits differ between makers; the processor emulated here is Intel's. On another host
/// the comparison is skipped, and says so.
pub fn intel_host() -> bool {
    let id = std::arch::x86_64::__cpuid(0);
    let intel = (id.ebx, id.edx, id.ecx) == (0x756e_6547, 0x4965_6e69, 0x6c65_746e);
    if !intel {
        println!("skipped: the host's processor is not Intel's");
    }
    intel
}
