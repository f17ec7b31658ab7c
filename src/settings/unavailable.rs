//! What the contract has and this version does not do yet: refused by name, never silently accepted.
//! A line leaves this file when its capability arrives; writing the default value out is always allowed.

use super::compile::Compiler;
use crate::config::written::Written;

impl Compiler<'_> {
    pub(super) fn unavailable(&mut self, written: &Written) {
        self.refuse("forward_auth.assertion_key", "a signed assertion", written.forward_auth.assertion_key.is_some());
    }

    fn refuse(&mut self, key: &str, what: &str, present: bool) {
        if present {
            self.error(key, format!("{what} is not available in this version"));
        }
    }
}
