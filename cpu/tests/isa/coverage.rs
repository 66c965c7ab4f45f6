//! Nothing in the opcode map may be missing.

#[test]
fn every_encoding_of_the_opcode_map_is_built() {
    let missing: Vec<_> = cpu::coverage().into_iter().filter(|r| !r.built).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_table_lists_each_encoding_once() {
    let rows = cpu::coverage();
    let mut seen = std::collections::HashSet::new();
    for r in &rows {
        assert!(seen.insert(r.opcode.clone()), "{} twice", r.opcode);
    }
    assert!(rows.len() > 700, "only {} rows", rows.len());
    let text = cpu::coverage_text();
    assert_eq!(text.lines().count(), rows.len() + 1);
    assert!(text.contains("CMPXCHG8B"));
}
