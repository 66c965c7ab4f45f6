//! The opcode map of D8 to DF. SDM vol. 2, appendix A.5; aliases that the SDM leaves blank are named.

use super::arith::{
    ADD, COM, COMP, DIV, DIVR, MUL, SUB, SUBR, com, comi, fprem, frndint, fscale, fsqrt, ftst, fxam, fxtract,
    op_i16, op_i32, op_m32, op_m64, op_pop, op_st0, op_sti, sign,
};
use super::control::{
    fldcw, fldenv, fnclex, fninit, fnop, fnsave, fnstcw, fnstenv, fnstsw, fnstsw_ax, frstor, ignored,
};
use super::load_store::{
    fbld, fbstp, fild_m16, fild_m32, fild_m64, fist_m16, fist_m32, fistp_m64, fld_constant, fld_m32, fld_m64,
    fld_m80, fld_sti, fst_m32, fst_m64, fst_sti, fstp_m80, undefined,
};
use super::stack::{fcmov, ffree, fxch, turn};
use super::transcendental::{f2xm1, fcos, fpatan, fptan, fsin, fsincos, fyl2x, fyl2xp1};
use crate::insn::Handler;

const UD: Handler = undefined;

/// By the low three bits of the opcode and the reg field. FISTTP (DB /1, DD /1, DF /1) came with SSE3.
const MEMORY: [[Handler; 8]; 8] = [
    [
        op_m32::<ADD>,
        op_m32::<MUL>,
        op_m32::<COM>,
        op_m32::<COMP>,
        op_m32::<SUB>,
        op_m32::<SUBR>,
        op_m32::<DIV>,
        op_m32::<DIVR>,
    ],
    [fld_m32, UD, fst_m32::<false>, fst_m32::<true>, fldenv, fldcw, fnstenv, fnstcw],
    [
        op_i32::<ADD>,
        op_i32::<MUL>,
        op_i32::<COM>,
        op_i32::<COMP>,
        op_i32::<SUB>,
        op_i32::<SUBR>,
        op_i32::<DIV>,
        op_i32::<DIVR>,
    ],
    [fild_m32, UD, fist_m32::<false>, fist_m32::<true>, UD, fld_m80, UD, fstp_m80],
    [
        op_m64::<ADD>,
        op_m64::<MUL>,
        op_m64::<COM>,
        op_m64::<COMP>,
        op_m64::<SUB>,
        op_m64::<SUBR>,
        op_m64::<DIV>,
        op_m64::<DIVR>,
    ],
    [fld_m64, UD, fst_m64::<false>, fst_m64::<true>, frstor, UD, fnsave, fnstsw],
    [
        op_i16::<ADD>,
        op_i16::<MUL>,
        op_i16::<COM>,
        op_i16::<COMP>,
        op_i16::<SUB>,
        op_i16::<SUBR>,
        op_i16::<DIV>,
        op_i16::<DIVR>,
    ],
    [fild_m16, UD, fist_m16::<false>, fist_m16::<true>, fbld, fild_m64, fbstp, fistp_m64],
];

const FCOM: Handler = com::<false, 0>;
const FCOMP: Handler = com::<false, 1>;
const FCOMPP: Handler = com::<false, 2>;
const FUCOM: Handler = com::<true, 0>;
const FUCOMP: Handler = com::<true, 1>;
const FUCOMPP: Handler = com::<true, 2>;
const FST: Handler = fst_sti::<false>;
const FSTP: Handler = fst_sti::<true>;

const D9_E0: [Handler; 8] = [sign::<true>, sign::<false>, UD, UD, ftst, fxam, UD, UD];
const D9_E8: [Handler; 8] =
    [fld_constant, fld_constant, fld_constant, fld_constant, fld_constant, fld_constant, fld_constant, UD];
const D9_F0: [Handler; 8] = [f2xm1, fyl2x, fptan, fpatan, fxtract, fprem::<true>, turn::<7>, turn::<1>];
const D9_F8: [Handler; 8] = [fprem::<false>, fyl2xp1, fsqrt, fsincos, frndint, fscale, fsin, fcos];
const DB_E0: [Handler; 8] = [ignored, ignored, fnclex, fninit, ignored, UD, UD, UD];

/// The memory form of opcode `D8h + esc`.
pub(crate) const fn memory(esc: u8, modrm: u8) -> Handler {
    MEMORY[(esc & 7) as usize][(modrm >> 3 & 7) as usize]
}

/// The register form.
pub(crate) const fn register(esc: u8, modrm: u8) -> Handler {
    let rm = (modrm & 7) as usize;
    match (esc & 7, modrm >> 3 & 7) {
        (0, 0) => op_st0::<ADD>,
        (0, 1) => op_st0::<MUL>,
        (0, 2) => FCOM,
        (0, 3) => FCOMP,
        (0, 4) => op_st0::<SUB>,
        (0, 5) => op_st0::<SUBR>,
        (0, 6) => op_st0::<DIV>,
        (0, 7) => op_st0::<DIVR>,
        (1, 0) => fld_sti,
        (1, 1) => fxch,
        (1, 2) => {
            if rm == 0 {
                fnop
            } else {
                UD
            }
        }
        // FSTP1, an alias.
        (1, 3) => FSTP,
        (1, 4) => D9_E0[rm],
        (1, 5) => D9_E8[rm],
        (1, 6) => D9_F0[rm],
        (1, 7) => D9_F8[rm],
        (2, 0) => fcmov::<0, false>,
        (2, 1) => fcmov::<1, false>,
        (2, 2) => fcmov::<2, false>,
        (2, 3) => fcmov::<3, false>,
        (2, 5) => {
            if rm == 1 {
                FUCOMPP
            } else {
                UD
            }
        }
        (3, 0) => fcmov::<0, true>,
        (3, 1) => fcmov::<1, true>,
        (3, 2) => fcmov::<2, true>,
        (3, 3) => fcmov::<3, true>,
        (3, 4) => DB_E0[rm],
        (3, 5) => comi::<true, false>,
        (3, 6) => comi::<false, false>,
        (4, 0) => op_sti::<ADD>,
        (4, 1) => op_sti::<MUL>,
        // FCOM2 and FCOMP3, aliases.
        (4, 2) => FCOM,
        (4, 3) => FCOMP,
        (4, 4) => op_sti::<SUB>,
        (4, 5) => op_sti::<SUBR>,
        (4, 6) => op_sti::<DIV>,
        (4, 7) => op_sti::<DIVR>,
        (5, 0) => ffree::<false>,
        // FXCH4, an alias.
        (5, 1) => fxch,
        (5, 2) => FST,
        (5, 3) => FSTP,
        (5, 4) => FUCOM,
        (5, 5) => FUCOMP,
        (6, 0) => op_pop::<ADD>,
        (6, 1) => op_pop::<MUL>,
        // FCOMP5, an alias.
        (6, 2) => FCOMP,
        (6, 3) => {
            if rm == 1 {
                FCOMPP
            } else {
                UD
            }
        }
        (6, 4) => op_pop::<SUB>,
        (6, 5) => op_pop::<SUBR>,
        (6, 6) => op_pop::<DIV>,
        (6, 7) => op_pop::<DIVR>,
        // FFREEP, FXCH7, FSTP8, FSTP9: aliases.
        (7, 0) => ffree::<true>,
        (7, 1) => fxch,
        (7, 2) => FSTP,
        (7, 3) => FSTP,
        (7, 4) => {
            if rm == 0 {
                fnstsw_ax
            } else {
                UD
            }
        }
        (7, 5) => comi::<true, true>,
        (7, 6) => comi::<false, true>,
        _ => UD,
    }
}
