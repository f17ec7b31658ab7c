//! The black-box tests: the real binary against real servers. One binary, so that everything links once.
//! Nothing here reaches into the program; what needs no process is tested beside the code.
#![expect(unreachable_pub, reason = "nothing outside of a test binary could reach anything")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by a panic")]

mod harness; // starts the real binary in a folder of its own and asks it as each role

mod http; // the API's manners
mod readme; // the README's tour, run as it stands
mod tidy; // the layers, and what every file owes its reader
