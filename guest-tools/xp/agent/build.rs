//! How the program is linked; see ../link.rs.
include!("../link.rs");

fn main() {
    link("console");
}
