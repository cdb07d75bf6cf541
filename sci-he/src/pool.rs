//! Spare memory that jobs hand on, so that none is allocated for each.

use std::sync::{Mutex, PoisonError};

/// Values that are lent to one job at a time.
#[derive(Debug)]
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    /// Without any yet.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One that was given back, or else a new one.
    pub(crate) fn take(&self, new: impl FnOnce() -> T) -> T {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(new)
    }

    /// Keeps a value for the next job.
    pub(crate) fn give(&self, value: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }

    /// Lends a value to a job.
    pub(crate) fn with<R>(&self, new: impl FnOnce() -> T, job: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.take(new);
        let result = job(&mut value);
        self.give(value);
        result
    }
}
