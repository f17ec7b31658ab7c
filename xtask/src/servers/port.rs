//! Free ports for servers that are stopped and started again: reserved between processes for as long as the server lives.
//! It never hands out a port of the system's ephemeral range, where any outgoing connection could take it during a restart.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};

/// Below Linux' (32768) and everybody else's (49152) ephemeral ports, above the well-known servers'.
const FIRST: u16 = 17_000;
const COUNT: u16 = 15_000;

/// A port of 127.0.0.1 that nobody else who asks here gets while this value lives.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    _reserved: File,
}

impl Port {
    /// Reserves a port on which nobody listens.
    pub(super) fn reserve() -> Result<Self> {
        // One folder per user: another user could not lock files in ours.
        let folder = std::env::temp_dir().join(format!("monolith-test-ports-{}", nix::unistd::getuid()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let start = RandomState::new().hash_one(std::process::id());
        for step in 0..COUNT {
            let offset = u16::try_from(start.wrapping_add(u64::from(step)) % u64::from(COUNT))?;
            let number = FIRST + offset;
            let file = File::create(folder.join(number.to_string())).context("cannot reserve a port")?;
            if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _reserved: file });
            }
        }
        bail!("no port between {FIRST} and {} is free", FIRST + COUNT)
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_handed_out_once() {
        let ports: Vec<Port> = (0..50).map(|_| Port::reserve().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }
}
