//! D8-DF and WAIT. SDM vol. 2, tables; aliases that the tables leave blank are marked.

use super::attr::MODRM;
use super::{Entry, Imm, any, op};
use crate::insn::Handler;
use crate::x87::arith::{
    ADD, COM, COMP, DIV, DIVR, MUL, SUB, SUBR, com, comi, fprem, frndint, fscale, fsqrt, ftst, fxam, fxtract,
    op_i16, op_i32, op_m32, op_m64, op_pop, op_st0, op_sti, sign,
};
use crate::x87::control::{
    fldcw, fldenv, fnclex, fninit, fnop, fnsave, fnstcw, fnstenv, fnstsw, fnstsw_ax, frstor, fwait, ignored,
};
use crate::x87::load_store::{
    fbld, fbstp, fild_m16, fild_m32, fild_m64, fist_m16, fist_m32, fistp_m64, fld_constant, fld_m32, fld_m64,
    fld_m80, fld_sti, fst_m32, fst_m64, fst_sti, fstp_m80, fstp1,
};
use crate::x87::stack::{fcmov, ffree, fxch, turn};
use crate::x87::transcendental::{f2xm1, fcos, fpatan, fptan, fsin, fsincos, fyl2x, fyl2xp1};

const U: Entry = Entry::Undefined;

const fn x(name: &'static str, h: Handler) -> Entry {
    op(name, Imm::None, MODRM, any!(h))
}

/// A memory form and a register form, each by the reg field.
macro_rules! escape {
    ($mem:expr, $reg:expr) => {
        Entry::Form {
            mem: const { &Entry::Group(const { &$mem }) },
            reg: const { &Entry::Group(const { &$reg }) },
        }
    };
}

/// By the rm field.
macro_rules! low {
    ($e:expr) => {
        Entry::Low(const { &$e })
    };
}

pub(super) const WAIT: Entry = op("WAIT", Imm::None, 0, any!(fwait));

