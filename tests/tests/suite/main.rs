//! The tests of the whole: one program, one module for each subject.

mod harness;
