//! Trouble that somebody is told of: one incident for the whole fleet, told once when it begins and once when it is over.
//! What counts as trouble is noticed by `runtime`; nothing here looks at stores, keys or work.

pub mod incident; // what is told, and by which id a receiver knows it again
pub mod outbox; // which incidents there are and what was told of each, in a database
pub mod send; // one message to one receiver
