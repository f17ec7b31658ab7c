//! Who did what: the actor of a change and the chained entries that record it.
