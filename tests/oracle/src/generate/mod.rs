//! Makes cases: a sequence of instructions, the registers and the memory it starts with. Everything follows
//! from the seed.

mod builder;
mod composite;
mod forms;
mod operands;
mod values;

pub use builder::{Case, Generator, Item, is_approximate};
pub use forms::{Family, Form, Forms, family_of, is_allowed, plain_encoding};
pub use values::Images;
