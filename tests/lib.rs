//! The tests are in the folders beside this file. This library carries the code blocks of the README, so that
//! they compile and run.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