/// FISTTP (DB /1, DD /1, DF /1) came with SSE3.
pub(super) const ESCAPES: [Entry; 8] = [
    escape!(
        [
            x("FADD", op_m32::<ADD>),
            x("FMUL", op_m32::<MUL>),
            x("FCOM", op_m32::<COM>),
            x("FCOMP", op_m32::<COMP>),
            x("FSUB", op_m32::<SUB>),
            x("FSUBR", op_m32::<SUBR>),
            x("FDIV", op_m32::<DIV>),
            x("FDIVR", op_m32::<DIVR>),
        ],
        [
            x("FADD", op_st0::<ADD>),
            x("FMUL", op_st0::<MUL>),
            x("FCOM", com::<false, 0>),
            x("FCOMP", com::<false, 1>),
            x("FSUB", op_st0::<SUB>),
            x("FSUBR", op_st0::<SUBR>),
            x("FDIV", op_st0::<DIV>),
            x("FDIVR", op_st0::<DIVR>),
        ]
    ),
    escape!(
        [
            x("FLD m32", fld_m32),
            U,
            x("FST m32", fst_m32::<false>),
            x("FSTP m32", fst_m32::<true>),
            x("FLDENV", fldenv),
            x("FLDCW", fldcw),
            x("FNSTENV", fnstenv),
            x("FNSTCW", fnstcw),
        ],
        [
            x("FLD", fld_sti),
            x("FXCH", fxch),
            low!([x("FNOP", fnop), U, U, U, U, U, U, U]),
            x("FSTP1 (alias)", fstp1),
            low!([
                x("FCHS", sign::<true>),
                x("FABS", sign::<false>),
                U,
                U,
                x("FTST", ftst),
                x("FXAM", fxam),
                U,
                U
            ]),
            low!([
                x("FLD1", fld_constant),
                x("FLDL2T", fld_constant),
                x("FLDL2E", fld_constant),
                x("FLDPI", fld_constant),
                x("FLDLG2", fld_constant),
                x("FLDLN2", fld_constant),
                x("FLDZ", fld_constant),
                U
            ]),
            low!([
                x("F2XM1", f2xm1),
                x("FYL2X", fyl2x),
                x("FPTAN", fptan),
                x("FPATAN", fpatan),
                x("FXTRACT", fxtract),
                x("FPREM1", fprem::<true>),
                x("FDECSTP", turn::<7>),
                x("FINCSTP", turn::<1>)
            ]),
            low!([
                x("FPREM", fprem::<false>),
                x("FYL2XP1", fyl2xp1),
                x("FSQRT", fsqrt),
                x("FSINCOS", fsincos),
                x("FRNDINT", frndint),
                x("FSCALE", fscale),
                x("FSIN", fsin),
                x("FCOS", fcos)
            ]),
        ]
    ),
    escape!(
        [
            x("FIADD", op_i32::<ADD>),
            x("FIMUL", op_i32::<MUL>),
            x("FICOM", op_i32::<COM>),
            x("FICOMP", op_i32::<COMP>),
            x("FISUB", op_i32::<SUB>),
            x("FISUBR", op_i32::<SUBR>),
            x("FIDIV", op_i32::<DIV>),
            x("FIDIVR", op_i32::<DIVR>),
        ],
        [
            x("FCMOVB", fcmov::<0, false>),
            x("FCMOVE", fcmov::<1, false>),
            x("FCMOVBE", fcmov::<2, false>),
            x("FCMOVU", fcmov::<3, false>),
            U,
            low!([U, x("FUCOMPP", com::<true, 2>), U, U, U, U, U, U]),
            U,
            U,
        ]
    ),
    escape!(
        [
            x("FILD m32", fild_m32),
            U,
            x("FIST m32", fist_m32::<false>),
            x("FISTP m32", fist_m32::<true>),
            U,
            x("FLD m80", fld_m80),
            U,
            x("FSTP m80", fstp_m80),
        ],
        [
            x("FCMOVNB", fcmov::<0, true>),
            x("FCMOVNE", fcmov::<1, true>),
            x("FCMOVNBE", fcmov::<2, true>),
            x("FCMOVNU", fcmov::<3, true>),
            low!([
                x("FNENI", ignored),
                x("FNDISI", ignored),
                x("FNCLEX", fnclex),
                x("FNINIT", fninit),
                x("FNSETPM", ignored),
                U,
                U,
                U
            ]),
            x("FUCOMI", comi::<true, false>),
            x("FCOMI", comi::<false, false>),
            U,
        ]
    ),
    escape!(
        [
            x("FADD", op_m64::<ADD>),
            x("FMUL", op_m64::<MUL>),
            x("FCOM", op_m64::<COM>),
            x("FCOMP", op_m64::<COMP>),
            x("FSUB", op_m64::<SUB>),
            x("FSUBR", op_m64::<SUBR>),
            x("FDIV", op_m64::<DIV>),
            x("FDIVR", op_m64::<DIVR>),
        ],
        [
            x("FADD", op_sti::<ADD>),
            x("FMUL", op_sti::<MUL>),
            x("FCOM2 (alias)", com::<false, 0>),
            x("FCOMP3 (alias)", com::<false, 1>),
            x("FSUBR", op_sti::<SUB>),
            x("FSUB", op_sti::<SUBR>),
            x("FDIVR", op_sti::<DIV>),
            x("FDIV", op_sti::<DIVR>),
        ]
    ),
    escape!(
        [
            x("FLD m64", fld_m64),
            U,
            x("FST m64", fst_m64::<false>),
            x("FSTP m64", fst_m64::<true>),
            x("FRSTOR", frstor),
            U,
            x("FNSAVE", fnsave),
            x("FNSTSW m16", fnstsw),
        ],
        [
            x("FFREE", ffree::<false>),
            x("FXCH4 (alias)", fxch),
            x("FST", fst_sti::<false>),
            x("FSTP", fst_sti::<true>),
            x("FUCOM", com::<true, 0>),
            x("FUCOMP", com::<true, 1>),
            U,
            U,
        ]
    ),
    escape!(
        [
            x("FIADD", op_i16::<ADD>),
            x("FIMUL", op_i16::<MUL>),
            x("FICOM", op_i16::<COM>),
            x("FICOMP", op_i16::<COMP>),
            x("FISUB", op_i16::<SUB>),
            x("FISUBR", op_i16::<SUBR>),
            x("FIDIV", op_i16::<DIV>),
            x("FIDIVR", op_i16::<DIVR>),
        ],
        [
            x("FADDP", op_pop::<ADD>),
            x("FMULP", op_pop::<MUL>),
            x("FCOMP5 (alias)", com::<false, 1>),
            low!([U, x("FCOMPP", com::<false, 2>), U, U, U, U, U, U]),
            x("FSUBRP", op_pop::<SUB>),
            x("FSUBP", op_pop::<SUBR>),
            x("FDIVRP", op_pop::<DIV>),
            x("FDIVP", op_pop::<DIVR>),
        ]
    ),
    escape!(
        [
            x("FILD m16", fild_m16),
            U,
            x("FIST m16", fist_m16::<false>),
            x("FISTP m16", fist_m16::<true>),
            x("FBLD", fbld),
            x("FILD m64", fild_m64),
            x("FBSTP", fbstp),
            x("FISTP m64", fistp_m64),
        ],
        [
            x("FFREEP (alias)", ffree::<true>),
            x("FXCH7 (alias)", fxch),
            x("FSTP8 (alias)", fst_sti::<true>),
            x("FSTP9 (alias)", fst_sti::<true>),
            low!([x("FNSTSW AX", fnstsw_ax), U, U, U, U, U, U, U]),
            x("FUCOMIP", comi::<true, true>),
            x("FCOMIP", comi::<false, true>),
            U,
        ]
    ),
];
