//! Scheduled work.
