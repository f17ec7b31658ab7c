//! The wire types of Monolith's HTTP API and a typed client for them: all that a console or a script has to know.
//! It knows nothing of how the server works inside, and no value of it prints a token or a whole key by accident.

/// Asks a server, one method a route, each bounded in time and in size.
pub mod client;
/// Why a call failed, in the words and exit codes of the command line.
pub mod error;
/// The stream of what changes.
pub mod events;
/// The bearer token of a caller, which never prints itself.
pub mod token;
/// The bodies of the API, exactly as they travel.
pub mod wire;

pub use client::{Client, Trust};
pub use error::Error;
pub use token::{Token, TokenError};
