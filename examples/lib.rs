//! The examples are the `*.rs` files beside this one; this library is empty and exists to carry them.
