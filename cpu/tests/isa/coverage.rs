//! The opcode map and its page.

#[test]
fn the_table_lists_each_encoding_once() {
    let rows = cpu::coverage();
    let mut seen = std::collections::HashSet::new();
    for r in &rows {
        assert!(seen.insert(r.opcode.clone()), "{} twice", r.opcode);
    }
    assert!(seen.contains("0F C7 /1"));
    assert!(!seen.contains("0F C7 /2"));
}

#[test]
fn the_page_in_docs_is_that_of_the_map() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cpu-opcodes.md");
    let there = std::fs::read_to_string(page).unwrap();
    assert!(there == cpu::coverage_page(), "run cargo run -p cpu --example opcodes > docs/cpu-opcodes.md");
}
