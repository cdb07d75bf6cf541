//! The threads of a party: a pool of its own, or the calling thread alone.

use sci_core::{Error, Result};

/// Runs local work, never anything that waits for the link.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    pool: Option<rayon::ThreadPool>,
}

impl Workers {
    /// `threads` of them; one is the calling thread itself.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        if threads <= 1 {
            return Ok(Self::default());
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("lattice {i}"))
            .build()
            .map_err(|error| Error::resource(format!("threads: {error}")))?;
        Ok(Self { pool: Some(pool) })
    }

    pub(crate) fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// The results for 0..count, in order.
    pub(crate) fn map<T: Send>(
        &self,
        count: usize,
        job: impl Fn(usize) -> T + Sync + Send,
    ) -> Vec<T> {
        use rayon::prelude::*;
        match &self.pool {
            None => (0..count).map(job).collect(),
            Some(pool) => pool.install(|| (0..count).into_par_iter().map(job).collect()),
        }
    }

    /// `job` on each chunk of `len` elements, with its number.
    pub(crate) fn chunks<T: Send>(
        &self,
        data: &mut [T],
        len: usize,
        job: impl Fn(usize, &mut [T]) + Sync + Send,
    ) {
        use rayon::prelude::*;
        match &self.pool {
            None => data.chunks_mut(len).enumerate().for_each(|(i, chunk)| job(i, chunk)),
            Some(pool) => pool.install(|| {
                data.par_chunks_mut(len).enumerate().for_each(|(i, chunk)| job(i, chunk));
            }),
        }
    }

    /// Both at a time. To be called from within a job of [`Workers::map`], or not.
    pub(crate) fn both<A: Send, B: Send>(
        &self,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        match &self.pool {
            None => (a(), b()),
            Some(pool) => pool.install(|| rayon::join(a, b)),
        }
    }
}
