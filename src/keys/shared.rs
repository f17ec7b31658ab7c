//! Texts that many keys have in common, kept once: owners, creators, lists of scopes. A million keys of a hundred owners hold
//! a hundred texts. It decides nothing; a record that shares nothing is as good.

use super::record::Record;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// The most different texts, and lists, that are looked for; who has more in common with nobody keeps his own.
const MAX_SHARED: usize = 65_536;

/// What keys have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    texts: Mutex<Pool<str>>,
    scopes: Mutex<Pool<[Box<str>]>>,
}

impl Shared {
    /// Puts what others have, too, in the place of a record's own.
    pub(super) fn share(&self, record: &mut Record) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        for text in [&mut record.owner, &mut record.created_by].into_iter().flatten() {
            texts.share(text);
        }
        drop(texts);
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner).share(&mut record.scopes);
    }
}

#[derive(Debug)]
struct Pool<T: ?Sized + Eq + Hash> {
    known: HashSet<Arc<T>>,
    /// How many found no room since room was looked for.
    passed: usize,
}

impl<T: ?Sized + Eq + Hash> Default for Pool<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), passed: 0 }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    fn share(&mut self, own: &mut Arc<T>) {
        if let Some(known) = self.known.get(own) {
            own.clone_from(known);
            return;
        }
        if self.known.len() >= MAX_SHARED {
            // Looking through all of them for each that finds no room would cost more than it saves.
            if self.passed == 0 {
                self.known.retain(|known| Arc::strong_count(known) > 1);
            }
            self.passed = (self.passed + 1) % MAX_SHARED;
        }
        if self.known.len() < MAX_SHARED {
            self.known.insert(Arc::clone(own));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    #[test]
    fn keys_of_one_owner_hold_one_text_of_it() {
        let shared = Shared::default();
        let mut keys = [record(), record()].map(|key| Record { owner: Some("team".into()), ..key });
        keys.iter_mut().for_each(|key| shared.share(key));
        let [one, two] = keys.clone();
        keys.iter_mut().for_each(|key| key.owner = Some("team".into()));
        assert_eq!([&one, &two], [&keys[0], &keys[1]], "they say what they said");
        assert!(Arc::ptr_eq(one.owner.as_ref().unwrap(), two.owner.as_ref().unwrap()));
        assert!(Arc::ptr_eq(&one.scopes, &two.scopes));
    }

    #[test]
    fn what_nobody_holds_any_more_makes_room() {
        let mut pool = Pool::<str>::default();
        for n in 0..=MAX_SHARED {
            pool.share(&mut n.to_string().into());
        }
        assert_eq!(pool.known.len(), 1, "nobody held them");
    }
}
