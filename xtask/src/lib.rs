//! The project's chores as a library: real servers that a test may pause, kill and restart, and commands with a limit.
//! It depends on no other crate of this workspace, and it prints nothing: the binary beside it does.

/// Runs a program to its end, but never longer than it may take.
pub mod bounded;
/// Finds or starts the databases that the tests meet.
pub mod servers;
