//! The plain program on the embedded command line.
fn main() {}
