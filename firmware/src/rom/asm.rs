//! A run of assembled code at its place in a segment.

use iced_x86::code_asm::{CodeAssembler, CodeAssemblerResult, CodeLabel};
use iced_x86::{BlockEncoderOptions, IcedError};

pub struct Block {
    pub code: Vec<u8>,
    result: CodeAssemblerResult,
}

impl Block {
    pub fn assemble(a: &mut CodeAssembler, at: u16) -> Result<Self, IcedError> {
        let result =
            a.assemble_options(u64::from(at), BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
        Ok(Self { code: result.inner.code_buffer.clone(), result })
    }

    pub fn address(&self, l: &CodeLabel) -> Result<u16, IcedError> {
        self.result.label_ip(l).map(|a| a as u16)
    }
}
