//! The tests are in the folders beside this file; this library is empty and exists to carry them.
